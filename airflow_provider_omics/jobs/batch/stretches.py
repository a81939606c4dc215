"""The stretches of the wait for a batch: between two of them what has ended is collected, and told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from copy import copy
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_omics.core.batch.progress import is_worth_telling, progress_sentence
from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.errors import NotOwner, OmicsError
from airflow_provider_omics.core.settings.arguments import AUTO
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.wait.stretch import (
    COLLECTION_LIMIT,
    EVERY,
    LARGE_BATCH,
    Stretch,
    ended_runs,
    runs_at_a_time,
    time_left,
)
from airflow_provider_omics.jobs.batch.verdict import BatchResults
from airflow_provider_omics.jobs.diagnosis import Diagnoser
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.jobs.page import CohortReport
from airflow_provider_omics.results.cohort import Cohort
from airflow_provider_omics.results.collect import Between

ASKED_AT_ONCE = 50
"""Failed runs that a :class:`Diagnoser` looks at in one go."""

SHOWN_CAUSES = 5
"""Causes in a line of the log."""


@dataclass(frozen=True)
class BatchProgress:
    """Tells people how a cohort goes.

    :param owner: the try.
    :param callback: called with Airflow's context, which has the sentence as ``omics_progress``.
    :param report: where the page lies.
    """

    owner: Owner
    callback: Callable[[Any], object]
    report: CohortReport | None

    def tell(self, total: int, causes: Mapping[str, int], going: int) -> None:
        """Tell it; a callback that fails is a warning in the log.

        :param total: samples of the cohort.
        :param causes: cause -> how many did not complete by it.
        :param going: samples that have not ended.
        """
        identity = self.owner.identity
        name = identity.task_id + (f" [{identity.map_index}]" if identity.map_index >= 0 else "")
        uri = None if self.report is None else self.report.uri
        sentence = progress_sentence(name, total, sum(causes.values()), causes, going, uri)
        # By items: Airflow 2 warns of deprecated keys when they are got one by one.
        context: Any = dict(self.owner.context.items()) | {"omics_progress": sentence}
        # A notifier renders its templates in place: as it is, it would send its first message again and again.
        callback = copy(self.callback) if hasattr(self.callback, "template_fields") else self.callback
        self.owner.try_to_write("progress for people", callback, context)

    def tell_end(self, result: Mapping[str, Any]) -> None:
        """Tell how it has ended.

        :param result: the task's.
        """
        causes = {cause["cause"]: cause["count"] for cause in result.get("causes", ())}
        self.tell(result.get("total_runs", 0), causes, 0)


@dataclass(frozen=True)
class BatchStretches:
    """The stretches of the wait of one try.

    :param owner: the try.
    :param results: where the results of its batch are.
    :param every: seconds of a stretch, about; ``"auto"``: 30 minutes for batches over 300 runs; None: there are none.
    :param counted: counts all samples, those included that earlier attempts have left.
    :param report: the page. Default: none is wanted.
    :param progress: tells people. Default: nobody is told.
    """

    owner: Owner
    results: BatchResults
    every: float | str | None
    counted: Callable[[BatchSnapshot], Cohort]
    report: CohortReport | None = None
    progress: BatchProgress | None = None

    def first(self) -> Stretch | None:
        """Begin the first one; None: nothing is collected before the end, or there is no place for results."""
        if self.every is None or self.results.places.results is None:
            return None
        is_auto, one = self.every == AUTO, self.owner.identity
        return Stretch.first(
            EVERY if is_auto else float(self.every),
            time.time(),
            f"{one.dag_id} {one.run_id} {one.task_id} {one.map_index}",
            least_runs=LARGE_BATCH if is_auto else 0,
            calls_per_second=self.owner.hook.defaults.calls_per_second,
        )

    def next(self, batch: BatchSnapshot, last: Stretch) -> Stretch:
        """Collect what has ended in the last stretch, and begin the next one.

        Whatever goes wrong is a warning in the log, and the wait goes on.

        :param batch: the batch, going.
        :param last: the last stretch.
        """
        owner, collected, median, has_more = self.owner, last.collected, last.median, False
        try:
            between = self._collect(batch)
            if between is not None:
                collected, median, has_more = between.done or collected, between.tally.median, between.has_more
                self._tell(between)
        except NotOwner:
            raise
        except OmicsError as error:
            owner.log.warning("What has ended of batch %s is collected later: %s", batch.id, error)
        except Exception:  # the batch goes on, and is waited for: the collection at its end raises what lasts
            owner.log.warning("What has ended of batch %s is collected later", batch.id, exc_info=True)
        stretch = last.after(time.time(), collected=collected, median=median, has_more=has_more)
        if not stretch.needs_page:
            return stretch
        owner.try_to_write("page", self._write_page, batch)
        return replace(stretch, reported=collected)

    def _write_page(self, batch: BatchSnapshot) -> None:
        place = self.results.places.results
        if self.report is not None and place is not None:
            self.report.write(place, batch, self.counted(batch))

    def _collect(self, batch: BatchSnapshot) -> Between | None:
        request_id = self.owner.request_id
        collection = self.results.collection(batch.id, request_id, patience=COLLECTION_LIMIT)
        if collection is None:
            return None
        with closing(collection):
            return collection.collect_between(COLLECTION_LIMIT, self._explain)

    def _explain(self, failed: Sequence[RunRecord]) -> Mapping[str, str]:
        """Look for the tasks that failed, of as many as there is time for."""
        causes: dict[str, str] = {}
        lacking = [record for record in failed if record.lacks_task]
        diagnoser = Diagnoser(self.owner.hook, log_lines=0)
        for first in range(0, len(lacking), ASKED_AT_ONCE):
            found, gaps = diagnoser.causes(lacking[first : first + ASKED_AT_ONCE])
            causes.update(found)
            for gap in gaps:
                self.owner.log.info("%s", gap)
        return causes

    def _tell(self, between: Between) -> None:
        """Tell new causes, and how far the cohort is."""
        batch, tally, log = between.batch, between.tally, self.owner.log
        causes = Counter(record.cause or record.status.value for record in between.new if record.failed)
        if causes:
            shown = [f"{number:,} {cause}" for cause, number in causes.most_common(SHOWN_CAUSES)]
            others = causes.total() - sum(number for _, number in causes.most_common(SHOWN_CAUSES))
            log.warning("Batch %s, new: %s", batch.id, ", ".join([*shown, *([f"{others:,} others"] if others else [])]))
        to_go, counts = batch.total_runs - ended_runs(batch), self.counted(batch).counts
        left = time_left(to_go, runs_at_a_time(batch), tally.median)
        total = counts.total_runs
        share = (total - to_go) / total if total else 0.0
        line = "Batch %s: %s of %s samples have ended (%.0f %%)%s"
        log.info(line, batch.id, f"{total - to_go:,}", f"{total:,}", 100 * share, f"; {left}" if left else "")
        numbers = {"cohort": counts.as_dict(), "share": round(share, 3), "median_seconds": tally.median}
        causes_so_far = dict(tally.causes.most_common(SHOWN_CAUSES))
        self.owner.show_progress(batch, {**numbers, "estimate": left, "causes": causes_so_far})
        if self.progress is not None and is_worth_telling(causes, tally.causes, total):
            self.progress.tell(total, tally.causes, to_go)
