"""Any order of what can happen to a task: never two live runs, no cancel that nobody asked for, no result lost."""

from __future__ import annotations

import functools
import json
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any, ClassVar, TypeVar

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook
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

from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock, in_process_client
from airflow_provider_omics.hooks.client import emit_to_acts
from airflow_provider_omics.jobs import stores as attempt_stores
from tests.airflow_support import BUCKET, ONE_TRY, TASK_LOG, samples
from tests.operators.small_airflow import Process, SmallAirflow
from tests.operators.tries import STAGING, Crash

F = TypeVar("F", bound=Callable[..., Any])

ALIVE = {"CREATING", "PENDING", "SUBMITTING", "INPROGRESS", "STARTING", "RUNNING", "STOPPING"}
WELL = {"COMPLETED", "PROCESSED"}
# What is not documented is assumed here as the package assumes it: ids are remembered for ten minutes, and lists lag
# by less than ten seconds.
SCENARIO: dict[str, Any] = {"request_id_memory": 601.0, "list_lag": 8.0, "batches": [{"creating": 1.0}]}
CHANGES: dict[str, list[dict[str, Any]]] = {
    "run": [{}, {"parameters": {"genome": "GRCh38"}}, {"run_name": "one"}, {"run_name": "two"}],
    "batch": [{}, {"run_settings": samples("S1", "S2")}, {"batch_name": "one"}, {"batch_name": "two"}],
}
OUTCOMES = st.sampled_from(["COMPLETED", "FAILED"])
MINUTES = st.sampled_from([10, 200])  # within the deadline, and beyond it
SECONDS = st.sampled_from([4000.0, 3.0, 60.0, 700.0])
CHANGE = st.integers(0, 3)
CRASHES = st.sampled_from(
    [f"{when} {what}" for what in ("save 1", "start", "save 2", "save 3") for when in ("before", "after")]
)
# What a start call can take long with: credentials are renewed before its request is signed, or it is on its way.
SLOW = st.sampled_from([("signed", 60.0), ("on its way", 60.0)])

clients: dict[str, Any] = {}
machine: Any = None
"""The machine at work: the clients, which are made once, and the clock ask it."""


def running(states: str) -> Callable[[F], F]:
    """Let a rule apply in some states of the task only."""
    decorator: Callable[[F], F] = precondition(lambda self: self.airflow.state in states.split(","))
    return decorator


