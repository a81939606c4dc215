"""Any order of outcomes, retries, clears, crashes and edits of the sheet: what is told is what ran last, once."""

from __future__ import annotations

import functools
import os
import sys
import time
from collections.abc import Mapping
from typing import Any, ClassVar

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
from airflow.providers.common.compat.sdk import AirflowFailException
from botocore.config import Config
from botocore.loaders import JSONFileLoader
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

from airflow_provider_omics.core.errors import BatchVerdictError, SettingsError
from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock, in_process_client
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import BUCKET, ONE_TRY, TASK_LOG, SteppedTime
from tests.operators.tries import Crash, CrashAt, Task

URI = f"s3://{BUCKET}/results/cohort.jsonl.gz"
NAMES = st.sampled_from(["S1", "S2", "S3", "S4"])
FAILS = {"outcome": "FAILED"}
OUTCOMES: dict[str, dict[str, Any]] = {
    "completes": {},
    "may pass": {**FAILS, "failure_reason": "SERVICE_ERROR"},
    "unclear": {**FAILS, "failure_reason": "WORKFLOW_RUN_FAILED"},
    "comes back": {**FAILS, "failure_reason": "INPUT_URI_NOT_FOUND"},
    "refused": {"submission_failure": {"reason": "AccessDeniedException", "message": "No."}},
}
SCRIPTS = st.dictionaries(NAMES, st.sampled_from(list(OUTCOMES)))
CRASHES = st.none() | st.tuples(st.integers(1, 3), st.sampled_from(["before", "after"]))

clients: dict[str, Any] = {}


class Cohort(RuleBasedStateMachine):
    """A task with its sheet, and a service that keeps account of what really ran."""

    emulator: ClassVar[OmicsEmulator]

    @initialize(uri=st.sampled_from([URI, None]), on_changed=st.sampled_from(["fail", "rerun", "keep"]))
    def begin(self, *, uri: str | None, on_changed: str) -> None:
        self.emulator.set_scenario({})
        self.emulator.reset()
        self.task = Task(self.emulator, _no_connection, kind="batch", retries=1)
        self.arguments = {"results_s3_uri": uri, "on_changed": on_changed}
        self.sheet = {"S1": 1, "S2": 1, "S3": 1}
        self.ended: Any = None
        self.crashed = False
        self.ran: dict[str, tuple[int, str]] = {}
        """Sample -> the parameter it was last run with, and how that ended."""
        self.runs_seen = 0
        self._try({}, None)

    # -- events ----------------------------------------------------------------------------------------------------

    def _may_retry(self) -> bool:
        """Whether Airflow would start another try by itself."""
        may = self.ended.error is not None and not isinstance(self.ended.error, AirflowFailException)
        return may and self.task.instance.try_number <= self.task.instance.max_tries

    @precondition(_may_retry)
    @rule(script=SCRIPTS, crash=CRASHES)
    def retry(self, *, script: dict[str, str], crash: tuple[int, str] | None) -> None:
        """Airflow tries again."""
        self._try(script, crash)

    @rule(script=SCRIPTS, crash=CRASHES)
    def clear(self, *, script: dict[str, str], crash: tuple[int, str] | None) -> None:
        """A user clears the task."""
        self.task.clear()
        self._try(script, crash)

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

    def _try(self, script: dict[str, str], crash: tuple[int, str] | None) -> None:
        rules = [{"match": {"run_setting_id": name}, **OUTCOMES[outcome]} for name, outcome in script.items()]
        self.emulator.set_scenario({"runs": rules})
        self.sent = dict(self.sheet)
        settings = [{"runSettingId": name, "parameters": {"v": version}} for name, version in self.sheet.items()]
        with pytest.MonkeyPatch.context() as patch:
            if crash is not None:
                CrashAt(patch, *crash)
            self.ended = self.task.try_(run_settings=settings, **self.arguments)
        if isinstance(self.ended.error, Crash) and self.task.instance.try_number > self.task.instance.max_tries:
            self.task.instance.max_tries += 1  # a crash is not what is tested here: there is always another try
        self._account()

    def _account(self) -> None:
        """Take down what has run since, and see that nothing ran for nothing."""
        self.emulator.advance(100_000)
        submissions = [
            (item, batch)
            for batch in self.task.started()
            for item in clients["omics"].list_runs_in_batch(batchId=batch["id"])["runs"]
        ]
        for item, _ in submissions[self.runs_seen :]:
            name = item["runSettingId"]
            if item.get("runId"):
                run = clients["omics"].get_run(id=item["runId"])
                version, status = run["parameters"]["v"], run["status"]
            else:
                version, status = self.sent[name], "NOT_SUBMITTED"
            assert self.ran.get(name) != (version, "COMPLETED"), f"{name} ran again, though it had completed"
            self.ran[name] = (version, status)
        self.runs_seen = len(submissions)

    # -- what holds ------------------------------------------------------------------------------------------------

    @invariant()
    def tells_what_ran_last(self) -> None:
        """Of each sample of the sheet the last end is told, and the counts and the verdict are theirs."""
        if not hasattr(self, "ended"):
            return
        error = self.ended.error
        if isinstance(error, (Crash, SettingsError)):
            return
        assert error is None or isinstance(error, BatchVerdictError), error
        ends = [self.ran[name][1] for name in self.sent]
        result = self.ended.result or self.task.instance.xcoms["return_value"]
        assert result["completed_runs"] == ends.count("COMPLETED")
        assert result["total_runs"] == len(ends)
        assert (error is None) is (ends.count("COMPLETED") == len(ends))
        if self.arguments["results_s3_uri"]:
            told = {record.run_setting_id: record.status.value for record in read_batch_results(URI)}
            assert {name: told[name] for name in self.sent} == {name: self.ran[name][1] for name in self.sent}
            assert all(status == "REMOVED" for name, status in told.items() if name not in self.sent)

    @invariant()
    def refuses_only_what_changed(self) -> None:
        """A sheet is refused for samples that completed with other settings, and then nothing is started."""
        if hasattr(self, "ended") and isinstance(self.ended.error, SettingsError):
            assert self.arguments["on_changed"] == "fail"
            assert any(
                name in self.ran and self.ran[name][1] == "COMPLETED" and self.ran[name][0] != version
                for name, version in self.sent.items()
            )


def _no_connection(omics: Mapping[str, Any] | None = None, **extra: Any) -> dict[str, Any]:
    return {}


def _client(hook: Any, *_: Any, **__: Any) -> Any:
    """Give the client of a service, whose calls never leave the process."""
    return clients[hook.client_type]


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the emulator and its clock in the place of the world."""
    Cohort.emulator = emulator = OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET])
    for service in ("omics", "s3", "logs"):
        clients[service] = in_process_client(emulator, service, config=Config(**ONE_TRY))
    monkeypatch.setattr(AwsGenericHook, "get_client_type", _client)
    # botocore reads its files anew for each session, which would be most of the time.
    monkeypatch.setattr(JSONFileLoader, "_load_file", functools.cache(JSONFileLoader._load_file))
    monkeypatch.setattr(TASK_LOG, "disabled", True)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "{}")
    # Airflow does so at the first copy of an operator, which hypothesis would take for a mistake of the test's.
    sys.setrecursionlimit(5000)
    stepped = SteppedTime(emulator)
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
            max_examples=int(os.environ.get("RERUN_EXAMPLES", "60")),
            stateful_step_count=int(os.environ.get("RERUN_EVENTS", "8")),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
