"""What a batch may cost, told before it starts; one that may cost more than allowed is refused."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from airflow_provider_omics.core.batch.sample import RunRecord, workflow_key
from airflow_provider_omics.core.cost.cohort import Estimate, RunPrice, estimate_cohort
from airflow_provider_omics.core.errors import OmicsError, Problem, SettingsError
from airflow_provider_omics.core.uris import S3Address, s3_address
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.jobs.batch.places import BatchPlaces
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.results.read import read_batch_results

LOOKED_AT = 20_000
"""Keys of the results place that are looked at for the last file of this task."""


@dataclass(frozen=True)
class CostLimit:
    """The limit of what a batch may cost, by an estimate from earlier results.

    :param owner: the try.
    :param places: where results of this task are.
    :param previous_results: a results file that the user names; None: none.
    :param max_cost_usd: the limit; None: there is none, and the estimate is told.
    :param required: whether a batch without an estimate is refused.
    """

    owner: Owner
    places: BatchPlaces
    previous_results: str | None
    max_cost_usd: float | None
    required: bool

    def check(self, runs: Callable[[], int], setting: Mapping[str, Any]) -> None:
        """Tell what runs may cost, and refuse them where that is beyond the limit.

        :param runs: counts the runs that are going to be started.
        :param setting: the merged ``defaultRunSetting``.
        :raises SettingsError: the estimate is beyond ``max_cost_usd``; or there is none, and it is required.
        """
        estimate = uri = None
        basis = "there are no earlier results"
        try:
            uri = self._earlier()
            if uri is not None:
                estimate = self._estimate(uri, runs(), setting)
                basis = f"{uri} has no completed run of the same workflow and version with a cost (read_costs)"
        except OmicsError as error:
            basis = f"something of it cannot be read: {error}"
        if estimate is None:
            if self.required:
                allowed = f"needs an estimate, and {basis}: name previous_results that were made with read_costs"
                raise SettingsError([Problem("require_estimate", "True", allowed)])
            lead = "What this costs is not estimated" if self.max_cost_usd is None else "max_cost_usd is not checked"
            log = self.owner.log.info if self.max_cost_usd is None else self.owner.log.warning
            log("%s: %s", lead, basis)
            return
        self.owner.log.info("Estimate: %s (%s)", estimate, uri)
        if self.max_cost_usd is not None and estimate.usd > self.max_cost_usd:
            allowed = f"more than the estimate, or fewer runs: {estimate} ({uri})"
            raise SettingsError([Problem("max_cost_usd", f"{self.max_cost_usd:,.2f}", allowed)])

    def _estimate(self, uri: str, runs: int, setting: Mapping[str, Any]) -> Estimate | None:
        workflow = workflow_key(setting.get("workflowId"), setting.get("workflowOwnerId"))
        version = setting.get("workflowVersionName")

        def same() -> Iterator[RunPrice]:
            for record in read_batch_results(uri, hook=self.owner.hook):
                if record.workflow == workflow and record.workflow_version_name == version and record.costs:
                    yield from RunPrice.all_of(_slim(record))

        return estimate_cohort(runs, same())

    def _earlier(self) -> str | None:
        """Choose earlier results: those that the user names, this task's own, or its last file of another DAG run."""
        if self.previous_results:
            return self.previous_results
        place = self.places.results
        if place is None:
            return None
        store = S3Store(self.owner.hook)
        return place.uri if store.exists(place.uri) else self._last(store, place.uri)

    def _last(self, store: S3Store, uri: str) -> str | None:
        """Find the file of this task that was written last, below the folder of its DAG."""
        task = self.owner.identity
        bucket, key = s3_address(uri)
        parts = key.split("/")
        below = len(parts) - (3 if task.map_index >= 0 else 2)  # {dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz
        if below < 1:
            return None
        name = re.escape(parts[below + 1].removesuffix(".jsonl.gz"))
        own = re.compile(rf"[^/]+/{name}(/\d+)?[.]jsonl[.]gz")
        folder = "/".join(parts[:below]) + "/"
        listed = islice(store.all_objects(S3Address(bucket, folder).uri), LOOKED_AT)
        found = [item for item in listed if own.fullmatch(item["Key"].removeprefix(folder))]
        last = max(found, key=lambda item: item["LastModified"], default=None)
        return None if last is None else S3Address(bucket, last["Key"]).uri


def _slim(record: RunRecord) -> dict[str, Any]:
    values = record.to_json()
    values.pop("outputs", None)
    return values
