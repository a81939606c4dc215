"""What the page for beginners shows of a log is what the task logs."""

from __future__ import annotations

import runpy
from typing import TYPE_CHECKING

import pytest

import airflow_provider_omics.operators.run  # noqa: F401  # `stepped` steps the time of modules that are loaded
from tests.airflow_support import OUTPUT, ROLE, perform
from tests.docs.blocks import BLOCKS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.airflow_support import Connect


@pytest.mark.usefixtures("stepped")
def test_first_log(connect: Connect, log_lines: Callable[..., list[str]], tmp_path: Path) -> None:
    """The lines of the page are lines of the log, in this order."""
    connect({"default_run_setting": {"roleArn": ROLE, "outputUri": OUTPUT}})
    page = [block for block in BLOCKS if block.page == "getting-started.md"]
    (code,) = [block.text for block in page if block.kind == "dag"]
    (shown,) = [block.text.splitlines() for block in page if block.kind == "output"]
    (tmp_path / "first_run.py").write_text(code.replace("with DAG(", "with (dag := DAG(").replace("None):", "None)):"))

    ended = perform(runpy.run_path(str(tmp_path / "first_run.py"))["dag"].get_task("align"))

    told = [line.partition(" (uuid")[0] for line in log_lines()]
    assert ended.result["run_output_uri"].startswith(OUTPUT)
    assert [line for line in told if line in shown] == shown
