"""``airflow tasks test --dry-run`` of Airflow 2, which renders a task and calls its ``dry_run()``: a name of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.cli import cli_parser
from airflow.serialization.helpers import serialize_template_field

from airflow_provider_omics.operators.base import CALLS_DRY_RUN
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, perform, rendered, samples

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

DAG_FILE = """
from datetime import datetime

from airflow.providers.common.compat.sdk import DAG

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

with DAG("rendered_only", schedule=None, start_date=datetime(2026, 1, 1)):
    OmicsStartRunOperator(task_id="align", run_name="of_{{ ds }}", dry_run="{{ 'no' }}", **RUN)
    OmicsStartRunBatchOperator(
        task_id="cohort", batch_name="of_{{ ds }}", default_run_setting=DEFAULT, run_settings=RUNS
    )
"""


@pytest.fixture
def dag_file(airflow_home: Path, airflow_db: Path) -> Path:
    """A DAG file with a run and a batch."""
    path = airflow_home / "rendered_only.py"
    given = f"RUN = {RUN!r}\nDEFAULT = {DEFAULT_RUN_SETTING!r}\nRUNS = {samples('a', 'b')!r}\n"
    path.write_text(given + DAG_FILE)
    return path


@pytest.mark.parametrize("task_id", ["align", "cohort"])
def test_dry_run_of_the_command_line(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    dag_file: Path,
    caplog: pytest.LogCaptureFixture,
    capsys: pytest.CaptureFixture[str],
    task_id: str,
) -> None:
    """Airflow 2's command shows the rendered fields, and calls nothing; Airflow 3's has no such option."""
    words = ["tasks", "test", "--dry-run", "--subdir", str(dag_file), "rendered_only", task_id, "2026-01-02"]
    if not CALLS_DRY_RUN:
        with pytest.raises(SystemExit):
            cli_parser.get_parser().parse_args(words)
        assert "--dry-run" in capsys.readouterr().err
        return
    arguments = cli_parser.get_parser().parse_args(words)

    with caplog.at_level("INFO"):
        arguments.func(arguments)

    assert "of_2026-01-02" in caplog.messages
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize(("dry_run", "shown"), [(True, "True"), (False, "False"), ("{{ 'yes' }}", "yes")])
@pytest.mark.parametrize("kind", ["run", "batch"])
def test_argument_stays_an_argument(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    kind: str,
    dry_run: Any,
    shown: str,
) -> None:
    """Rendered, the argument is stored by its value, and still decides whether something starts."""
    batch = {"default_run_setting": DEFAULT_RUN_SETTING, "run_settings": samples("a")}
    make: Any = {"run": OmicsStartRunOperator, "batch": OmicsStartRunBatchOperator}[kind]
    task = make(task_id="align", dry_run=dry_run, **(RUN if kind == "run" else batch))

    assert str(serialize_template_field(rendered(task, {}).dry_run, "dry_run")) == shown
    assert (perform(task).result["status"] == "DRY_RUN") is (shown != "False")
