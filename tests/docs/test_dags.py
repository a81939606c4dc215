"""The DAGs of the documentation run to their ends on the emulator, as a reader would run them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import BaseOperator

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import perform
from tests.connection_support import omics_connection_scaled
from tests.docs.blocks import Block, files_of, of_kind

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime
    from tests.conftest import RunDag

__all__ = ["omics_connection_scaled"]

pytestmark = pytest.mark.xdist_group("airflow_db")

AT_ONCE = {"pending": 0, "starting": 0, "running": 0, "stopping": 0}
"""A run that has ended when it is first looked at: the DAGs wait half a minute between two looks."""

SETTING = {"roleArn": "arn:aws:iam::123456789012:role/omics-service", "outputUri": "s3://omics-results/"}


def fails(*names: str) -> list[dict[str, Any]]:
    """Make the rules by which these samples fail."""
    return [{**AT_ONCE, "match": {"run_setting_id": name}, "outcome": "FAILED"} for name in names]


def start_batch(emulator: OmicsEmulator) -> dict[str, Any]:
    """Start a batch as someone else would."""
    started = emulator.client().start_run_batch(
        defaultRunSetting={"workflowId": "1234567", **SETTING},
        batchRunSettings={"inlineSettings": [{"runSettingId": name} for name in ("NA12878", "NA12891")]},
        requestId="someone-else",
    )
    return {"batch_id": started["id"]}


def create_cache(emulator: OmicsEmulator) -> dict[str, Any]:
    """Make the run cache of the page."""
    place = "s3://omics-results/cache/"
    return {"cache_id": emulator.client().create_run_cache(cacheS3Location=place, requestId="cache")["id"]}


@dataclass(frozen=True)
class Case:
    """What a DAG meets and how it ends.

    :param runs: rules of the scenario before the one that lets everything complete.
    :param state: of the DAG run.
    :param returned: task id -> what it returns.
    :param runs_started: how many, if that is worth a look.
    :param before: makes what is there before, beside buckets and the inputs that the page's files name; gives the
        params of the DAG run. Default: nothing.
    """

    runs: list[dict[str, Any]] = field(default_factory=list)
    state: str = "success"
    returned: dict[str, Any] = field(default_factory=dict)
    runs_started: int | None = None
    before: Callable[[OmicsEmulator], dict[str, Any]] = lambda _: {}


CASES = {
    "one_batch": Case(runs_started=2),
    "repeat_run": Case(runs_started=2),
    "release_and_run": Case(runs_started=1),
    "cached_run": Case(before=create_cache),
    "batch_from_task": Case(runs_started=3),
    "after_a_batch": Case(runs=fails("NA12891"), returned={"report": "2 of 3; not completed: NA12891"}, runs_started=3),
    "watch_batch": Case(before=start_batch),
    "collect": Case(before=start_batch, returned={"report": "2 of 2 completed, 2 new"}),
    "clean_up": Case(runs_started=0),
    "notify": Case(
        runs=[{**AT_ONCE, "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}], state="failed", runs_started=1
    ),
    "expected_outputs": Case(runs=[{**AT_ONCE, "outputs": ["out/a.vcf.gz", "out/bam/a.bam"]}], runs_started=3),
    "hand_off": Case(runs=fails("NA12891"), returned={"load[0]": ["NA12878", "NA12892"], "load[1]": ["HG002"]}),
    "tell_the_team": Case(runs_started=2),  # there is no SNS on the emulator: the log says so, and the batch goes on
    "two_stages": Case(runs=fails("NA12891"), runs_started=3),
}
"""Every other DAG just succeeds."""


@pytest.fixture
def emulator(omics_emulator_scaled: OmicsEmulator, omics_connection_scaled: dict[str, Any]) -> OmicsEmulator:
    """A local HealthOmics with buckets, and the connection that the pages speak of."""
    omics_emulator_scaled.client("s3").create_bucket(Bucket="omics-inputs")
    return omics_emulator_scaled


@pytest.fixture
def folder(airflow_home: Path, airflow_db: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The DAGs folder; what a test leaves there is removed."""
    folder = airflow_home / "dags"
    monkeypatch.chdir(folder)
    yield folder
    for path in folder.iterdir():
        if path.is_file():
            path.unlink()


