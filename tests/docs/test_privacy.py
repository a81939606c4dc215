"""The page on what is logged and shown is true: what must not be seen is nowhere, what the page shows is seen."""

from __future__ import annotations

import json
import logging
import re
import runpy
import traceback
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_omics.operators.run_batch  # noqa: F401  # `stepped` steps the time of modules that are loaded
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, ONE_TRY, RUN, TASK_LOG, perform, rendered
from tests.docs.blocks import BLOCKS, DOCS
from tests.model_support import is_sendable, sendable

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

PATIENT = "Mrs-Vlahos-1950"
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Sid": "MrsVlahos1950", "Effect": "Allow"}]})
PLACE = f"s3://{BUCKET}/staging/"
FAILED = {"runs": [{"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}]}

SHEETS = {
    "samples.csv": f"id,patient,born\nS1,{PATIENT},{PATIENT}\nS2,{PATIENT},\n".encode(),
    "latin.csv": f"id,patient,born\nS1,{PATIENT},\xe9{PATIENT}\n".encode("latin-1"),
    "broken.jsonl": f'{{"id": "S1", "patient": {PATIENT}}}\n'.encode(),
    "quoted.csv": f'id,patient,born\nS1,"{PATIENT}"x,1\n'.encode(),
}
SHEET = {"path": "samples.csv", "run_setting_id": "{id}"}

CASES: dict[str, tuple[str, dict[str, Any], str]] = {
    "run": ("run", {}, "RunFailed"),
    "batch": ("batch", {}, "BatchVerdictError"),
    "wrong parameters": ("run", {"parameters": [PATIENT]}, "SettingsError"),
    "wrong setting": ("run", {"cache_behavior": "CACHE_ALWAYS"}, "SettingsError"),
    "missing input": (
        "run",
        {"parameters": {"bam": f"s3://{BUCKET}/{PATIENT}.bam"}, "check_inputs": True},
        "SettingsError",
    ),
    "other template": ("run", {"workflow_id": "2345678", "check_workflow": True}, "SettingsError"),
    "dry run": ("run", {"dry_run": True}, "NoneType"),
    "no URI": ("run", {"parameters": {"bam": f"s3:/{PATIENT}"}, "check_inputs": True}, "SettingsError"),
    "wrong runs": ("batch", {"run_settings": [{"runSettingId": "S1", "name": f"\a{PATIENT}"}]}, "SettingsError"),
    "wrong cells": ("batch", {"sample_sheet": {**SHEET, "types": {"born": "int"}}}, "SettingsError"),
    "wrong cells, checked": ("batch", {"sample_sheet": {**SHEET, "output_uri": "{patient}"}}, "SettingsError"),
    "wrong URIs": ("batch", {"sample_sheet": {**SHEET, "parameters": {"bam": "s3:/{patient}"}}}, "SettingsError"),
    "rows that share an id": ("batch", {"sample_sheet": {**SHEET, "run_setting_id": "{patient}"}}, "SettingsError"),
    "rows that differ": (
        "batch",
        {"sample_sheet": {**SHEET, "group_by_id": True, "run_setting_id": "{patient}", "name": "{born}"}},
        "SettingsError",
    ),
    "constants of a sheet": (
        "batch",
        {"sample_sheet": {**SHEET, "parameters": {"p": PATIENT}, "where": {"id": PATIENT}}},
        "SettingsError",
    ),
    "function that fails": (
        "batch",
        {"sample_sheet": {**SHEET, "build": lambda _: {"S1": 1}[PATIENT]}},
        "SettingsError",
    ),
    "function that is wrong": (
        "batch",
        {"sample_sheet": {**SHEET, "build": lambda _: {"runSettingId": PATIENT, "name": f"{PATIENT}\n"}}},
        "SettingsError",
    ),
    "byte that is no text": ("batch", {"sample_sheet": {**SHEET, "path": "latin.csv"}}, "SettingsError"),
    "line that is no JSON": ("batch", {"sample_sheet": {**SHEET, "path": "broken.jsonl"}}, "SettingsError"),
    "cell that is no CSV": ("batch", {"sample_sheet": {**SHEET, "path": "quoted.csv"}}, "SettingsError"),
}
"""Kind of task, arguments, and the class of the error it ends with."""


def make(kind: str, **arguments: Any) -> Any:
    """Make a task with a patient in its parameters and its session policy."""
    common: dict[str, Any] = {"task_id": "t", "botocore_config": ONE_TRY}
    arguments = {"mask_parameters": True, **arguments}
    if kind == "run":
        policy = POLICY if is_sendable(Place.START_RUN, "sessionPolicy") else None
        given: dict[str, Any] = {**RUN, "parameters": {"patient": PATIENT}, "session_policy": policy, **arguments}
        return OmicsStartRunOperator(**common, **given)
    of_batch = sendable(Place.DEFAULT_RUN_SETTING, {"parameters": {"patient": PATIENT}, "sessionPolicy": POLICY})
    default = {**DEFAULT_RUN_SETTING, **of_batch}
    runs = [{"runSettingId": f"S{number}", "parameters": {"born": PATIENT}} for number in range(101)]
    given = {"default_run_setting": default, "run_settings": runs, "results_s3_uri": PLACE, **arguments}
    if "sample_sheet" in given:
        given["run_settings"] = None
    return OmicsStartRunBatchOperator(**common, **given)


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
@pytest.mark.parametrize("case", CASES)
def test_no_value_is_seen(
    emulator: OmicsEmulator,
    connect: Connect,
    caplog: pytest.LogCaptureFixture,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    case: str,
    *,
    deferrable: bool,
) -> None:
    """Values of parameters, policies and cells are in no log, error with its causes, XCom, trigger, event or field."""
    connect({"staging_s3_uri": PLACE})
    monkeypatch.chdir(tmp_path)
    for name, content in SHEETS.items():
        (tmp_path / name).write_bytes(content)
    emulator.set_scenario({**FAILED, "limits": {"submissions_per_second": 9e6, "concurrent_dynamic_runs": 1000}})
    caplog.set_level(logging.INFO)
    kind, arguments, error = CASES[case]
    task = make(kind, **arguments, deferrable=deferrable)

    ended = perform(task)

    lines = [record.getMessage() for record in caplog.records]
    stored = rendered(task, {})
    fields = [repr(getattr(stored, name)) for name in stored.masked_fields]
    facts = [vars(ended.error) if ended.error else None, ended.result, ended.xcoms, ended.event, ended.trigger]
    causes = traceback.format_exception(ended.error) if ended.error else []
    told = "\n".join([*lines, *fields, *causes, repr(facts)])
    assert type(ended.error).__name__ == error, ended.error
    assert PATIENT not in told
    assert "MrsVlahos1950" not in told


@pytest.mark.usefixtures("stepped", "emulator")
@pytest.mark.parametrize(("kind", "lines"), [("run", 1), ("batch", 4)])
@pytest.mark.parametrize("masks", [False, True])
def test_debug_shows_the_request(caplog: pytest.LogCaptureFixture, kind: str, lines: int, *, masks: bool) -> None:
    """Who turns the debug level on sees what would be sent, the first three runs too; with masking nobody does."""
    caplog.set_level(logging.DEBUG, TASK_LOG.name)

    runs = {"run_settings": [{"runSettingId": name, "parameters": {"born": PATIENT}} for name in "abcd"]}

    perform(make(kind, dry_run=True, mask_parameters=masks, **(runs if kind == "batch" else {})))

    levels = [record.levelname for record in caplog.records if PATIENT in record.getMessage()]
    assert levels == ([] if masks else ["DEBUG"] * lines)


def test_masked(tmp_path: Path) -> None:
    """What the page says that the UI has is what Airflow is given to store."""
    (code,) = [block.text for block in BLOCKS if block.dag_id == "masked"]
    path = tmp_path / "masked.py"
    path.write_text(code.replace("None):", "None) as dag:"))
    task = runpy.run_path(str(path))["dag"].get_task("align")

    (shown,) = re.findall(r"UI then has for `parameters` is `(.*?)`", (DOCS / "privacy.md").read_text(encoding="utf-8"))
    assert repr(rendered(task, {}).parameters) == shown
