"""What needs Airflow's own machinery around a task: XComs of others, mapping, trigger rules, setup and teardown."""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import DAG, task

from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.operators.run_group import OmicsCreateRunGroupOperator, OmicsDeleteRunGroupOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime
    from tests.conftest import RunDag

pytestmark = pytest.mark.xdist_group("airflow_db")

FAILS = {"match": {"run_setting_id": "BAD*"}, "outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}


@task
def sheet() -> list[dict[str, Any]]:
    return samples("S1", "S2", "BAD1")


@task(trigger_rule="all_done")
def report(result: dict[str, Any]) -> str:
    return f"{result['completed_runs']} of {result['total_runs']}, failed: {result['failed_run_setting_ids']}"


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
@pytest.mark.parametrize(("allowed", "state"), [(1, "success"), (0, "failed")])
def test_batch_of_an_upstream_task(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, *, deferrable: bool, allowed: int, state: str
) -> None:
    """Run settings come from an upstream task; the result reaches the next one, also of a batch that failed."""
    emulator.set_scenario({"runs": [FAILS]})
    with DAG(f"batch_{state}_{deferrable}", schedule=None) as dag:
        batch = OmicsStartRunBatchOperator(
            task_id="batch",
            default_run_setting=DEFAULT_RUN_SETTING,
            run_settings=sheet(),
            max_failed_runs=allowed,
            deferrable=deferrable,
        )
        result: Any = batch.output
        report(result)

    outcome = run_dag(dag)

    assert outcome.task_states == {"sheet": "success", "batch": state, "report": "success"}
    assert outcome.xcoms["report"]["return_value"] == "2 of 3, failed: ['BAD1']"
    assert outcome.xcoms["batch"]["return_value"]["succeeded"] is (state == "success")


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_mapped_runs(emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, *, deferrable: bool) -> None:
    """One task a sample by partial and expand: each starts its run, keeps its own result and its own links."""
    with DAG(f"mapped_{deferrable}", schedule=None) as dag:
        OmicsStartRunOperator.partial(task_id="align", deferrable=deferrable, **RUN).expand(
            parameters=[{"sample": "S1"}, {"sample": "S2"}]
        )

    outcome = run_dag(dag)

    assert outcome.task_states == {"align[0]": "success", "align[1]": "success"}
    runs = {run["id"]: emulator.client().get_run(id=run["id"]) for run in emulator.service.started_runs()}
    for index, sample in enumerate(("S1", "S2")):
        xcoms = outcome.xcoms[f"align[{index}]"]
        run = runs[xcoms["return_value"]["run_id"]]
        assert run["parameters"] == {"sample": sample}
        assert xcoms["omics_run"]["run_id"] == run["id"]
    assert len(runs) == 2


def test_mapped_parameters_are_masked(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What Airflow stores of the rendered fields of mapped tasks has no parameter's value either."""
    stored = []
    render = OmicsStartRunOperator._do_render_template_fields

    def record(self: Any, parent: Any, *arguments: Any, **keywords: Any) -> None:
        render(self, parent, *arguments, **keywords)
        if parent is self:
            from airflow.serialization.helpers import serialize_template_field

            fields = {name: serialize_template_field(getattr(self, name), name) for name in self.template_fields}
            stored.append(json.dumps(fields))

    monkeypatch.setattr(OmicsStartRunOperator, "_do_render_template_fields", record)
    with DAG("mapped_and_masked", schedule=None) as dag:
        OmicsStartRunOperator.partial(task_id="align", mask_parameters=True, **RUN).expand(
            parameters=[{"patient": "P-0041"}, {"patient": "P-0042"}]
        )

    outcome = run_dag(dag)

    assert outcome.state == "success"
    assert len(stored) >= 2
    assert all("masked: 1 keys: patient" in text and "P-004" not in text for text in stored)


@pytest.mark.parametrize("way", ["partial", "expand", "expand_kwargs"])
@pytest.mark.parametrize("kind", ["run", "batch"])
def test_literals_of_mapped_tasks_stay_out_of_the_serialized_dag(
    emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag, kind: str, way: str
) -> None:
    """With mask_parameters on the operator, Airflow's database has no value that a mapped task's literals have."""
    value: dict[str, Any] = {"patient": "P-0042", "lanes": [3, "P-0042"]}
    make: Any = OmicsStartRunOperator
    literal: dict[str, Any] = {"parameters": value}
    common, other = {"task_id": "align", "mask_parameters": True, "deferrable": False}, {"poll_interval": 7.0}
    if kind == "run":
        common |= RUN
    else:
        make = OmicsStartRunBatchOperator
        literal = {"default_run_setting": {**DEFAULT_RUN_SETTING, "parameters": value}}
        common |= {"run_settings": [{"runSettingId": "S1", "parameters": {"born": "P-0042"}}]}
    with DAG(f"hidden_{kind}_{way}", schedule=None) as dag:
        if way == "partial":
            make.partial(**common, **literal).expand(poll_interval=[7.0])
        elif way == "expand":
            make.partial(**common, **other).expand(**{name: [given] for name, given in literal.items()})
        else:
            make.partial(**common, **other).expand_kwargs([literal])

    module = importlib.import_module("airflow.serialization.serialized_objects")
    serialization = getattr(module, "DagSerialization", None) or module.SerializedDAG  # the latter before Airflow 3.1
    stored = json.dumps(serialization.to_dict(dag))
    outcome = run_dag(dag)

    assert "P-0042" not in stored
    assert "masked" in stored
    assert outcome.task_states == {"align[0]": "success"}
    (run,) = emulator.service.started_runs()
    sent = emulator.client().get_run(id=run["id"])["parameters"]
    assert sent == {**value, **({"born": "P-0042"} if kind == "batch" else {})}


def test_run_group_around_runs(emulator: OmicsEmulator, stepped: SteppedTime, run_dag: RunDag) -> None:
    """A run group is made in a setup task, used by its id, and deleted in the teardown, though the run failed."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED"}]})
    with DAG("grouped", schedule=None) as dag:
        create = OmicsCreateRunGroupOperator(task_id="create", name="nightly", max_runs=2)
        group: Any = create.output
        run = OmicsStartRunOperator(task_id="align", run_group_id=group, **RUN)
        delete = OmicsDeleteRunGroupOperator(task_id="delete", run_group_id=group)
        create >> run >> delete.as_teardown(setups=create)

    outcome = run_dag(dag)

    assert outcome.task_states == {"create": "success", "align": "failed", "delete": "success"}
    started = emulator.service.started_runs()[0]
    assert emulator.client().get_run(id=started["id"])["runGroupId"] == str(outcome.xcoms["create"]["return_value"])
    assert list(emulator.client().list_run_groups()["items"]) == []
