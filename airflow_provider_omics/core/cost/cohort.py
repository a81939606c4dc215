"""What a cohort cost, over all attempts of all its samples; and what the next one may cost."""

from __future__ import annotations

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus
from airflow_provider_omics.core.failure.diagnosis import duration

SHOWN_CAUSES = 10
"""Causes in a task's result and in its log, the dearest first."""

SHOWN_ADVICE = 10
"""Samples that were given too little, which a log and a page name."""

_FEW = 3
"""An estimate from fewer runs than this says so."""


@dataclass(frozen=True)
class RunPrice:
    """One run of a sample, as its record tells.

    :param run_setting_id: the sample; empty: not known.
    :param run_uuid: the run; None: there was none.
    :param status: how it ended.
    :param usd: what it cost; None: not known.
    :param cause: why it failed.
    :param seconds: how long it ran.
    :param stopped: when it ended, in seconds since 1970.
    """

    run_setting_id: str
    run_uuid: str | None
    status: str
    usd: float | None
    cause: str | None = None
    seconds: float | None = None
    stopped: float | None = None

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> RunPrice:
        """Take it from a record of a results file, or from one of the earlier runs in it.

        :param record: the record.
        """
        return cls(
            record["run_setting_id"],
            record.get("run_uuid"),
            record["status"],
            _number(record.get("cost_usd")),
            record.get("cause"),
            _number(record.get("running_seconds")),
            _moment(record.get("stopped_at")),
        )

    @classmethod
    def all_of(cls, record: Mapping[str, Any]) -> list[RunPrice]:
        """Take all runs of a sample from its record: those of earlier attempts first.

        :param record: the record.
        """
        name, earlier = record["run_setting_id"], record.get("earlier_runs")
        runs = [run for run in earlier if isinstance(run, Mapping)] if isinstance(earlier, list) else []
        status = record.get("status_before_removal") or record["status"]
        return [
            *(cls.from_record({"status": "UNKNOWN", **run, "run_setting_id": name}) for run in runs),
            cls.from_record({**record, "status": status}),
        ]


@dataclass(frozen=True)
class CohortCost:
    """What a cohort cost.

    :param usd: the sum of the runs whose cost is known.
    :param failed_usd: the part of it that went into runs that did not complete.
    :param samples: number of samples.
    :param runs: number of runs, those of earlier attempts included.
    :param unpriced_runs: number of runs whose cost is not known: they are in no sum.
    :param by_cause: cause -> (runs, USD) of runs that did not complete, the dearest first.
    """

    usd: float
    failed_usd: float
    samples: int
    runs: int
    unpriced_runs: int
    by_cause: Mapping[str, tuple[int, float]]

    def lines(self) -> list[str]:
        """Say it in lines for a log: ``"41.20 USD went into 12 runs that failed for OUT_OF_MEMORY_ERROR"``."""
        covered = f"{self.runs - self.unpriced_runs:,} of {self.runs:,} runs of {self.samples:,} samples"
        lines = [f"{self.usd:,.2f} USD for {covered}"]
        if self.unpriced_runs:
            lines.append(f"The cost of {self.unpriced_runs:,} runs is not known, and in no sum")
        lines += [
            f"{usd:,.2f} USD went into {runs:,} runs that failed for {cause}"
            for cause, (runs, usd) in list(self.by_cause.items())[:SHOWN_CAUSES]
        ]
        return lines

    def to_result(self) -> dict[str, Any]:
        """Make the members of a task's result; ``cost_usd`` is null where no run has a cost."""
        is_known = self.runs == 0 or self.runs > self.unpriced_runs
        return {
            "cost_usd": self.usd if is_known else None,
            "cost_failed_usd": self.failed_usd if is_known else None,
            "cost_runs": self.runs,
            "cost_unpriced_runs": self.unpriced_runs,
            "cost_by_cause": [
                {"cause": cause, "runs": runs, "usd": usd}
                for cause, (runs, usd) in list(self.by_cause.items())[:SHOWN_CAUSES]
            ],
        }


class CostCounter:
    """Adds up what the runs of a cohort cost, one by one: of each it keeps a number and its uuid.

    A run that is given twice counts once.
    """

    def __init__(self) -> None:
        self._seen: set[str] = set()
        self._samples: set[str] = set()
        self._completed = array("d")
        self._failed: dict[str, array[float]] = {}
        self._runs_of: Counter[str] = Counter()
        self._runs = self._unpriced = 0

    def add(self, run: RunPrice) -> None:
        """Add a run.

        :param run: the run; one without a uuid never ran, and only its sample counts.
        """
        if run.run_uuid is not None:
            if run.run_uuid in self._seen:
                return
            self._seen.add(run.run_uuid)
            self._count(run)
        if run.run_setting_id:
            self._samples.add(run.run_setting_id)

    def _count(self, run: RunPrice) -> None:
        self._runs += 1
        self._unpriced += run.usd is None
        is_completed = run.status == RecordStatus.COMPLETED
        cause = run.cause or "an unknown cause"
        if not is_completed:
            self._runs_of[cause] += 1
        if run.usd is not None:
            (self._completed if is_completed else self._failed.setdefault(cause, array("d"))).append(run.usd)

    def result(self) -> CohortCost:
        """Return the sums."""
        by_cause = {cause: (self._runs_of[cause], _sum(usd)) for cause, usd in sorted(self._failed.items()) if any(usd)}
        return CohortCost(
            usd=_sum(chain(self._completed, *self._failed.values())),
            failed_usd=_sum(chain(*self._failed.values())),
            samples=len(self._samples),
            runs=self._runs,
            unpriced_runs=self._unpriced,
            by_cause=dict(sorted(by_cause.items(), key=lambda item: -item[1][1])),
        )


