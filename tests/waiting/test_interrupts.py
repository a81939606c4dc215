"""Airflow's timer, which strikes wherever the main thread is: no line and no question is interrupted."""

from __future__ import annotations

import inspect
import logging
import select
import signal
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import airflow
import pytest
from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.operators.run import OmicsCancelRunOperator, OmicsStartRunOperator
from airflow_provider_omics.operators.workflow import OmicsReleaseWorkflowOperator
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.waiting.interrupts import time_out_in_turn
from tests.airflow_process import run_with_airflow
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, TASK_LOG, perform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

GERMLINE = Path(__file__).parents[2] / "example_dags" / "data" / "germline"

airflow_3 = pytest.mark.only_where(
    not airflow.__version__.startswith("2."), "Airflow 2 has no supervisor; its log waits for no lock"
)

PROGRAM = """
import faulthandler, io, json, signal, socket, sys, threading, time
import structlog
from airflow.providers.common.compat.sdk import AirflowTaskTimeout
from airflow_provider_omics.waiting.interrupts import time_out_in_turn

try:
    from airflow.sdk.execution_time.timeout import timeout
except ImportError:
    from airflow.utils.timeout import timeout

faulthandler.dump_traceback_later(20, exit=True)
"""

AMID_A_LINE = """
class Log(io.RawIOBase):
    def writable(self):
        return True

    def write(self, line):
        if b"struck" in line:
            signal.raise_signal(signal.SIGALRM)
            print("WRITTEN")
        return len(line)


renderer = structlog.processors.JSONRenderer(serializer=lambda event, **_: json.dumps(event).encode())
structlog.configure(processors=[renderer], logger_factory=structlog.BytesLoggerFactory(Log()))
log = structlog.get_logger()
try:
    with timeout(60):
        time_out_in_turn()
        log.info("struck")
        while True:
            time.sleep(0.01)  # signal.pause() would miss what comes just before it
except AirflowTaskTimeout:
    print("RAISED")
"""

AMID_A_QUESTION = """
from airflow.sdk.execution_time import comms

ours, theirs = socket.socketpair()


def answer():
    for number in range(2):
        head = theirs.recv(4)
        request = comms.msgspec.msgpack.decode(theirs.recv(int.from_bytes(head, "big")), type=comms._RequestFrame)
        if number == 0:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGALRM)
            time.sleep(0.2)  # the main thread has had it before its answer comes
        body = {"type": "VariableResult", "key": request.body["key"], "value": "of " + request.body["key"]}
        theirs.sendall(comms._ResponseFrame(id=request.id, body=body).as_bytes())


threading.Thread(target=answer, daemon=True).start()
supervisor = comms.CommsDecoder(socket=ours)
try:
    with timeout(60):
        time_out_in_turn()
        supervisor.send(comms.GetVariable(key="first"))
        while True:
            time.sleep(0.01)  # signal.pause() would miss what comes just before it
except AirflowTaskTimeout:
    print("RAISED")
print("ANSWER", supervisor.send(comms.GetVariable(key="second")).value)
"""

AMID_AN_ENDLESS_QUESTION = """
from airflow.sdk.execution_time import comms
from airflow_provider_omics.waiting import interrupts

interrupts.PATIENCE = 0.2
ours, theirs = socket.socketpair()
began = time.monotonic()
try:
    with timeout(0.1):
        time_out_in_turn()
        comms.CommsDecoder(socket=ours).send(comms.GetVariable(key="first"))
except AirflowTaskTimeout:
    print("RAISED", time.monotonic() - began >= 0.3)
"""


@airflow_3
def test_timer_amid_a_line() -> None:
    """Airflow's timer writes a line, for which it waits until the line that it has struck is written."""
    done = run_with_airflow(PROGRAM + AMID_A_LINE)

    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.isupper()] == ["WRITTEN", "RAISED"]


