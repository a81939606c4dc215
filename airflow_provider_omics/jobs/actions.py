"""Actions: tasks that make one call (cancel, delete, run groups, run caches), or read the results of a batch."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from airflow.providers.common.compat.sdk import Asset, Context

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.errors import (
    BatchFailed,
    Conflict,
    InvalidRequest,
    NotFound,
    OmicsError,
    Problem,
    SettingsError,
)
from airflow_provider_omics.core.settings.arguments import ACTION_ARGUMENTS, read_arguments
from airflow_provider_omics.core.settings.outputs import read_expected_outputs
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome
from airflow_provider_omics.core.wait.flow import WaitPlan, wait
from airflow_provider_omics.core.wait.outcome import error_of
from airflow_provider_omics.exceptions import task_error
from airflow_provider_omics.hooks.driver import Driver
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.costs import cohort_costs
from airflow_provider_omics.jobs.page import write_collected_page
from airflow_provider_omics.jobs.readiness import check_readiness
from airflow_provider_omics.results.collect import Collection
from airflow_provider_omics.results.file import results_place
from airflow_provider_omics.results.handover import hand_on
from airflow_provider_omics.results.ledger import Ledger
from airflow_provider_omics.waiting.interrupts import time_out_in_turn

CHUNK_SIZE = 100
"""Samples in a chunk, where nobody sets it."""

MAX_PARTITIONS = 1_000
"""Samples that become partitions in one DAG run: each is a row in Airflow's database."""

_CAPS = {"max_runs": "maxRuns", "max_cpus": "maxCpus", "max_gpus": "maxGpus", "max_duration": "maxDuration"}


@dataclass(frozen=True)
class Call:
    """The tools of an action.

    :param hook: makes the calls.
    :param log: the task's logger.
    :param identity: the task instance.
    :param context: Airflow's context of the task.
    """

    hook: OmicsHook
    log: Any
    identity: TaskIdentity
    context: Context


def act(action: str, arguments: Mapping[str, Any], hook: OmicsHook, log: Any, context: Context) -> Any:
    """Carry out an action; one that is already done counts as a success.

    :param action: name of the action.
    :param arguments: the operator's, rendered: name -> value; read here.
    :param hook: makes the calls.
    :param log: the task's logger.
    :param context: Airflow's context of the task.
    :return: the task's result.
    :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
    """
    time_out_in_turn()
    try:
        values, problems = read_arguments(arguments, ACTION_ARGUMENTS)
        if problems:
            raise SettingsError(problems)
        return _ACTIONS[action](Call(hook, log, TaskIdentity.of(context["ti"]), context), **values)
    except OmicsError as error:
        if isinstance(error, NotFound) and action in _DONE_WHEN_GONE:
            log.info("Nothing to do: %s", error)
            return None
        raise task_error(error, log, policy=getattr(context.get("task"), "retry_policy", None)) from None


def _cancel_run(call: Call, run_id: str) -> None:
    try:
        call.hook.cancel_run(run_id)
    except (Conflict, InvalidRequest):  # which of them a state that does not allow it gets is not documented
        run = call.hook.look("run", run_id)
        if run.phase is Phase.ACTIVE and run.status != "STOPPING":
            raise
        call.log.info("Run %s is %s: nothing to cancel", run_id, run.status)
    else:
        call.log.info("Cancelled run %s", run_id)


def _delete_run(call: Call, run_id: str) -> None:
    try:
        call.hook.delete_run(run_id)
    except Conflict:
        if call.hook.look("run", run_id).phase is not Phase.DELETED:
            raise  # still going
    call.log.info("Deleted run %s", run_id)


def _cancel_run_batch(call: Call, batch_id: str) -> None:
    try:
        call.hook.cancel_run_batch(batch_id)
    except (Conflict, InvalidRequest):  # which of them a state that does not allow it gets is not documented
        batch = call.hook.look("batch", batch_id)
        if batch.phase is Phase.ACTIVE and batch.status != "STOPPING":
            raise  # CREATING: it cannot be cancelled yet, so this is not done
        call.log.info("Batch %s is %s: nothing to cancel", batch_id, batch.status)
    else:
        call.log.info("Cancelled batch %s", batch_id)


