"""A cohort, and all that may happen around its memory: other writers of its file, expiry, edits, runs that go on.

Whatever happens inside of a try happens before one of its calls, or while it sleeps: so a writer comes between any read
and any write, and an edit at any moment. What holds is read from the emulator's own books alone: which run had which
sample, parameter and workflow, when it was started, and how it ended. ``SHARED_EXAMPLES=20000`` walks longer than the
suite does, from ``SHARED_SEED``.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from airflow_provider_omics.core.errors import (
    AccessDenied,
    AttemptError,
    BatchCancelled,
    BatchFailed,
    BatchVerdictError,
    SettingsError,
)
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import RecordStatus, read_batch_results
from airflow_provider_omics.results.collect import collect_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, TASK_LOG
from tests.operators.test_rerun_properties import Cohort, clients, in_process
from tests.operators.tries import Crash, CrashAt, Task

__all__ = ["in_process"]

KEY = "results/shared.jsonl.gz"
URI = f"s3://{BUCKET}/{KEY}"
FOREIGN = f"s3://{BUCKET}/results/foreign.jsonl.gz"
SHEET_KEY = "sheets/cohort.csv"
SHEET = {"path": f"s3://{BUCKET}/{SHEET_KEY}", "run_setting_id": "{sample}", "parameters": {"v": "{v}"}}
WORKFLOW, OTHER_WORKFLOW = "1234567", "7777777"
WORKFLOWS = [{"id": WORKFLOW, "name": "wgs"}, {"id": OTHER_WORKFLOW, "name": "another"}]
NAMES = st.sampled_from(["S1", "S2", "S3"])
FAILS = {"outcome": "FAILED"}
OUTCOMES: dict[str, dict[str, Any]] = {
    "completes": {},
    "completes late": {"running": 5000},
    "may pass": {**FAILS, "failure_reason": "SERVICE_ERROR"},
    "comes back": {**FAILS, "failure_reason": "INPUT_URI_NOT_FOUND"},
}
SCRIPTS = st.dictionaries(NAMES, st.sampled_from(list(OUTCOMES)))
ON_CHANGED = st.sampled_from(["fail", "rerun", "keep"])
WRITERS = st.sampled_from(["second DAG run", "second task", "repair", "named repair", "another workflow"])
MOMENTS = st.tuples(st.sampled_from(["crash", "killed", "writer", "edit"]), st.integers(1, 30))
"""Something that happens before the call of this number, or at the sleep, of a try."""
TROUBLES = st.none() | st.just(("batch failed", 0)) | MOMENTS
DISTURBANCES = st.sampled_from(["refuse cancels", "allow cancels", "remove runs", "lose record"]) | st.integers(0, 11)
CANNOT_TELL = (Crash, SettingsError, AttemptError)


@dataclass
class Moment:
    """What happens in a try, and when.

    :param what: happens before the call, or at the sleep, of this number. Default: nothing.
    :param left: calls and sleeps until then.
    :param is_over: the process is gone: it makes no more calls.
    """

    what: str = ""
    left: int = 0
    is_over: bool = False


class SharedCohort(RuleBasedStateMachine):
    """A cohort's task, whose results file others write as well."""

    present: ClassVar[SharedCohort]
    """The machine at work, which the clients ask that are made once."""

    @initialize(
        script=SCRIPTS, on_changed=ON_CHANGED, cancels=st.booleans(), detail=st.sampled_from(["full", "listed"])
    )
    def begin(self, *, script: dict[str, str], on_changed: str, cancels: bool, detail: str) -> None:
        self.emulator = Cohort.emulator
        self.emulator.faults.clear()
        self.emulator.set_scenario({"workflows": WORKFLOWS})
        self.emulator.reset()
        self.moment = Moment()
        SharedCohort.present = self
        self.emulator.set_scenario({"workflows": WORKFLOWS})
        self.task = self._task("cohort", "one")
        self.writers = 0
        self.unfinished: set[str] = set()
        self.sheet = {"S1": 1, "S2": 1}
        self._put_sheet()
        self.arguments: dict[str, Any] = {
            "sample_sheet": SHEET,
            "run_settings": None,
            "results_s3_uri": URI,
            "results_detail": detail,
            "on_changed": on_changed,
            "cancel_on_kill": cancels,
            "poll_interval": 300,
        }
        self.kept = on_changed == "keep"
        self.has_expired = False
        self.asked_for: set[tuple[str, int]] = set()
        self._try(script, None)

    def _task(self, task_id: str, run_id: str) -> Task:
        task = Task(self.emulator, lambda *_, **__: {}, kind="batch", retries=3)
        task.instance.task_id, task.instance.run_id = task_id, run_id
        return task

    # -- events ----------------------------------------------------------------------------------------------------

    def _may_retry(self) -> bool:
        error, instance = self.ended.error, self.task.instance
        may = error is not None and not isinstance(error, AirflowFailException)
        return may and instance.try_number <= instance.max_tries

    @precondition(_may_retry)
    @rule(script=SCRIPTS, trouble=TROUBLES)
    def retry(self, *, script: dict[str, str], trouble: tuple[str, int] | None) -> None:
        """Airflow tries again."""
        self._try(script, trouble)

    @rule(script=SCRIPTS, trouble=TROUBLES, on_changed=ON_CHANGED, cancels=st.booleans())
    def clear(self, *, script: dict[str, str], trouble: tuple[str, int] | None, on_changed: str, cancels: bool) -> None:
        """A user clears the task."""
        self.task.clear()
        self.arguments |= {"on_changed": on_changed, "cancel_on_kill": cancels}
        self.kept = self.kept or on_changed == "keep"
        self._try(script, trouble)

    @rule(name=NAMES, version=st.integers(0, 2))
    def edit(self, *, name: str, version: int) -> None:
        """A row is added or changed, or deleted (0)."""
        if version:
            self.sheet[name] = version
        elif len(self.sheet) > 1:
            self.sheet.pop(name, None)
        self._put_sheet()

    @rule(writer=WRITERS, script=SCRIPTS, versions=st.dictionaries(NAMES, st.integers(1, 2)))
    def write(self, *, writer: str, script: dict[str, str], versions: dict[str, int]) -> None:
        """Another task or DAG run, a repair, or a task of another workflow runs samples, and writes the same file.

        Where none are drawn, they are those of the sheet that have not completed, as in a repair.
        """
        self._script(script)
        done = {(run["sample"], run["version"]) for run in self._books() if run["status"] == "COMPLETED"}
        left = dict(sorted(self.sheet.items() - done))
        self._write(writer, versions or left or dict(self.sheet))

    @rule(what=DISTURBANCES)
    def disturb(self, *, what: str | int) -> None:
        """Something happens to what the task relies on."""
        if isinstance(what, int):
            self._expire(what)
        elif what == "lose record":
            self.task.lose_record()
        elif what == "remove runs":
            self._remove_runs()
        else:
            self._refuse_cancels(refused=what == "refuse cancels")

    def _expire(self, number: int) -> None:
        """Let a lifecycle rule take one of the objects."""
        s3 = clients["s3"]
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=BUCKET, Prefix="results/shared").get("Contents", ())]
        if keys:
            s3.delete_object(Bucket=BUCKET, Key=keys[number % len(keys)])
            self.has_expired = True

    def _remove_runs(self) -> None:
        """Let retention take the records of the runs that have ended; their manifests stay."""
        for run in self.emulator.service.started_runs():
            if run["exists"] and run["status"] in ("COMPLETED", "FAILED", "CANCELLED"):
                self.emulator.service.remove_run(run["id"])

    def _refuse_cancels(self, *, refused: bool) -> None:
        """Let nobody cancel any more, or everybody again."""
        self.emulator.faults.clear()
        for operation in ("CancelRun", "CancelRunBatch") if refused else ():
            self.emulator.faults.add(operation=operation, error="AccessDeniedException")

    @rule(workflow=st.sampled_from([WORKFLOW, OTHER_WORKFLOW]), named=st.booleans())
    def name_foreign(self, *, workflow: str, named: bool) -> None:
        """The results of a batch that somebody ran by hand are named as done, or are no more."""
        if not named:
            self.arguments.pop("previous_results", None)
            return
        self._script({})
        started = clients["omics"].start_run_batch(
            requestId=f"by hand {len(self.emulator.service.started_batches())}",
            defaultRunSetting={**DEFAULT_RUN_SETTING, "workflowId": workflow},
            batchRunSettings={"inlineSettings": _settings({"S1": 1})},
        )
        self.emulator.advance(100_000)
        collect_results(OmicsHook(), started["id"], FOREIGN, TASK_LOG)
        self.arguments["previous_results"] = FOREIGN

    @rule(seconds=st.sampled_from([60, 4000, 100_000]))
    def wait(self, *, seconds: int) -> None:
        """Time passes."""
        self.emulator.advance(seconds)

    # -- what happens ----------------------------------------------------------------------------------------------

    def _script(self, script: dict[str, str], *, batch_fails: bool = False) -> None:
        rules = [{"match": {"run_setting_id": name}, **OUTCOMES[outcome]} for name, outcome in script.items()]
        failure = [{"failure": {"reason": "Internal", "after_runs": 1}}] if batch_fails else []
        self.emulator.set_scenario({"workflows": WORKFLOWS, "runs": rules, "batches": failure})

    def _write(self, writer: str, versions: dict[str, int]) -> None:
        self.writers += 1
        run_id = "one" if writer == "second task" else f"other {self.writers}"
        workflow = OTHER_WORKFLOW if writer == "another workflow" else WORKFLOW
        task = self._task(f"{writer} {self.writers}".replace(" ", "_"), run_id)
        named = writer == "named repair"
        ended = task.try_(
            run_settings=_settings({**self.sheet, **versions} if named else versions),
            default_run_setting={**DEFAULT_RUN_SETTING, "workflowId": workflow},
            results_s3_uri=URI,
            **({"rerun": list(versions), "on_changed": "rerun"} if named else {}),
        )
        if not isinstance(ended.error, (BatchVerdictError, type(None))):
            self.unfinished.add(task.instance.task_id)

    def _try(self, script: dict[str, str], trouble: tuple[str, int] | None) -> None:
        what, number = trouble or ("", 0)
        self._script(script, batch_fails=what == "batch failed")
        self.sent = dict(self.sheet)
        books = self._books()
        known = {run["id"] for run in books}
        done = self._done(books)
        self.moment = Moment(what, number)
        Cohort.stepped.at_sleep = self.at_call
        with pytest.MonkeyPatch.context() as patch:
            if what == "crash" and number % 2:
                CrashAt(patch, number % 3 + 1, "after")
            self.ended = self.task.try_(**self.arguments)
        self.moment = Moment()
        Cohort.stepped.at_sleep = None
        if isinstance(self.ended.error, Crash) and self.task.instance.try_number > self.task.instance.max_tries:
            self.task.instance.max_tries += 1
        # Whose settings nobody remembers: "rerun" was asked for, now or of an attempt that has not come to it.
        if self.has_expired and self.arguments["on_changed"] == "rerun":
            self.asked_for |= {*self.sheet.items(), *self.sent.items()}
        books = [run for run in self._books() if run["mine"]]
        for run in books:
            if run["id"] in known:
                continue
            name = run["sample"], run["version"]
            assert name in self.asked_for or name not in done, f"{name} ran again, though it had completed"
            for other in books:
                if other["sample"] == run["sample"] and other["number"] < run["number"]:
                    assert other["stopped"] is not None, f"{name} runs beside itself"
                    assert other["stopped"] <= run["created"], f"{name} ran beside itself"
        self.asked_for -= {(run["sample"], run["version"]) for run in books if run["id"] not in known}
        if self.ended.error is None or isinstance(self.ended.error, BatchVerdictError):
            told = [record for record in read_batch_results(URI) if record.status is not RecordStatus.REMOVED]
            lost = set(self.sent) - {record.run_setting_id for record in told if record.workflow_id == WORKFLOW}
            assert not lost, f"{lost} are in no record"

    def _done(self, books: list[dict[str, Any]]) -> set[tuple[str, int]]:
        """Tell the samples whose last run has completed.

        It is one of the task, and, as long as all memory is there, of anybody who has come to write it down.
        """
        last = {run["sample"]: run for run in books if run["mine"]}
        if not self.has_expired:
            told = [run for run in books if run["same"] and run["task"] and run["task"] not in self.unfinished]
            last = {run["sample"]: run for run in told if run["mine"] or run["stopped"]}
        return {(name, run["version"]) for name, run in last.items() if run["status"] == "COMPLETED"}

    def at_call(self, params: Any = None, **_: Any) -> None:
        """Let happen what is to happen now; params are those of a call, which a sleep has not."""
        moment = self.moment
        if moment.is_over:
            raise Crash  # no call of a process that is gone
        moment.left -= 1
        if moment.left == 0:
            self._happen(moment)
        # An edit before this very call is read by it.
        if params is not None and params["url_path"].endswith(SHEET_KEY) and params["method"] == "GET":
            self.sent = dict(self.sheet)

    def _happen(self, moment: Moment) -> None:
        if moment.what == "writer":
            self.moment = Moment()
            self._write("repair", {"S3": 1})
            self.moment = moment
        elif moment.what == "edit":
            self.moment = Moment()
            self.sheet["S2"] = 3 - self.sheet.get("S2", 1)
            self._put_sheet()
            self.moment = moment
        elif moment.what in ("crash", "killed"):
            self.moment = Moment()
            try:
                if moment.what == "killed":
                    self.task.kill("failed")
            finally:
                self.moment = moment
                moment.is_over = True
            raise Crash

    def _put_sheet(self) -> None:
        lines = ["sample,v", *(f"{name},{version}" for name, version in self.sheet.items())]
        clients["s3"].put_object(Bucket=BUCKET, Key=SHEET_KEY, Body="\n".join(lines).encode())

    def _books(self) -> list[dict[str, Any]]:
        """Tell all runs that the service has started, as it knows them."""
        service = self.emulator.service
        batches = {batch["id"]: batch for batch in service.started_batches()}
        books = []
        for number, run in enumerate(service.started_runs()):
            batch = batches[run["batchId"]]
            tags = batch["tags"] or {}
            books.append(
                {
                    "id": run["id"],
                    "number": number,
                    "sample": run["runSettingId"],
                    "version": int(Cohort.requests[batch["requestId"]][run["runSettingId"]]),
                    "status": run["status"],
                    "created": run["creationTime"],
                    "stopped": run["stopTime"],
                    "task": tags.get("airflow:task_id"),
                    "mine": tags.get("airflow:task_id") == "cohort",
                    "same": run["workflowId"] == WORKFLOW,
                }
            )
        return books

    # -- what holds ------------------------------------------------------------------------------------------------

    @invariant()
    def tells_only_what_completed(self) -> None:
        """After a success the service's books have a completed run of each sample, with the settings of now."""
        if not hasattr(self, "ended") or isinstance(self.ended.error, CANNOT_TELL):
            return
        error = self.ended.error
        if isinstance(error, AccessDenied) and error.operation.startswith("Cancel"):
            return
        assert error is None or isinstance(error, (BatchVerdictError, BatchCancelled, BatchFailed)), repr(error)
        completed = {
            (run["sample"], run["version"]) for run in self._books() if run["same"] and run["status"] == "COMPLETED"
        }
        if error is None:
            result = self.ended.result
            assert (result["total_runs"], result["completed_runs"]) == (len(self.sent), len(self.sent))
            if not self.kept:
                assert set(self.sent.items()) <= completed

    @invariant()
    def has_one_record_each(self) -> None:
        """Of a sample and its workflow the file has one record."""
        if clients["s3"].list_objects_v2(Bucket=BUCKET, Prefix=KEY).get("Contents"):
            seen = [(record.workflow_id, record.run_setting_id) for record in read_batch_results(URI)]
            assert len(seen) == len(set(seen))


def _settings(versions: dict[str, int]) -> list[dict[str, Any]]:
    return [{"runSettingId": name, "parameters": {"v": str(version)}} for name, version in versions.items()]


def test_any_order_with_other_writers(in_process: None) -> None:
    """Whatever others do to the file: no completed unchanged sample runs twice, and no success is told that is none."""

    def at_call(**call: Any) -> None:
        SharedCohort.present.at_call(**call)

    for name in ("omics", "s3"):
        clients[name].meta.events.register("before-call", at_call)
    walk = seed(int(os.environ["SHARED_SEED"]))(SharedCohort) if "SHARED_SEED" in os.environ else SharedCohort
    run_state_machine_as_test(
        walk,
        settings=settings(
            print_blob=True,
            max_examples=int(os.environ.get("SHARED_EXAMPLES", settings().max_examples * 40 // 100)),
            stateful_step_count=8,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if "SHARED_EXAMPLES" not in os.environ or phase is not Phase.shrink],
        ),
    )
