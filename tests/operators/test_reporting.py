"""What a task tells when its run or batch has ended: retries that are worth it, the error's facts, assets."""

from __future__ import annotations

import json
import logging
import pickle
import sys
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException, Asset, AssetAlias, redact

from airflow_provider_omics.core.errors import BatchFailed, BatchVerdictError, RunFailed
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, OutletEvents, TaskInstanceRecord, perform, samples

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime
    from tests.operators.tries import NewTask

P, S, T, U = "IMPORT_FAILED", "OUT_OF_MEMORY_ERROR", "SERVICE_ERROR", "WORKFLOW_RUN_FAILED"
"""A permanent, a sizing, a transient and an unclear failure."""

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])


def fails(reason: str, *, attempt: int | None = None, who: str | None = None) -> dict[str, Any]:
    """Make a rule for runs that fail at once, without a failed task."""
    match = {"attempt": [attempt] if attempt else None, "run_setting_id": who}
    return {
        "match": {key: value for key, value in match.items() if value is not None},
        "outcome": "FAILED",
        "failure_reason": reason,
        "tasks": [{"name": "FASTQC"}],
    }


def tries_until_final(task: Any) -> int:
    """Try until Airflow would stop; give how many tries that took."""
    for number in range(1, task.retries + 2):
        if isinstance(task.try_().error, AirflowFailException):
            return number
    return int(task.retries + 1)


@pytest.mark.parametrize("store", ["task state", "S3"])
@pytest.mark.parametrize(
    ("reasons", "options", "tries"),
    [
        ([P], {}, 1),
        ([S], {}, 1),
        ([T, T, T, T], {}, 4),
        ([U, U], {}, 2),
        ([T, P], {}, 2),
        ([U, S], {}, 2),
        ([T, U, T, U], {}, 4),
        ([U, T, U], {}, 3),
        ([T, T, U, T], {}, 4),
        ([P, U, U, S], {"retry_permanent_failures": True}, 4),
    ],
    ids=lambda value: "-".join(reason[0] for reason in value) if isinstance(value, list) else None,
)
def test_retries_by_class(
    emulator: OmicsEmulator, new_task: NewTask, store: str, reasons: list[str], options: dict[str, Any], tries: int
) -> None:
    """Permanent and sizing failures spend no retry, unclear ones one, transient ones all that there are."""
    task = new_task("run", store=store, retries=3)
    task.arguments.update(run_name="same", retries=3, poll_interval=600, **options)
    emulator.set_scenario({"runs": [fails(reason, attempt=number + 1) for number, reason in enumerate(reasons)]})

    assert tries_until_final(task) == tries
    assert len(task.started()) == tries


def test_unclear_failures_without_a_store(emulator: OmicsEmulator, new_task: NewTask) -> None:
    """Where no record outlives a try, each earlier try counts as unclear: a retry too few rather than too many."""
    task = new_task("run", store="none", retries=3)
    task.arguments.update(retries=3, poll_interval=600)
    emulator.set_scenario({"runs": [fails(U)]})

    assert tries_until_final(task) == 2


@pytest.mark.parametrize("store", ["task state", "none"])
def test_clear_counts_anew(emulator: OmicsEmulator, new_task: NewTask, store: str) -> None:
    """After a user's clear, an unclear failure is tried once more again."""
    task = new_task("run", store=store, retries=3)
    task.arguments.update(retries=3, poll_interval=600)
    emulator.set_scenario({"runs": [fails(U)]})
    assert tries_until_final(task) == 2

    task.clear()

    assert tries_until_final(task) == 2
    assert len(task.started()) == 4


@pytest.mark.parametrize(
    ("reasons", "tries"),
    [
        ([P, P], 1),
        ([P, S], 1),
        ([S, T], 4),
        ([P, U], 2),
        ([U, U], 2),
        ([U, T], 4),
        ([P, S, U, T], 4),
    ],
    ids=lambda value: "-".join(reason[0] for reason in value) if isinstance(value, list) else None,
)
def test_retries_of_a_batch(emulator: OmicsEmulator, new_task: NewTask, reasons: list[str], tries: int) -> None:
    """Of every mixture, what may pass decides; where nothing may, no retry is spent."""
    names = [f"F{number}" for number in range(len(reasons))]
    task = new_task("batch", retries=3)
    task.arguments.update(run_settings=samples("S1", *names), retries=3, poll_interval=600)
    emulator.set_scenario({"runs": [fails(reason, who=name) for name, reason in zip(names, reasons, strict=True)]})

    assert tries_until_final(task) == tries


