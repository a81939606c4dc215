from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, BaseOperator, XComArg
from airflow.serialization.helpers import serialize_template_field

from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.operators.masking import Masked
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, perform, rendered
from tests.model_support import is_sendable, refusal

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

PATIENT = "P-0042"
SECRET = {"patient": "{{ patient }}", "nested": {"also": ["{{ patient }}"]}}


def run(**arguments: Any) -> OmicsStartRunOperator:
    policy = '{"Statement": [{"Resource": "{{ patient }}"}]}'
    return OmicsStartRunOperator(
        **{"task_id": "align", **RUN, "parameters": SECRET, "session_policy": policy, **arguments}
    )


def batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    policy = '{"Statement": [{"Resource": "{{ patient }}"}]}'
    return OmicsStartRunBatchOperator(
        **{
            "task_id": "align_all",
            "default_run_setting": {**DEFAULT_RUN_SETTING, "parameters": SECRET, "sessionPolicy": policy},
            "run_settings": [{"runSettingId": "{{ patient }}", "parameters": SECRET}],
            **arguments,
        }
    )


def stored(task: Any) -> str:
    """Give all that Airflow stores of a task's rendered fields."""
    task = rendered(task, {"patient": PATIENT})
    return json.dumps({name: serialize_template_field(getattr(task, name), name) for name in task.template_fields})


@pytest.mark.parametrize("make", [run, batch])
@pytest.mark.parametrize(
    ("argument", "connection", "masked"),
    [
        (None, None, False),
        (None, True, True),
        (True, None, True),
        (True, False, True),
        (False, True, False),
        (None, False, False),
    ],
)
def test_rendered_fields_show_no_value(
    stepped: SteppedTime, connect: Connect, make: Any, argument: bool | None, connection: bool | None, masked: bool
) -> None:
    """With mask_parameters, of the argument or else of the connection, Airflow stores keys and no values."""
    connect({} if connection is None else {"mask_parameters": connection})

    text = stored(make(mask_parameters=argument))

    assert (PATIENT in text) is not masked
    assert ("masked: " in text) is masked
    assert "patient" in text  # the key


@pytest.mark.parametrize("make", [run, batch])
def test_a_connection_that_cannot_be_read_masks(stepped: SteppedTime, connect: Connect, make: Any) -> None:
    """Where nobody can tell whether to mask, nothing is shown; the task itself says what is wrong."""
    connect({"mask_parameters": "perhaps"})

    assert PATIENT not in stored(make())


@pytest.mark.parametrize("make", [run, batch])
def test_masked_values_are_sent(emulator: OmicsEmulator, stepped: SteppedTime, make: Any) -> None:
    """Masking is for Airflow's eyes: HealthOmics gets the values, if the installed boto3 has the fields."""
    ended = perform(make(mask_parameters=True), patient=PATIENT)

    if not is_sendable(Place.START_RUN, "sessionPolicy"):
        assert refusal(Place.START_RUN, "sessionPolicy") in str(ended.error)
        assert PATIENT not in str(ended.error)
        assert emulator.service.started_runs() == []
        return
    assert ended.error is None
    got = emulator.client().get_run(id=emulator.service.started_runs()[0]["id"])
    assert got["parameters"] == {"patient": PATIENT, "nested": {"also": [PATIENT]}}
    assert PATIENT in got["sessionPolicy"]


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ({"a": PATIENT, "b": 1}, "masked: 2 keys: a, b"),
        # A workflow may have a parameter of this name.
        ({"parameters": {"x": PATIENT}, "patient": PATIENT}, "masked: 2 keys: parameters, patient"),
        (PATIENT, "masked: text of 6 characters"),
        ([{"runSettingId": PATIENT, "name": PATIENT}, {"parameters": {}}], "masked: 2 settings with keys"),
        (42, "masked: int"),
    ],
    ids=["parameters", "a parameter called parameters", "text", "run settings", "other"],
)
def test_masked_value_shows_counts_and_keys(value: Any, shown: str) -> None:
    """A masked value shows its form: enough to see that it is there, and nothing of it."""
    masked = Masked(value, "parameters")

    assert masked.serialize() == repr(masked) == str(masked)
    assert shown in str(masked)
    assert PATIENT not in str(masked)
    assert masked.value is value


def test_masked_sheet_shows_its_path_and_columns(stepped: SteppedTime) -> None:
    """Of a sheet its constants and the values of its rows are hidden, wherever it stands; a path alone is shown."""
    sheet = {"path": "s3://sheets/s.csv", "parameters": {"patient": PATIENT}, "where": {"id": PATIENT}, "name": "{id}"}

    text = stored(batch(mask_parameters=True, run_settings=None, sample_sheet=sheet))

    assert PATIENT not in text
    assert "s3://sheets/s.csv" in text
    assert "masked: 1 keys: patient" in text
    assert '"s3://sheets/s.csv"' in stored(batch(mask_parameters=True, run_settings=None, sample_sheet=sheet["path"]))


def test_masked_default_run_setting_shows_the_rest(stepped: SteppedTime) -> None:
    """Of default_run_setting only parameters and session policy are hidden: role and outputs are worth seeing."""
    text = stored(batch(mask_parameters=True))

    assert DEFAULT_RUN_SETTING["roleArn"] in text
    assert DEFAULT_RUN_SETTING["outputUri"] in text
    assert PATIENT not in text


@pytest.mark.parametrize("make", [run, batch])
def test_literals_stay_out_of_the_serialized_dag(emulator: OmicsEmulator, stepped: SteppedTime, make: Any) -> None:
    """With mask_parameters on the operator, Airflow's database has the keys of literals alone; AWS gets the values."""
    literal = {"patient": PATIENT, "lanes": [PATIENT, 2]}
    arguments: dict[str, Any] = {"parameters": literal, "session_policy": None}
    if make is batch:
        default = {**DEFAULT_RUN_SETTING, "parameters": literal}
        arguments = {"default_run_setting": default, "run_settings": [{"runSettingId": "S1", "parameters": literal}]}
    with DAG("wgs", schedule=None):
        task = make(mask_parameters=True, **arguments)

    fields = {name: serialize_template_field(getattr(task, name), name) for name in task.template_fields}

    assert PATIENT not in json.dumps(fields)
    assert "lanes" in json.dumps(fields)
    assert PATIENT not in stored(task)
    assert perform(task).error is None
    got = emulator.client().get_run(id=emulator.service.started_runs()[0]["id"])
    assert got["parameters"] == literal


def test_outputs_of_other_tasks_are_still_waited_for() -> None:
    """A value that another task gives keeps its dependency, beside literals that are hidden."""
    with DAG("wgs", schedule=None):
        source = BaseOperator(task_id="source")
        task = run(mask_parameters=True, parameters={"born": "1950", "sample": XComArg(source)}, session_policy=None)

    assert task.upstream_task_ids == {"source"}
    assert "1950" not in str(serialize_template_field(task.parameters, "parameters"))
