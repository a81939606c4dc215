"""Interrupts by Airflow: a timer and a signal, which strike the main thread wherever it is.

Two places are indivisible on Airflow 3. A line of the task log holds a lock, and the timer of ``execution_timeout``
writes a line itself: amid another one it waits for that lock for good, and the run goes on unseen. A question to the
supervisor owns the next answer, as answers bear no mark: an exception between the two leaves the answer to whatever
asks next. Here an interrupt that strikes amid either comes again a moment later.
"""

from __future__ import annotations

import inspect
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

AGAIN = 0.05
"""Seconds until an interrupt comes again; a line takes microseconds, a question some 10 ms."""

INDIVISIBLE = frozenset({"structlog._output", "airflow.sdk.execution_time.comms"})
"""Modules that write a line (structlog) and put a question (Airflow 3). Airflow 2 has neither, and no such place."""


def is_indivisible(frame: FrameType | None) -> bool:
    """Return whether an interrupted thread writes a line of log or puts a question to Airflow.

    :param frame: where it was interrupted; None: nowhere.
    :return: whether one of the frames is of :data:`INDIVISIBLE`.
    """
    while frame is not None:
        if frame.f_globals.get("__name__") in INDIVISIBLE:
            return True
        frame = frame.f_back
    return False


class _Timer:
    """Airflow's handler of its timer, called where nothing is cut in two.

    :param strike: the handler.
    """

    def __init__(self, strike: Callable[[int, FrameType | None], Any]) -> None:
        self._strike = strike

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if is_indivisible(frame):
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            self._strike(number, frame)


def time_out_in_turn() -> None:
    """Let the timer of ``execution_timeout`` strike between lines and questions only, from now on.

    It changes nothing where no timer runs, or outside the main thread, in which Airflow sets none. Airflow sets a
    handler anew for each task that has a time limit, and removes none.
    """
    strike = signal.getsignal(signal.SIGALRM)
    if callable(strike) and not isinstance(strike, _Timer) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGALRM, _Timer(strike))


def end_in_turn(end: Callable[[], None], patience: float) -> None:
    """Do in a signal handler what ends this process: between lines and questions, so that it can write and ask itself.

    Airflow's timer is stopped: this process has five seconds to live.

    :param end: what is done, once.
    :param patience: seconds after which it is done wherever the main thread is.
    """
    by = time.monotonic() + patience

    def attempt(_: int, frame: FrameType | None) -> None:
        if is_indivisible(frame) and time.monotonic() < by:
            signal.signal(signal.SIGALRM, attempt)
            signal.setitimer(signal.ITIMER_REAL, AGAIN)
        else:
            end()

    attempt(signal.SIGTERM, inspect.currentframe())
