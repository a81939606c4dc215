"""The one command line: its help, its commands, and the emulator that it starts."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import pytest

from airflow_provider_omics.__main__ import _COMMANDS, main

ROOT = Path(__file__).parents[2]
MODULE = [sys.executable, "-m", "airflow_provider_omics"]


def test_every_command_has_its_module() -> None:
    """A command is a module that declares arguments and runs, and no such module is left out."""
    modules = {
        path.stem
        for path in (ROOT / "airflow_provider_omics" / "commands").glob("*.py")
        if "add_arguments" in path.read_text(encoding="utf-8")
    }

    assert modules <= set(_COMMANDS)
    for name in _COMMANDS:
        command = import_module(f"airflow_provider_omics.commands.{name}")
        assert callable(command.add_arguments)
        assert callable(command.run)


@pytest.mark.parametrize("name", _COMMANDS)
def test_help_teaches(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The help of a command says what it does, and its list of commands names it."""
    for arguments in ([name, "--help"], ["--help"]):
        with pytest.raises(SystemExit) as caught:
            main(arguments)
        assert caught.value.code == 0
    command, overview = capsys.readouterr().out.split("usage: python -m airflow_provider_omics [-h]")
    assert name in overview
    assert len(command.split("\n\n")[1].split()) >= 8


def test_help_loads_neither_airflow_nor_aws() -> None:
    """The list of commands is there at once."""
    program = (
        "import sys\nfrom airflow_provider_omics.__main__ import main\n"
        "try: main(['--help'])\n"
        "finally: print(sorted({'airflow', 'boto3', 'botocore'} & set(sys.modules)), file=sys.stderr)"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]")


def test_emulator() -> None:
    """The command starts the same emulator as healthomics-emulator, and a signal ends it with 0."""
    with subprocess.Popen([*MODULE, "emulator", "--port", "0"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        address = process.stdout.readline()
        connection = process.stdout.readline()
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0

    assert address.startswith("HealthOmics answers on http://127.0.0.1:")
    assert connection.startswith("AIRFLOW_CONN_AWS_DEFAULT='")


def test_completion() -> None:
    """A shell that asks for completions gets commands and their options."""

    def completed(line: str) -> list[str]:
        environment = {
            **os.environ,
            "_ARGCOMPLETE": "3",
            "_ARGCOMPLETE_STDOUT_FILENAME": "/dev/stdout",
            "_ARGCOMPLETE_IFS": "\n",
            "COMP_LINE": line,
            "COMP_POINT": str(len(line)),
        }
        done = subprocess.run(MODULE, capture_output=True, text=True, check=False, env=environment)
        return [word.strip() for word in done.stdout.split("\n")]

    assert "results" in completed("python -m airflow_provider_omics res")
    assert "--failed" in completed("python -m airflow_provider_omics results --fa")
