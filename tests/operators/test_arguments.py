"""Arguments as people type, export and render them: read, or refused before anything is started."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, AirflowException, AirflowFailException

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.wait.events import Outcome, parse_event
from airflow_provider_omics.core.wait.outcome import error_of
from airflow_provider_omics.operators.run import OmicsCancelRunOperator, OmicsDeleteRunOperator, OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import (
    OmicsCollectBatchResultsOperator,
    OmicsDeleteRunBatchOperator,
    OmicsStartRunBatchOperator,
)
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator
from airflow_provider_omics.sensors.run import OmicsRunSensor
from airflow_provider_omics.sensors.run_batch import OmicsRunBatchSensor
from airflow_provider_omics.triggers.run import OmicsRunTrigger
from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, fire, perform, samples

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

BAD: list[dict[str, Any]] = [
    *({"run_timeout": value} for value in ("PT1H", -1)),
    *({"patience": value} for value in ("long", None)),
    *({"poll_interval": value} for value in (None, -1, math.nan, "soon")),
    {"wait_for_completion": "maybe"},
    {"failure_log_lines": "many"},
    {"deferrable": "later"},
]
GOOD = [
    *[{"run_timeout": 36_000}, {"run_timeout": "36000"}, {"run_timeout": timedelta(hours=10)}, {"patience": 60}],
    *[{"poll_interval": "30"}, {"poll_interval": timedelta(seconds=30)}, {"check_workflow": "false"}],
]


def start(kind: str, **arguments: Any) -> Any:
    if kind == "run":
        return OmicsStartRunOperator(task_id="start", **{**RUN, **arguments})
    of_batch = {"default_run_setting": DEFAULT_RUN_SETTING, "run_settings": samples("S1")}
    return OmicsStartRunBatchOperator(task_id="start", **{**of_batch, **arguments})


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    ("kind", "arguments"),
    [(kind, bad) for kind in ("run", "batch") for bad in BAD if kind == "run" or "run_timeout" not in bad],
    ids=str,
)
def test_bad_arguments_start_nothing(
    emulator: OmicsEmulator, stepped: SteppedTime, kind: str, arguments: dict[str, Any], dry_run: bool
) -> None:
    """An argument that cannot be read is told together with bad settings before anything is sent, and is final."""
    bad = {"tags": {"aws:x": "y"}}

    error = perform(start(kind, dry_run=dry_run, **{"deferrable": True, **arguments}, **bad)).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert {problem.argument for problem in error.problems} == {*arguments, "tags['aws:x']"}
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize("deferrable", [False, True, "true", "no"])
@pytest.mark.parametrize("arguments", GOOD, ids=str)
def test_good_arguments(
    emulator: OmicsEmulator, stepped: SteppedTime, deferrable: Any, arguments: dict[str, Any]
) -> None:
    """Numbers, text and timedeltas mean the same, waited for in a worker or in the triggerer."""
    ended = perform(start("run", deferrable=deferrable, **arguments))

    assert ended.error is None
    assert ended.result["status"] == "COMPLETED"
    assert (ended.trigger is not None) is (deferrable in (True, "true"))
    assert emulator.calls["StartRun"] == 1
    assert emulator.calls["GetWorkflow"] == 0


@pytest.mark.parametrize("kind", ["run", "batch"])
def test_run_timeout_and_flags_as_text_count(emulator: OmicsEmulator, stepped: SteppedTime, kind: str) -> None:
    """Flags of an environment variable do what they say."""
    ended = perform(start(kind, wait_for_completion="false", deferrable="false", check_workflow="False"))

    assert ended.error is None
    assert ended.result["status"] in ("PENDING", "CREATING")
    assert emulator.calls["GetWorkflow"] == 0


def test_everything_of_a_batch_at_once(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Two sources of runs, a percentage of 500, a rerun of no sample and a wrong interval are one error."""
    task = start(
        "batch",
        sample_sheet="samples.csv",
        max_failed_percent=500,
        rerun=[""],
        on_changed="wait",
        results_detail="much",
        poll_interval="soon",
        max_runs="few",
    )

    error = perform(task).error

    assert isinstance(error, SettingsError)
    assert {problem.argument for problem in error.problems} == {
        *("run_settings and sample_sheet", "max_failed_percent", "rerun", "on_changed", "results_detail"),
        *("poll_interval", "max_runs"),
    }
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        ({"run_settings": '[{"runSettingId": "S1"}]'}, "run_settings"),
        ({"run_settings": ["{'runSettingId': 'S1'}"]}, "run_settings[0]"),
        ({"default_run_setting": "{'workflowId': '1'}"}, "default_run_setting"),
        ({"rerun_setting": "{'storageType': 'DYNAMIC'}"}, "rerun_setting"),
        ({"tags": "{'a': 'b'}"}, "tags"),
        ({"must_succeed": "['S1']"}, "must_succeed"),
    ],
)
def test_text_for_a_list_or_a_dict(
    emulator: OmicsEmulator, stepped: SteppedTime, arguments: dict[str, Any], argument: str
) -> None:
    """A list or dict that a template has made text is told as such, with the ways to hand it over."""
    error = perform(start("batch", **arguments)).error

    assert isinstance(error, SettingsError)
    (problem,) = [problem for problem in error.problems if problem.argument == argument]
    assert "task.output" in problem.allowed
    assert "render_template_as_native_obj" in problem.allowed


