"""What a batch may cost, told before it starts; one that may cost more than allowed is refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, TaskInstanceRecord, perform, samples
from tests.operators.test_costs import SCENARIO, TASK, USD

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

pytestmark = pytest.mark.usefixtures("stepped")

ROOT = f"s3://{BUCKET}/results/"


def batch(*names: str, **arguments: Any) -> OmicsStartRunBatchOperator:
    return OmicsStartRunBatchOperator(
        task_id="wgs",
        **{
            "default_run_setting": {**DEFAULT_RUN_SETTING, "storageType": "STATIC"},
            "run_settings": samples(*names),
            "results_s3_uri": ROOT,
            "read_costs": True,
            "deferrable": False,
            "poll_interval": 600,
            **arguments,
        },
    )


def earlier(emulator: OmicsEmulator, **arguments: Any) -> str:
    """Run two samples in another DAG run; returns their results."""
    emulator.set_scenario(SCENARIO)
    other = TaskInstanceRecord(task_id="wgs", run_id="earlier")
    return str(perform(batch("E1", "E2", **arguments), ti=other, task_instance=other).result["results_uri"])


def started(emulator: OmicsEmulator) -> set[str]:
    return {run["runSettingId"] for run in emulator.service.started_runs()} - {"E1", "E2"}


@pytest.mark.parametrize("dry_run", [False, True])
def test_estimate_by_the_last_file_of_this_task(
    emulator: OmicsEmulator, log_lines: Callable[..., list[str]], *, dry_run: bool
) -> None:
    """It says what it rests on, before the start and in a dry run."""
    uri = earlier(emulator)

    assert perform(batch("A", "B", "C", dry_run=dry_run)).error is None

    (told,) = [line for line in log_lines(logging.INFO) if line.startswith("Estimate:")]
    usd = f"{3 * USD:,.2f}"
    assert f"about {usd} USD ({usd} to {usd}) for 3 runs, by 2 earlier runs of the same workflow and version" in told
    assert "h" in told.partition(";")[2]
    assert uri in told
    assert started(emulator) == (set() if dry_run else {"A", "B", "C"})


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(("limit", "passes"), [(3 * USD + 0.01, True), (3 * USD - 0.01, False), ("1.5", False)])
def test_limit(emulator: OmicsEmulator, limit: Any, *, passes: bool, dry_run: bool) -> None:
    """What may cost more is refused before anything is sent, with the estimate and its basis."""
    uri = earlier(emulator)

    error = perform(batch("A", "B", "C", max_cost_usd=limit, dry_run=dry_run)).error

    assert (error is None) is passes
    if not passes:
        assert "max_cost_usd" in str(error)
        assert f"about {3 * USD:,.2f} USD" in str(error)
        assert uri in str(error)
        assert started(emulator) == set()


@pytest.mark.parametrize("required", [False, True])
@pytest.mark.parametrize("without", ["results", "prices", "version", "place"])
def test_without_a_basis(
    emulator: OmicsEmulator, log_lines: Callable[..., list[str]], without: str, *, required: bool
) -> None:
    """A limit that cannot be checked is told, and the batch starts; not where an estimate is required."""
    if without == "prices":
        earlier(emulator, read_costs=False)
    elif without == "version":
        earlier(emulator, default_run_setting={**DEFAULT_RUN_SETTING, "workflowId": "3456789"})
    more = {"results_s3_uri": None, "read_costs": False} if without == "place" else {}

    error = perform(batch("A", max_cost_usd=0.01, require_estimate=required, **more)).error

    told = [line for line in log_lines(logging.WARNING) if "max_cost_usd is not checked" in line]
    assert (error is None, len(told)) == ((False, 0) if required else (True, 1))
    assert started(emulator) == (set() if required else {"A"})
    if required:
        assert "require_estimate" in str(error)


def test_named_results_count(emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]]) -> None:
    """``previous_results`` are the basis; what has completed there is not started, and not estimated."""
    uri = earlier(emulator)
    emulator.set_scenario({"runs": [{"tasks": [TASK]}]})

    error = perform(batch("E1", "A", previous_results=uri, max_cost_usd=1.5 * USD)).error

    assert error is None
    assert any(f"about {USD:,.2f} USD" in line and "for 1 runs" in line for line in log_lines(logging.INFO))
    assert started(emulator) == {"A"}


def test_no_estimate_where_nobody_asks(emulator: OmicsEmulator, log_lines: Callable[..., list[str]]) -> None:
    """Without costs and limit nothing is read."""
    earlier(emulator, read_costs=False)

    assert perform(batch("A", read_costs=False)).error is None
    assert not any("stimate" in line for line in log_lines(logging.INFO))


@pytest.mark.parametrize("limit", [0, -1, "cheap", float("nan"), True])
def test_limit_that_is_none(emulator: OmicsEmulator, limit: Any) -> None:
    """It is refused with what is allowed."""
    error = perform(batch("A", max_cost_usd=limit)).error

    assert "max_cost_usd" in str(error)
    assert "USD" in str(error)


def test_settings_that_nobody_may_read(emulator: OmicsEmulator, log_lines: Callable[..., list[str]]) -> None:
    """The runs of an S3 object are counted for a limit; where it cannot be read, the limit is not checked, and told."""
    earlier(emulator)
    emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=b'[{"runSettingId": "A"}]')
    task = batch(run_settings=None, run_settings_s3_uri=f"s3://{BUCKET}/settings.json", max_cost_usd=0.5 * USD)

    assert f"about {USD:,.2f} USD" in str(perform(task).error)
