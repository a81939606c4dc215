"""A stretch of a wait: after it the task collects what has ended of its batch, and waits on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot

EVERY = 1800.0
"""Seconds of a stretch where nobody sets them."""

LARGE_BATCH = 300
"""Runs of a batch beyond which it is collected while it goes, where nobody asks for it: the GetRun calls of fewer take
a minute at the end."""

COLLECTION_LIMIT = 600.0
"""Seconds after which a collection between two stretches reads no further run."""

LEAST = 60.0
"""Seconds of the shortest stretch: each takes a worker, and its callbacks run again."""

LAST_CALLS = 60.0
"""Seconds of calls that may be left when a batch ends."""

LIST_SHARE = 0.08
"""New runs, as a share of the list that tells them, where it takes more than a minute: a collection shall make no more
than one call for a list to eight that read a run. It matters for batches of more than 60,000."""

LISTED_AT_ONCE = 100
"""Runs in a page of a list."""

SMALL_PAGE, PAGE_GROWTH = 5_000, 1.5

LONGEST = 4
"""Times ``every`` after which few new runs are collected, too."""

SPARE = 600.0
"""Seconds for the queue of the workers, before and after a collection."""

_ENDED = ("completed_runs", "failed_runs", "cancelled_runs", "failed_submissions")


@dataclass(frozen=True)
class Stretch:
    """One stretch of the wait for a batch. Times are in seconds, moments in seconds since the epoch.

    :param every: how long a stretch is, about.
    :param began: when it began.
    :param until: when it is over, if anything has ended by then.
    :param least_runs: a batch of so many runs or fewer is collected at its end only. Default 0.
    :param collected: runs of the batch that need no look any more. Default 0.
    :param calls_per_second: how fast a collection reads. Default 5.
    :param median: how long a run has taken, by the median of those that completed; None: none has.
    :param reported: runs that the page had when it was last written. Default 0.
    :param carried: what the task needs when it is taken up: JSON values. Default: nothing.
    """

    every: float
    began: float
    until: float
    least_runs: int = 0
    collected: int = 0
    calls_per_second: float = 5.0
    median: float | None = None
    reported: int = 0
    carried: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def first(cls, every: float, now: float, identity: str, **more: Any) -> Stretch:
        """Begin the first stretch of a wait: half of ``every`` long, and up to as much again and half.

        :param every: how long a stretch is, about.
        :param now: the moment.
        :param identity: of the task instance, by which 500 mapped batches come back at different moments.
        :param more: other fields.
        """
        share = int.from_bytes(hashlib.sha256(identity.encode()).digest()[:4], "big") / 2**32
        return cls(every, now, now + every * (0.5 + share), **more)

    def is_over(self, seen: Snapshot, now: float, deadline: float | None) -> bool:
        """Decide whether the task goes and collects.

        :param seen: the batch, going.
        :param now: the moment.
        :param deadline: of the wait; None: there is none. Near it nothing is collected: while the task waits for a
            worker nobody watches, and Airflow 2 ends it by its own clock.
        """
        if not isinstance(seen, BatchSnapshot) or seen.total_runs <= self.least_runs:
            return False
        if deadline is not None and deadline - now < 2 * COLLECTION_LIMIT + SPARE:
            return False
        ended, lasted = ended_runs(seen), now - self.began
        new = ended - self.collected
        if new <= 0:
            return False
        if now >= self.until:
            listed = min(seen.count("pending_runs"), ended)
            is_short = listed <= LISTED_AT_ONCE * LAST_CALLS * self.calls_per_second
            return is_short or new >= LIST_SHARE * listed or now >= self.until + (LONGEST - 1) * self.every
        # Towards the end, by the pace of this stretch: less than a stretch to go, and a minute of calls to make.
        is_last = (seen.total_runs - ended) * lasted <= new * self.every
        return is_last and lasted >= min(LEAST, self.every) and new >= LAST_CALLS * self.calls_per_second

    @property
    def needs_page(self) -> bool:
        """Whether the page is written anew: of a large cohort when it has grown by half, as all records go into it."""
        return self.collected > self.reported and (
            self.collected <= SMALL_PAGE or self.collected >= PAGE_GROWTH * self.reported
        )

    def after(self, now: float, *, collected: int, median: float | None, has_more: bool) -> Stretch:
        """Begin the next one.

        :param now: the moment.
        :param collected: runs that need no look any more.
        :param median: how long a run takes.
        :param has_more: the collection came to its limit: the rest is read soon.
        """
        length = min(LEAST, self.every) if has_more else self.every
        return replace(self, began=now, until=now + length, collected=collected, median=median)

    def to_json(self) -> dict[str, Any]:
        """Write it as JSON values, as a trigger and its event carry it."""
        return {**asdict(self), "carried": dict(self.carried)}

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Stretch:
        """Read :meth:`to_json`; keys that this version does not know are ignored.

        :param value: a JSON object.
        :raises (AttributeError, KeyError, TypeError, ValueError): it is something else.
        """
        known = {one.name: value[one.name] for one in fields(cls) if one.name in value}
        for name, kept in known.items():
            is_number = isinstance(kept, (int, float)) and not isinstance(kept, bool)
            fits = isinstance(kept, Mapping) if name == "carried" else is_number or (name == "median" and kept is None)
            if not fits:
                raise TypeError(f"{name} is {kept!r:.80}")
        return cls(**known)


def ended_runs(batch: BatchSnapshot) -> int:
    """Count the runs of a batch that have ended, or will never start.

    :param batch: as GetBatch shows it; its counts of runs may lag.
    """
    return sum(batch.count(name) for name in _ENDED)


def runs_at_a_time(batch: BatchSnapshot) -> int:
    """Count the runs of a batch that compute.

    :param batch: as GetBatch shows it.
    """
    return sum(batch.count(name) for name in ("starting_runs", "running_runs", "stopping_runs"))


def time_left(to_go: int, at_a_time: int, median: float | None) -> str | None:
    """Estimate when a cohort is done: ``"about 3 h 20 min left: 2,310 to go, 96 at a time, median 8 min"``.

    :param to_go: runs that have not ended.
    :param at_a_time: runs that compute now.
    :param median: seconds that a run has taken; None: none has completed.
    :return: the estimate; None: there is nothing to estimate by.
    """
    if not to_go or not at_a_time or not median:
        return None
    # The last ones run side by side for as long as one takes.
    seconds = max(to_go / at_a_time, 1.0) * median
    return f"about {_spelled(seconds)} left: {to_go:,} to go, {at_a_time:,} at a time, median {_spelled(median)}"


def _spelled(seconds: float) -> str:
    if seconds < 60:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    hours, minutes = divmod(minutes if minutes < 60 else 5 * round(minutes / 5), 60)
    return " ".join(f"{number:,} {unit}" for number, unit in ((hours, "h"), (minutes, "min")) if number)
