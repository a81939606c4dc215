"""The first hour of a newcomer: README's own emulator, and each example and README DAG on it, by its form."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.settings.fields import Place
from tests.conftest import EXAMPLE_DAGS, _load
from tests.example_dags.newcomer import ENDS, EXAMPLES, README, emulator_of_readme
from tests.model_support import is_sendable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import RunDag


@pytest.fixture(scope="module")
def connection() -> Iterator[str]:
    """The connection that README's command prints; the port is a free one."""
    with emulator_of_readme() as printed:
        yield printed


@pytest.fixture
def first_hour(connection: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Airflow as README sets it up; DAGs look more often, so that nobody waits."""
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", connection)
    monkeypatch.setenv("OMICS_POLL_INTERVAL", "0.1")


def filled_form(dag: Any) -> dict[str, Any]:
    """Return what the form of Airflow's UI sends when nobody has touched it.

    An empty text field keeps the button of the form grey, unless its schema allows null.
    """
    dag.params.validate()
    sent = {name: dag.params[name] for name in dag.params}
    empty = [name for name, value in sent.items() if value in (None, "")]
    assert [name for name in empty if "null" not in dag.params.get_param(name).schema.get("type", "")] == []
    return sent


@pytest.mark.usefixtures("first_hour")
@pytest.mark.parametrize("name", EXAMPLES, ids=lambda name: Path(name).stem)
def test_examples(name: str, run_dag: RunDag) -> None:
    """Every example can be triggered with its form's defaults, and ends as it says."""
    dag: Any = _load(EXAMPLE_DAGS / name)
    if hasattr(dag, "sync_to_db"):  # Airflow 2 must know an alias, which its DAG processor would tell it
        dag.sync_to_db()

    outcome = run_dag(dag, conf=filled_form(dag))

    if name == "example_omics_run.py" and not is_sendable(Place.START_RUN, "scratchStorageMode"):
        assert outcome.task_states["germline"] == "failed"
    elif name in ENDS:
        assert outcome.task_states == ENDS[name]
    else:
        assert set(outcome.task_states.values()) == {"success"}


@pytest.mark.usefixtures("first_hour")
def test_the_failure_is_the_one_that_is_shown(
    run_dag: RunDag, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    """The example of a failure fails by README's scenario, and its log names cause, task and remedy."""
    dag = _load(EXAMPLE_DAGS / "example_omics_failure.py")

    run_dag(dag, conf=filled_form(dag))

    told = capfd.readouterr().out + caplog.text  # Airflow 3 and 2.11 write it in different ways
    assert "OUT_OF_MEMORY_ERROR in ALIGN" in told
    assert "Raise the task's memory in the workflow or its configuration." in told


def test_nothing_is_said_of_examples_that_are_gone() -> None:
    """Each end that is named is one of an example."""
    assert set(ENDS) <= set(EXAMPLES)


@pytest.mark.usefixtures("first_hour")
@pytest.mark.parametrize(
    "source",
    [text for text in re.findall(r"^```python\n(.*?)^```$", README, re.MULTILINE | re.DOTALL) if "with DAG(" in text],
)
def test_dags_of_readme(source: str, run_dag: RunDag, airflow_home: Path) -> None:
    """Every DAG of README succeeds as it stands."""
    path = airflow_home / "dags" / "of_readme.py"
    path.write_text(source)
    try:
        dag: Any = _load(path)
        for task in dag.tasks:
            task.poll_interval = 0.1

        outcome = run_dag(dag, conf=filled_form(dag))
    finally:
        path.unlink()

    expected = (
        "success"
        if "scratch_storage_mode" not in source or is_sendable(Place.START_RUN, "scratchStorageMode")
        else "failed"
    )
    assert set(outcome.task_states.values()) == {expected}
