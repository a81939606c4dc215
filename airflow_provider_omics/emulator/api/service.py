"""The emulated HealthOmics: its accounts and regions, and the table of its operations, without HTTP.

Usage::

    clock = SteppedClock()
    omics = HealthOmics(clock=clock)
    run = omics.call(
        "StartRun",
        {"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/omics",
         "outputUri": "s3://results/runs", "requestId": "one"},
    )
    clock.advance(3600)
    assert omics.call("GetRun", {"id": run["id"]})["status"] == "COMPLETED"

Each account has a heap of events in each region (:mod:`~airflow_provider_omics.emulator.life.region`). Nothing happens
between calls: a call first carries out the events that have come due, each at its own time. So the same calls at the
same times lead to the same state, given the same scenario, seed and objects in S3.

Where a large batch is behind, a call may have a ``patience``: it then finds the service at a time before the clock's,
as it finds AWS in an hour of many runs, and :meth:`HealthOmics.catch_up` does the rest between the calls.
"""

from __future__ import annotations

import copy
import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

from airflow_provider_omics.emulator.api import batches, configurations, run_caches, run_groups, runs, tags, workflows
from airflow_provider_omics.emulator.life import catalog, events, logs, outputs, run_lifecycle
from airflow_provider_omics.emulator.life import configurations as declared_configurations
from airflow_provider_omics.emulator.life.records import Batch, Run, to_datetime
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.life.surroundings import MemorySurroundings, Surroundings
from airflow_provider_omics.emulator.script.clock import Clock
from airflow_provider_omics.emulator.script.limits import Limits
from airflow_provider_omics.emulator.script.scenario import Scenario

_HANDLERS: dict[str, Callable[[Region, dict[str, Any]], dict[str, Any]]] = {
    "StartRun": runs.start_run,
    "GetRun": runs.get_run,
    "CancelRun": runs.cancel_run,
    "DeleteRun": runs.delete_run,
    "ListRuns": runs.list_runs,
    "ListRunTasks": runs.list_run_tasks,
    "GetRunTask": runs.get_run_task,
    "StartRunBatch": batches.start_run_batch,
    "GetBatch": batches.get_batch,
    "ListBatch": batches.list_batch,
    "ListRunsInBatch": batches.list_runs_in_batch,
    "CancelRunBatch": batches.cancel_run_batch,
    "DeleteRunBatch": batches.delete_run_batch,
    "DeleteBatch": batches.delete_batch,
    "CreateRunGroup": run_groups.create_run_group,
    "GetRunGroup": run_groups.get_run_group,
    "UpdateRunGroup": run_groups.update_run_group,
    "DeleteRunGroup": run_groups.delete_run_group,
    "ListRunGroups": run_groups.list_run_groups,
    "CreateRunCache": run_caches.create_run_cache,
    "GetRunCache": run_caches.get_run_cache,
    "UpdateRunCache": run_caches.update_run_cache,
    "DeleteRunCache": run_caches.delete_run_cache,
    "ListRunCaches": run_caches.list_run_caches,
    "CreateConfiguration": configurations.create_configuration,
    "GetConfiguration": configurations.get_configuration,
    "DeleteConfiguration": configurations.delete_configuration,
    "ListConfigurations": configurations.list_configurations,
    "CreateWorkflow": workflows.create_workflow,
    "GetWorkflow": workflows.get_workflow,
    "UpdateWorkflow": workflows.update_workflow,
    "DeleteWorkflow": workflows.delete_workflow,
    "ListWorkflows": workflows.list_workflows,
    "CreateWorkflowVersion": workflows.create_workflow_version,
    "GetWorkflowVersion": workflows.get_workflow_version,
    "UpdateWorkflowVersion": workflows.update_workflow_version,
    "DeleteWorkflowVersion": workflows.delete_workflow_version,
    "ListWorkflowVersions": workflows.list_workflow_versions,
    "TagResource": tags.tag_resource,
    "UntagResource": tags.untag_resource,
    "ListTagsForResource": tags.list_tags_for_resource,
}

#: The implemented operations, by their botocore names.
OPERATIONS: frozenset[str] = frozenset(_HANDLERS)


#: Seconds that the lock is held for work in slices.
_SLICE = 0.02
#: Never set: its wait is a rest.
_REST = threading.Event()
_REST_SECONDS = 0.001


