"""What the runs of a batch cost and used, added to their records while they are collected.

A record gets the members of :mod:`airflow_provider_omics.core.cost.record`. What the tasks of its run used goes into a
part beside the results, ``usage/{first run}.jsonl.gz``, written before the records of the same checkpoint: so a run
whose record has a cost is in a part, and one that a lost collection reads again is in two and counts once. Parts are
never written again, however large the cohort. From all of them ``sizing.json`` is made at the end.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.cost.rates import Rates
from airflow_provider_omics.core.cost.record import cost_members, earlier_run, is_awaited, is_early
from airflow_provider_omics.core.cost.sizing import Sizing, size_cohort
from airflow_provider_omics.core.cost.usage import RunUsage, run_usage
from airflow_provider_omics.core.uris import S3Address, s3_address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.results.file import JsonLinesFile
from airflow_provider_omics.results.manifests import ManifestReader
from airflow_provider_omics.results.prices import rates_place, read_rates

MOST_TASKS = 20_000
"""Tasks of runs that are in memory at most, about 15 MB, before a part is written."""

USAGE = (
    "what the runs of a cohort used",
    "Move the file away: the sizing is then made without its runs.",
)
"""What a part ought to be, and the remedy where it is damaged or another."""


class CostReader:
    """Adds costs to records, and keeps what their runs used.

    :param hook: the hook of the runs.
    :param log: the task's logger.
    :param results_uri: the results file, beside which the rest lies.
    :param manifests: reads the manifests.
    """

    def __init__(self, hook: OmicsHook, log: Any, results_uri: str, manifests: ManifestReader) -> None:
        self._hook = hook
        self._log = log
        self._folder = re.sub(r"[.]jsonl([.]gz)?$", "", results_uri)
        self._rates_place = rates_place(results_uri, hook.defaults.results_s3_uri)
        self._manifests = manifests
        self._rates: Rates | None = None
        self._is_asked = False
        self._usages: list[RunUsage] = []
        self._tasks = 0

    @property
    def rates(self) -> Rates | None:
        """The rates, read when they are first needed; None: they cannot be had, which the log has told."""
        if not self._is_asked:
            self._rates, self._is_asked = read_rates(self._hook, self._log, self._rates_place), True
        return self._rates

    def lacks(self, record: RunRecord) -> bool:
        """Tell whether a record has yet to get the cost of its run.

        :param record: as it is in the file.
        """
        if record.run_id is None or self.rates is None:
            return False
        return not record.costs or self.is_awaited(record)

    def is_awaited(self, record: RunRecord) -> bool:
        """Tell whether the manifest of a run that has ended may still come.

        :param record: as it was priced.
        """
        return is_awaited(record.costs)

    def add(self, record: RunRecord, before: RunRecord | None) -> RunRecord:
        """Add its cost to a record, and those of earlier runs of its sample.

        :param record: the record of a run that has ended.
        :param before: the record in whose place it comes, of the same batch or of an earlier attempt; None: none.
        :return: the record; as it was where its manifest cannot be read, so that another collection tries again.
        """
        if self.rates is None:
            return record
        earlier = [] if before is None else list(before.costs.get("earlier_runs", ()))
        if before is not None and before.batch_id != record.batch_id and before.run_id is not None:
            priced = before if before.costs else replace(before, costs=self._members(before) or {})
            earlier.append(earlier_run(priced.to_json()))
        members = {} if record.run_id is None else self._members(record)
        if members is None:
            members = {}  # a collection to come asks again
        if earlier:
            members["earlier_runs"] = earlier
        return replace(record, costs=members)

    def _members(self, record: RunRecord) -> dict[str, Any] | None:
        assert self.rates is not None  # noqa: S101 - add() asks
        messages = self._manifests.read(record.run_id or "", record.run_uuid)
        if messages is None:
            return None
        usage = run_usage(messages, record.run_id or "", record.run_uuid)
        if usage is not None:
            self._usages.append(usage)
            self._tasks += len(usage.tasks)
            if self._tasks > MOST_TASKS:
                self.write()
        code = record.failure_code if record.status is RecordStatus.FAILED else None
        return cost_members(usage, self.rates, code, early=is_early(record.stopped_at, time.time()))

    def write(self, patience: float | None = None) -> None:
        """Write what the runs used that were read since the last time: before their records are written.

        :param patience: seconds for which failures are borne. Default: the hook's.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if not self._usages:
            return
        name = self._usages[0].run_uuid or self._usages[0].run_id
        uri = f"{self._folder}/usage/{name}.jsonl.gz"
        part = JsonLinesFile(self._hook, uri, self._hook.defaults.results_kms_key_id)
        lines = [usage.to_json() for usage in self._usages]
        Repeats(self._hook, self._log, patience).make(lambda: part.replace(lines))
        self._usages, self._tasks = [], 0

    def write_sizing(self) -> tuple[Sizing, str] | None:
        """Make ``sizing.json`` of all that was kept beside the results file.

        :return: the sizing, and where it lies; None: nothing is known of any run.
        :raises SettingsError: a part is something else.
        :raises ServiceError: S3 refused, or did not get through.
        """
        sizing = size_cohort(self._all_usages(), self.rates)
        if not sizing.processes and not sizing.gpu_tasks:
            return None
        body = json.dumps({**sizing.to_json(), "prices_as_of": self.rates.as_of if self.rates else None}, indent=1)
        place = S3Place(f"{self._folder}/sizing.json", self._hook.defaults.results_kms_key_id)
        S3Store(self._hook).put(place, body.encode(), content_type="application/json")
        return sizing, place.uri

    def _all_usages(self) -> Iterator[RunUsage]:
        seen: set[str | None] = set()
        prefix = f"{self._folder}/usage/"
        for item in S3Store(self._hook).all_objects(prefix):
            uri = S3Address(s3_address(prefix).bucket, item["Key"]).uri
            for usage in JsonLinesFile(self._hook, uri, None).read(RunUsage.from_json, USAGE):
                name = usage.run_uuid or usage.run_id
                if name not in seen:
                    seen.add(name)
                    yield usage
