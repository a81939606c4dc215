"""What a cohort cost, over all attempts of all its samples; and what the next one may cost."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus

SHOWN_CAUSES = 10
"""Causes in a task's result and in its log, the dearest first."""

SHOWN_ADVICE = 10
"""Samples that were given too little, which a log and a page name."""

_FEW = 3
"""An estimate from fewer runs than this says so."""


@dataclass(frozen=True)
class RunPrice:
    """One run of a sample, as its record tells.

    :param run_setting_id: the sample.
    :param run_uuid: the run; None: there was none.
    :param status: how it ended.
    :param usd: what it cost; None: not known.
    :param cause: why it failed.
    :param seconds: how long it ran.
    """

    run_setting_id: str
    run_uuid: str | None
    status: str
    usd: float | None
    cause: str | None = None
    seconds: float | None = None

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


def cohort_cost(runs: Iterable[RunPrice]) -> CohortCost:
    """Add up what all runs of a cohort cost; a run that is given twice counts once.

    :param runs: the runs of all attempts.
    :return: the sums.
    """
    once = {run.run_uuid or ("", run.run_setting_id): run for run in runs}
    submitted = [run for run in once.values() if run.run_uuid is not None]
    failed = [run for run in submitted if run.status != RecordStatus.COMPLETED]
    causes = sorted({run.cause or "an unknown cause" for run in failed if run.usd})
    by_cause = {
        cause: (len(of_cause), _sum(of_cause))
        for cause in causes
        if (of_cause := [run for run in failed if (run.cause or "an unknown cause") == cause])
    }
    return CohortCost(
        usd=_sum(submitted),
        failed_usd=_sum(failed),
        samples=len({run.run_setting_id for run in once.values()}),
        runs=len(submitted),
        unpriced_runs=sum(run.usd is None for run in submitted),
        by_cause=dict(sorted(by_cause.items(), key=lambda item: -item[1][1])),
    )


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
    """What a cohort may cost, and how long a run of it may take, by completed runs of the same workflow and version.

    :param runs: number of runs that are going to be started.
    :param basis: number of completed runs that it rests on.
    :param usd: the expected cost.
    :param usd_low: what it costs if each run costs as little as the cheaper quarter.
    :param usd_high: what it costs if each run costs as much as the dearer quarter.
    :param seconds: median of a run's time; None: not known.
    """

    runs: int
    basis: int
    usd: float
    usd_low: float
    usd_high: float
    seconds: float | None

    def __str__(self) -> str:
        """One sentence: ``"about 41 USD (36 to 52) for 12 runs, by 480 earlier runs"``."""
        few = ", which are few" if self.basis < _FEW else ""
        cost = f"about {self.usd:,.2f} USD ({self.usd_low:,.2f} to {self.usd_high:,.2f}) for {self.runs:,} runs"
        return f"{cost}, by {self.basis:,} earlier runs of the same workflow and version{few}"


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
    return Estimate(
        runs=runs,
        basis=len(prices),
        usd=round(runs * math.fsum(prices) / len(prices), 6),
        usd_low=round(runs * _quantile(prices, 0.25), 6),
        usd_high=round(runs * _quantile(prices, 0.75), 6),
        seconds=_quantile(times, 0.5) if times else None,
    )


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)]


def _number(value: Any) -> float | None:
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _sum(runs: Iterable[RunPrice]) -> float:
    return round(math.fsum(run.usd for run in runs if run.usd is not None), 6)
