from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Sample
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results.cohort import Cohort, started_run_ids
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}
DENIED = {"submission_failure": {"reason": "AccessDeniedException", "message": "The role cannot read it."}}


def rule(pattern: str, **rest: Any) -> dict[str, Any]:
    return {"match": {"run_setting_id": pattern}, **rest}


def ended_batch(emulator: OmicsEmulator, hook: OmicsHook, names: list[str]) -> BatchSnapshot:
    """Run a batch of these runs to its end."""
    body = json.dumps(samples(*names))
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)
    started = hook.start_run_batch(
        {
            "requestId": "one",
            "defaultRunSetting": DEFAULT_RUN_SETTING,
            "batchRunSettings": {"s3UriSettings": f"s3://{BUCKET}/settings.json"},
        }
    )
    emulator.advance(36000)
    batch = BatchSnapshot.from_response(hook.get_batch(started["id"]))
    emulator.calls.clear()
    return batch


def test_each_failed_run_with_its_reason(emulator: OmicsEmulator, connect: Connect) -> None:
    """First what was not submitted, then what failed, then what was cancelled: with own ids and AWS's reasons."""
    emulator.set_scenario({"runs": [rule("F*", **FAILS), rule("D*", **DENIED), rule("C*", running=7200)]})
    hook = OmicsHook()
    request = {
        "requestId": "one",
        "defaultRunSetting": DEFAULT_RUN_SETTING,
        "batchRunSettings": {"inlineSettings": samples("S1", "F1", "D1", "C1", "F2")},
    }
    started = hook.start_run_batch(request)
    emulator.advance(3600)
    runs = {run["runSettingId"]: run["id"] for run in emulator.service.started_runs()}
    hook.cancel_run(runs["C1"])
    emulator.advance(3600)
    batch = BatchSnapshot.from_response(hook.get_batch(started["id"]))

    refused = RunRecord("D1", None, None, RecordStatus.NOT_SUBMITTED, failure_reason="AccessDeniedException")
    assert Cohort().with_failed(hook, batch).not_completed == (
        replace(refused, message="The role cannot read it."),
        RunRecord("F1", runs["F1"], None, RecordStatus.FAILED),
        RunRecord("F2", runs["F2"], None, RecordStatus.FAILED),
        RunRecord("C1", runs["C1"], None, RecordStatus.CANCELLED),
    )


def test_nothing_failed(emulator: OmicsEmulator, connect: Connect) -> None:
    """A batch that went well costs no call."""
    hook = OmicsHook()
    batch = ended_batch(emulator, hook, ["S1", "S2"])

    assert Cohort().with_failed(hook, batch).failed == ()
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize(
    ("failing", "total", "expected"),
    [
        # One call a failed run, as long as that is fewer than pages of the whole batch.
        (1, 250, {"ListRuns": 1, "ListRunsInBatch": 1}),
        (3, 250, {"ListRuns": 1, "ListRunsInBatch": 3}),
        (4, 250, {"ListRuns": 1, "ListRunsInBatch": 3}),
        (150, 250, {"ListRuns": 2, "ListRunsInBatch": 3}),
    ],
)
def test_calls_are_few(
    emulator: OmicsEmulator, connect: Connect, failing: int, total: int, expected: dict[str, int]
) -> None:
    """The users' own ids are found with the fewest calls; reasons are not asked for."""
    emulator.set_scenario({"limits": {"submissions_per_second": 100}, "runs": [rule("F*", **FAILS)]})
    hook = OmicsHook()
    names = [f"F{number}" for number in range(failing)] + [f"S{number}" for number in range(total - failing)]
    batch = ended_batch(emulator, hook, names)

    found = Cohort().with_failed(hook, batch).failed

    assert {run.run_setting_id for run in found} == set(names[:failing])
    assert emulator.calls.by_operation() == expected


def test_deleted_run_is_of_unknown_end(emulator: OmicsEmulator, connect: Connect) -> None:
    """A run whose record somebody deleted is named, as nobody can tell how it ended."""
    hook = OmicsHook()
    batch = ended_batch(emulator, hook, ["S1", "S2", "S3"])
    second = emulator.service.started_runs()[1]
    hook.delete_run(second["id"])
    batch = BatchSnapshot.from_response(hook.get_batch(batch.id))

    (found,) = Cohort().with_failed(hook, batch).failed

    assert (found.run_setting_id, found.run_id, found.status) == ("S2", second["id"], "UNKNOWN")


def test_started_runs(emulator: OmicsEmulator, connect: Connect) -> None:
    """The runs that a failed batch had started are found, and no more than asked for."""
    emulator.set_scenario({"batches": [{"failure": {"reason": "No.", "after_runs": 3}}]})
    hook = OmicsHook()
    batch = ended_batch(emulator, hook, ["S1", "S2", "S3", "S4", "S5"])
    ids = [run["id"] for run in emulator.service.started_runs()]

    assert batch.status == "FAILED"
    assert started_run_ids(hook, batch.id, 20) == ids
    assert started_run_ids(hook, batch.id, 2) == ids[:2]


def test_samples_that_earlier_attempts_have_left() -> None:
    """Counted are those of the sheet that were not submitted; named are those that did not complete."""
    cohort = Cohort.of_samples(
        [
            Sample("new"),
            Sample("S1", carried="COMPLETED"),
            Sample("S2", carried="FAILED", reason="OUT_OF_MEMORY_ERROR", run_id="7", message="exit code 137"),
            Sample("gone", carried="FAILED", removed=True),
        ]
    )

    assert cohort.carried_forward == 2
    assert cohort.counts == BatchCounts.of_statuses({"COMPLETED": 1, "FAILED": 1})
    assert cohort.failed == ()
    assert [(run.run_setting_id, run.run_id, run.status, run.failure_code, run.message) for run in cohort.carried] == [
        ("S2", "7", "FAILED", "OUT_OF_MEMORY_ERROR", "exit code 137")
    ]
