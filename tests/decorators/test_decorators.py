"""TaskFlow: a function returns what to run, in DAGs that Airflow runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_omics.decorators import omics_run, omics_run_batch
from airflow_provider_omics.sheets import SampleSheet, each
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, samples

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime
    from tests.conftest import RunDag

pytestmark = pytest.mark.xdist_group("airflow_db")


@pytest.fixture
def calls() -> list[Any]:
    """Collect what the decorated functions of a test are called with: `dag.test` calls them in this process."""
    return []


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_a_function_returns_run_settings(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, calls: list[Any], *, deferrable: bool
) -> None:
    """It is called once, deferred or not, with an upstream's result; its task returns what the operator does."""

    @task
    def arrived() -> list[str]:
        return ["S1", "S2"]

    with DAG(f"settings_{deferrable}", schedule=None) as dag:

        @omics_run_batch(default_run_setting=DEFAULT_RUN_SETTING, deferrable=deferrable)
        def cohort(names: list[str], day: str) -> list[dict[str, Any]]:
            calls.append((names, day))
            return samples(*names)

        cohort(arrived(), day="{{ ds_nodash }}")  # type: ignore[arg-type]  # Airflow passes the result

    outcome = run_dag(dag)

    assert outcome.task_states == {"arrived": "success", "cohort": "success"}
    assert outcome.xcoms["cohort"]["return_value"]["completed_runs"] == 2
    ((names, day),) = calls
    assert names == ["S1", "S2"]
    assert day.isdecimal() or day == ""


@pytest.mark.parametrize("form", ["path", "sheet"])
def test_a_function_returns_a_sheet(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, tmp_path: Path, *, form: str
) -> None:
    """A path, or a SampleSheet; in its cells nothing is rendered."""
    path = tmp_path / "samples.csv"
    path.write_text("sample,note\nS1,{{ ds }}\nS2,b\n")
    with DAG(f"sheet_{form}", schedule=None) as dag:

        @omics_run_batch(default_run_setting=DEFAULT_RUN_SETTING, deferrable=False)
        def cohort() -> Any:
            return str(path) if form == "path" else SampleSheet(path=str(path), run_setting_id="{sample}")

        cohort()

    outcome = run_dag(dag)

    assert outcome.task_states == {"cohort": "success"}
    parameters = [emulator.client().get_run(id=run["id"])["parameters"] for run in emulator.service.started_runs()]
    assert sorted(parameters, key=lambda each: str(each["sample"])) == [
        {"sample": "S1", "note": "{{ ds }}"},
        {"sample": "S2", "note": "b"},
    ]


def test_a_function_returns_rows(emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag) -> None:
    """Rows in memory with a mapping, as those of a sheet; in them nothing is rendered."""
    with DAG("rows", schedule=None) as dag:

        @omics_run_batch(default_run_setting=DEFAULT_RUN_SETTING, deferrable=False)
        def cohort(names: list[str]) -> SampleSheet:
            rows = [{"sample": name, "lane": lane, "note": "{{ ds }}"} for name in names for lane in (1, 2)]
            mapping = {"sample": "{sample}", "lanes": each("{lane}"), "notes": each("{note}")}
            return SampleSheet(
                rows=rows, run_setting_id="{sample}", group_by_id=True, parameters=mapping, types={"lane": int}
            )

        cohort(["S1", "S2"])

    outcome = run_dag(dag)

    assert outcome.task_states == {"cohort": "success"}
    parameters = [emulator.client().get_run(id=run["id"])["parameters"] for run in emulator.service.started_runs()]
    assert sorted(parameters, key=lambda each: str(each["sample"])) == [
        {"sample": name, "lanes": [1, 2], "notes": ["{{ ds }}"] * 2} for name in ("S1", "S2")
    ]


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_a_function_returns_parameters_of_mapped_runs(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, calls: list[Any], *, deferrable: bool
) -> None:
    """One run a sample by ``partial`` and ``expand``; Airflow's own name for the decorator is the same."""
    with DAG(f"mapped_{deferrable}", schedule=None) as dag:

        @task.omics_run(deferrable=deferrable, **RUN)
        def align(reference: str, sample: str) -> dict[str, Any]:
            calls.append(sample)
            return {"sample": sample, "reference": reference}

        align.partial(reference="GRCh38").expand(sample=["S1", "S2"])

    outcome = run_dag(dag)

    assert outcome.task_states == {"align[0]": "success", "align[1]": "success"}
    assert ["run_uuid" in kept for kept in outcome.xcoms.values()] == [False, False]
    parameters = [emulator.client().get_run(id=run["id"])["parameters"] for run in emulator.service.started_runs()]
    assert sorted(parameters, key=lambda each: str(each["sample"])) == [
        {"sample": "S1", "reference": "GRCh38"},
        {"sample": "S2", "reference": "GRCh38"},
    ]
    assert sorted(calls) == ["S1", "S2"]


