"""What the tab answers before a task is changed: asked of the service at the click, by the results file."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.links.omics import OmicsCohortReportLink, OmicsResultsFileLink, OmicsRunBatchLink
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.plugin.actions import batch_answer, offer, rerun_answer
from airflow_provider_omics.plugin.cohort import Recorded
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator

pytestmark = pytest.mark.usefixtures("stepped")


def recorded(emulator: OmicsEmulator, **arguments: Any) -> Recorded:
    """Run a task of which one sample of three fails, and take what it has recorded."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "outcome": "FAILED", "running": 90_000}]})
    task = OmicsStartRunBatchOperator(
        task_id="wgs",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples("S1", "S2", "S3"),
        poll_interval=1_800,
        **arguments,
    )
    xcoms = perform(task).xcoms
    links = (OmicsRunBatchLink, OmicsCohortReportLink, OmicsResultsFileLink)
    batch, report, results = (xcoms.get(link.key) for link in links)
    return Recorded("dag / wgs", batch, report, results)


@pytest.mark.parametrize(
    ("rerun", "sentence"),
    [
        ("failed", "submit 1: 1 failed; keep 2 (rerun='failed', with"),
        (None, "submit 1: 1 failed; keep 2 (rerun='failed', the default, with"),
        ("all", "submit 3: 2 completed, 1 failed; keep 0 (rerun='all', with"),
    ],
)
def test_forecast_of_results(emulator: OmicsEmulator, rerun: str | None, sentence: str) -> None:
    """The results file says how many are submitted and kept, by the last try's argument."""
    answer = rerun_answer(recorded(emulator, results_s3_uri=f"s3://{BUCKET}/wgs.jsonl.gz"), "failed", rerun)

    assert answer["is_offered"]
    assert sentence in answer["sentence"]


def test_forecast_without_results(emulator: OmicsEmulator) -> None:
    """Without a results file the batch's counts say it."""
    known = replace(recorded(emulator, results_s3_uri=f"s3://{BUCKET}/wgs.jsonl.gz"), results=None)

    answer = rerun_answer(known, "failed", "failed")

    assert answer["is_offered"]
    assert "submit 1; keep 2, by the counts of its last batch (" in answer["sentence"]


def test_alive(emulator: OmicsEmulator) -> None:
    """While runs are going there is nothing to click, whatever the task's state is; once they have ended there is."""
    known = recorded(emulator, wait_for_completion=False)
    emulator.advance(600)

    answer = rerun_answer(known, "failed", "failed")
    assert not answer["is_offered"]
    assert "of its runs are going: a rerun would cancel them" in answer["sentence"]
    assert batch_answer(known)["is_going"]

    emulator.advance(200_000)
    assert rerun_answer(known, "failed", "failed")["is_offered"]
    assert not batch_answer(known)["is_going"]


def test_nothing_to_submit(emulator: OmicsEmulator) -> None:
    """Where all have completed, a clear would submit nothing, and is not offered."""
    known = recorded(emulator, results_s3_uri=f"s3://{BUCKET}/wgs.jsonl.gz")
    emulator.set_scenario({})
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key="wgs.jsonl.gz")["Body"].read()
    text = gzip.decompress(body).decode().replace('"FAILED"', '"COMPLETED"')
    emulator.client("s3").put_object(Bucket=BUCKET, Key="wgs.jsonl.gz", Body=gzip.compress(text.encode()))

    answer = rerun_answer(known, "success", "failed")

    assert not answer["is_offered"]
    assert answer["sentence"].startswith("Nothing would be submitted: submit 0; keep 3")


@pytest.mark.parametrize("state", ["failed", "success"])
def test_batch_cannot_be_asked(emulator: OmicsEmulator, state: str) -> None:
    """What cannot be known is a sentence, and offers nothing."""
    known = recorded(emulator, results_s3_uri=f"s3://{BUCKET}/wgs.jsonl.gz")
    emulator.faults.add(operation="GetBatch", error="AccessDeniedException", times=2)

    answer = rerun_answer(known, state, "failed")

    assert not answer["is_offered"]
    assert answer["sentence"].startswith("What would be run again cannot be said: ")
    assert batch_answer(known)["is_going"]


@pytest.mark.parametrize(
    ("state", "expected"),
    [
        ("failed", "rerun"),
        ("success", "rerun"),
        ("deferred", "cancel"),
        ("running", "cancel"),
        ("queued", "cancel"),
        ("skipped", None),
        (None, None),
    ],
)
def test_offer(state: str | None, expected: str | None) -> None:
    """A task that has ended can be run again, one that is going be cancelled; others, and other tasks, neither."""
    assert offer(Recorded("wgs", {"batch_id": "1", "region_name": "us-east-1"}), state) == expected
    assert offer(Recorded("other"), state) is None