@airflow_3
def test_timer_amid_a_question() -> None:
    """The question is answered first; otherwise the next one would get its answer."""
    done = run_with_airflow(PROGRAM + AMID_A_QUESTION)

    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith(("ANSWER", "RAISED"))]
    assert lines == ["RAISED", "ANSWER of second"]


@airflow_3
def test_timer_amid_an_endless_question() -> None:
    """A question that nobody answers ends when the timer has waited for long."""
    done = run_with_airflow(PROGRAM + AMID_AN_ENDLESS_QUESTION)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "RAISED True"


@pytest.fixture
def airflow_timer() -> Iterator[None]:
    """Let Airflow's timer of ``execution_timeout`` run; a test strikes it."""
    try:
        from airflow.sdk.execution_time.timeout import timeout  # noqa: TID251  # a private door of each version
    except ImportError:
        from airflow.utils.timeout import timeout  # type: ignore[import-not-found,no-redef]  # Airflow 2 and 3.0

    backstop, (left, _) = signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)
    with timeout(600):
        yield
    signal.signal(signal.SIGALRM, backstop)
    signal.setitimer(signal.ITIMER_REAL, left)


class StrikesIn(logging.Handler):
    """Lets the timer strike at the first line of log within a function, and then wait until it comes again.

    :param function: its name.
    """

    def __init__(self, function: str) -> None:
        super().__init__()
        self.function = function
        self.told: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if self.told or self.function not in [frame.function for frame in inspect.stack(context=0)]:
            return
        # Airflow 3 writes its lines in this module; nothing else than `exec` makes a frame of it.
        exec("strike()", {"__name__": "structlog._output", "strike": self._strike})  # noqa: S102
        try:
            for _ in range(2_000):  # signal.pause() would miss what comes just before it
                select.select([], [], [], 0.01)
        except AirflowTaskTimeout:
            self.told.append("raised")
            raise

    def _strike(self) -> None:
        signal.raise_signal(signal.SIGALRM)
        self.told.append("written")


@pytest.fixture
def strikes(
    request: pytest.FixtureRequest, airflow_timer: None, caplog: pytest.LogCaptureFixture
) -> Iterator[StrikesIn]:
    """Let the timer strike in the function that a test is parametrized with."""
    caplog.set_level(logging.INFO, TASK_LOG.name)  # the root logger's is WARNING unless Airflow has set another
    handler = StrikesIn(request.param)
    TASK_LOG.addHandler(handler)
    yield handler
    TASK_LOG.removeHandler(handler)


TIMED: dict[str, Any] = {"execution_timeout": timedelta(hours=1)}

TASKS: dict[str, Callable[[str], Any]] = {
    "execute": lambda _: OmicsStartRunOperator(task_id="align", **RUN, **TIMED),
    "resume": lambda _: OmicsStartRunOperator(task_id="align", deferrable=True, **RUN, **TIMED),
    "act": lambda run_id: OmicsCancelRunOperator(task_id="cancel", run_id=run_id),
    "release_workflow": lambda _: OmicsReleaseWorkflowOperator(
        task_id="release", name="germline", definition=str(GERMLINE), deferrable=False
    ),
    "poke": lambda run_id: OmicsRunSensor(task_id="wait", run_id=run_id),
}
"""Functions within which the timer strikes, and tasks that come through them."""


@pytest.mark.parametrize(("strikes", "task"), TASKS.items(), indirect=["strikes"], ids=TASKS)
def test_timer_amid_a_line_of_any_task(
    emulator: OmicsEmulator, stepped: SteppedTime, strikes: StrikesIn, task: Callable[[str], Any]
) -> None:
    """The line is written to its end, and the timer strikes after it."""
    theirs = emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": "theirs"})["id"]

    perform(task(theirs))

    assert strikes.told == ["written", "raised"]


def test_timer_of_somebody_else() -> None:
    """Only Airflow's handler is replaced: a test runner has one, too."""
    before = signal.getsignal(signal.SIGALRM)
    assert before is not None

    time_out_in_turn()

    assert signal.getsignal(signal.SIGALRM) is before
