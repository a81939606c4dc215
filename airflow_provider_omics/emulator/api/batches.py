"""The operations on run batches."""

from __future__ import annotations

from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.api.paging import cut_page, start_of_page
from airflow_provider_omics.emulator.api.tags import check_tags
from airflow_provider_omics.emulator.errors import conflict, not_found, validation_error
from airflow_provider_omics.emulator.life import batch_lifecycle
from airflow_provider_omics.emulator.life.batch_settings import SettingsFileError, index_entries, split_uri
from airflow_provider_omics.emulator.life.records import Batch, Entry, RunIndex, to_datetime
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.life.submission import check_common_settings, check_output_uri


def start_run_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """StartRunBatch. The common settings are checked now, those of each run when it is submitted."""
    default, source = request["defaultRunSetting"], request["batchRunSettings"]
    if default.get("workflowType") == "READY2RUN":
        raise validation_error("READY2RUN workflows are not supported in run batches.")
    workflow = check_common_settings(region, default)
    tags = check_tags(request.get("tags"))
    check_tags(default.get("runTags"))
    if ("inlineSettings" in source) == ("s3UriSettings" in source):
        raise validation_error("Specify exactly one of inlineSettings or s3UriSettings.")
    entries, etag = None, None
    if "inlineSettings" in source:
        entries = _check_inline(region, default, source["inlineSettings"])
    else:
        etag = _pin(region, source["s3UriSettings"])
    batch_id = region.next_id("runBatch")
    batch = Batch(
        id=batch_id,
        uuid=region.next_uuid(),
        arn=region.arn(f"runBatch/{batch_id}"),
        sequence=int(batch_id),
        workflow=workflow,
        rule=region.scenario.batch_rule(name=request.get("batchName"), workflow=(workflow.id, workflow.name)),
        name=request.get("batchName"),
        default=default,
        tags=tags,
        request_id=request["requestId"],
        created=region.now,
        runs=RunIndex(),
        settings_uri=source.get("s3UriSettings"),
        settings_etag=etag,
        entries=entries,
        by_setting=index_entries(entries or []),
    )
    batch_lifecycle.begin(region, batch)
    return {"id": batch.id, "arn": batch.arn, "status": batch.status, "uuid": batch.uuid, "tags": dict(tags)}


def get_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """GetBatch."""
    batch = _find(region, request["batchId"])
    answer: dict[str, Any] = {
        "id": batch.id,
        "arn": batch.arn,
        "uuid": batch.uuid,
        "name": batch.name,
        "status": batch.status,
        "tags": dict(batch.tags),
        # Unknown until the settings file was read.
        "totalRuns": None if batch.entries is None else len(batch.entries),
        "defaultRunSetting": dict(batch.default),
        "submissionSummary": batch_lifecycle.submission_summary(batch),
        "runSummary": batch_lifecycle.run_summary(batch, region.now),
        "creationTime": to_datetime(batch.created),
        "failureReason": batch.failure_reason,
    }
    for name, time in (
        ("submittedTime", batch.submitted),
        ("processedTime", batch.processed),
        ("failedTime", batch.failed),
    ):
        if time is not None:
            answer[name] = to_datetime(time)
    return {key: value for key, value in answer.items() if value is not None}


