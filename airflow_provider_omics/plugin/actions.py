"""The actions on a cohort from its tab: checked with AWS on click, carried out by Airflow's own API."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.core.batch.rerun import read_rerun, rerun_forecast
from airflow_provider_omics.core.batch.verdict import BatchCounts
from airflow_provider_omics.core.errors import NotFound, OmicsError
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.plugin.cohort import Recorded, call, hook_of
from airflow_provider_omics.results.read import read_batch_results

ENDED_STATES = ("failed", "success")
"""States of a task instance whose batch can be run again."""

GOING_STATES = ("running", "deferred", "queued", "scheduled", "up_for_retry", "up_for_reschedule", "restarting")
"""Those in which Airflow can mark it failed."""


def offer(recorded: Recorded, state: str | None) -> str | None:
    """Choose the action that a task instance can have.

    :param recorded: what it has recorded.
    :param state: its state; None: it is to be scheduled.
    :return: ``"rerun"``, ``"cancel"`` or None.
    """
    if recorded.batch is None:
        return None
    return "rerun" if state in ENDED_STATES else "cancel" if state in GOING_STATES else None


def rerun_answer(recorded: Recorded, state: str | None, rerun: str | list[str] | None) -> dict[str, Any]:
    """Answer whether the failed samples can be run again, and what that would submit.

    :param recorded: what the task has recorded.
    :param state: its state.
    :param rerun: its argument ``rerun`` in the last try; None: Airflow no longer has it.
    :return: ``is_offered`` and ``sentence``.
    """
    if offer(recorded, state) != "rerun":
        return _refused(f"There is nothing to run again: the task is {state or 'to be scheduled'}.")
    try:
        batch = _batch(recorded)
        if batch is not None and (batch.phase is Phase.ACTIVE or batch.runs_going > 0):
            going = f"{max(batch.runs_going, 0):,} of its runs are going"
            return _refused(f"Batch {batch.id} is {batch.status}, and {going}: a rerun would cancel them.")
        return _forecast(recorded, batch, rerun)
    except OmicsError as error:
        return _refused(f"What would be run again cannot be said: {error}. The task can be cleared in Airflow.")


def batch_answer(recorded: Recorded) -> dict[str, Any]:
    """Answer how a batch is that was cancelled.

    :param recorded: what the task has recorded.
    :return: ``sentence``, ``is_going``, and the ``command`` that cancels it.
    """
    values = recorded.batch
    if values is None:
        return {"sentence": "It has started no batch.", "is_going": False, "command": None}
    command = f"aws omics cancel-run-batch --batch-id {values['batch_id']} --region {values['region_name']}"
    try:
        batch = _batch(recorded)
    except OmicsError as error:
        return {"sentence": f"Its batch cannot be looked at: {error}", "is_going": True, "command": command}
    if batch is None:
        return {"sentence": "Its batch is gone.", "is_going": False, "command": command}
    is_going = batch.phase is Phase.ACTIVE or batch.runs_going > 0
    return {"sentence": f"Batch {batch.id} is {batch.status}.", "is_going": is_going, "command": command}


def _refused(sentence: str) -> dict[str, Any]:
    return {"is_offered": False, "sentence": sentence}


def _batch(recorded: Recorded) -> BatchSnapshot | None:
    """Ask for the batch now; None: it was deleted."""
    values = recorded.batch or {}
    try:
        return BatchSnapshot.from_response(call(lambda: hook_of(values).get_batch(values["batch_id"])))
    except NotFound:
        return None


def _forecast(recorded: Recorded, batch: BatchSnapshot | None, rerun: str | list[str] | None) -> dict[str, Any]:
    everything, results = rerun == "all", recorded.results
    named, _ = read_rerun("failed" if rerun is None else rerun)
    setting = "rerun='failed', the default" if rerun is None else f"rerun={rerun!r}"
    why = f"{setting}, with the settings of the last try; rows that are new or changed by then come on top"
    if results is None:
        if batch is None:
            return _refused("The batch is gone, and there is no results file. The task can be cleared in Airflow.")
        counts = BatchCounts.of(batch)
        submitted, kept = counts.total_runs - counts.completed_runs, counts.completed_runs
        if everything:
            submitted, kept = counts.total_runs, 0
        sentence = f"submit {submitted:,}; keep {kept:,}, by the counts of its last batch"
        if named:
            sentence = f"submit {submitted:,} at most, those that rerun names"
    else:
        forecast = call(
            lambda: rerun_forecast(
                read_batch_results(results["uri"], hook=hook_of(results)), everything=everything, named=named
            )
        )
        submitted, sentence = forecast.submitted, forecast.sentence
    if not submitted:
        return _refused(f"Nothing would be submitted: {sentence} ({why}).")
    return {"is_offered": True, "sentence": f"This clears the task, which would {sentence} ({why})."}