class HealthOmics:
    """A HealthOmics for any number of accounts and regions. Thread-safe.

    :param clock: the present.
    :param scenario: the script of outcomes; default: everything succeeds.
    :param limits: quotas; default: those of the scenario.
    :param surroundings: S3, Logs and EventBridge; default: in memory.
    :param seed: seed of the uuids.
    :param patience: seconds of real time that one call spends on events that have come due; default: all that it takes.
    """

    OPERATIONS = OPERATIONS

    def __init__(
        self,
        *,
        clock: Clock,
        scenario: Scenario | None = None,
        limits: Limits | None = None,
        surroundings: Surroundings | None = None,
        seed: int = 0,
        patience: float = math.inf,
    ) -> None:
        self._patience = patience
        self._clock = clock
        self._scenario = scenario if scenario is not None else Scenario.default()
        self._limits = limits
        self._surroundings = surroundings if surroundings is not None else MemorySurroundings()
        self._seed = seed
        self._regions: dict[tuple[str, str], Region] = {}
        # Re-entrant: surroundings are called under it, and a careless one may look back here.
        self._lock = threading.RLock()
        # One flush after the other, so that a reader finds what another one's flush is still writing.
        self._flushing = threading.RLock()
        self._catching_up: threading.Thread | None = None
        self._closed = False
        self._is_catching_up = False

    @property
    def scenario(self) -> Scenario:
        """The present scenario."""
        return self._scenario

    def call(
        self, operation: str, parameters: dict[str, Any], *, account: str = "123456789012", region: str = "us-east-1"
    ) -> dict[str, Any]:
        """Carry out an operation.

        :param operation: name of the operation, one of :data:`OPERATIONS`.
        :param parameters: members of the input shape, valid against it; neither kept nor changed.
        :param account: account id of the caller.
        :param region: region of the call.
        :return: members of the output shape; times as aware datetimes; members without a value are left out.
        :raises ServiceError: the service refuses.
        :raises KeyError: the operation is not implemented.
        """
        handle = _HANDLERS[operation]
        is_over = self._patience_of_a_call()
        with self._lock:
            place = self._present(account, region, is_over)
            if "requestId" not in parameters:
                return handle(place, parameters)
            memory = place.scenario.request_id_memory
            answer = place.requests.recall(operation, parameters, place.now, memory)
            if answer is None:
                # A copy, because runs keep their request.
                answer = handle(place, copy.deepcopy(parameters))
                place.requests.remember(operation, parameters, answer, place.now)
            return answer

    def set_scenario(self, scenario: Scenario) -> None:
        """Replace the scenario. Runs and batches keep the rules that they started under; limits hold at once.

        :param scenario: the new scenario; workflows that it declares are added.
        """
        with self._lock:
            self._scenario = scenario
            for place in self._all_present():
                place.scenario = scenario
                place.limits = self._limits or scenario.limits
                catalog.declare(place)
                declared_configurations.declare(place)
                run_lifecycle.admit_waiting(place)

    def reset(self) -> None:
        """Forget all but the scenario; ids and uuids begin anew."""
        with self._lock:
            self._regions.clear()

    def remove_run(self, run_id: str) -> None:
        """Remove a run now, as retention does at the limit of stored runs.

        :param run_id: id of a run of any account and region; an active one frees its room.
        :raises KeyError: there is no such run.
        """
        with self._lock:
            found = [(place, place.runs[run_id]) for place in self._all_present() if run_id in place.runs]
            if not found:
                raise KeyError(run_id)
            for place, run in found:
                run_lifecycle.drop(place, run)

    def forget_request_ids(self) -> None:
        """Forget every requestId: a repeated request then starts something new."""
        with self._lock:
            for place in self._regions.values():
                place.requests.forget()

    def flush_outputs(self, account: str, bucket: str | None = None, key_prefix: str = "") -> None:
        """Write the outputs of ended runs. Call it before a request reads S3.

        :param account: account id of the runs' owner.
        :param bucket: bucket that is about to be read; default: all.
        :param key_prefix: key, or prefix of a listing, that is about to be read.
        """
        with self._flushing:
            with self._lock:
                places = [place for place in self._all_present() if place.account == account]
            for place in places:
                self._in_slices(outputs.write_outputs(place, bucket, key_prefix))

    def flush_logs(self, account: str, region: str, stream_prefix: str = "") -> None:
        """Write the log lines of runs. Call it before a request reads CloudWatch Logs.

        :param account: account id of the runs' owner.
        :param region: region of the runs.
        :param stream_prefix: name or prefix of the streams that are about to be read.
        """
        with self._flushing:
            with self._lock:
                if (account, region) not in self._regions:
                    return
                place = self._present(account, region, self._patience_of_a_call())
            self._in_slices(logs.write_logs(place, stream_prefix))

    def flush_events(self) -> bool:
        """Put the status changes since the last time on the bus. Call it while a rule exists.

        :return: whether all are there; else a call's patience was over.
        """
        with self._lock:
            is_over = self._patience_of_a_call()
            return all(events.put_events(place, is_over) for place in self._all_present())

    def catch_up(self) -> None:
        """Carry out all that has come due, in slices: other calls come in between."""
        while not self._closed:
            with self._lock:
                self._is_catching_up = True
                is_over, places = _deadline(_SLICE), list(self._regions.values())
                # All of a slice is on the bus before the next one, else its changes would pile up.
                done = not self._surroundings.has_event_rules() or all(
                    events.put_events(place, is_over) for place in places
                )
                done = done and all(self._advance(place, is_over) for place in places)
                self._is_catching_up = not done
            if done:
                return
            # Without a rest, this thread would have the lock again before another one is awake.
            _REST.wait(_REST_SECONDS)

    def close(self) -> None:
        """End the thread that catches up, if there is one."""
        thread = self._catching_up
        if thread is not None:
            self._closed = True
            thread.join()
            self._closed = False

    def discard_events(self) -> None:
        """Drop the status changes so far. Call it before the first rule is made: a rule receives no earlier event."""
        with self._lock:
            for place in self._all_present():
                events.discard_events(place)

    def snapshot(self) -> dict[str, Any]:
        """Count runs and batches.

        :return: ``now``, ``runs`` and ``batches`` by status, ``queued_runs`` (ready, waiting for room), and
            ``started_runs`` and ``started_batches`` ever, over all accounts and regions.
        """
        with self._lock:
            places = self._all_present()
            run_counts: Counter[str] = Counter()
            for place in places:
                run_counts.update(place.run_index.counts)
            return {
                "now": self._clock.now(),
                "runs": {status: count for status, count in run_counts.items() if count},
                "batches": dict(Counter(batch.status for place in places for batch in place.batches.values())),
                "queued_runs": sum(len(queue) for place in places for queue in place.waiting.values()),
                "started_runs": sum(len(place.started_runs) for place in places),
                "started_batches": sum(len(place.started_batches) for place in places),
            }

    def started_runs(self) -> list[dict[str, Any]]:
        """Return every run ever started, also those deleted since, oldest first in each region.

        :return: dictionaries with ``account, region, id, uuid, name, runSettingId, batchId, requestId, workflowId,
            status, exists, tags, creationTime, startTime, stopTime``; None for what does not apply.
        """
        with self._lock:
            return [_describe_run(place, run) for place in self._all_present() for run in place.started_runs]

    def started_batches(self) -> list[dict[str, Any]]:
        """Return every batch ever started, also those deleted since, oldest first in each region.

        :return: dictionaries with ``account, region, id, uuid, name, requestId, workflowId, status, exists, totalRuns,
            tags, creationTime``; None for what does not apply.
        """
        with self._lock:
            return [_describe_batch(place, batch) for place in self._all_present() for batch in place.started_batches]

    def _patience_of_a_call(self) -> Callable[[], bool]:
        # Made before the call waits for the lock, so that many calls at once do not wait for the patience of each.
        return _deadline(0.0 if self._is_catching_up else self._patience)

    def _present(self, account: str, region: str, is_over: Callable[[], bool]) -> Region:
        now = self._clock.now().timestamp()
        place = self._regions.get((account, region))
        if place is None:
            place = self._regions[account, region] = Region(
                account,
                region,
                now=now,
                scenario=self._scenario,
                limits=self._limits or self._scenario.limits,
                seed=self._seed,
                surroundings=self._surroundings,
            )
            catalog.declare(place)
            declared_configurations.declare(place)
        if not self._advance(place, is_over):
            self._catch_up_later()
        return place

    def _advance(self, place: Region, is_over: Callable[[], bool]) -> bool:
        return place.advance(self._clock.now().timestamp(), is_over)

    def _all_present(self) -> list[Region]:
        is_over = self._patience_of_a_call()
        if not all(self._advance(place, is_over) for place in self._regions.values()):
            self._catch_up_later()
        return list(self._regions.values())

    def _catch_up_later(self) -> None:
        if self._catching_up is None or not self._catching_up.is_alive():
            self._catching_up = threading.Thread(target=self.catch_up, name="omics-catch-up", daemon=True)
            self._catching_up.start()

    def _in_slices(self, steps: Iterator[None]) -> None:
        done = False
        while not done:
            with self._lock:
                is_over = _deadline(_SLICE)
                done = all(not is_over() for _ in steps)
            if not done:
                _REST.wait(_REST_SECONDS)


