"""The questions: what AWS's documentation leaves open, and what the emulator assumes.

An answer is a small mapping of facts without ids, times or names, so that two accounts can be compared.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from airflow_provider_omics.emulator.compare.account import MARK, Account, CannotAskError

Facts = dict[str, Any]

_MOST_TAGS = 50


@dataclass(frozen=True)
class Question:
    """One question.

    :param name: a short name, which reports keep.
    :param text: what is asked.
    :param ask: asks it.
    """

    name: str
    text: str
    ask: Callable[[Account], Facts]


def outcome(answer: Mapping[str, Any]) -> Facts:
    """Take the part of an answer that says whether a call was accepted.

    :param answer: of :meth:`Account.answer`.
    """
    return {name: answer[name] for name in ("error", "http") if name in answer} or {"answer": "accepted"}


def _repeated_run(account: Account) -> Facts:
    request = {"requestId": str(uuid.uuid4()), **account.setting()}
    first, second = account.call("StartRun", **request), account.answer("StartRun", **request)
    return {**outcome(second), "same run": second.get("id") == first["id"]}


def _changed_run(account: Account) -> Facts:
    request = {"requestId": str(uuid.uuid4()), **account.setting()}
    first = account.call("StartRun", **request)
    second = account.answer("StartRun", **{**request, "name": "another"})
    return {**outcome(second), "same run": second.get("id") == first["id"]}


def _repeated_batch(account: Account) -> Facts:
    request = account.batch_request("a")
    first, second = account.call("StartRunBatch", **request), account.answer("StartRunBatch", **request)
    return {**outcome(second), "same batch": second.get("id") == first["id"]}


def _changed_batch(account: Account) -> Facts:
    request = account.batch_request("a")
    first = account.call("StartRunBatch", **request)
    second = account.answer("StartRunBatch", **{**request, "batchName": "another"})
    return {**outcome(second), "same batch": second.get("id") == first["id"]}


def _cancel_twice(account: Account) -> Facts:
    run_id = account.start_run()
    account.call("CancelRun", id=run_id)
    return outcome(account.answer("CancelRun", id=run_id))


def _cancel_completed(account: Account) -> Facts:
    return outcome(account.answer("CancelRun", id=account.completed_run()))


def _delete_active(account: Account) -> Facts:
    return outcome(account.answer("DeleteRun", id=account.start_run()))


def _get_deleted(account: Account) -> Facts:
    run_id = account.start_run()
    account.call("CancelRun", id=run_id)
    account.run_ended(run_id)
    account.call("DeleteRun", id=run_id)
    found = account.answer("GetRun", id=run_id)
    return {"status": found["status"]} if "status" in found else outcome(found)


def _start_of_a_pending_run(account: Account) -> Facts:
    run = account.call("GetRun", id=account.start_run())
    if run["status"] not in ("PENDING", "STARTING"):
        raise CannotAskError(f"the run was {run['status']} at the first look")
    return {"has startTime": "startTime" in run}


def _unset_scratch(account: Account) -> Facts:
    account.require_known("StartRun", "scratchStorageMode")
    return {"has scratchStorageMode": "scratchStorageMode" in account.call("GetRun", id=account.start_run())}


def _local_scratch(account: Account) -> Facts:
    account.require_known("StartRun", "scratchStorageMode")
    request = {"requestId": str(uuid.uuid4()), **account.setting(scratchStorageMode="LOCAL")}
    started = account.answer("StartRun", **request)
    if "id" not in started:
        return outcome(started)
    return {"scratchStorageMode": account.call("GetRun", id=started["id"]).get("scratchStorageMode")}


def _unknown_workflow(account: Account) -> Facts:
    return outcome(account.answer("StartRun", requestId=str(uuid.uuid4()), **account.setting(workflowId="9999999")))


def _missing_bucket(account: Account) -> Facts:
    nowhere = f"s3://healthomics-compare-{uuid.uuid4().hex}/"
    started = account.answer("StartRun", requestId=str(uuid.uuid4()), **account.setting(outputUri=nowhere))
    if "id" not in started:
        return outcome(started)
    run = account.run_ended(started["id"])
    return {"status": run["status"], "failureReason": run.get("failureReason")}


def _unknown_parameter(account: Account) -> Facts:
    setting = account.setting(parameters={"word": "hello", "no_such_parameter": 1})
    started = account.answer("StartRun", requestId=str(uuid.uuid4()), **setting)
    if "id" not in started:
        return outcome(started)
    run = account.run_ended(started["id"])
    return {"status": run["status"], "failureReason": run.get("failureReason")}


def _changed_start(**body: Any) -> Callable[[Account], Facts]:
    def ask(account: Account) -> Facts:
        setting = account.setting()
        with account.changed("StartRun", body):
            return outcome(account.answer("StartRun", requestId=str(uuid.uuid4()), **setting))

    return ask


def _misplaced_member(account: Account) -> Facts:
    group_id = _group(account)
    with account.changed("UpdateRunGroup", {"id": group_id}):
        return outcome(account.answer("UpdateRunGroup", id=group_id, maxRuns=2))


def _filter_twice(account: Account) -> Facts:
    with account.changed("ListRuns", query="name=another"):
        return outcome(account.answer("ListRuns", name=MARK))


def _configuration_without_subnet(account: Account) -> Facts:
    account.require_known("CreateConfiguration")
    name = f"{MARK}-{uuid.uuid4().hex[:12]}"
    request = {"name": name, "runConfigurations": {"vpcConfig": {}}, "requestId": str(uuid.uuid4())}
    return outcome(account.answer("CreateConfiguration", **request))


def _listed_at_once(account: Account) -> Facts:
    started = account.call("StartRunBatch", **account.batch_request("a", "b"))
    items = account.call("ListRunsInBatch", batchId=started["id"])["runs"]
    return {"listed": len(items), "statuses": sorted({str(item.get("submissionStatus")) for item in items})}


def _status_at_once(account: Account) -> Facts:
    started = account.call("StartRunBatch", **account.batch_request("a"))
    return {"status": account.call("GetBatch", batchId=started["id"])["status"]}


def _cancel_creating(account: Account) -> Facts:
    started = account.call("StartRunBatch", **account.batch_request("a"))
    if started.get("status") != "CREATING":
        raise CannotAskError(f"the batch was {started.get('status')} when it was started")
    return outcome(account.answer("CancelRunBatch", batchId=started["id"]))


def _delete_active_batch(account: Account) -> Facts:
    started = account.call("StartRunBatch", **account.batch_request("a"))
    return outcome(account.answer("DeleteBatch", batchId=started["id"]))


def _processed_batch(account: Account) -> str:
    batch_id = account.shared("batch", lambda: str(account.call("StartRunBatch", **account.batch_request("a"))["id"]))
    batch = account.batch_ended(batch_id)
    if batch["status"] != "PROCESSED":
        raise CannotAskError(f"the batch ended {batch['status']}: {batch.get('failureReason')}")
    return batch_id


def _cancel_processed(account: Account) -> Facts:
    return outcome(account.answer("CancelRunBatch", batchId=_processed_batch(account)))


def _list_runs_of_batch(account: Account) -> Facts:
    answer = account.answer("ListRuns", batchId=_processed_batch(account), status="COMPLETED")
    return {"listed": len(answer["items"])} if "items" in answer else outcome(answer)


def _delete_runs_twice(account: Account) -> Facts:
    started = account.call("StartRunBatch", **account.batch_request("a"))
    if account.batch_ended(started["id"])["status"] != "PROCESSED":
        raise CannotAskError("the batch was not processed")
    account.call("DeleteRunBatch", batchId=started["id"])
    deleted = account.wait_for(
        lambda: account.call("GetBatch", batchId=started["id"]), lambda batch: batch["status"] != "RUNS_DELETING"
    )
    second = account.answer("DeleteRunBatch", batchId=started["id"])
    return {"status": deleted["status"], **outcome(second)}


def _duplicate_ids(account: Account) -> Facts:
    return _submissions(account, account.answer("StartRunBatch", **account.batch_request("a", "a")))


def _wrong_setting(account: Account) -> Facts:
    request = account.batch_request("a", "b")
    request["batchRunSettings"]["inlineSettings"][1]["parameters"] = {"no_such_parameter": 1}
    return _submissions(account, account.answer("StartRunBatch", **request))


def _submissions(account: Account, started: Mapping[str, Any]) -> Facts:
    """Take what became of the submissions of a batch, if it was started at all."""
    if "id" not in started:
        return outcome(started)
    batch = account.batch_ended(str(started["id"]))
    items = account.call("ListRunsInBatch", batchId=started["id"])["runs"]
    ends = sorted((str(item.get("submissionStatus")), str(item.get("submissionFailureReason"))) for item in items)
    return {"status": batch["status"], "submissions": [" ".join(end) for end in ends]}


def _nowhere(account: Account) -> Facts:
    request = account.batch_request("a")
    del request["defaultRunSetting"]["outputUri"]
    return _submissions(account, account.answer("StartRunBatch", **request))


def _malformed_setting(account: Account) -> Facts:
    place = urlsplit(f"{account.place}settings.json")
    settings = [{"runSettingId": "a"}, {"runSettingId": "b", "priority": "high"}]
    body = json.dumps(settings).encode()
    account.call("PutObject", "s3", Bucket=place.netloc, Key=place.path.lstrip("/"), Body=body)
    request = account.batch_request("a")
    request["batchRunSettings"] = {"s3UriSettings": place.geturl()}
    return _submissions(account, account.answer("StartRunBatch", **request))


def _missing_settings(account: Account) -> Facts:
    request = account.batch_request("a")
    request["batchRunSettings"] = {"s3UriSettings": f"{account.place}no-such-object.json"}
    started = account.answer("StartRunBatch", **request)
    if "id" not in started:
        return outcome(started)
    batch = account.batch_ended(started["id"])
    again = account.answer("StartRunBatch", **request)
    repeated = {"same batch": again["id"] == started["id"]} if "id" in again else outcome(again)
    return {"status": batch["status"], "has failureReason": bool(batch.get("failureReason")), "again": repeated}


def _many_tags(account: Account) -> Facts:
    request = account.batch_request("a")
    (setting,) = request["batchRunSettings"]["inlineSettings"]
    for tagged, name in ((request["defaultRunSetting"], "default"), (setting, "run")):
        tagged["runTags"] = {f"{name}-{number}": "1" for number in range(_MOST_TAGS // 2 + 1)}
    return _submissions(account, account.answer("StartRunBatch", **request))


def _group(account: Account) -> str:
    return str(account.call("CreateRunGroup", name=MARK, requestId=str(uuid.uuid4()))["id"])


def _delete_group_in_use(account: Account) -> Facts:
    group_id = _group(account)
    account.start_run(runGroupId=group_id)
    return outcome(account.answer("DeleteRunGroup", id=group_id))


def _cache_on_missing_bucket(account: Account) -> Facts:
    nowhere = f"s3://healthomics-compare-{uuid.uuid4().hex}/"
    return outcome(account.answer("CreateRunCache", cacheS3Location=nowhere, requestId=str(uuid.uuid4())))


QUESTIONS = (
    Question("run-repeated", "StartRun again with the same requestId and body (G3)", _repeated_run),
    Question("run-changed", "StartRun again with the same requestId and another name (G3)", _changed_run),
    Question("batch-repeated", "StartRunBatch again with the same requestId and body (G3)", _repeated_batch),
    Question("batch-changed", "StartRunBatch again with the same requestId and another name (G3)", _changed_batch),
    Question("run-cancelled-twice", "CancelRun while the run is stopping (G5)", _cancel_twice),
    Question("run-deleted-active", "DeleteRun of a run that has not ended (G5)", _delete_active),
    Question("run-gone", "GetRun of a run that was deleted", _get_deleted),
    Question("run-pending", "Has a run that has not begun a startTime?", _start_of_a_pending_run),
    Question("scratch-unset", "Has GetRun scratchStorageMode where none was sent?", _unset_scratch),
    Question("scratch-local", "scratchStorageMode LOCAL in this Region (G13)", _local_scratch),
    Question("workflow-unknown", "StartRun of a workflow that does not exist", _unknown_workflow),
    Question("bucket-missing", "A run whose output bucket does not exist", _missing_bucket),
    Question("parameter-unknown", "A run with a parameter that the workflow does not have", _unknown_parameter),
    Question(
        "member-unknown",
        "StartRun with a member that the API does not have",
        _changed_start(noSuchMember=1),
    ),
    Question(
        "number-fraction",
        "StartRun with priority 1.0 in the place of a whole number",
        _changed_start(priority=1.0),
    ),
    Question("document-array", "StartRun with a JSON array as its parameters", _changed_start(parameters=[1])),
    Question("member-misplaced", "UpdateRunGroup with its id in the body, too", _misplaced_member),
    Question("filter-repeated", "ListRuns with two names in its query", _filter_twice),
    Question(
        "configuration-without-subnet",
        "CreateConfiguration with a VPC that has no subnet",
        _configuration_without_subnet,
    ),
    Question("batch-listed", "ListRunsInBatch right after the start (G7)", _listed_at_once),
    Question("batch-status", "Status of a batch right after the start (G7)", _status_at_once),
    Question("batch-cancelled-creating", "CancelRunBatch of a batch that is CREATING (G5)", _cancel_creating),
    Question("batch-deleted-active", "DeleteBatch of a batch that has not ended (G5)", _delete_active_batch),
    Question("ids-repeated", "A batch with the same runSettingId twice", _duplicate_ids),
    Question("output-nowhere", "A batch without outputUri, in the default and in its run", _nowhere),
    Question("setting-malformed", "A settings object, one of whose runs has a text as priority", _malformed_setting),
    Question("setting-wrong", "A batch one of whose runs has an unknown parameter (G12)", _wrong_setting),
    Question(
        "settings-missing", "A batch whose settings object does not exist, and the same again (G4)", _missing_settings
    ),
    Question("tags-many", "26 runTags of a batch's default and 26 of its run, with 50 allowed", _many_tags),
    Question("group-in-use", "DeleteRunGroup of a group with an active run", _delete_group_in_use),
    Question("cache-bucket-missing", "CreateRunCache in a bucket that does not exist", _cache_on_missing_bucket),
    Question("run-cancelled-completed", "CancelRun of a run that has completed (G5)", _cancel_completed),
    Question("batch-cancelled-processed", "CancelRunBatch of a batch that is PROCESSED (G5)", _cancel_processed),
    Question("list-both-filters", "ListRuns with batchId and status (G8)", _list_runs_of_batch),
    Question("batch-runs-deleted-twice", "DeleteRunBatch of a batch whose runs are deleted (G6)", _delete_runs_twice),
)
"""All questions; those that wait for an end come last, as their runs go on meanwhile."""

NOT_ASKED = {
    "G1": "console addresses: a person has to look",
    "G2": "rates of calls: finding them would throttle the account",
    "G9": "size of a request: finding it would start a hundred runs",
    "G10": "how long a batch is remembered: longer than this takes",
    "G11": "prices: the price list has them, and the emulator's are invented",
    "G14": "what only time shows",
}
"""What stays open, and why."""
