"""However much failed, a bounded number of calls is made, and a bounded text is written."""

from __future__ import annotations

import itertools
import json
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import BatchVerdictError
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.diagnosis import Diagnoser
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results.cohort import Cohort
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples
from tests.diagnosis.cases import RUNS, failed_task

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime


def failed_batch(emulator: OmicsEmulator, rule: dict[str, Any], count: int) -> tuple[BatchSnapshot, Cohort]:
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
    failed = tuple(
        RunRecord(f"sample-{number:06}", ids[number % len(ids)], None, RecordStatus.FAILED) for number in range(count)
    )
    batch = replace(batch, total_runs=count, counts=counts)
    return batch, replace(Cohort().with_counts(batch), failed=failed)


@pytest.mark.parametrize("count", [31, 10_000])
def test_failed_runs(emulator: OmicsEmulator, stepped: SteppedTime, count: int) -> None:
    """10,000 failed runs cost no more calls than 50 do, and no longer a text."""
    batch, cohort = failed_batch(emulator, RUNS["out_of_memory"], count)
    looked_at = min(count, 50)

    found = Diagnoser(OmicsHook()).batch(batch, cohort)

    # The example costs none: its task is known by then.
    assert emulator.calls.by_operation() == dict.fromkeys(("GetRun", "ListRunTasks", "GetRunTask"), looked_at)
    (group,) = found.groups
    assert (group.cause, len(group.failures)) == ("OUT_OF_MEMORY_ERROR in ALIGN", looked_at)
    assert len(found.text()) < 5_000
    assert len(json.dumps(found.causes())) < 500


def test_batch_of_ten_thousand_failures(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """From the lists to the last line of the log: the pages of lists, and no more calls than for fifty failures."""
    emulator.set_scenario(
        {
            "limits": {"submissions_per_second": 1000, "concurrent_dynamic_runs": 10_000},
            "runs": [
                {"match": {"run_setting_id": "Q*"}, "submission_failure": {"reason": "ThrottlingException"}},
                {"match": {"run_setting_id": "I*"}, **RUNS["import"]},
                RUNS["service"],
            ],
        }
    )
    names = [f"{'QI'[number % 5] if number % 5 < 2 else 'S'}{number:05}" for number in range(10_000)]
    task = OmicsStartRunBatchOperator(
        task_id="t",
        poll_interval=3600,
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples(*names),
        staging_s3_uri=f"s3://{BUCKET}/staging/",
        failure_log_lines=0,
    )

    error = perform(task).error

    calls = emulator.calls.by_operation()
    assert isinstance(error, BatchVerdictError)
    assert (calls["GetRun"], calls["ListRuns"]) == (50, 80)
    assert calls["ListRunsInBatch"] == 20 + 100
    assert calls["ListRunTasks"] == 50
    assert error.diagnosis is not None
    counts = {cause["cause"]: cause["count"] for cause in error.diagnosis["causes"]}
    assert counts.keys() == {"ThrottlingException", "SERVICE_ERROR", "IMPORT_FAILED", "FAILED: not looked at"}
    assert (counts["ThrottlingException"], counts["FAILED: not looked at"]) == (2000, 7950)
    assert sum(counts.values()) == 10_000
    (text,) = log_lines(logging.ERROR)
    assert text.startswith("10,000 of 10,000 samples failed in batch 2000001; 2,050 of them were looked at:\n")
    assert len(text) < 10_000


def test_looked_at_runs_are_spread(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The first 20 are looked at, as the error names them, and 30 from all over the others."""
    batch, cohort = failed_batch(emulator, RUNS["service"], 10_000)

    (group,) = Diagnoser(OmicsHook()).batch(batch, cohort).groups

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
