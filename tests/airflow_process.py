"""Runs programs in forks of one process that has loaded Airflow, which takes two seconds.

Of ours it has loaded what Airflow asks each provider for, and no more.
"""

from __future__ import annotations

import atexit
import functools
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from subprocess import CompletedProcess

_PARENT = """
import json, os, signal, sys
import airflow.providers.common.compat.sdk as sdk

sdk.AirflowPlugin, sdk.BaseOperator, sdk.conf  # each is loaded when it is asked for
for line in sys.stdin:
    child = os.fork()
    if child == 0:
        break
    print("ENDED", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
else:
    sys.exit()
signal.alarm(60)  # a program that hangs ends with -14
asked = json.loads(line)
for number, path in enumerate((os.devnull, asked["stdout"], asked["stderr"])):
    os.dup2(os.open(path, os.O_RDWR | os.O_CREAT), number)
os.environ.clear()
os.environ.update(asked["environment"])
sys.argv = ["-c", *asked["arguments"]]
exec(compile(asked["program"], "<program>", "exec"), {"__name__": "__main__"})
"""


def run_with_airflow(program: str, *arguments: str) -> CompletedProcess[str]:
    """Run a program as ``python -c`` would, in a process that has loaded what DAG files need of Airflow.

    :param program: its text.
    :param arguments: what it finds in ``sys.argv``.
    :return: how it ended, and what it printed.
    """
    parent = _parent()
    assert parent.stdin is not None
    assert parent.stdout is not None
    with tempfile.TemporaryDirectory() as folder:
        printed = {name: str(Path(folder, name)) for name in ("stdout", "stderr")}
        asked = {"program": program, "arguments": arguments, "environment": dict(os.environ), **printed}
        parent.stdin.write(json.dumps(asked) + "\n")
        parent.stdin.flush()
        told: list[str] = []
        while not told or not told[-1].startswith("ENDED "):
            told.append(parent.stdout.readline())
            assert told[-1], f"Airflow cannot be loaded: {''.join(told)}"
        code = int(told[-1].split()[1])
        return CompletedProcess([*arguments], code, *(Path(path).read_text() for path in printed.values()))


@functools.cache
def _parent() -> subprocess.Popen[str]:
    parent = subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", _PARENT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    atexit.register(parent.communicate)  # the end of its input is its own
    return parent
