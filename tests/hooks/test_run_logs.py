from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import ServiceError, Unavailable
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import RunLogsHook, ended_run
from tests.airflow_support import DEFAULT_RUN_SETTING, ROLE

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}


def start(emulator: OmicsEmulator, request_id: str = "one") -> dict[str, Any]:
    return emulator.service.call("StartRun", {**DEFAULT_RUN_SETTING, "requestId": request_id})


@pytest.mark.parametrize("by_uuid", [True, False])
@pytest.mark.parametrize(("rule", "status"), [({}, "COMPLETED"), (FAILS, "FAILED")])
def test_manifest_tells_how_a_run_ended(
    emulator: OmicsEmulator, connect: Connect, rule: dict[str, Any], status: str, *, by_uuid: bool
) -> None:
    """The manifest of a run whose record is gone has its end, with times and provenance."""
    emulator.set_scenario({"runs": [rule]})
    run = start(emulator)
    emulator.advance(3600)
    before = emulator.client().get_run(id=run["id"])
    emulator.service.remove_run(run["id"])

    found = ended_run(OmicsHook(), run["id"], run["uuid"] if by_uuid else None)

    assert isinstance(found, RunSnapshot)
    assert (found.id, found.uuid, found.status) == (run["id"], run["uuid"], status)
    assert (found.start_time, found.stop_time) == (before["startTime"], before["stopTime"])
    assert found.role_arn == ROLE
    assert found.failure_reason == before.get("failureReason")


def test_run_that_is_going_has_no_manifest(emulator: OmicsEmulator, connect: Connect) -> None:
    """A run that vanished before its end has no manifest: silence."""
    run = start(emulator)
    emulator.advance(100)
    emulator.service.remove_run(run["id"])

    assert ended_run(OmicsHook(), run["id"], run["uuid"]) is None


def test_manifest_of_another_run_under_the_same_id(emulator: OmicsEmulator, connect: Connect) -> None:
    """Ids are used again: the manifest of the earlier run does not tell of the later one."""
    emulator.set_scenario({"limits": {"reuse_run_ids": True}})
    first = start(emulator)
    emulator.advance(3600)
    emulator.service.remove_run(first["id"])
    second = start(emulator, "two")
    assert second["id"] == first["id"]

    hook = OmicsHook()

    found = ended_run(hook, first["id"], first["uuid"])
    assert isinstance(found, RunSnapshot)
    assert found.uuid == first["uuid"]
    assert ended_run(hook, second["id"], second["uuid"]) is None


def test_newest_manifest_counts_without_a_uuid(emulator: OmicsEmulator, connect: Connect) -> None:
    """Who does not know the uuid gets the run that ended last under the id."""
    emulator.set_scenario({"limits": {"reuse_run_ids": True}})
    hook = OmicsHook()
    for request_id in ("one", "two"):
        run = start(emulator, request_id)
        emulator.advance(3600)
        emulator.service.remove_run(run["id"])
        found = ended_run(hook, run["id"], None)
        assert isinstance(found, RunSnapshot)
        assert found.uuid == run["uuid"]


def test_logs_out_of_reach(emulator: OmicsEmulator, connect: Connect) -> None:
    """A manifest that cannot be read raises the typed error, which does not hide that the run is gone."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{taken.getsockname()[1]}"
        connect(
            service_config={"logs": {"endpoint_url": nowhere}},
            config_kwargs={"retries": {"total_max_attempts": 1}},
        )
        hook = OmicsHook()

        with pytest.raises(Unavailable) as caught:
            RunLogsHook.beside(hook).read_manifest("1", None)

        assert caught.value.operation == "DescribeLogStreams"
        assert isinstance(ended_run(hook, "1", None), ServiceError)


def test_logs_hook_stands_beside(emulator: OmicsEmulator, connect: Connect) -> None:
    """The logs are read in the Region and under the connection of the run."""
    logs = RunLogsHook.beside(OmicsHook(region_name="eu-west-1"))

    assert logs.conn_region_name == "eu-west-1"
    assert logs.conn.meta.endpoint_url == emulator.url
