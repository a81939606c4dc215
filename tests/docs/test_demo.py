"""What README shows of ``make demo`` is what it prints: lines that its tasks log, and the table of its results.

The tasks of the demo's DAG run alone, in the time of an emulator with the demo's scenario. That Airflow runs the DAG,
and that the demo finds these lines in Airflow's log, is for ``make demo`` itself.
"""

from __future__ import annotations

import re
import runpy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
import yaml

import airflow_provider_omics.operators.run_batch  # noqa: F401  # `stepped` steps the time of modules that are loaded
from airflow_provider_omics.core.errors import BatchVerdictError
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import TaskInstanceRecord, perform
from tests.docs.blocks import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

EXAMPLE_DAGS = ROOT / "example_dags"
README = (ROOT / "README.md").read_text(encoding="utf-8")
(SHOWN,) = re.findall(r"among other lines:\n\n```text\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
LINES, _, TABLE = SHOWN.partition("\n\n")

# What the demo's emulator puts into its connection: --default-bucket omics-results.
PLACES = {
    "default_run_setting": {
        "roleArn": "arn:aws:iam::123456789012:role/omics-service",
        "outputUri": "s3://omics-results/outputs/",
    },
    "staging_s3_uri": "s3://omics-results/staging/",
    "results_s3_uri": "s3://omics-results/results/",
}


@dataclass
class Instance(TaskInstanceRecord):
    """Stands for Airflow's task instance, which also knows what the task before it has returned."""

    index: dict[str, Any] = field(default_factory=dict)

    def xcom_pull(self, task_id: str) -> dict[str, Any]:
        assert task_id == "index"
        return self.index


def without_uuid(line: str) -> str:
    return re.sub(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "...", line.strip())


@pytest.mark.usefixtures("stepped")
def test_demo(
    emulator: OmicsEmulator,
    connect: Connect,
    log_lines: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Every line is one of the tasks' logs, in this order; the table is the whole table."""
    monkeypatch.setenv("OMICS_POLL_INTERVAL", "300")
    emulator.client("s3").create_bucket(Bucket="omics-results")
    connect(PLACES)
    emulator.set_scenario(yaml.safe_load((EXAMPLE_DAGS / "scenario.yaml").read_text(encoding="utf-8")))
    dag = runpy.run_path(str(EXAMPLE_DAGS / "example_omics_run_batch.py"))["batch"].dag
    index, batch = dag.get_task("index"), dag.get_task("batch")
    params = dag.params.dump()

    made = perform(index, params=params).result
    tries = [Instance(task_id="batch", try_number=number, max_tries=batch.retries, index=made) for number in (1, 2)]
    first, second = (perform(batch, ti=each, task_instance=each, params=params) for each in tries)

    assert isinstance(first.error, BatchVerdictError)
    told = iter([without_uuid(line) for line in log_lines()])
    assert [line for line in LINES.splitlines() if without_uuid(line) not in told] == []
    demo = runpy.run_path(str(EXAMPLE_DAGS / "run_demo.py"))
    samples = [demo["sample_of"](record) for record in read_batch_results(second.result["results_uri"])]
    capsys.readouterr()
    demo["show"](samples)
    assert capsys.readouterr().out.strip() == TABLE.strip()