def list_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListBatch."""
    name, value = _only_filter(request, ("status", "name", "runGroupId"))
    start = start_of_page("batches", request.get("startingToken"))

    def fits(batch: Batch) -> bool:
        values = {"status": batch.status, "name": batch.name, "runGroupId": batch.default.get("runGroupId")}
        return name is None or values[name] == value

    batches = (batch for batch in region.batches.values() if batch.sequence > start and fits(batch))
    page, token = cut_page("batches", batches, lambda batch: batch.sequence, _size(region, request))
    items = []
    for batch in page:
        item = {
            "id": batch.id,
            "name": batch.name,
            "status": batch.status,
            "createdAt": to_datetime(batch.created),
            "totalRuns": None if batch.entries is None else len(batch.entries),
            "workflowId": batch.default["workflowId"],
        }
        items.append({key: value for key, value in item.items() if value is not None})
    return {"items": items, **token}


def list_runs_in_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """ListRunsInBatch. An entry appears when its submission was tried: the model has no status for one that waits."""
    batch = _find(region, request["batchId"])
    name, value = _only_filter(request, ("submissionStatus", "runSettingId", "runId"))
    list_name = f"batch/{batch.id}"
    start = start_of_page(list_name, request.get("startingToken"))
    entries = batch.entries or []
    if name == "runSettingId":
        found = batch.by_setting.get(value)
        entries = [] if found is None else [found]
    elif name == "runId":
        found = batch.by_run.get(value)
        entries = [] if found is None else [found]
    numbered = (
        (number, entries[number])
        for number in range(start + 1, len(entries))
        if entries[number].status is not None and (name != "submissionStatus" or entries[number].status == value)
    )
    page, token = cut_page(list_name, numbered, lambda item: item[0], _size(region, request))
    return {"runs": [_describe_entry(region, entry) for _, entry in page], **token}


def cancel_run_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """CancelRunBatch."""
    batch = _find(region, request["batchId"])
    _check_status(batch, statuses.BATCH_CANCELLABLE, "cancelled")
    batch_lifecycle.cancel(region, batch)
    return {}


def delete_run_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteRunBatch: delete its runs."""
    batch = _find(region, request["batchId"])
    _check_status(batch, statuses.BATCH_RUNS_DELETABLE, "emptied of its runs")
    batch_lifecycle.delete_runs(region, batch)
    return {}


def delete_batch(region: Region, request: dict[str, Any]) -> dict[str, Any]:
    """DeleteBatch: delete its record."""
    batch = _find(region, request["batchId"])
    _check_status(batch, statuses.BATCH_DELETABLE, "deleted")
    batch_lifecycle.delete(region, batch)
    return {}


def _check_inline(region: Region, default: dict[str, Any], settings: list[dict[str, Any]]) -> list[Entry]:
    if len(settings) > region.limits.inline_runs_per_batch:
        raise validation_error(
            f"inlineSettings can have up to {region.limits.inline_runs_per_batch} entries; {len(settings)} were given."
        )
    entries = [Entry(setting) for setting in settings]
    try:
        index_entries(entries)
    except SettingsFileError as error:
        raise validation_error(str(error)) from None
    for setting in settings:
        uri = setting.get("outputUri", default.get("outputUri"))
        if uri is None:
            # Stricter than AWS is known to be (asked: output-nowhere): it may as well report a failed submission.
            raise validation_error(f"Run setting {setting['runSettingId']!r} has no outputUri, nor has the default.")
        check_output_uri(uri)
        check_tags(setting.get("runTags"))
    return entries


def _pin(region: Region, uri: str) -> str:
    place = split_uri(uri)
    if place is None:
        raise validation_error(f"Invalid s3UriSettings: {uri}. It must be s3://bucket/key.")
    stored = region.surroundings.object_etag(region.account, region.name, *place)
    if stored is None:
        raise validation_error(f"The run settings file {uri} does not exist or the role cannot read it.")
    return stored


def _find(region: Region, batch_id: str) -> Batch:
    batch = region.batches.get(batch_id)
    if batch is None:
        raise not_found("Run batch", batch_id)
    return batch


def _check_status(batch: Batch, allowed: frozenset[str], participle: str) -> None:
    # AWS's code is not documented (asked: batch-cancelled-creating, batch-cancelled-processed, batch-deleted-active,
    # batch-runs-deleted-twice); 409 is the model's for a wrong status.
    if batch.status not in allowed:
        raise conflict(f"Run batch {batch.id} cannot be {participle}: it is {batch.status}.")


def _only_filter(request: dict[str, Any], names: tuple[str, ...]) -> tuple[str | None, Any]:
    given = [name for name in names if name in request]
    if len(given) > 1:
        raise validation_error(f"Only one filter per call is supported; given: {', '.join(given)}.")
    return (given[0], request[given[0]]) if given else (None, None)


def _size(region: Region, request: dict[str, Any]) -> int:
    asked: int = request.get("maxItems", 100)
    return min(asked, region.limits.page_size)


def _describe_entry(region: Region, entry: Entry) -> dict[str, Any]:
    answer: dict[str, Any] = {"runSettingId": entry.setting["runSettingId"], "submissionStatus": entry.status}
    if entry.run is not None:
        answer["runId"] = entry.run.id
        answer["runInternalUuid"] = entry.run.uuid
        answer["runArn"] = region.arn(f"run/{entry.run.id}")
    if entry.reason is not None:
        answer["submissionFailureReason"] = entry.reason
        answer["submissionFailureMessage"] = entry.message
    return answer