class ExactlyOnce(RuleBasedStateMachine):
    """A task instance, a service, and everything that can go wrong between the two."""

    emulator: ClassVar[OmicsEmulator]

    @initialize(
        kind=st.sampled_from(["run", "batch"]), deferrable=st.booleans(), has_state_store=st.booleans(),
        minutes=MINUTES, outcome=OUTCOMES, change=CHANGE, crash=st.none() | CRASHES, slow=st.none() | SLOW,
        collects=st.sampled_from([True, True, False]),
    )  # fmt: skip
    def begin(
        self, *, kind: str, deferrable: bool, has_state_store: bool, minutes: int, outcome: str, change: int,
        crash: str | None, slow: tuple[str, float] | None, collects: bool,
    ) -> None:  # fmt: skip
        global machine  # noqa: PLW0603
        machine = self
        self.emulator.set_scenario({})
        self.emulator.reset()
        self.minutes, self.outcome = minutes, outcome
        self._script()
        collects = collects and kind == "batch"
        omics = {"calls_per_second": 1000} if has_state_store else {"calls_per_second": 1000, "staging_s3_uri": STAGING}
        extra = {"service_config": {"omics": omics}}
        connection = {
            "conn_type": "aws", "login": "a", "password": "a-secret", "extra": {"region_name": "us-east-1", **extra},
        }  # fmt: skip
        os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
        self.airflow = SmallAirflow(self.emulator, kind=kind, deferrable=deferrable, has_state_store=has_state_store)
        self.airflow.collects = collects
        self.airflow.after_each_turn = self.check
        self.crash_at: str | None = None
        self.saves = 0
        self.slow: tuple[str, float] | None = None
        self.request_id = ""
        self.cancelled: set[str] = set()
        self.unasked: list[str] = []
        self.early: list[str] = []
        self.unrecorded: set[str] = set()
        """Ids that stood in a record of the task's that was lost, and in none since."""
        self.forgotten: set[str] = set()
        """Those of them whose record at HealthOmics was removed as well: nothing is left that could tell of them."""
        self.seen = 0
        self.clears = 0
        self.requested: dict[str, tuple[int, dict[str, Any]]] = {}
        """Request id -> how often the task had been cleared, and its settings then."""
        self.airflow.arguments = CHANGES[kind][change]
        if slow is not None:
            self.slow_start(*slow)
        self._begin_try(crash)

    # -- the task --------------------------------------------------------------------------------------------------

    @running(",up_for_retry")
    @rule()
    def begin_try(self) -> None:
        """The scheduler starts a try, which comes to wait, or to what it finds."""
        self._begin_try(None)

    @running(",up_for_retry")
    @rule(crash=CRASHES)
    def begin_try_that_crashes(self, crash: str) -> None:
        """The process dies at a write, if it comes to it."""
        self._begin_try(crash)

    @running(",up_for_retry")
    @rule(change=CHANGE)
    def change_the_dag(self, change: int) -> None:
        """Somebody changes the task's arguments between two tries."""
        self.airflow.arguments = CHANGES[self.airflow.kind][change]

    @rule(seconds=SECONDS)
    def pass_some_time(self, seconds: float) -> None:
        """Runs go on, processes wake."""
        self.airflow.pass_time(seconds)

    @rule()
    def pass_much_time(self) -> None:
        """Everything ends, or comes to its deadline."""
        self.airflow.pass_time(15000.0)

    @running("running")
    @rule()
    def orphan_worker(self) -> None:
        """The supervisor dies, and its task's process lives on."""
        self.airflow.worker_is_orphaned()

    @running("running")
    @rule(how=st.sampled_from(["killed", "told to end", "told to end, api-server down"]))
    def lose_worker(self, how: str) -> None:
        """The process ends, and no user has asked for it."""
        if how == "killed":
            self.airflow.worker_dies()
            return
        self.airflow.silent = how.endswith("down")
        self.airflow.worker_is_told_to_end()
        self.airflow.silent = False

    @precondition(lambda self: self.airflow.orphans)
    @rule()
    def end_orphan(self) -> None:
        """The process of an earlier try is found, and told to end."""
        self.airflow.orphan_is_told_to_end(self.airflow.orphans[0])

    @precondition(lambda self: self.airflow.collects and self.airflow.state in ("running", "deferred"))
    @rule(seconds=st.sampled_from([0.0, 30.0, 70.0]), then=st.sampled_from(["go on", "die", "told to end", "clear"]))
    def end_stretch(self, *, seconds: float, then: str) -> None:
        """A stretch of the wait is over; while its worker collects, that dies, or somebody clears the task."""
        for _ in range(60):
            if self.airflow.is_collecting or self.airflow.state not in ("running", "deferred"):
                break
            self.airflow.pass_time(15.0)
        if not self.airflow.is_collecting:
            return
        self.airflow.pass_time(seconds)
        if then == "clear":
            self.clear(discards=False)
        elif then != "go on" and self.airflow.state == "running":
            self.lose_worker("killed" if then == "die" else then)

    @running("deferred")
    @rule(stalled=st.booleans())
    def replace_triggerer(self, *, stalled: bool) -> None:
        """Another triggerer takes the wait up."""
        self.airflow.triggerer_is_replaced(stalled=stalled)

    @rule(discards=st.booleans())
    def clear(self, *, discards: bool) -> None:
        """A user clears the task, whatever state it is in; a later Airflow discards the task's state with it."""
        self.clears += 1
        self.airflow.clear()
        if discards:
            self._lose_record()

    @rule()
    def lose_record(self) -> None:
        """Somebody removes the task's state, or a lifecycle rule of S3 does."""
        self._lose_record()

    @rule()
    def lose_xcom(self) -> None:
        """Writes to XCom, of assets and of progress fail from now on."""
        self.airflow.xcom_is_down = True

    @rule(state=st.sampled_from(["failed", "success"]))
    def mark(self, state: str) -> None:
        """A user ends the task."""
        self.airflow.mark(state)

    # -- the service -----------------------------------------------------------------------------------------------

    @rule(what=st.sampled_from(["lost_response", "lost_request", "outage", "cancels refused"]))
    def trouble(self, what: str) -> None:
        """The next start gets lost on its way or on its way back, or no call, or no cancel, gets through any more."""
        if what == "outage":
            self.emulator.faults.add(error="InternalServerException")
        elif what == "cancels refused":
            for operation in ("CancelRun", "CancelRunBatch"):
                self.emulator.faults.add(operation=operation, error="AccessDeniedException")
        else:
            operation = "StartRun" if self.airflow.kind == "run" else "StartRunBatch"
            self.emulator.faults.add(operation=operation, times=1, **{what: True})  # type: ignore[arg-type]

    @rule(slow=SLOW)
    def slow_down(self, slow: tuple[str, float]) -> None:
        """The next start call takes its time, in which anything may happen."""
        self.slow_start(*slow)

    @precondition(lambda self: self.emulator.faults.active())
    @rule()
    def trouble_ends(self) -> None:
        """The service is back."""
        self.emulator.faults.clear()

    @rule(outcome=OUTCOMES, minutes=MINUTES)
    def script(self, outcome: str, minutes: int) -> None:
        """Runs that are started from now on end like this."""
        self.outcome, self.minutes = outcome, minutes
        self._script()

    @precondition(lambda self: self.airflow.started())
    @rule(data=st.data())
    def vanish(self, data: st.DataObject) -> None:
        """Somebody, or retention, removes a record: a run at any moment, a batch that has ended."""
        there = [item for item in self.airflow.started() if item["exists"]]
        if self.airflow.kind == "batch":
            there = [item for item in there if item["status"] not in ALIVE]
        if not there:
            return
        item = data.draw(st.sampled_from(there))
        self.forgotten |= {item["id"]} & self.unrecorded
        if self.airflow.kind == "run":
            self.emulator.service.remove_run(item["id"])
        else:
            self.emulator.service.call("DeleteBatch", {"batchId": item["id"]})

    def slow_start(self, where: str, seconds: float) -> None:
        if where == "on its way" and self.airflow.has_state_store:
            return  # closed to an earlier try, it cannot tell what to make of a request that was on its way
        self.slow = where, seconds

    def _lose_record(self) -> None:
        self.unrecorded.update(item["id"] for item in self.airflow.started())
        self.airflow.lose_record()

    def _begin_try(self, crash: str | None) -> None:
        self.crash_at, self.saves = crash, 0
        self.airflow.begin_try()

    def _script(self) -> None:
        rules: list[dict[str, Any]] = [{"outcome": self.outcome, "running": self.minutes * 60.0, "cancel_takes": 500.0}]
        rules.insert(0, {**rules[0], "match": {"run_setting_id": "EARLY"}, "running": 120.0})
        active = [dict(fault) for fault in self.emulator.faults.active()]
        self.emulator.set_scenario({**SCENARIO, "runs": rules})
        for fault in active:
            fault.pop("struck")
            self.emulator.faults.add(**fault)

    # -- what must hold --------------------------------------------------------------------------------------------

    @invariant()
    def check(self) -> None:
        """Hold after each step, and after each turn of a process."""
        if not hasattr(self, "airflow"):
            return
        started = self.airflow.started()
        live = [i["id"] for i in started if i["status"] in ALIVE and i["exists"] and i["id"] not in self.cancelled]
        assert len(live) <= 1, f"{live} are going at the same time"
        assert not self.unasked, f"nobody asked to cancel {self.unasked}"
        assert not self.early, f"another was started while {self.early} was stopping"
        for number, item in enumerate(started[self.seen :], self.seen):
            for earlier in started[:number]:
                if earlier["status"] in WELL and self._is_owed(earlier):
                    raise AssertionError(f"{earlier['id']} had completed, and {item['id']} was started all the same")
        self.seen = len(started)
        for result in self.airflow.results:
            (ended,) = (item for item in started if item["id"] == result[f"{self.airflow.kind}_id"])
            assert ended["status"] in WELL

    def _is_owed(self, earlier: dict[str, Any]) -> bool:
        """Tell whether a completed run or batch must be returned instead of starting another."""
        runs = [run for run in self.emulator.service.started_runs() if run["batchId"] in (None, earlier["id"])]
        if earlier["id"] in self.forgotten | self.cancelled or any(
            run["status"] == "FAILED" for run in runs if run["batchId"]
        ):
            return False
        clears, arguments = self.requested[earlier["requestId"]]
        is_same = arguments == self.airflow.arguments
        return clears == self.clears or (self.airflow.kind == "batch" and is_same and bool(earlier["exists"]))

    def at_call(self, operation: str, when: str, parameters: dict[str, Any]) -> None:
        """Be told of a call, before and after it."""
        process = self._process()
        if when == "before" and process is not None and process is self.airflow.worker and self.airflow.is_collecting:
            self.airflow.sleep(40.0)  # a collection takes minutes, in which anything may happen
        if operation in ("StartRun", "StartRunBatch"):
            self._note_early(process, when)
            self._crash(f"{when} start")
        if operation not in ("CancelRun", "CancelRunBatch"):
            return
        resource_id = parameters.get("id") or parameters["batchId"]
        if self.airflow.kind == "batch" and operation == "CancelRun":
            return  # what a partial cancel has left
        if when == "after":
            self.cancelled.add(resource_id)
            return
        # The deadline is that of the present try; until the next one has begun, an orphan's is that too.
        own = process is not None and process.try_number == self.airflow.try_number
        in_time = process is None or process.deadline is None or self.airflow.now < process.deadline
        going = {i["id"]: i for i in self.airflow.started() if i["status"] in ALIVE and i["exists"]}.get(resource_id)
        if going is not None and not own and going["requestId"] != self.request_id:
            # It was on its way when a later try made a request of its own; it may have to be asked for again.
            self.cancelled.add(resource_id)
        elif going is not None and not self._is_asked(going) and (in_time or not own):
            self.unasked.append(resource_id)

    def _note_early(self, process: Process | None, when: str) -> None:
        """Note a batch that is still stopping when the present try starts another: what it completes is paid twice."""
        if when == "before" and self.airflow.kind == "batch" and process is self.airflow.worker:
            self.early += [item["id"] for item in self.airflow.started() if item["status"] == "STOPPING"]

    def _is_asked(self, item: dict[str, Any]) -> bool:
        """Tell whether somebody asked to cancel it; a clear asks for what an earlier request starts after it, too."""
        return item["id"] in self.airflow.asked or self.requested[item["requestId"]][0] < self.clears

    def at_request(self, where: str) -> None:
        """Let a start call take its time, if it is to."""
        if self.slow is not None and self.slow[0] == where:
            seconds, self.slow = self.slow[1], None
            self.airflow.sleep(seconds)

    def at_save(self, when: str, record: AttemptRecord) -> None:
        if when == "before":
            self.saves += 1
        else:
            self.request_id = record.request_id
            self.unrecorded.discard(record.resource_id or "")
            self.requested.setdefault(record.request_id, (self.clears, self.airflow.arguments))
        self._crash(f"{when} save {self.saves}")

    def _crash(self, here: str) -> None:
        process = self._process()
        if process is not None and process is self.airflow.worker and here == self.crash_at:
            self.crash_at = None
            raise Crash

    def _process(self) -> Process | None:
        return self.airflow.by_thread.get(threading.current_thread())

    def teardown(self) -> None:
        if hasattr(self, "airflow"):
            self.airflow.end()