@pytest.mark.parametrize(
    ("cls", "argument"),
    [
        (OmicsCancelRunOperator, "run_id"),
        (OmicsDeleteRunOperator, "run_id"),
        (OmicsDeleteRunBatchOperator, "batch_id"),
        (OmicsCollectBatchResultsOperator, "batch_id"),
        (OmicsDeleteRunGroupOperator, "run_group_id"),
        (OmicsRunSensor, "run_id"),
        (OmicsRunBatchSensor, "batch_id"),
    ],
)
@pytest.mark.parametrize("value", [1e5, True, "None", "s3://b/k"])
def test_no_id(emulator: OmicsEmulator, stepped: SteppedTime, cls: Any, argument: str, value: Any) -> None:
    """What is no id, or was one before native rendering, is refused before it is sent, also with soft_fail."""
    soft = {"soft_fail": True} if "Sensor" in cls.__name__ else {}

    error = perform(cls(task_id="task", **{argument: value}, **soft)).error

    assert isinstance(error, SettingsError)
    assert isinstance(error, AirflowFailException)
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize("arguments", [{"poll_interval": None}, {"poll_interval": -1}, {"patience": math.nan}], ids=str)
def test_no_wait_of_a_sensor(emulator: OmicsEmulator, stepped: SteppedTime, arguments: dict[str, Any]) -> None:
    """A sensor refuses a bad interval before it looks."""
    error = perform(OmicsRunSensor(task_id="wait", run_id="1", deferrable=True, **arguments)).error

    assert isinstance(error, SettingsError)
    assert emulator.calls.by_operation() == {}


@pytest.mark.parametrize(
    "arguments",
    [
        *[{"poll_interval": value} for value in (None, -1, math.nan, math.inf, "soon", 1e300)],
        *[{"patience": "long"}, {"deadline": "tomorrow"}, {"grace": -1}, {"cancel_on_kill": "perhaps"}],
    ],
    ids=str,
)
@pytest.mark.parametrize("cls", [OmicsRunTrigger, OmicsRunBatchTrigger])
def test_bad_arguments_of_a_trigger(
    emulator: OmicsEmulator, stepped: SteppedTime, cls: Any, arguments: dict[str, Any]
) -> None:
    """A trigger that cannot wait fires an event that says why at once, and nothing is asked."""
    event = parse_event(fire(cls("1", **arguments)), cls.kind)

    assert event.outcome is Outcome.INVALID
    error = error_of(event, "us-east-1")
    assert isinstance(error, SettingsError)
    assert f"{next(iter(arguments))} = " in str(error)
    assert emulator.calls.by_operation() == {}


def test_trigger_reads_its_arguments() -> None:
    """A trigger is stored with what it has read, so that it is made the same again."""
    given: dict[str, Any] = {"poll_interval": "15", "patience": timedelta(hours=1), "cancel_on_kill": "false"}

    _, stored = OmicsRunTrigger(10000001, **given).serialize()  # type: ignore[arg-type]  # as native rendering has it

    assert (stored["run_id"], stored["poll_interval"], stored["patience"]) == ("10000001", 15.0, 3600.0)
    assert stored["cancel_on_kill"] is False
    assert OmicsRunTrigger(**stored).serialize()[1] == stored


