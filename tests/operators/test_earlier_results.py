"""What has completed in other tasks and DAG runs is not submitted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.amazon.aws.hooks.base_aws import AwsGenericHook

from airflow_provider_omics.core.errors import SettingsError
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, samples
from tests.operators.reruns import PERMANENT, URI, fails, script, statuses, submitted
from tests.operators.tries import NewTask, waits

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator

pytestmark = pytest.mark.usefixtures("stepped", "looks_seldom")


@waits
def test_previous_results(
    emulator: OmicsEmulator, new_task: NewTask, log_lines: Callable[..., list[str]], *, deferrable: bool
) -> None:
    """What completed in another DAG run is not submitted; the new results file is complete all the same."""
    task = new_task("batch", deferrable=deferrable)
    earlier = f"s3://{BUCKET}/results/earlier.jsonl.gz"
    script(task, fails(PERMANENT, "S2"))
    task.try_(results_s3_uri=earlier, run_settings=samples("S1", "S2", "GONE"), max_failed_runs=3)
    other = new_task("batch", deferrable=deferrable)
    other.instance.run_id = "manual__2026-02-02T00:00:00+00:00"
    script(task)

    ended = other.try_(results_s3_uri=URI, run_settings=samples("S1", "S2", "S3"), previous_results=earlier)

    assert ended.error is None
    assert submitted(task)[1] == ["S2", "S3"]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "S3": "COMPLETED"}
    assert ended.result["carried_forward"] == 1
    assert "submit 2: 1 failed, 1 new; keep 1" in log_lines()


def test_previous_results_in_the_same_file(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """A file to which several DAG runs add keeps what others have put there."""
    task = new_task("batch")
    script(task, fails(PERMANENT, "S2"))
    task.try_(results_s3_uri=URI, run_settings=samples("S1", "S2", "OTHER"), max_failed_runs=3)
    other = new_task("batch")
    other.instance.run_id = "manual__2026-02-02T00:00:00+00:00"
    script(task)

    ended = other.try_(results_s3_uri=URI, run_settings=samples("S1", "S2"), previous_results=URI)

    assert ended.error is None
    assert submitted(task)[1] == ["S2"]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "OTHER": "COMPLETED"}


def test_earlier_results_count_for_rows_that_come_later(new_task: NewTask) -> None:
    """previous_results is read for each attempt: a row that a clear brings in is not run again if it is done there."""
    earlier = new_task("batch")
    earlier.try_(run_settings=samples("S1", "S3"), results_s3_uri=f"s3://{BUCKET}/results/earlier.jsonl.gz")
    task = new_task("batch")
    task.instance.task_id = "later"
    script(task, fails(PERMANENT, "S4"))
    arguments = {"previous_results": f"s3://{BUCKET}/results/earlier.jsonl.gz", "results_s3_uri": URI}
    task.try_(run_settings=samples("S1", "S4"), **arguments)
    script(task)
    task.clear()

    task.try_(run_settings=samples("S1", "S3", "S4"))

    assert submitted(task)[1:] == [["S4"], ["S4"]]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [({}, None), ({"trust_foreign": True}, ["S2"]), ({"on_changed": "keep"}, ["S2"]), ({"on_changed": "rerun"}, None)],
    ids=["unasked", "trusted", "kept", "again"],
)
def test_rerun_failed_of(
    emulator: OmicsEmulator, new_task: NewTask, arguments: dict[str, Any], expected: list[str] | None
) -> None:
    """Of a batch that somebody else started nobody knows the settings: whether they are the same, the user says."""
    emulator.set_scenario({"runs": fails(PERMANENT, "S2")})
    started = emulator.client().start_run_batch(
        requestId="by hand",
        defaultRunSetting=DEFAULT_RUN_SETTING,
        batchRunSettings={"inlineSettings": [{"runSettingId": name} for name in ("S1", "S2")]},
    )
    emulator.advance(100_000)
    emulator.set_scenario({})
    task = new_task("batch")

    ended = task.try_(rerun_failed_of=started["id"], **arguments)

    if expected is None:
        again = [["S1", "S2"]] if arguments else []
        assert submitted(task)[1:] == again
        assert again or "1 completed samples have results without settings" in str(ended.error)
        return
    assert ended.error is None
    assert submitted(task)[1] == expected
    assert (ended.result["completed_runs"], ended.result["carried_forward"]) == (2, 1)


def test_rerun_of_what_is_still_going(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """A batch that may yet complete its samples is refused, before anything is started."""
    task = new_task("batch")
    script(task, [{"running": 90_000}])
    task.try_(wait_for_completion=False)
    other = new_task("batch")
    other.instance.run_id = "another"

    ended = other.try_(rerun_failed_of=task.started()[0]["id"])

    assert isinstance(ended.error, SettingsError)
    assert "a batch that has ended; it is " in str(ended.error)
    assert len(task.started()) == 1


def test_previous_results_are_read_by_the_hook(
    emulator: OmicsEmulator, new_task: NewTask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are reached with the connection and the configuration of the task: Airflow is not asked for another."""
    earlier = f"s3://{BUCKET}/results/earlier.jsonl.gz"
    script(new_task("batch"))
    new_task("batch").try_(results_s3_uri=earlier, run_settings=samples("S1", "S2"))
    get_connection = AwsGenericHook.get_connection
    asked: list[str] = []

    def asking(conn_id: str) -> Any:
        asked.append(conn_id)
        return get_connection(conn_id)

    monkeypatch.setattr(AwsGenericHook, "get_connection", staticmethod(asking))
    other = new_task("batch")
    other.instance.run_id = "manual__2026-02-02T00:00:00+00:00"

    ended = other.try_(results_s3_uri=URI, run_settings=samples("S1", "S2"), previous_results=earlier)

    assert ended.result["carried_forward"] == 2
    assert asked == ["aws_default"]
