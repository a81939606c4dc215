"""However much failed, a bounded number of calls is made, and a bounded text is written."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.diagnosis import Diagnoser
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import FailedRun
from tests.airflow_support import DEFAULT_RUN_SETTING, samples
from tests.diagnosis.cases import RUNS, failed_task

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime


def failed_batch(emulator: OmicsEmulator, rule: dict[str, Any], count: int) -> tuple[BatchSnapshot, list[FailedRun]]:
    """Give a batch of so many failed runs, of which the service holds a hundred: each stands for many."""
    emulator.set_scenario({"limits": {"submissions_per_second": 100}, "runs": [rule]})
    setting = {key: value for key, value in DEFAULT_RUN_SETTING.items() if key != "runSettingId"}
    started = emulator.client().start_run_batch(
        defaultRunSetting=setting,
        batchRunSettings={"inlineSettings": samples(*(f"S{number}" for number in range(100)))},
        requestId="batch",
    )
    emulator.advance(20_000)
    batch = BatchSnapshot.from_response(emulator.client().get_batch(batchId=started["id"]))
    ids = [run["id"] for run in emulator.service.started_runs()]
    emulator.calls.clear()
    counts = {**batch.counts, "failed_runs": count}
    failed = [FailedRun(f"sample-{number:06}", ids[number % len(ids)], "FAILED") for number in range(count)]
    return replace(batch, total_runs=count, counts=counts), failed


@pytest.mark.parametrize("count", [31, 10_000])
def test_failed_runs(emulator: OmicsEmulator, stepped: SteppedTime, count: int) -> None:
    """10,000 failed runs cost no more calls than 50, and no longer text."""
    batch, failed = failed_batch(emulator, RUNS["out_of_memory"], count)
    looked_at = min(count, 50)

    found = Diagnoser(OmicsHook()).batch(batch, failed)

    # One example more: its task is listed and got again, with its log.
    assert emulator.calls.by_operation() == {
        "GetRun": looked_at,
        "ListRunTasks": looked_at + 1,
        "GetRunTask": looked_at + 1,
    }
    (group,) = found.groups
    assert (group.cause, len(group.failures)) == ("OUT_OF_MEMORY_ERROR in ALIGN", looked_at)
    assert len(found.text()) < 5_000
    assert len(json.dumps(found.causes())) < 500


def test_looked_at_runs_are_spread(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The first 20 are looked at, as the error names them, and 30 from all over the others."""
    batch, failed = failed_batch(emulator, RUNS["service"], 10_000)

    (group,) = Diagnoser(OmicsHook()).batch(batch, failed).groups

    numbers = [int(failure.run_setting_id.rpartition("-")[2]) for failure in group.failures]
    assert numbers[:20] == list(range(20))
    assert max(right - left for left, right in itertools.pairwise(numbers[19:])) < 400
    assert numbers[-1] > 9_600


def test_failed_tasks(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Of 250 failed tasks one page is listed, and the last ten of it are told."""
    tasks = [failed_task(f"T{number}", duration=10, log=["x" * 5000] * 100) for number in range(250)]
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "tasks": tasks}]})
    run = emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": "one"})
    emulator.advance(7200)
    hook = OmicsHook()
    snapshot = hook.look("run", run["id"])
    emulator.calls.clear()
    assert isinstance(snapshot, RunSnapshot)

    found = Diagnoser(hook, log_lines=30).run(snapshot)

    assert emulator.calls.by_operation() == {"ListRunTasks": 1, "GetRunTask": 10}
    assert (len(found.failed_tasks), found.more_tasks) == (10, 90)
    assert all(len(task.log_lines) == 30 for task in found.failed_tasks)
    assert max(len(line) for line in found.text().splitlines()) < 500
    assert len(found.text()) < 10 * 30 * 500