def _delete_run_batch(call: Call, batch_id: str, wait_for_completion: bool, poll_interval: float) -> None:
    try:
        call.hook.delete_run_batch(batch_id)
    except Conflict:
        if call.hook.look("batch", batch_id).status not in ("RUNS_DELETING", "RUNS_DELETED"):
            raise
    if not wait_for_completion:
        call.log.info("Deleting the runs of batch %s", batch_id)
        return
    interval = max(poll_interval, 1 / call.hook.defaults.calls_per_second)
    plan = WaitPlan("batch", batch_id, poll_interval=interval, cancel=False)
    event = Driver(call.hook, call.log).drive(wait(plan))
    unseen = error_of(event, call.hook.conn_region_name) if event.outcome is not Outcome.ENDED else None
    if unseen is not None:
        raise unseen
    batch = event.snapshot
    if batch.status != "RUNS_DELETED":
        text = "Some runs could not be deleted."
        raise BatchFailed(text, batch_id=batch.id, batch_uuid=batch.uuid, status=batch.status)
    call.log.info("Deleted the runs of batch %s", batch_id)


def _delete_batch(call: Call, batch_id: str) -> None:
    call.hook.delete_batch(batch_id)
    call.log.info("Deleted batch %s", batch_id)


def _create_run_group(call: Call, name: str | None, tags: Mapping[str, str] | None, **caps: Any) -> str:
    request: dict[str, Any] = {_CAPS[argument]: cap for argument, cap in caps.items() if cap is not None}
    if name is not None:
        request["name"] = name
    if tags:
        request["tags"] = dict(tags)
    # One id per try: the group of a try that died keeps its id in AWS, and costs nothing.
    created = call.hook.create_run_group({**request, "requestId": str(uuid.uuid4())})
    call.log.info("Created run group %s", created["id"])
    return str(created["id"])


def _delete_run_group(call: Call, run_group_id: str) -> None:
    call.hook.delete_run_group(run_group_id)
    call.log.info("Deleted run group %s", run_group_id)


def _create_run_cache(
    call: Call,
    name: str,
    cache_s3_location: str,
    cache_behavior: str | None,
    tags: Mapping[str, str] | None,
    **more: Any,
) -> str:
    if not name:
        raise SettingsError([Problem("name", repr(name), "the name by which later runs find the cache")])
    wanted = {"cache_s3_location": cache_s3_location, "cache_behavior": cache_behavior}
    found = _run_cache(call, name, wanted)
    if found is not None:
        call.log.info("Run cache %s of the name %s is there", found, name)
        return found
    given = {
        "cacheBehavior": cache_behavior,
        "cacheBucketOwnerId": more["cache_bucket_owner_id"],
        "description": more["description"],
        "tags": dict(tags) if tags else None,
    }
    request = {"name": name, "cacheS3Location": cache_s3_location, "requestId": str(uuid.uuid4())}
    created = call.hook.create_run_cache({**request, **{key: value for key, value in given.items() if value}})["id"]
    # Names are not unique: of two tasks that create it at once, both take the older one, and the younger goes.
    kept = _run_cache(call, name, wanted) or created
    if kept != created:
        call.hook.delete_run_cache(created)
        call.log.info("Deleted run cache %s: another task has created %s of the same name", created, kept)
    else:
        call.log.info("Created run cache %s", created)
    return kept


def _run_cache(call: Call, name: str, wanted: Mapping[str, str | None]) -> str | None:
    """Find the oldest active cache of a name, which has to be what is wanted."""
    of_name = [each for each in call.hook.list_run_caches() if each.get("name") == name and each["status"] == "ACTIVE"]
    if not of_name:
        return None
    cache = min(of_name, key=lambda each: (each["creationTime"], each["id"]))
    place, behavior = wanted["cache_s3_location"] or "", wanted["cache_behavior"]
    problems = []
    if not f"{cache['cacheS3Uri'].rstrip('/')}/".startswith(f"{place.rstrip('/')}/"):
        allowed = f"run cache {cache['id']} of this name is at {cache['cacheS3Uri']}: choose another name"
        problems.append(Problem("cache_s3_location", repr(place), allowed))
    if behavior and behavior != cache["cacheBehavior"]:
        allowed = f"run cache {cache['id']} of this name has {cache['cacheBehavior']}: change it, or the name"
        problems.append(Problem("cache_behavior", repr(behavior), allowed))
    if problems:
        raise SettingsError(problems)
    return str(cache["id"])


