"""Reading the manifests of runs while their results are collected."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results.manifests import ManifestReader
from tests.airflow_support import ONE_TRY, TASK_LOG
from tests.results.batches import delete_manifests, end

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

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
