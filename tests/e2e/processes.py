"""Processes of a test session: started in groups of their own, ended by their own ids, and none left behind."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path

import psutil  # type: ignore[import-untyped]  # has no types, and its stubs are not worth a dependency

LOOPBACK = "127.0.0.1"

MARK = "OMICS_E2E_SESSION"
"""Environment variable that all our processes inherit, whoever forks them: by it none is overlooked."""


def free_port() -> int:
    """Find a port of the loopback interface that nothing listens on."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        port: int = probe.getsockname()[1]
        return port


def is_listening(port: int) -> bool:
    """Whether somebody takes connections on a port of the loopback interface."""
    with socket.socket() as probe:
        return probe.connect_ex((LOOPBACK, port)) == 0


class Program:
    """A command in a process group of its own.

    :param name: for its log file and for messages.
    :param command: the command with its arguments.
    :param environment: all of its environment.
    :param log: file that its output is added to.
    """

    def __init__(self, name: str, command: list[str], environment: dict[str, str], log: Path) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """Process id, which is also that of its group."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """Exit code; None while it runs."""
        return self._process.poll()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        with suppress(ProcessLookupError):
            os.killpg(self.pid, number)

    def wait(self, seconds: float) -> int:
        """Wait for its end and give its exit code."""
        return self._process.wait(seconds)

    def kill(self) -> None:
        """End it as a crash of the machine does."""
        self.signal(signal.SIGKILL)
        self._process.wait(10)

    def stop(self, seconds: float) -> None:
        """Ask it to end; what is left of its group after some time is killed."""
        if self.exit_code is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(seconds)
        self.signal(signal.SIGKILL)
        self._process.wait(10)


def marked(mark: str) -> list[psutil.Process]:
    """List the living processes of a session, whoever started them.

    :param mark: value of :data:`MARK` in their environment.
    """
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if process.environ().get(MARK) == mark and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def kill_all(processes: list[psutil.Process]) -> None:
    """Kill processes and wait for their end."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=10)


def is_alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not collected does not."""
    try:
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def parent_of(pid: int) -> int:
    """Give the process id of a process's parent."""
    return int(psutil.Process(pid).ppid())


def listening(processes: list[psutil.Process]) -> set[str]:
    """Give the addresses that processes listen on, as ``address:port``."""
    found = set()
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            for connection in process.net_connections("inet"):
                if connection.status == psutil.CONN_LISTEN:
                    found.add(f"{connection.laddr.ip}:{connection.laddr.port}")
    return found


def pause(seconds: float) -> None:
    """Let other processes go on for a moment, between two looks at them."""
    time.sleep(seconds)  # noqa: TID251 - other processes are waited for, which give no event