class MachineTime:
    """The module ``time`` of the package: the emulator's clock, and the turns of the processes."""

    def time(self) -> float:
        return float(machine.airflow.now)

    monotonic = time

    def sleep(self, seconds: float) -> None:
        machine.airflow.sleep(seconds)


def _client(hook: Any, *_: Any, **__: Any) -> Any:
    """Give the client of a service, whose calls never leave the process."""
    return clients[hook.client_type]


def _listen(client: Any) -> None:
    local = threading.local()

    def before(params: dict[str, Any], model: Any, **_: Any) -> None:
        local.parameters = params
        machine.at_call(model.name, "before", params)

    def after(parsed: dict[str, Any], model: Any, **_: Any) -> None:
        if "Error" not in parsed:
            machine.at_call(model.name, "after", local.parameters)

    def sent(**_: Any) -> None:
        machine.at_request("on its way")

    def unsigned(**_: Any) -> None:
        machine.at_request("signed")

    for operation in ("StartRun", "StartRunBatch"):
        client.meta.events.register(f"before-send.omics.{operation}", sent)
        client.meta.events.register(f"before-sign.omics.{operation}", unsigned)
    emit_to_acts(client.meta.events)
    client.meta.events.register("before-parameter-build.omics", before)
    client.meta.events.register("after-call.omics", after)


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Put the emulator, its clock and the faults of the machine in the place of the world."""
    ExactlyOnce.emulator = emulator = OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET])
    for service in ("omics", "s3", "logs"):
        clients[service] = in_process_client(emulator, service, config=Config(**ONE_TRY))
    _listen(clients["omics"])
    monkeypatch.setattr(AwsGenericHook, "get_client_type", _client)
    monkeypatch.setattr(TASK_LOG, "disabled", True)
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", "{}")
    stepped = MachineTime()
    for name, module in list(sys.modules.items()):
        ours = name.startswith(tuple(f"airflow_provider_omics.{room}." for room in ("jobs", "hooks", "results")))
        if ours and getattr(module, "time", None) is time:
            monkeypatch.setattr(module, "time", stepped)
    for store in (attempt_stores.TaskStateAttemptStore, attempt_stores.S3AttemptStore):

        def save(self: Any, record: AttemptRecord, _save: Any = store.save) -> None:
            machine.at_save("before", record)
            _save(self, record)
            machine.at_save("after", record)

        monkeypatch.setattr(store, "save", functools.wraps(store.save)(save))


def test_exactly_once(in_process: None) -> None:
    """Whatever happens in whatever order, up to eight events: one live run, no cancel unasked, no result lost."""
    run_state_machine_as_test(
        ExactlyOnce,
        settings=settings(
            print_blob=True,
            max_examples=int(os.environ.get("EXACTLY_ONCE_EXAMPLES", settings().max_examples * 150 // 100)),
            stateful_step_count=int(os.environ.get("EXACTLY_ONCE_EVENTS", "8")),
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
