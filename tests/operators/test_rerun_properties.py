"""Any order of outcomes, retries, clears, crashes and edits of the sheet: what is told is what ran last, once."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import AirflowFailException
from botocore.config import Config
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.errors import BatchCancelled, BatchFailed, BatchVerdictError, SettingsError
from airflow_provider_omics.core.snapshots import LOG_GROUP
from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock, in_process_client
from airflow_provider_omics.hooks.client import emit_to_acts
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import read_batch_results
from airflow_provider_omics.results.collect import collect_results
from tests.airflow_support import BUCKET, ONE_TRY, TASK_LOG, SteppedTime
from tests.operators.tries import Crash, CrashAt, Task

URI = f"s3://{BUCKET}/results/cohort.jsonl.gz"
NAMES = st.sampled_from(["S1", "S2", "S3", "S4"])
FAILS = {"outcome": "FAILED"}
OUTCOMES: dict[str, dict[str, Any]] = {
    "completes": {},
    "completes late": {"running": 900},
    "may pass": {**FAILS, "failure_reason": "SERVICE_ERROR"},
    "unclear": {**FAILS, "failure_reason": "WORKFLOW_RUN_FAILED"},
    "comes back": {**FAILS, "failure_reason": "INPUT_URI_NOT_FOUND"},
    "refused": {"submission_failure": {"reason": "AccessDeniedException", "message": "No."}},
}
SCRIPTS = st.dictionaries(NAMES, st.sampled_from(list(OUTCOMES)))
CRASHES = st.none() | st.tuples(st.integers(1, 3), st.sampled_from(["before", "after"]))
TROUBLES = st.none() | st.sampled_from(
    ["batch cancelled", "run cancelled", "batch failed", "runs removed", "runs lost"]
)
ON_CHANGED = st.sampled_from(["fail", "rerun", "keep"])

clients: dict[str, Any] = {}


class Cohort(RuleBasedStateMachine):
    """A task with its sheet, and a service that keeps account of what really ran."""

    emulator: ClassVar[OmicsEmulator]
    stepped: ClassVar[SteppedTime]
    requests: ClassVar[dict[str, dict[str, int]]]
    """Request id -> the samples of the batch, and the parameter of each."""

    @initialize(
        uri=st.sampled_from([URI, URI, None]),
        detail=st.sampled_from(["full", "listed"]),
        on_changed=ON_CHANGED,
        script=SCRIPTS,
        trouble=TROUBLES,
    )
    def begin(
        self, *, uri: str | None, detail: str, on_changed: str, script: dict[str, str], trouble: str | None
    ) -> None:
        self.emulator.set_scenario({})
        self.emulator.reset()
        self.task = Task(self.emulator, _no_connection, kind="batch", retries=1)
        self.uri, self.is_looked_at = uri, uri is not None and detail == "full"
        self.arguments = {"results_s3_uri": uri, "results_detail": detail, "on_changed": on_changed, "rerun": "failed"}
        self.sheet = {"S1": 1, "S2": 1, "S3": 1}
        self.ended: Any = None
        self.ran: dict[str, tuple[int, str]] = {}
        """Sample -> the parameter it was last run with, and how that ended, as far as anybody can know."""
        self.batches_seen = 0
        self.sheets: dict[str, dict[str, int]] = {}
        self._try(script, None, trouble)

    # -- events ----------------------------------------------------------------------------------------------------

    def _may_retry(self) -> bool:
        """Whether Airflow would start another try by itself."""
        may = self.ended.error is not None and not isinstance(self.ended.error, AirflowFailException)
        return may and self.task.instance.try_number <= self.task.instance.max_tries

    @precondition(_may_retry)
    @rule(script=SCRIPTS, crash=CRASHES, trouble=TROUBLES)
    def retry(self, *, script: dict[str, str], crash: tuple[int, str] | None, trouble: str | None) -> None:
        """Airflow tries again."""
        self._try(script, crash, trouble)

    @rule(
        script=SCRIPTS,
        crash=CRASHES,
        trouble=TROUBLES,
        rerun=st.sampled_from(["failed", "failed", "failed", "all"]),
        on_changed=ON_CHANGED,
    )
    def clear(
        self, *, script: dict[str, str], crash: tuple[int, str] | None, trouble: str | None, rerun: str, on_changed: str
    ) -> None:
        """A user clears the task, having changed the DAG or not."""
        self.task.clear()
        self.arguments |= {"rerun": rerun, "on_changed": on_changed}
        self._try(script, crash, trouble)

    @rule(name=NAMES, version=st.integers(1, 2))
    def edit(self, *, name: str, version: int) -> None:
        """A row is added, or changed."""
        self.sheet[name] = version

    @precondition(lambda self: len(self.sheet) > 1)
    @rule(name=NAMES)
    def delete(self, *, name: str) -> None:
        """A row is deleted."""
        if name in self.sheet and len(self.sheet) > 1:
            del self.sheet[name]

    @precondition(lambda self: self.uri is not None)
    @rule(number=st.integers(0, 5), detail=st.sampled_from(ResultsDetail))
    def collect(self, *, number: int, detail: ResultsDetail) -> None:
        """Somebody collects a batch, the last one or an earlier one, into the same file."""
        batches = self.task.started()
        if number < len(batches):
            collect_results(OmicsHook(), batches[number]["id"], URI, TASK_LOG, detail=detail)

    @rule()
    def remove_old_runs(self) -> None:
        """Retention takes all runs; their manifests stay."""
        self._remove(lost=False)

    def _try(self, script: dict[str, str], crash: tuple[int, str] | None, trouble: str | None) -> None:
        rules = [{"match": {"run_setting_id": name}, **OUTCOMES[outcome]} for name, outcome in script.items()]
        failure = [{"failure": {"reason": "Internal", "after_runs": 1}}] if trouble == "batch failed" else []
        self.emulator.set_scenario({"runs": rules, "batches": failure})
        self.sent = dict(self.sheet)
        self.lost: set[str] = set()
        self.stepped.at_sleep = {
            "batch cancelled": lambda: self._when("INPROGRESS", "CancelRunBatch"),
            "run cancelled": lambda: self._when("RUNNING", "CancelRun"),
            "runs removed": lambda: self._when("PROCESSED", None),
            # By counts and lists more may be known than anybody can find out later.
            "runs lost": (lambda: self._when("PROCESSED", None, lost=True)) if self.is_looked_at else None,
        }.get(str(trouble))
        settings = [{"runSettingId": name, "parameters": {"v": version}} for name, version in self.sheet.items()]
        with pytest.MonkeyPatch.context() as patch:
            if crash is not None:
                CrashAt(patch, *crash)
            self.ended = self.task.try_(run_settings=settings, **self.arguments)
        self.stepped.at_sleep = None
        if isinstance(self.ended.error, Crash) and self.task.instance.try_number > self.task.instance.max_tries:
            self.task.instance.max_tries += 1  # a crash is not what is tested here: there is always another try
        self._account()

    def _when(self, status: str, operation: str | None, *, lost: bool = False) -> None:
        """Do something once, when the newest batch or one of its runs is in a status."""
        service = self.emulator.service
        *_, batch = service.started_batches()
        runs = [run for run in service.started_runs() if run["batchId"] == batch["id"]]
        for found in (batch, *runs):
            if found["status"] == status:
                self.stepped.at_sleep = None
                if operation is None:
                    self._remove(lost=lost)
                else:
                    service.call(operation, {"id" if operation == "CancelRun" else "batchId": found["id"]})
                return

    def _remove(self, *, lost: bool) -> None:
        service = self.emulator.service
        # What was told, or taken down, before the loss stays known.
        new = {batch["id"] for batch in self.task.started()[self.batches_seen :]}
        for run in service.started_runs():
            if run["exists"] and run["status"] in ("COMPLETED", "FAILED", "CANCELLED"):
                service.remove_run(run["id"])
                if lost and run["batchId"] in new:
                    self.lost.add(run["id"])
                    prefix = f"manifest/run/{run['id']}/"
                    streams = clients["logs"].describe_log_streams(logGroupName=LOG_GROUP, logStreamNamePrefix=prefix)
                    for stream in streams["logStreams"]:
                        clients["logs"].delete_log_stream(logGroupName=LOG_GROUP, logStreamName=stream["logStreamName"])

    def _account(self) -> None:
        """Take down what has run since, and see that nothing ran for nothing."""
        self.emulator.advance(100_000)
        batches = self.task.started()
        runs = {(run["batchId"], run["runSettingId"]): run for run in self.emulator.service.started_runs()}
        for batch in batches[self.batches_seen :]:
            for name, version in self.requests[batch["requestId"]].items():
                run = runs.get((batch["id"], name))
                if self.arguments["rerun"] == "failed" and run is not None:
                    before = self.ran.get(name, (0, ""))
                    assert before != (version, "COMPLETED"), f"{name} ran again, though it had completed"
                    assert before[1] != "UNKNOWN", f"{name} ran again, though it may have completed"
                status = "NOT_SUBMITTED" if run is None else run["status"]
                self.ran[name] = (version, "UNKNOWN" if run is not None and run["id"] in self.lost else status)
            self.sheets[batch["id"]] = self.sent
        record = self.task.record()
        is_refused = isinstance(self.ended.error, SettingsError)
        if len(batches) == self.batches_seen and record is not None and not record.idle and not is_refused:
            # Adopted after a crash: what is told is of the sheet as it was when the batch was started.
            self.sent = self.sheets.get(str(record.resource_id), self.sent)
        self.batches_seen = len(batches)

    # -- what holds ------------------------------------------------------------------------------------------------

    @invariant()
    def tells_what_ran_last(self) -> None:
        """Of each sample of the sheet the last end is told, and the counts and the verdict are theirs."""
        if not hasattr(self, "ended"):
            return
        error = self.ended.error
        if isinstance(error, (Crash, SettingsError)):
            return
        assert error is None or isinstance(error, (BatchVerdictError, BatchCancelled, BatchFailed)), error
        ends = [self.ran[name][1] for name in self.sent]
        if error is None or isinstance(error, BatchVerdictError) or self.uri:
            result = self.ended.result or self.task.instance.xcoms["return_value"]
            assert result["completed_runs"] == ends.count("COMPLETED")
            assert result["total_runs"] == len(ends)
        if error is None or isinstance(error, BatchVerdictError):
            assert (error is None) is (ends.count("COMPLETED") == len(ends))
        if self.uri:
            told = {record.run_setting_id: record.status.value for record in read_batch_results(URI)}
            assert {name: told[name] for name in self.sent} == {name: self.ran[name][1] for name in self.sent}
            assert all(status == "REMOVED" for name, status in told.items() if name not in self.sent)

    @invariant()
    def refuses_only_what_changed(self) -> None:
        """A sheet is refused for samples that completed with other settings, and then nothing is started."""
        if hasattr(self, "ended") and isinstance(self.ended.error, SettingsError):
            assert (self.arguments["on_changed"], self.arguments["rerun"]) == ("fail", "failed")
            assert any(
                name in self.ran and self.ran[name][1] == "COMPLETED" and self.ran[name][0] != version
                for name, version in self.sent.items()
            )


def _no_connection(omics: Mapping[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
    return {}


def _note_request(params: Mapping[str, Any], **_: Any) -> None:
    settings = params["batchRunSettings"]["inlineSettings"]
    Cohort.requests[params["requestId"]] = {item["runSettingId"]: item["parameters"]["v"] for item in settings}


def _client(hook: Any, *_: Any, **__: Any) -> Any:
    """Give the client of a service, whose calls never leave the process."""
    return clients[hook.client_type]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the emulator and its clock in the place of the world."""
    Cohort.emulator = emulator = OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET])
    for service in ("omics", "s3", "logs"):
        clients[service] = in_process_client(emulator, service, config=Config(**ONE_TRY))
    Cohort.requests = {}
    emit_to_acts(clients["omics"].meta.events)
    clients["omics"].meta.events.register("before-parameter-build.omics.StartRunBatch", _note_request)
    monkeypatch.setattr(AwsGenericHook, "get_client_type", _client)
    monkeypatch.setattr(TASK_LOG, "disabled", True)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "{}")
    # Airflow does so at the first copy of an operator, which hypothesis would take for a mistake of the test's.
    sys.setrecursionlimit(5000)
    Cohort.stepped = stepped = SteppedTime(emulator)
    for name, module in list(sys.modules.items()):
        if (
            name.startswith("airflow_provider_omics.")
            and ".emulator" not in name
            and getattr(module, "time", 0) is time
        ):
            monkeypatch.setattr(module, "time", stepped)


def test_any_order(in_process: None) -> None:
    """Whatever happens, up to eight events: no completed unchanged sample runs again, and what is told is so."""
    run_state_machine_as_test(
        Cohort,
        settings=settings(
            print_blob=True,
            max_examples=int(os.environ.get("RERUN_EXAMPLES", settings().max_examples * 60 // 100)),
            stateful_step_count=int(os.environ.get("RERUN_EVENTS", "8")),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