def put_page(block: Block, folder: Path, emulator: OmicsEmulator) -> Path:
    """Write the files of a block's page beside it, and the inputs that they name into S3."""
    s3 = emulator.client("s3")
    for found in files_of(block.page):
        if found.kind == "file":
            (folder / found.title).write_text(found.text)
        for key in re.findall(r"s3://omics-inputs/([\w./-]+)", found.text):
            s3.put_object(Bucket="omics-inputs", Key=key, Body=b"reads")
    path = folder / f"{block.dag_id}.py"
    path.write_text(block.text)
    return path


@pytest.mark.parametrize("block", of_kind("dag"), ids=lambda block: block.name)
def test_dag(block: Block, emulator: OmicsEmulator, run_dag: RunDag, folder: Path) -> None:
    """The DAG ends as its page says."""
    case = CASES.get(block.dag_id, Case())
    batches = [{"creating": 0, "pending": 0, "count_lag": 0}]
    emulator.set_scenario(
        {
            "runs": [*case.runs, AT_ONCE],
            "batches": batches,
            "workflow_creation": {"seconds": 0},
            "limits": {"submissions_per_second": 9e6},
        }
    )

    outcome = run_dag(put_page(block, folder, emulator), conf=case.before(emulator))

    assert (outcome.state, outcome.task_states) == (case.state, outcome.task_states)
    assert {task: outcome.xcoms[task]["return_value"] for task in case.returned} == case.returned
    if case.runs_started is not None:
        assert len(emulator.client().list_runs()["items"]) == case.runs_started


@pytest.mark.parametrize(
    ("operator", "runs", "told"),
    [
        (
            OmicsStartRunOperator(
                task_id="run", workflow_id="1234567", role_arn=SETTING["roleArn"], output_uri=SETTING["outputUri"]
            ),
            [{**AT_ONCE, "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}],
            r"for the pipeline author - OUT_OF_MEMORY_ERROR - Raise the task's memory .*",
        ),
        (
            OmicsStartRunBatchOperator(
                task_id="batch",
                default_run_setting={"workflowId": "1234567", **SETTING},
                run_settings=[{"runSettingId": "NA12878"}],
            ),
            [{**AT_ONCE, "outcome": "FAILED", "failure_reason": "IMPORT_FAILED"}],
            r"for the data owner - IMPORT_FAILED - Check that every input exists .*",
        ),
        (
            OmicsStartRunOperator(task_id="settings", workflow_id="1234567", output_uri="results"),
            [],
            r"for the pipeline author - SettingsError - Correct what is listed, and clear the task\.",
        ),
        (
            OmicsStartRunOperator(
                task_id="call", workflow_id="7654321", role_arn=SETTING["roleArn"], output_uri=SETTING["outputUri"]
            ),
            [],
            r"for the pipeline author - ResourceNotFoundException - A workflow that exists .*",
        ),
    ],
    ids=lambda value: value.task_id if isinstance(value, BaseOperator) else "",
)
def test_one_callback_serves_all(
    emulator: OmicsEmulator,
    folder: Path,
    stepped: SteppedTime,
    capsys: pytest.CaptureFixture[str],
    operator: Any,
    runs: list[dict[str, Any]],
    told: str,
) -> None:
    """The callback of the page says who has to do what for a run, a batch, bad settings and a call that is refused."""
    emulator.set_scenario({"runs": runs, "batches": [{"creating": 0, "pending": 0, "count_lag": 0}]})
    if operator.task_id == "call":
        emulator.faults.add(operation="StartRun", error="ResourceNotFoundException")
    (block,) = [block for block in of_kind("dag") if block.dag_id == "notify"]
    page: dict[str, Any] = {}
    exec(compile(block.text, "notify.py", "exec"), page)  # noqa: S102 - a page of ours
    error = perform(operator).error
    capsys.readouterr()

    page["tell"]({"exception": error})

    assert re.fullmatch(told, capsys.readouterr().out.strip())


def test_ids_are_unique() -> None:
    """No DAG of the pages hides another, and no case is for a DAG that is gone."""
    ids = [block.dag_id for block in of_kind("dag")]

    assert all(ids)
    assert len(ids) == len(set(ids))
    assert CASES.keys() <= set(ids)
