from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_omics.core.errors import Conflict, OmicsError, QuotaExceeded
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, perform

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime


def test_create_gives_the_id(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A run group is created with its caps, the text of templates included, and its id is the result."""
    task = OmicsCreateRunGroupOperator(
        task_id="create",
        name="{{ team }}",
        max_runs="{{ 5 }}",
        max_cpus=256,
        max_gpus="8",
        max_duration=600,
        tags={"team": "{{ team }}"},
    )

    ended = perform(task, team="germline")

    group = emulator.client().get_run_group(id=ended.result)
    expected: dict[str, Any] = {"name": "germline", "maxRuns": 5, "maxCpus": 256, "maxGpus": 8, "maxDuration": 600}
    assert expected.items() <= group.items()
    assert group["tags"] == {"team": "germline"}


def test_create_without_caps(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """What is not given is not sent: there is no cap."""
    ended = perform(OmicsCreateRunGroupOperator(task_id="create"))

    group = emulator.client().get_run_group(id=ended.result)
    assert not {"name", "maxRuns", "maxCpus", "maxGpus", "maxDuration"} & group.keys()


def test_create_over_the_quota(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A refused create is the typed error, as Airflow's exception."""
    emulator.set_scenario({"limits": {"run_groups": 0}})

    error = perform(OmicsCreateRunGroupOperator(task_id="create", name="one too many")).error

    assert isinstance(error, QuotaExceeded)
    assert isinstance(error, AirflowException)


@pytest.mark.parametrize("cap", ["many", "0.5", -1])
def test_cap_that_is_no_number(emulator: OmicsEmulator, stepped: SteppedTime, cap: Any) -> None:
    """A cap that is no whole number is refused by an error that names the argument, before any call."""
    error = perform(OmicsCreateRunGroupOperator(task_id="create", max_runs=cap)).error

    assert isinstance(error, OmicsError)
    assert "max_runs" in str(error)
    assert emulator.calls.by_operation() == {}


def test_delete(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A group is deleted, and a second time there is nothing to do."""
    group_id = perform(OmicsCreateRunGroupOperator(task_id="create")).result
    task = OmicsDeleteRunGroupOperator(task_id="delete", run_group_id="{{ group }}")

    assert perform(task, group=group_id).error is None
    assert list(emulator.client().list_run_groups()["items"]) == []
    assert perform(task, group=group_id).error is None


def test_group_in_use_is_not_deleted(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """While runs of the group are going, the delete is an error: a teardown must not hide that."""
    group_id = perform(OmicsCreateRunGroupOperator(task_id="create")).result
    emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "runGroupId": group_id, "requestId": "theirs"})

    error = perform(OmicsDeleteRunGroupOperator(task_id="delete", run_group_id=group_id)).error

    assert isinstance(error, Conflict)