def _deadline(seconds: float) -> Callable[[], bool]:
    """Return a function that tells whether so many seconds of real time are over."""
    if seconds == math.inf:
        return lambda: False
    end = time.monotonic() + seconds
    return lambda: time.monotonic() >= end


def _describe_run(place: Region, run: Run) -> dict[str, Any]:
    return {
        "account": place.account,
        "region": place.name,
        "id": run.id,
        "uuid": run.uuid,
        "name": run.name,
        "runSettingId": None if run.entry is None else run.entry.setting["runSettingId"],
        "batchId": None if run.batch is None else run.batch.id,
        "requestId": run.settings.get("requestId"),
        "workflowId": run.workflow.id,
        "status": run.status,
        "exists": place.runs.get(run.id) is run,
        "tags": dict(run.tags),
        "creationTime": to_datetime(run.created),
        "startTime": None if run.started is None else to_datetime(run.started),
        "stopTime": None if run.stopped is None else to_datetime(run.stopped),
    }


def _describe_batch(place: Region, batch: Batch) -> dict[str, Any]:
    return {
        "account": place.account,
        "region": place.name,
        "id": batch.id,
        "uuid": batch.uuid,
        "name": batch.name,
        "requestId": batch.request_id,
        "workflowId": batch.workflow.id,
        "status": batch.status,
        "exists": place.batches.get(batch.id) is batch,
        "totalRuns": None if batch.entries is None else len(batch.entries),
        "tags": dict(batch.tags),
        "creationTime": to_datetime(batch.created),
    }