@deferrable
def test_error_carries_the_diagnosis(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """A callback finds all facts in the error: JSON values, that survive pickling."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED", "failure_reason": S}]})

    error = perform(OmicsStartRunOperator(task_id="align", deferrable=deferrable, **RUN)).error

    assert isinstance(error, RunFailed)
    again = pickle.loads(pickle.dumps(error))
    assert again.diagnosis == error.diagnosis == json.loads(json.dumps(error.diagnosis))
    assert error.diagnosis is not None
    facts = {"cause": S, "failure_class": "sizing", "owner": "pipeline author", "final": True}
    assert facts.items() <= error.diagnosis.items()
    (task,) = error.diagnosis["failed_tasks"]
    assert (task["name"], task["log_stream"]) == ("ALIGN", "run/10000001/task/1000000002")
    assert task["log_lines"][0] == "Command error:"


@pytest.mark.parametrize("rule", [{"runs": [fails(S)]}, {"batches": [{"failure": {"reason": "No."}}]}])
def test_error_of_a_batch_carries_the_diagnosis(
    emulator: OmicsEmulator, stepped: SteppedTime, rule: dict[str, Any]
) -> None:
    """So it does for a batch, whether its runs failed or it failed itself."""
    emulator.set_scenario(rule)

    error = perform(
        OmicsStartRunBatchOperator(
            task_id="align", default_run_setting=DEFAULT_RUN_SETTING, run_settings=samples("S1", "S2")
        )
    ).error

    assert isinstance(error, (BatchVerdictError, BatchFailed))
    again = pickle.loads(pickle.dumps(error))
    assert again.diagnosis == error.diagnosis == json.loads(json.dumps(error.diagnosis))
    assert error.diagnosis is not None
    assert error.diagnosis["final"] is isinstance(error, BatchVerdictError)


def test_secrets_are_masked(emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]) -> None:
    """What Airflow knows to be a secret is in neither the log nor the error, also at the end of a line that is cut."""
    # Where Airflow has what masks, next to what we mask with.
    sys.modules[redact.__module__].mask_secret("hunter2-of-the-lab")
    line = f"{'x' * 390} password=hunter2-of-the-lab"
    emulator.set_scenario(
        {
            "runs": [
                {
                    "outcome": "FAILED",
                    "failure_reason": "RUN_TASK_FAILED",
                    "status_message": "login hunter2-of-the-lab",
                    "tasks": [
                        {"name": "T", "outcome": "FAILED", "exit_text": "hunter2-of-the-lab", "log": [line, "end"]}
                    ],
                }
            ]
        }
    )

    error = perform(OmicsStartRunOperator(task_id="align", **RUN)).error

    (text,) = log_lines(logging.ERROR)
    assert isinstance(error, RunFailed)
    for shown in (text, json.dumps(error.diagnosis)):
        assert "hunter2" not in shown
        assert "login ***" in shown


@deferrable
def test_assets_of_a_run(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """An Asset's event has the result as its extra, and an AssetAlias becomes the place of the outputs."""
    asset, alias = Asset("s3://results/cohort"), AssetAlias("outputs")
    task = OmicsStartRunOperator(task_id="align", outlets=[asset, alias, "other"], deferrable=deferrable, **RUN)
    events = OutletEvents()

    result = perform(task, outlet_events=events).result

    assert events[asset].extra == result
    assert events[alias].added == [(result["run_output_uri"], result)]
    assert json.dumps(result)


@deferrable
def test_assets_of_a_tolerated_failure(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """A batch that lost a tolerated sample still made something, and its events say what is missing."""
    emulator.set_scenario({"runs": [fails(S, who="S1")]})
    asset, alias = Asset("s3://results/cohort"), AssetAlias("results")
    task = OmicsStartRunBatchOperator(
        task_id="align",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples("S1", "S2"),
        max_failed_runs=1,
        results_s3_uri=f"s3://{BUCKET}/results/",
        outlets=[asset, alias],
        deferrable=deferrable,
    )
    events = OutletEvents()

    result = perform(task, outlet_events=events).result

    assert events[asset].extra == result
    ((uri, extra),) = events[alias].added
    assert uri == result["results_uri"]
    assert (extra["failed_runs"], extra["succeeded"]) == (1, True)
    assert result["causes"] == [
        {
            "cause": S,
            "message": "The run failed; see its log streams.",
            "count": 1,
            "failure_class": "sizing",
            "owner": "pipeline author",
            "run_setting_ids": ["S1"],
            "run_ids": ["10000001"],
        }
    ]


def test_alias_of_a_batch(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """An AssetAlias becomes the place of the results; its event has what of the result can be hashed, for Airflow 2."""
    alias = AssetAlias("results")
    task = OmicsStartRunBatchOperator(
        task_id="align",
        default_run_setting=DEFAULT_RUN_SETTING,
        run_settings=samples("S1"),
        results_s3_uri=f"s3://{BUCKET}/results/",
        outlets=[alias],
    )
    events = OutletEvents()

    result = perform(task, outlet_events=events).result

    ((uri, extra),) = events[alias].added
    assert uri == extra["results_uri"] == result["results_uri"]
    assert hash(frozenset(extra.items()))
    assert extra.keys() == result.keys() - {"causes", "failed_run_setting_ids"}


def test_no_asset_of_a_failure(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """What failed made nothing: no event is prepared."""
    emulator.set_scenario({"runs": [fails(S)]})
    events = OutletEvents()

    perform(OmicsStartRunOperator(task_id="t", outlets=[Asset("s3://results/x")], **RUN), outlet_events=events)

    assert events.made == {}


def test_failed_task_is_linked(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """The link to the failed task's log has its ids as soon as the run has failed; without a log there is none."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED"}]})

    linked = perform(OmicsStartRunOperator(task_id="t", **RUN))
    without = perform(OmicsStartRunOperator(task_id="t", log_level="OFF", **RUN))

    assert linked.xcoms["omics_failed_task_logs"]["task_id"] == "1000000002"
    assert "omics_failed_task_logs" not in without.xcoms


def test_retry_is_told(emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]) -> None:
    """The log says what Airflow does next."""
    emulator.set_scenario({"runs": [fails(T)]})

    error = perform(OmicsStartRunOperator(task_id="t", retries=3, **RUN), ti=TaskInstanceRecord(max_tries=3)).error

    (text,) = log_lines(logging.ERROR)
    assert "  retry: up to 3 more\n" in text
    assert not isinstance(error, AirflowFailException)