@pytest.mark.parametrize("deferrable", [False, True])
def test_ids_that_are_numbers(emulator: OmicsEmulator, stepped: SteppedTime, deferrable: bool) -> None:
    """Native rendering makes numbers of ids and names of digits: every operator and sensor takes them."""
    run = int(perform(start("run", run_name=12878, tags={"case": 123}, wait_for_completion=False)).result["run_id"])
    group = int(perform(OmicsCreateRunGroupOperator(task_id="group", name=12878, max_runs=5)).result)  # type: ignore[arg-type]
    setting = {"runSettingId": 12878, "name": 12878, "runTags": {"case": 123}}
    default = {**DEFAULT_RUN_SETTING, "runGroupId": group}
    cohort = start("batch", default_run_setting=default, run_settings=[setting], must_succeed=[12878], batch_name=2026)
    batch = int(perform(cohort).result["batch_id"])
    tasks: list[Any] = [
        OmicsRunSensor(task_id="wait", run_id=run, deferrable=deferrable),  # type: ignore[arg-type]
        OmicsCancelRunOperator(task_id="cancel", run_id=run),  # type: ignore[arg-type]
        OmicsDeleteRunOperator(task_id="delete", run_id=run),  # type: ignore[arg-type]
        OmicsRunBatchSensor(task_id="wait", batch_id=batch, deferrable=deferrable),  # type: ignore[arg-type]
        OmicsCollectBatchResultsOperator(task_id="collect", batch_id=batch, results_s3_uri=f"s3://{BUCKET}/r.jsonl"),  # type: ignore[arg-type]
        OmicsDeleteRunBatchOperator(task_id="delete", batch_id=batch),  # type: ignore[arg-type]
        OmicsDeleteRunGroupOperator(task_id="ungroup", run_group_id=group),  # type: ignore[arg-type]
    ]

    assert [ended.error for ended in map(perform, tasks)] == [None] * len(tasks)


def test_native_rendering(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A sample called 12878 is; one called 1e5 is never a run called 100000.0, and quotes in the template keep it."""
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        names = {"digits": "{{ 12878 }}", "lost": "{{ name }}", "kept": "'{{ name }}'"}
        tasks = {
            task_id: OmicsStartRunOperator(task_id=task_id, **RUN, run_name=name, wait_for_completion=False)
            for task_id, name in names.items()
        }

    errors = {task_id: perform(task, name="1e5").error for task_id, task in tasks.items()}

    assert [task_id for task_id, error in errors.items() if error is not None] == ["lost"]
    assert "render_template_as_native_obj" in str(errors["lost"])
    assert {run["name"] for run in emulator.service.started_runs()} == {"12878", "1e5"}


def test_text_without_a_template_stays_text(emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path) -> None:
    """Native rendering reads 1_000 and 0x1F as Python does; what is no template is not rendered, in a sheet neither."""
    (tmp_path / "s.csv").write_text("id,lane,1\n1_000,0x1F,a\n0b11,0x1F,b\n0x1E,0x1E,c\n")
    sheet = {"path": str(tmp_path / "s.csv"), "where": {"lane": "0x1F"}, "parameters": {"barcode": "0x1F", "1": "{1}"}}
    with DAG("native", schedule=None, render_template_as_native_obj=True):
        batch = start("batch", run_settings=None, sample_sheet=sheet, must_succeed="1_000")
        run = OmicsStartRunOperator(task_id="run", **{**RUN, "parameters": {"barcode": "0x1F"}, "run_name": "1_000"})

    assert [perform(task).error for task in (batch, run)] == [None, None]
    *of_batch, alone = emulator.service.started_runs()
    client = emulator.client()
    assert {run["runSettingId"]: client.get_run(id=run["id"])["parameters"] for run in of_batch} == {
        "1_000": {"barcode": "0x1F", "1": "a"},
        "0b11": {"barcode": "0x1F", "1": "b"},
    }
    assert (alone["name"], client.get_run(id=alone["id"])["parameters"]) == ("1_000", {"barcode": "0x1F"})


@pytest.mark.parametrize(
    ("cls", "arguments", "hint"),
    [
        (OmicsStartRunBatchOperator, {"workflow_id": "1"}, "workflow_id: default_run_setting['workflowId']"),
        (OmicsStartRunBatchOperator, {"parameters": {}}, "run_settings[...]['parameters'] where runs differ"),
        (OmicsStartRunBatchOperator, {"name": "x"}, "name: batch_name of the batch"),
        (OmicsStartRunBatchOperator, {"sample_shet": "x"}, "sample_shet: did you mean sample_sheet?"),
        (OmicsStartRunOperator, {"name": "x"}, "name: this operator calls it run_name"),
        (OmicsStartRunOperator, {"run_id": "1"}, "run_id: this operator calls it source_run_id"),
        (OmicsStartRunOperator, {"outputUri": "s3://b/"}, "outputUri: this operator calls it output_uri"),
    ],
)
def test_arguments_that_are_nearly_ours(cls: Any, arguments: dict[str, Any], hint: str) -> None:
    """Airflow refuses an unknown argument with its own error, which has our hint below its own text."""
    with pytest.raises((TypeError, AirflowException), match="Invalid arguments were passed") as caught:
        cls(task_id="task", **arguments)

    assert hint in str(caught.value)


def test_arguments_that_are_nobodys() -> None:
    """Without a hint Airflow's error stays as it is."""
    with pytest.raises((TypeError, AirflowException), match="Invalid arguments were passed") as caught:
        OmicsStartRunOperator(task_id="task", zzzz=1)

    assert caught.value.__cause__ is None
