"""Reading the manifests of runs while their results are collected."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.run_batch import OmicsCollectBatchResultsOperator, OmicsStartRunBatchOperator
from airflow_provider_omics.results.manifests import ManifestReader
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, ONE_TRY, TASK_LOG, perform, samples
from tests.results.batches import delete_manifests, end

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

pytestmark = pytest.mark.usefixtures("stepped", "connect")


def reader(calls: list[None]) -> ManifestReader:
    return ManifestReader(OmicsHook(), TASK_LOG, lambda: calls.append(None))


def test_manifest_is_read_once_and_paced(emulator: OmicsEmulator) -> None:
    """Two calls bring a manifest, each of which waits for its turn; who asks for it again gets the same."""
    end(emulator, "S1")
    (run,) = emulator.service.started_runs()
    paced: list[None] = []
    manifests = reader(paced)

    messages = manifests.read(run["id"], run["uuid"])

    assert messages is not None
    assert json.loads(messages[0])["uuid"] == run["uuid"]
    assert len(paced) == 2
    assert manifests.read(run["id"], run["uuid"]) == messages
    assert len(paced) == 2


def test_manifest_that_is_not_there_yet_is_asked_for_again(emulator: OmicsEmulator) -> None:
    """Silence is no answer that is kept: a manifest can come late."""
    end(emulator, "S1")
    (run,) = emulator.service.started_runs()
    delete_manifests(emulator, run["id"])
    paced: list[None] = []
    manifests = reader(paced)

    assert manifests.read(run["id"], run["uuid"]) == ()
    assert manifests.read(run["id"], run["uuid"]) == ()
    assert len(paced) == 2


def test_newest_manifest_counts_without_a_uuid(emulator: OmicsEmulator) -> None:
    """Who does not know the uuid gets the newest manifest under the id."""
    end(emulator, "S1")
    (run,) = emulator.service.started_runs()

    messages = reader([]).read(run["id"], None)

    assert messages is not None
    assert json.loads(messages[0])["uuid"] == run["uuid"]


def test_logs_out_of_reach(emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]]) -> None:
    """Where CloudWatch Logs cannot be reached, the log says so once, and what is missing is None, not empty."""
    connect(service_config={"logs": {"endpoint_url": "http://127.0.0.1:1"}}, config_kwargs=ONE_TRY)
    manifests = reader([])

    assert [manifests.read(run_id, "u") for run_id in ("1", "2")] == [None, None]
    assert sum("Manifests cannot be read" in line for line in log_lines(logging.WARNING)) == 1


@pytest.mark.parametrize(("region", "calls"), [("us-east-1", 10), ("us-west-2", 5), ("eu-central-1", 5)])
def test_pace_of_a_region(
    emulator: OmicsEmulator, connect: Connect, stepped: SteppedTime, region: str, calls: int
) -> None:
    """Half of what an account has at most: CloudWatch Logs allows it 10 calls a second in some Regions, or 25."""
    connect({"calls_per_second": 100})  # GetRun makes nobody wait
    place: dict[str, Any] = {"region_name": region, "results_s3_uri": f"s3://{BUCKET}/results/wgs.jsonl.gz"}
    runs = samples(*(f"S{number}" for number in range(20)))
    arguments: dict[str, Any] = {
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": runs,
        "wait_for_completion": False,
    }
    started = perform(OmicsStartRunBatchOperator(task_id="cohort", **arguments, **place)).result
    emulator.advance(100_000)
    began = stepped.time()

    perform(OmicsCollectBatchResultsOperator(task_id="collect", batch_id=started["batch_id"], **place))

    assert 2 * len(runs) / (stepped.time() - began) == pytest.approx(calls, rel=0.1)
