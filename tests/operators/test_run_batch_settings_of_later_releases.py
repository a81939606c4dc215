"""Settings of batches that came with later releases of boto3: refused by an older one wherever they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples
from tests.model_support import is_sendable, refusal

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

PAYS = {"requesterPaysEnabled": True}
ENGINE = {"engineSettings": {"profile": "test"}}
OF_BATCH, OF_RUN = Place.DEFAULT_RUN_SETTING, Place.PER_RUN
STAGED = {"staging_s3_uri": f"s3://{BUCKET}/staging/"}


def many(count: int) -> list[dict[str, Any]]:
    """Make settings, of which the last has what is younger."""
    runs = samples(*(f"S{number}" for number in range(count)))
    return [*runs[:-1], {**runs[-1], **ENGINE}]


@pytest.mark.parametrize(
    ("place", "field", "argument", "arguments", "connection"),
    [
        (
            OF_BATCH,
            "requesterPaysEnabled",
            "default_run_setting['requesterPaysEnabled']",
            {"default_run_setting": {**DEFAULT_RUN_SETTING, **PAYS}},
            {},
        ),
        (
            OF_BATCH,
            "requesterPaysEnabled",
            "connection default_run_setting['requesterPaysEnabled']",
            {},
            {"default_run_setting": PAYS},
        ),
        (
            OF_BATCH,
            "requesterPaysEnabled",
            "rerun_setting['requesterPaysEnabled']",
            {"rerun_setting": PAYS, "results_s3_uri": f"s3://{BUCKET}/results/"},
            {},
        ),
        (OF_RUN, "engineSettings", "run_settings[1]['engineSettings']", {"run_settings": many(2)}, {}),
        (OF_RUN, "engineSettings", "run_settings[119]['engineSettings']", {"run_settings": many(120), **STAGED}, {}),
        (
            OF_RUN,
            "engineSettings",
            "sample_sheet['engine_settings']",
            {"run_settings": None, "sample_sheet": "<sheet>"},
            {},
        ),
    ],
    ids=["default", "connection", "rerun", "one run", "one of many runs", "sheet"],
)
def test_younger_setting_is_refused_where_it_stands(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    connect: Connect,
    tmp_path: Path,
    *,
    place: Place,
    field: str,
    argument: str,
    arguments: dict[str, Any],
    connection: dict[str, Any],
) -> None:
    """An older boto3 sends nothing, and the error names the place and the release; one that has the field starts."""
    connect(connection)
    sheet = tmp_path / "samples.csv"
    sheet.write_text("sample\nS1\n")
    if arguments.get("sample_sheet"):
        mapping = {"path": str(sheet), "engine_settings": {"profile": "test"}}
        arguments = {**arguments, "sample_sheet": mapping}
    given = {"default_run_setting": DEFAULT_RUN_SETTING, "run_settings": samples("S1"), **arguments}

    ended = perform(OmicsStartRunBatchOperator(task_id="all", wait_for_completion=False, **given))

    if is_sendable(place, field):
        assert ended.error is None
        assert emulator.calls["StartRunBatch"] == 1
        return
    assert isinstance(ended.error, SettingsError)
    assert f"{argument} = set: {refusal(place, field)}" in str(ended.error)
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize(("given", "sent"), [(True, True), ("{{ false }}", False), (None, None)])
def test_requester_pays_of_a_batch(
    emulator: OmicsEmulator, stepped: SteppedTime, given: Any, sent: bool | None
) -> None:
    """The flag arrives in each run, also where a template has made it text; unset it stays unset."""
    setting = {**DEFAULT_RUN_SETTING, "requesterPaysEnabled": given}
    task = OmicsStartRunBatchOperator(task_id="all", default_run_setting=setting, run_settings=samples("S1"))

    ended = perform(task)

    if sent is not None and not is_sendable(OF_BATCH, "requesterPaysEnabled"):
        assert refusal(OF_BATCH, "requesterPaysEnabled") in str(ended.error)
        return
    (run,) = emulator.service.started_runs()
    assert emulator.client().get_run(id=run["id"]).get("requesterPaysEnabled") is sent


@pytest.mark.parametrize("field", ["outputUriPrefixMode", "parametersUri"])
def test_settings_of_single_runs_alone(emulator: OmicsEmulator, stepped: SteppedTime, field: str) -> None:
    """StartRunBatch has no such fields: the error says which operator takes them, whatever boto3 is installed."""
    setting = {**DEFAULT_RUN_SETTING, field: "s3://bucket/key"}

    error = perform(
        OmicsStartRunBatchOperator(task_id="all", default_run_setting=setting, run_settings=samples("S"))
    ).error

    assert isinstance(error, SettingsError)
    assert "exists for single runs only: OmicsStartRunOperator(" in str(error)
    assert emulator.calls.by_operation() == {}
