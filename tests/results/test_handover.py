"""What has completed is handed on once: to one DAG run of a task, and to it again when it is tried again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Asset

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import OutletEvents, TaskInstanceRecord, execute, rendered
from tests.results.batches import URI, rule, start

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

pytestmark = pytest.mark.usefixtures("stepped")
ASSET = Asset("s3://genomics-outputs/results/wgs")


@dataclass
class Events:
    """Stands for Airflow's accessor of an asset's events."""

    partition_keys: set[str] = field(default_factory=set)

    def add_partitions(self, keys: list[str]) -> None:
        self.partition_keys.update(keys)


def run(batch_id: str, dag_run: str, events: Any = None, **arguments: Any) -> dict[str, Any]:
    record = TaskInstanceRecord(task_id=arguments.get("task_id", "collect"), run_id=dag_run)
    context: dict[str, Any] = {"ti": record, "task_instance": record, "outlet_events": OutletEvents(lambda: events)}
    given = {"task_id": "collect", "batch_id": batch_id, "results_s3_uri": URI, **arguments}
    found: dict[str, Any] = execute(rendered(OmicsCollectBatchResultsOperator(**given), context), context)
    return found


def taken(result: dict[str, Any]) -> list[list[str]]:
    return [[one.run_setting_id for one in read_batch_results(**chunk)] for chunk in result["new_chunks"]]


@pytest.fixture
def batch_id(emulator: OmicsEmulator) -> str:
    """A batch of which two samples have completed, and the third will."""
    emulator.set_scenario({"runs": [rule("LATE", running=50_000), rule("F", outcome="FAILED", failure_reason="X")]})
    started = start(emulator, "S1", "F", "LATE", "S2")
    emulator.advance(20_000)
    return started


def test_each_sample_once(emulator: OmicsEmulator, batch_id: str) -> None:
    """A DAG run takes what is new; a retry of it the same, and what has completed since."""
    first = run(batch_id, "one", chunk_size=1)
    again = run(batch_id, "one", chunk_size=10)
    nothing = run(batch_id, "two", chunk_size=10)
    emulator.advance(100_000)
    late = run(batch_id, "three", chunk_size=10)

    assert (taken(first), first["new_completed"]) == ([["S1"], ["S2"]], 2)
    assert taken(again) == [["S1", "S2"]]
    assert (taken(nothing), nothing["new_completed"]) == ([], 0)
    assert taken(late) == [["LATE"]]


def test_two_tasks_do_not_take_from_each_other(batch_id: str) -> None:
    """Each task hands on for itself."""
    assert taken(run(batch_id, "one", chunk_size=10)) == [["S1", "S2"]]
    assert taken(run(batch_id, "one", chunk_size=10, task_id="other")) == [["S1", "S2"]]


def test_nothing_is_handed_on_unasked(batch_id: str) -> None:
    assert "new_chunks" not in run(batch_id, "one")


def test_partitions_of_an_asset(batch_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Samples are keys of partitions where that was asked for; too many are chunks only."""
    events, bounded = Events(), Events()

    run(batch_id, "one", events, partitions=True, outlets=[ASSET])
    monkeypatch.setattr("airflow_provider_omics.jobs.actions.MAX_PARTITIONS", 1)
    result = run(batch_id, "one", bounded, partitions=True, outlets=[ASSET])

    assert events.partition_keys == {"S1", "S2"}
    assert (bounded.partition_keys, taken(result)) == (set(), [["S1", "S2"]])


@pytest.mark.parametrize("outlets", [[], [ASSET]], ids=["no asset", "an older Airflow"])
def test_no_partitions(batch_id: str, emulator: OmicsEmulator, outlets: list[Any]) -> None:
    """Where there can be none, the task fails before it collects."""
    emulator.calls.clear()

    with pytest.raises(SettingsError, match="partitions"):
        run(batch_id, "one", object(), partitions=True, outlets=outlets)

    assert emulator.calls["GetBatch"] == 0
