"""The look before the first run, by the command and by the operator."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_omics.__main__ import main
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.operators.check import OmicsCheckOperator
from tests.airflow_support import BUCKET, ROLE, perform

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

TEAM = {
    "default_run_setting": {"roleArn": ROLE, "outputUri": f"s3://{BUCKET}/outputs/"},
    "staging_s3_uri": f"s3://{BUCKET}/staging/",
    "results_s3_uri": f"s3://{BUCKET}/results/",
}
SUBJECTS = [
    *("connection", "region", "caller", "service", "role"),
    *("output_uri", "staging_s3_uri", "results_s3_uri", "workflow"),
]
RNASEQ = {"id": "4567890", "name": "rnaseq", "parameter_template": {"input": {}, "genome": {"optional": True}}}


def look(capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    status = main(["check", *arguments, "--json"])
    document: dict[str, Any] = json.loads(capfd.readouterr().out)
    return status, {finding["subject"]: finding for finding in document["findings"]}


def test_all_is_well(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    """A line for each subject, in order; nothing is started or written, and no secret is shown."""
    connect(TEAM, aws_session_token="not-for-the-eye")

    status = main(["check", "--workflow-id", "1234567"])

    lines = capfd.readouterr().out.splitlines()
    assert status == 0
    assert [line.split()[:2] for line in lines] == [["ok", f"{subject}:"] for subject in SUBJECTS]
    assert "not-for-the-eye" not in "".join(lines)
    assert emulator.calls.by_operation() == {"ListRuns": 1, "GetWorkflow": 1}
    assert emulator.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


@pytest.mark.parametrize(
    ("team", "arguments", "subject", "level", "mend"),
    [
        ({}, ["--staging-s3-uri", "s3://nowhere-at-all/x/"], "staging_s3_uri", "error", "create the bucket"),
        ({"staging_s3_uri": "s3://gone-for-good/"}, [], "staging_s3_uri", "error", "create the bucket"),
        ({}, ["--workflow-id", "999"], "workflow", "error", "READY2RUN"),
        ({"default_run_setting": {}}, [], "role", "warning", "default_run_setting['roleArn']"),
        ({"mask_parameter": True}, [], "connection", "error", "did you mean mask_parameters?"),
        ({}, ["--output-uri", "/data/out"], "output_uri", "error", "s3://bucket/prefix/"),
    ],
)
def test_what_is_wrong(
    emulator: OmicsEmulator,
    connect: Connect,
    capfd: pytest.CaptureFixture[str],
    team: dict[str, Any],
    arguments: list[str],
    subject: str,
    level: str,
    mend: str,
) -> None:
    """Each mistake is a finding with its mend, and an error is the exit status."""
    connect({**TEAM, **team})

    status, found = look(capfd, *arguments)

    assert status == int(level == "error")
    assert found[subject]["level"] == level
    assert mend in found[subject]["mend"]


def test_misplaced_keys(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    """Keys of ours that nobody reads are a warning with their place."""
    connect(mask_parameters=True)

    status, found = look(capfd)

    assert (status, found["connection"]["level"]) == (0, "warning")
    assert "extra['mask_parameters']" in found["connection"]["text"]


def test_no_connection(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    """A connection that Airflow does not find is told, and that there is no Region then."""
    status, found = look(capfd, "--conn-id", "elsewhere")

    assert status == 1
    assert "AIRFLOW_CONN_ELSEWHERE" in found["connection"]["mend"]
    assert found["region"]["level"] == "error"


def test_sheet(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """A sheet is read as an operator reads it, and compared with the workflow."""
    connect(TEAM)
    emulator.set_scenario({"workflows": [RNASEQ]})
    sheet, mapping = tmp_path / "samples.csv", tmp_path / "mapping.json"
    sheet.write_text("sample,reads\nS1,s3://b-b/1.fq\n", encoding="utf-8")
    mapping.write_text(json.dumps({"run_setting_id": "{sample}", "parameters": {"input": "{reads}"}}), encoding="utf-8")
    common = ["--workflow-id", "4567890", "--sheet", str(sheet)]

    assert look(capfd, *common, "--mapping", str(mapping))[1]["sample_sheet"]["level"] == "ok"
    status, found = look(capfd, *common)
    assert (status, found["sample_sheet"]["level"]) == (1, "error")


def test_write(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    """With --write an object is written to the caller's places, and nothing of it is left."""
    connect(TEAM)

    status, found = look(capfd, "--write")

    assert status == 0
    assert "an object was written and deleted" in found["staging_s3_uri"]["text"]
    assert "an object was written and deleted" in found["results_s3_uri"]["text"]
    assert emulator.client("s3").list_objects_v2(Bucket=BUCKET)["KeyCount"] == 0


def test_refused_calls(emulator: OmicsEmulator, connect: Connect, capfd: pytest.CaptureFixture[str]) -> None:
    """A call that is refused names the missing action, and the look goes on."""
    connect(TEAM)
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    status, found = look(capfd, "--workflow-id", "1234567")

    assert status == 1
    assert "omics:ListRuns" in found["service"]["mend"]
    assert found["workflow"]["level"] == "ok"


def test_wrong_command_line(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Argparse ends a wrong command line with 2, and says what there is."""
    with pytest.raises(SystemExit) as caught:
        main(["chek"])

    assert caught.value.code == 2
    assert "check" in capfd.readouterr().err


def test_operator(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect, log_lines: Callable[..., list[str]]
) -> None:
    """The same look in a worker: a line in the log for each subject, and the findings as result."""
    connect(TEAM)

    ended = perform(OmicsCheckOperator(task_id="check", workflow_id=1234567, write="false"))  # type: ignore[arg-type]

    assert ended.error is None
    assert [finding["subject"] for finding in ended.result] == SUBJECTS
    assert {finding["level"] for finding in ended.result} == {"ok"}
    assert [line for line in log_lines() if line.startswith("ok ")] != []


def test_operator_fails(emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect) -> None:
    """All findings that are errors are one error, which no retry mends."""
    connect({**TEAM, "staging_s3_uri": "s3://gone-for-good/"})

    error = perform(OmicsCheckOperator(task_id="check", workflow_id="999")).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert [problem.argument for problem in error.problems] == ["staging_s3_uri", "workflow"]
