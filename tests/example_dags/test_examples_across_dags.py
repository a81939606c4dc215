"""The example DAGs that act on what other DAGs do, and the one of pairs, run to their ends on the emulator."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy

from tests.conftest import EXAMPLE_DAGS, _load

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.conftest import RunDag

SETTING = {
    "workflowId": "1234567",
    "roleArn": "arn:aws:iam::123456789012:role/omics-service",
    "outputUri": "s3://omics-results/",
}


@pytest.fixture
def emulator(
    omics_emulator_scaled: OmicsEmulator, omics_connection_scaled: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> OmicsEmulator:
    """An emulator whose hours pass in seconds; the examples look for changes that often."""
    monkeypatch.setenv("OMICS_POLL_INTERVAL", "0.1")
    return omics_emulator_scaled


def asset_events() -> list[tuple[str, dict[str, Any], int]]:
    """Read the URIs of assets that got events, with the events' extras and ids."""
    from airflow.utils.session import create_session
    from sqlalchemy import select

    event: Any
    asset: Any
    try:
        from airflow.models.asset import AssetEvent, AssetModel  # noqa: TID251  # the database, as a scheduler reads it
    except ImportError:  # the same under the name that Airflow 2 has for it
        from airflow.models import dataset as names  # noqa: TID251

        event, asset = names.DatasetEvent, names.DatasetModel
        match = asset.id == event.dataset_id
    else:
        event, asset = AssetEvent, AssetModel
        match = asset.id == event.asset_id
    with create_session() as session:
        return [tuple(row) for row in session.execute(select(asset.uri, event.extra, event.id).where(match))]


@contextmanager
def started_by(events: Sequence[int]) -> Iterator[None]:
    """Let the DAG runs that are created meanwhile be started by events of assets, as the scheduler does it."""
    from airflow.models.dagrun import DagRun  # noqa: TID251  # the database, as a scheduler writes it

    name = "consumed_asset_events" if hasattr(DagRun, "consumed_asset_events") else "consumed_dataset_events"
    table = getattr(DagRun, name).property.secondary

    def link(_mapper: Any, connection: Any, run: Any) -> None:
        connection.execute(table.insert(), [{"dag_run_id": run.id, "event_id": number} for number in events])

    sqlalchemy.event.listen(DagRun, "after_insert", link)
    try:
        yield
    finally:
        sqlalchemy.event.remove(DagRun, "after_insert", link)


def test_tumour_normal(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """Each patient is a run with a tumour; the one without a normal gets none."""
    outcome = run_dag("example_omics_tumour_normal.py")

    omics = emulator.client()
    runs = {run["name"]: omics.get_run(id=run["id"]) for run in omics.list_runs()["items"]}
    assert outcome.xcoms["report"]["return_value"] == "3 of 3 patients"
    assert runs["P001"]["parameters"]["tumour"]["name"] == "P001_tumour"
    assert [name for name, run in runs.items() if "normal" not in run["parameters"]] == ["P002"]


def test_sarek(emulator: OmicsEmulator, run_dag: RunDag) -> None:
    """Each patient is a run with the lanes of either sample, in the order of the sheet."""
    outcome = run_dag("example_omics_sarek.py")

    omics = emulator.client()
    given = {run["name"]: omics.get_run(id=run["id"])["parameters"] for run in omics.list_runs()["items"]}
    lanes = {name: [len(parameters["normal"]), len(parameters["tumour"])] for name, parameters in given.items()}
    assert outcome.xcoms["report"]["return_value"] == "3 of 3 patients"
    assert lanes == {"P001": [2, 3], "P002": [1, 2], "P003": [0, 2]}
    assert given["P001"]["tumour"][2] == {
        "lane": "L003",
        "reads": [f"s3://example-cohort/fastq/P001_tumour_L003_R{read}.fastq.gz" for read in (1, 2)],
    }


@pytest.mark.parametrize("kind", ["run", "batch"])
def test_cancel(emulator: OmicsEmulator, run_dag: RunDag, kind: str) -> None:
    """What someone else has started is cancelled by its id, and nothing else is touched."""
    emulator.set_scenario({"runs": [{"running": 1_000_000}], "batches": [{"creating": 0, "pending": 0}]})
    omics = emulator.client()
    run_id = omics.start_run(**SETTING, requestId="run")["id"]
    settings = {"inlineSettings": [{"runSettingId": name} for name in ("NA12878", "NA12891")]}
    batch_id = omics.start_run_batch(defaultRunSetting=SETTING, batchRunSettings=settings, requestId="batch")["id"]

    outcome = run_dag("example_omics_cancel.py", conf={f"{kind}_id": run_id if kind == "run" else batch_id})

    stopped = {"STOPPING", "CANCELLED"}
    assert outcome.state == "success"
    assert (omics.get_run(id=run_id)["status"] in stopped) is (kind == "run")
    assert (omics.get_batch(batchId=batch_id)["status"] in stopped) is (kind == "batch")
    assert outcome.task_states["cancel_run" if kind == "batch" else "cancel_batch"] == "skipped"


@pytest.fixture
def run_cohort(emulator: OmicsEmulator, run_dag: RunDag) -> Callable[[], str]:
    """Run the cohort of ``example_omics_asset_alias``; gives the place of its results."""
    dag: Any = _load(EXAMPLE_DAGS / "example_omics_asset_alias.py")
    if hasattr(dag, "sync_to_db"):  # Airflow 2 must know the alias, which its DAG processor would tell it
        dag.sync_to_db()
    return lambda: str(run_dag(dag).xcoms["cohort"]["return_value"]["results_uri"])


def test_asset_alias(run_cohort: Callable[[], str], run_dag: RunDag) -> None:
    """The cohort's results become an asset by the alias; triggered by hand, the next DAG takes them as its sheet."""
    results_uri = run_cohort()

    outcome = run_dag("example_omics_asset_alias_next.py", conf={"results_uri": results_uri})

    assert [extra["completed_runs"] for uri, extra, _ in asset_events() if uri == results_uri] == [8]
    assert outcome.xcoms["annotate[0]"]["return_value"]["completed_runs"] == 8
    assert outcome.task_states == {"sheets": "success", "annotate[0]": "success"}


def test_asset_alias_of_two_cohorts(run_cohort: Callable[[], str], run_dag: RunDag) -> None:
    """Two cohorts that start one run of the next DAG are a batch each, and none is left out."""
    places = [run_cohort(), run_cohort()]
    events = [number for uri, _, number in asset_events() if uri in places]

    with started_by(events):
        outcome = run_dag("example_omics_asset_alias_next.py")

    assert len(events) == 2
    assert {sheet["path"] for sheet in outcome.xcoms["sheets"]["return_value"]} == set(places)
    assert outcome.task_states == {"sheets": "success", "annotate[0]": "success", "annotate[1]": "success"}
