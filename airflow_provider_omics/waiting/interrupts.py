"""Airflow's timer for ``execution_timeout``, which interrupts the main thread wherever it is.

Two operations must not be interrupted on Airflow 3. Writing a line of the task log holds a lock, and the timer's
handler writes a line itself: if it interrupts another line, it waits for that lock forever, and nobody watches the run.
A question to the supervisor is followed by its answer, which is not matched to the question by its id: an exception
between the two leaves the answer to the next question. A timer that strikes during either is put off and tried again.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

AGAIN = 0.05
"""Seconds until the timer strikes again; a line takes microseconds, a question some 10 ms."""

PATIENCE = 60.0
"""Seconds for which the timer waits for an answer: the task must end, even if Airflow never answers."""

LINE, QUESTION = "structlog._output", "airflow.sdk.execution_time.comms"
"""The modules that write a line and ask the supervisor. Airflow 2 uses neither: its log's lock is reentrant."""


class _Timer:
    """Airflow's handler of its timer, called only when it interrupts neither operation.

    :param strike: the handler.
    """

    def __init__(self, strike: Callable[[int, FrameType | None], Any]) -> None:
        self._strike = strike
        self._by: float | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now, modules = time.monotonic(), set(_modules(frame))
        if self._by is None:
            self._by = now + PATIENCE
        if LINE in modules or (QUESTION in modules and now < self._by):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            self._strike(number, frame)


def time_out_in_turn() -> None:
    """Have the timer of ``execution_timeout`` interrupt no line of log and no question to Airflow, from now on.

    Nothing changes where Airflow has set no timer. It sets a handler anew for each task that has a time limit, and
    removes none.
    """
    strike: Any = signal.getsignal(signal.SIGALRM)
    is_airflows = type(getattr(strike, "__self__", None)).__module__.startswith("airflow.")
    if is_airflows and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, _Timer(strike))


def _modules(frame: FrameType | None) -> Iterator[str | None]:
    while frame is not None:
        yield frame.f_globals.get("__name__")
        frame = frame.f_back
