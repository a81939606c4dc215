"""Runs whose parameters, and whose place for outputs, came with releases after the floor of the package."""

from __future__ import annotations

import json
from typing import Any

import pytest

from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.emulator.errors import ServiceError
from tests.model_support import is_sendable

URI = "s3://staging/parameters.json"


def put(omics: Any, body: bytes, key: str = "parameters.json") -> None:
    """Put an object where the run is going to look for its parameters."""
    omics.surroundings.put_object("123456789012", "us-east-1", "staging", key, body)


def is_refused(omics: Any, name: str, **more: Any) -> bool:
    """Tell whether the installed model lacks a field; the service then refuses it by name."""
    if is_sendable(Place.START_RUN, name):
        return False
    with pytest.raises(ServiceError, match=f"Unknown member at '{name}'"):
        omics.start_run(**more)
    return True


def test_parameters_are_read_from_the_object(omics: Any) -> None:
    """The run uses them; GetRun answers the URI while it is PENDING, and from then on a new presigned URL each time."""
    put(omics, json.dumps({"input": "s3://reads/S1.fastq.gz"}).encode())

    if is_refused(omics, "parametersUri", parametersUri=URI):
        return

    run_id = omics.start_run(parametersUri=URI)["id"]

    assert omics.run(run_id)["parametersUri"] == URI
    assert "parameters" not in omics.run(run_id)
    omics.advance(10)
    first = omics.run(run_id)["parametersUri"]
    omics.advance(10)
    assert first.startswith("https://")
    assert "X-Amz-Signature=" in first
    assert omics.run(run_id)["parametersUri"] != first
    omics.advance(10_000)
    omics.service.flush_outputs("123456789012")
    (result,) = (stored for (_, _, key), stored in omics.surroundings.objects.items() if key.endswith("results.json"))
    assert json.loads(result.body)["parameters"] == {"input": "s3://reads/S1.fastq.gz"}


@pytest.mark.parametrize(
    ("body", "workflow", "reason"),
    [
        pytest.param(None, "1234567", "cannot be read", id="missing"),
        pytest.param(b"{", "1234567", "not valid JSON", id="no JSON"),
        pytest.param(b"[]", "1234567", "must hold a JSON object", id="no object"),
        pytest.param(b'{"sample_name": "a"}', "2345678", "Missing required parameters: fastq_1", id="unfit"),
    ],
)
def test_bad_object_fails_the_run_later(omics: Any, body: bytes | None, workflow: str, reason: str) -> None:
    """StartRun succeeds; the run fails with INVALID_RUN_PARAMETERS, and GetRun answers the URI as it was given."""
    if body is not None:
        put(omics, body)

    if is_refused(omics, "parametersUri", workflowId=workflow, parametersUri=URI):
        return

    run_id = omics.start_run(workflowId=workflow, parametersUri=URI)["id"]

    assert omics.run(run_id)["status"] == "PENDING"
    omics.advance(100)
    run = omics.run(run_id)
    assert (run["status"], run["failureReason"]) == ("FAILED", "INVALID_RUN_PARAMETERS")
    assert reason in run["statusMessage"]
    assert run["parametersUri"] == URI


def test_parameters_stand_in_one_place(omics: Any) -> None:
    """Both are refused; a duplicate that has one of them takes nothing of the other from its source."""
    put(omics, b'{"a": 1}')
    source = omics.start_run(parameters={"b": 2})["id"]
    if is_refused(omics, "parametersUri", runId=source, parametersUri=URI):
        return
    with pytest.raises(ServiceError, match="either parameters or parametersUri, not both"):
        omics.start_run(parameters={}, parametersUri=URI)

    again = omics.start_run(runId=source, parametersUri=URI)["id"]
    third = omics.start_run(runId=again, parameters={"c": 3})["id"]

    omics.advance(10)
    assert "parameters" not in omics.run(again)
    assert omics.run(third)["parameters"] == {"c": 3}


@pytest.mark.parametrize(
    ("mode", "output_uri", "folder"),
    [
        ("SERVICE_DEFINED", "s3://results/runs", "runs/{id}/"),
        ("NONE_WITH_OVERWRITE", "s3://results/runs/", "runs/"),
        ("NONE_WITH_OVERWRITE", "s3://results", ""),
    ],
)
def test_outputs_lie_where_the_mode_says(omics: Any, mode: str, output_uri: str, folder: str) -> None:
    """With NONE_WITH_OVERWRITE they lie right under outputUri, and the next run writes over them."""
    if is_refused(omics, "outputUriPrefixMode", outputUriPrefixMode=mode, outputUri=output_uri):
        return
    ids = []
    for _ in range(2):
        ids.append(omics.start_run(outputUriPrefixMode=mode, outputUri=output_uri)["id"])
        omics.advance(10_000)
        omics.service.flush_outputs("123456789012")

    objects = omics.surroundings.objects
    keys = {key for _, bucket, key in objects if bucket == "results" and key.endswith("results.json")}
    assert keys == {f"{folder.format(id=run_id)}out/results.json" for run_id in ids}
    run = omics.run(ids[-1])
    assert run["outputUriPrefixMode"] == mode
    assert run["runOutputUri"] == f"s3://results/{folder.format(id=ids[-1])}".rstrip("/")