def _update_run_cache(
    call: Call, cache_id: str, name: str | None, cache_behavior: str | None, description: str | None
) -> None:
    given = {"name": name, "cacheBehavior": cache_behavior, "description": description}
    changed = {key: value for key, value in given.items() if value is not None}
    if not changed:
        allowed = "at least one of them"
        raise SettingsError([Problem("name, cache_behavior and description", "not set", allowed)])
    call.hook.update_run_cache({"id": cache_id, **changed})
    call.log.info("Updated %s of run cache %s", " and ".join(changed), cache_id)


def _delete_run_cache(call: Call, cache_id: str) -> None:
    call.hook.delete_run_cache(cache_id)
    call.log.info("Deleted run cache %s; what it keeps in S3 stays", cache_id)


def _collect_batch_results(
    call: Call,
    batch_id: str,
    results_s3_uri: str | None,
    results_detail: str,
    expected_outputs: Any,
    read_costs: bool | None,
    ledger: bool,
    report: bool,
    chunk_size: int | None,
    partitions: bool,
    **more: Any,
) -> dict[str, Any]:
    detail = ResultsDetail.checked(results_detail)
    expected, problems = read_expected_outputs(expected_outputs)
    if problems:
        raise SettingsError(problems)
    uri = results_place(results_s3_uri, call.hook.defaults.results_s3_uri, call.identity)
    if uri is None:
        allowed = "s3://bucket/key.jsonl.gz, or results_s3_uri in the connection"
        raise SettingsError([Problem("results_s3_uri", "not set", allowed)])
    hook, log, defaults = call.hook, call.log, call.hook.defaults
    assets = _partitioned_assets(call) if partitions else []
    costs = defaults.read_costs if read_costs is None else read_costs
    place = S3Place(uri, defaults.results_kms_key_id)
    written = Ledger(hook, place, defaults.mask_parameters) if ledger else None
    options = {**more, "read_costs": costs, "ledger": written, "expected_outputs": expected}
    with closing(Collection(hook, batch_id, uri, log, detail=detail, **options)) as collection:
        collected = collection.collect()
        cost = cohort_costs(collection, log) if costs else None
        cohort = (collection, collected, cost)
        page = write_collected_page(hook, log, call.identity, place, *cohort) if report else None
    result = {**collected.to_result(), "report_uri": page, **({} if cost is None else cost.to_result())}
    return result if chunk_size is None and not partitions else {**result, **_hand_on(call, uri, chunk_size, assets)}


def _hand_on(call: Call, uri: str, chunk_size: int | None, assets: list[Any]) -> dict[str, Any]:
    new = hand_on(call.hook, uri, call.identity, chunk_size or CHUNK_SIZE, call.log)
    call.log.info("%d samples have completed since the last DAG run", len(new.run_setting_ids))
    if len(new.run_setting_ids) > MAX_PARTITIONS and assets:
        call.log.warning("More than %d are no partitions of an asset: see new_chunks", MAX_PARTITIONS)
    else:
        for asset in assets:
            call.context["outlet_events"][asset].add_partitions(list(new.run_setting_ids))
    return {"new_completed": len(new.run_setting_ids), "new_chunks": new.chunks}


def _partitioned_assets(call: Call) -> list[Any]:
    """Find the assets whose partitions are the samples."""
    assets = [outlet for outlet in getattr(call.context["task"], "outlets", ()) if isinstance(outlet, Asset)]
    events: Any = call.context.get("outlet_events")
    if not assets or not all(hasattr(events[asset], "add_partitions") for asset in assets):
        allowed = "with an Asset among the outlets, from Airflow 3.3 on"
        raise SettingsError([Problem("partitions", "True", allowed)])
    return assets


def _check(call: Call, **wanted: Any) -> list[dict[str, str]]:
    return check_readiness(wanted, call.hook, call.log)


_DONE_WHEN_GONE = frozenset(
    {
        "cancel_run",
        "delete_run",
        "cancel_run_batch",
        "delete_run_batch",
        "delete_batch",
        "delete_run_cache",
        "delete_run_group",
    }
)

_ACTIONS: Mapping[str, Callable[..., Any]] = {
    "cancel_run": _cancel_run,
    "delete_run": _delete_run,
    "cancel_run_batch": _cancel_run_batch,
    "delete_run_batch": _delete_run_batch,
    "delete_batch": _delete_batch,
    "create_run_group": _create_run_group,
    "delete_run_group": _delete_run_group,
    "create_run_cache": _create_run_cache,
    "update_run_cache": _update_run_cache,
    "delete_run_cache": _delete_run_cache,
    "collect_batch_results": _collect_batch_results,
    "check": _check,
}