def cohort_cost(runs: Iterable[RunPrice]) -> CohortCost:
    """Add up what all runs of a cohort cost; a run that is given twice counts once.

    :param runs: the runs of all attempts.
    :return: the sums.
    """
    counter = CostCounter()
    for run in runs:
        counter.add(run)
    return counter.result()


def sample_usd(record: Mapping[str, Any]) -> float | None:
    """Add up what all attempts of a sample cost.

    :param record: its record.
    :return: USD; None: it has no cost, or that of one of its runs is not known.
    """
    if "cost_usd" not in record:
        return None
    prices = [run.usd for run in RunPrice.all_of(record) if run.run_uuid is not None]
    known = [usd for usd in prices if usd is not None]
    return round(math.fsum(known), 6) if known and len(known) == len(prices) else None


@dataclass(frozen=True)
class Estimate:
    """What a cohort may cost, and how long it may take, by completed runs of the same workflow and version.

    :param runs: number of runs that are going to be started.
    :param basis: number of completed runs that it rests on.
    :param usd: the expected cost.
    :param usd_low: what it costs if each run costs as little as the cheaper quarter.
    :param usd_high: what it costs if each run costs as much as the dearer quarter.
    :param seconds: median of a run's time; None: not known.
    :param seconds_low: a quarter of the runs took this, or less.
    :param seconds_high: a quarter of the runs took longer.
    :param parallel: how many of them ran at a time, on average; None: not known.
    """

    runs: int
    basis: int
    usd: float
    usd_low: float
    usd_high: float
    seconds: float | None
    seconds_low: float | None = None
    seconds_high: float | None = None
    parallel: float | None = None

    def cohort_seconds(self, seconds: float | None) -> float | None:
        """Estimate how long the cohort takes if as many of its runs run at a time as of the earlier ones.

        :param seconds: time of one run; None: not known.
        """
        if seconds is None or self.parallel is None:
            return None
        return max(seconds, self.runs * seconds / max(self.parallel, 1.0))

    def __str__(self) -> str:
        """One sentence: ``"about 41 USD (36 to 52) for 12 runs, by 480 earlier runs"``, with the time where known."""
        few = ", which are few" if self.basis < _FEW else ""
        cost = f"about {self.usd:,.2f} USD ({self.usd_low:,.2f} to {self.usd_high:,.2f}) for {self.runs:,} runs"
        told = f"{cost}, by {self.basis:,} earlier runs of the same workflow and version{few}"
        times = [self.cohort_seconds(each) for each in (self.seconds, self.seconds_low, self.seconds_high)]
        middle, low, high = (None if each is None else duration(each) for each in times)
        if middle is None:
            return told
        return f"{told}; about {middle} ({low} to {high}), at the same concurrency"


def estimate_cohort(runs: int, earlier: Iterable[RunPrice]) -> Estimate | None:
    """Estimate a cohort from completed runs.

    :param runs: number of runs that are going to be started.
    :param earlier: runs of the same workflow and version; those that did not complete, or have no cost, do not count.
    :return: the estimate; None: there is nothing that it could rest on.
    """
    known = [run for run in earlier if run.status == RecordStatus.COMPLETED and run.usd is not None]
    prices = sorted(run.usd for run in known if run.usd is not None)
    if not prices:
        return None
    times = sorted(run.seconds for run in known if run.seconds is not None)
    low, middle, high = (_quantile(times, share) if times else None for share in (0.25, 0.5, 0.75))
    return Estimate(
        runs=runs,
        basis=len(prices),
        usd=round(runs * math.fsum(prices) / len(prices), 6),
        usd_low=round(runs * _quantile(prices, 0.25), 6),
        usd_high=round(runs * _quantile(prices, 0.75), 6),
        seconds=middle,
        seconds_low=low,
        seconds_high=high,
        parallel=_parallel(known),
    )


def _parallel(runs: Sequence[RunPrice]) -> float | None:
    """Reckon how many runs ran at a time, on average; None: of too few it is known when they ended."""
    ends = [run.stopped for run in runs if run.stopped is not None and run.seconds is not None]
    starts = [run.stopped - run.seconds for run in runs if run.stopped is not None and run.seconds is not None]
    span = max(ends, default=0.0) - min(starts, default=0.0)
    ran = math.fsum(end - start for start, end in zip(starts, ends, strict=True))
    return ran / span if span > 0 else None


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def _moment(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _sum(usd: Iterable[float]) -> float:
    return round(math.fsum(usd), 6)