def test_override_makes_another_task(emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag) -> None:
    """``override`` changes arguments of the operator, and the next task takes its result."""
    with DAG("override", schedule=None) as dag:

        @omics_run(deferrable=False, **RUN)
        def align() -> dict[str, Any]:
            return {"sample": "S1"}

        @task
        def report(result: dict[str, Any]) -> str:
            return f"{result['status']} {result['run_id']}"

        named: Any = align.override(task_id="named", run_name="nightly")()
        report(named)

    outcome = run_dag(dag)

    (run,) = emulator.service.started_runs()
    assert outcome.xcoms["report"]["return_value"] == f"COMPLETED {run['id']}"
    assert emulator.client().get_run(id=run["id"])["name"] == "nightly"


def test_a_uri_is_where_the_parameters_are() -> None:
    """All else is left to the check of ``parameters``, which names what it is."""
    with DAG("uri", schedule=None) as dag:

        @omics_run(**RUN)
        def align() -> str:
            return "s3://bucket/parameters.json"

        align()

    operator: Any = dag.get_task("align")
    assert operator.take("s3://bucket/parameters.json") == {"parameters_uri": "s3://bucket/parameters.json"}
    assert operator.take("s1") == {"parameters": "s1"}


@pytest.mark.parametrize(
    ("decorator", "argument"),
    [
        (omics_run, {"parameters": {"sample": "S1"}}),
        (omics_run, {"parameters_uri": "s3://bucket/parameters.json"}),
        (omics_run_batch, {"run_settings": []}),
        (omics_run_batch, {"sample_sheet": "samples.csv"}),
        (omics_run_batch, {"run_settings_s3_uri": "s3://bucket/settings.json"}),
    ],
)
def test_what_the_function_returns_is_not_given(decorator: Any, argument: dict[str, Any]) -> None:
    """The DAG does not load: which of the two counts, nobody could tell."""
    (name,) = argument

    def function() -> None: ...

    with DAG("twice", schedule=None):
        decorated = decorator(**argument)(function)
        with pytest.raises(TypeError, match=f"takes no {name}: the function returns it"):
            decorated()


def test_arguments_of_the_function_are_masked(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, calls: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """They hold what the parameters hold: Airflow stores their keys, and the function gets their values."""
    stored = []
    with DAG("masked", schedule=None) as dag:

        @omics_run(deferrable=False, mask_parameters=True, **RUN)
        def align(patient: str) -> dict[str, Any]:
            calls.append(patient)
            return {"patient": patient}

        align(patient="P-0041")

    operator = type(dag.get_task("align"))
    render = operator._do_render_template_fields

    def record(self: Any, parent: Any, *arguments: Any, **keywords: Any) -> None:
        render(self, parent, *arguments, **keywords)
        if parent is self:
            stored.append(repr(self.op_kwargs))

    monkeypatch.setattr(operator, "_do_render_template_fields", record)

    assert run_dag(dag).state == "success"
    assert calls == ["P-0041"]
    assert stored == ["masked: 1 keys: patient"]
