"""What a newcomer has: README's own emulator, the examples, and how each of them ends there."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tests.conftest import EXAMPLE_DAGS

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = sorted(path.name for path in EXAMPLE_DAGS.glob("example_*.py"))
ENDS: dict[str, dict[str, str]] = {
    "example_omics_failure.py": {"run": "failed"},
    # Without an id in the form there is nothing to act on, which is no failure.
    "example_omics_cancel.py": dict.fromkeys(("choose", "cancel_run", "cancel_batch", "rest"), "skipped"),
    "example_omics_collect_results.py": dict.fromkeys(("batch", "collect", "report"), "skipped"),
    "example_omics_sample_by_sample.py": dict.fromkeys(("batch", "collect", "settings", "annotate"), "skipped"),
    "example_omics_asset_alias_next.py": {"sheets": "success", "annotate": "skipped"},
    "example_omics_sensor.py": {
        **dict.fromkeys(("start_one", "start", "wait", "accept"), "success"),
        "cancel": "skipped",
    },
}
"""How the tasks of an example end; where none are named, all succeed."""


@contextmanager
def emulator_of_readme(environment: Mapping[str, str] | None = None) -> Iterator[str]:
    """Start the emulator by README's command, on a free port.

    :param environment: all of its environment. Default: this process's.
    :return: the connection that it prints.
    """
    (command,) = re.findall(r"^healthomics-emulator .*$", README, re.MULTILINE)
    module, *options = shlex.split(re.sub(r"--port \d+", "--port 0", command))
    assert module == "healthomics-emulator"
    with subprocess.Popen(
        [sys.executable, "-m", "airflow_provider_omics.emulator", *options],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as emulator:
        try:
            assert emulator.stdout is not None
            announced = (line.partition("=") for line in emulator.stdout)
            yield next(value for name, _, value in announced if name == "AIRFLOW_CONN_AWS_DEFAULT").strip().strip("'")
        finally:
            emulator.terminate()
