"""The life of a batch: CREATING, PENDING, SUBMITTING, INPROGRESS, then PROCESSED.

Cancelled on the way: STOPPING, CANCELLED. Its runs deleted afterwards: RUNS_DELETING, RUNS_DELETED or
RUNS_DELETE_FAILED. FAILED when the batch itself is at fault, before or while its runs are submitted.
"""

from __future__ import annotations

import itertools
from functools import partial
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.errors import ServiceError
from airflow_provider_omics.emulator.life import run_lifecycle
from airflow_provider_omics.emulator.life.batch_settings import (
    SettingsFileError,
    add_entry,
    check_settings_file,
    read_settings_file,
)
from airflow_provider_omics.emulator.life.records import MOST_TAGS, Batch, Entry, merge
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.life.submission import check_common_settings, check_parameters, create_run

_SETTINGS_AT_A_TIME = 1000


def begin(region: Region, batch: Batch) -> None:
    """Store a new batch and schedule its first step."""
    region.batches[batch.id] = batch
    region.started_batches.append(batch)
    _announce(region, batch)
    region.schedule(batch.rule.creating, _enter_pending, batch)


def cancel(region: Region, batch: Batch) -> None:
    """Cancel a batch whose status allows it: submissions stop, active runs are cancelled at the quota's pace."""
    batch.epoch += 1
    batch.cursor = 0
    batch.failures_left = batch.rule.cancel_failures
    batch.when_idle = None
    _move(region, batch, statuses.STOPPING)
    _schedule_paced(region, batch, "cancel", _cancel_next)


def delete_runs(region: Region, batch: Batch) -> None:
    """Delete the runs of a batch whose status allows it, at the quota's pace."""
    batch.epoch += 1
    batch.cursor = 0
    batch.failures_left = batch.rule.delete_failures
    _move(region, batch, statuses.RUNS_DELETING)
    _schedule_paced(region, batch, "delete", _delete_next)


def delete(region: Region, batch: Batch) -> None:
    """Delete the record of a batch; its runs stay."""
    batch.epoch += 1
    del region.batches[batch.id]


def submission_summary(batch: Batch) -> dict[str, int]:
    """Count the submissions by outcome.

    Entries that a cancel or a failure kept from being submitted stay pending. Where they are counted is not documented
    (not asked: a cancel hits a batch while it submits only where it has hundreds of runs).
    """
    counts = batch.submissions
    tried = counts["SUCCESS"] + counts["FAILED"]
    return {
        "successfulStartSubmissionCount": counts["SUCCESS"],
        "failedStartSubmissionCount": counts["FAILED"],
        "pendingStartSubmissionCount": len(batch.entries or ()) - tried,
        "successfulCancelSubmissionCount": counts["CANCEL_SUCCESS"],
        "failedCancelSubmissionCount": counts["CANCEL_FAILED"],
        "successfulDeleteSubmissionCount": counts["DELETE_SUCCESS"],
        "failedDeleteSubmissionCount": counts["DELETE_FAILED"],
    }


def run_summary(batch: Batch, now: float) -> dict[str, int]:
    """Count the runs by status: as last renewed while the batch is at work, exactly once it has ended."""
    if batch.status in statuses.BATCH_DELETABLE:
        counts = batch.counts
    else:
        batch.renew(now)
        counts = batch.shown
    return {f"{status.lower()}RunCount": counts[status] for status in statuses.RUN_STATUSES}


def _enter_pending(region: Region, batch: Batch) -> None:
    _move(region, batch, statuses.PENDING)
    if batch.settings_uri is not None:
        try:
            # Read by the first call after the batch became PENDING: an object cannot be read in the past.
            batch.reading = read_settings_file(region, batch.settings_uri, batch.settings_etag)
        except SettingsFileError as error:
            _fail(region, batch, str(error), error.code)
        else:
            _read_on(region, batch)
    else:
        region.schedule(batch.rule.pending, _enter_submitting, batch)


def _read_on(region: Region, batch: Batch) -> None:
    """Read some more of the settings file, and the rest in events of their own: 100,000 settings take a second."""
    try:
        more = list(itertools.islice(batch.reading, _SETTINGS_AT_A_TIME))
        for entry in more:
            add_entry(batch.by_setting, entry)
    except SettingsFileError as error:
        batch.by_setting.clear()
        _fail(region, batch, str(error), error.code)
        return
    if more:
        region.schedule(0.0, _read_on, batch)
    else:
        batch.entries = list(batch.by_setting.values())
        region.schedule(batch.rule.pending, _enter_submitting, batch)


def _enter_submitting(region: Region, batch: Batch) -> None:
    failure = batch.rule.failure
    if failure is not None and failure.after_runs == 0:
        _fail(region, batch, failure.reason, failure.code)
        return
    if batch.settings_uri is not None:
        try:
            check_settings_file(region, batch.settings_uri, batch.settings_etag)
        except SettingsFileError as error:
            _fail(region, batch, str(error), error.code)
            return
    _move(region, batch, statuses.SUBMITTING)
    _schedule_paced(region, batch, "submit", _submit_next)


def _submit_next(region: Region, batch: Batch) -> None:
    entries = batch.entries or []
    entry = entries[batch.cursor]
    batch.cursor += 1
    _submit(region, batch, entry)
    failure = batch.rule.failure
    if failure is not None and batch.submissions["SUCCESS"] >= failure.after_runs:
        _fail(region, batch, failure.reason, failure.code)
    elif batch.cursor < len(entries):
        _schedule_paced(region, batch, "submit", _submit_next)
    else:
        batch.submitted = region.now
        _move(region, batch, statuses.INPROGRESS)
        if batch.active == 0:
            _enter_processed(region, batch)
        else:
            batch.when_idle = partial(_enter_processed, region, batch)


def _submit(region: Region, batch: Batch, entry: Entry) -> None:
    try:
        workflow = check_common_settings(region, batch.default)
        default_parameters, own_parameters = batch.default.get("parameters"), entry.setting.get("parameters")
        check_parameters(region, workflow, merge(default_parameters, own_parameters))
        tags = _merged_tags(batch, entry)
        entry.run = create_run(region, workflow, batch.default, tags, batch, entry)
    except ServiceError as error:
        _settle(batch, entry, "FAILED")
        entry.reason, entry.message = error.code, error.message
    else:
        batch.by_run[entry.run.id] = entry
        _settle(batch, entry, "SUCCESS")


def _merged_tags(batch: Batch, entry: Entry) -> dict[str, str]:
    tags: dict[str, str] = merge(batch.default.get("runTags"), entry.setting.get("runTags")) or {}
    # That the tags of the default and of a run are counted together is an assumption (asked: tags-many).
    if len(tags) > MOST_TAGS:
        raise ServiceError("ValidationException", f"A run has at most {MOST_TAGS} tags; merged, these are {len(tags)}.")
    return tags


def _settle(batch: Batch, entry: Entry, status: str) -> None:
    entry.status = status
    batch.submissions[status] += 1


def _enter_processed(region: Region, batch: Batch) -> None:
    batch.when_idle = None
    batch.processed = region.now
    _move(region, batch, statuses.PROCESSED)


def _cancel_next(region: Region, batch: Batch) -> None:
    entries = batch.entries or []
    while batch.cursor < len(entries):
        entry = entries[batch.cursor]
        batch.cursor += 1
        run = entry.run
        if run is None or run.status in statuses.RUN_ENDED or region.runs.get(run.id) is not run:
            continue
        if batch.failures_left > 0:
            batch.failures_left -= 1
            _settle(batch, entry, "CANCEL_FAILED")
        else:
            _settle(batch, entry, "CANCEL_SUCCESS")
            run_lifecycle.cancel(region, run)
        _schedule_paced(region, batch, "cancel", _cancel_next)
        return
    # AWS does not document a batch whose cancels fail in part: here it waits for these runs to end.
    if batch.active == 0:
        _enter_cancelled(region, batch)
    else:
        batch.when_idle = partial(_enter_cancelled, region, batch)


def _enter_cancelled(region: Region, batch: Batch) -> None:
    batch.when_idle = None
    _move(region, batch, statuses.CANCELLED)


def _delete_next(region: Region, batch: Batch) -> None:
    entries = batch.entries or []
    while batch.cursor < len(entries):
        entry = entries[batch.cursor]
        batch.cursor += 1
        run = entry.run
        if run is None or run.status == statuses.DELETED or region.runs.get(run.id) is not run:
            continue
        if batch.failures_left > 0:
            batch.failures_left -= 1
            _settle(batch, entry, "DELETE_FAILED")
        else:
            _settle(batch, entry, "DELETE_SUCCESS")
            run_lifecycle.delete(region, run)
        _schedule_paced(region, batch, "delete", _delete_next)
        return
    failed = batch.submissions["DELETE_FAILED"]
    _move(region, batch, statuses.RUNS_DELETE_FAILED if failed else statuses.RUNS_DELETED)


def _fail(region: Region, batch: Batch, reason: str, code: str) -> None:
    # The runs submitted so far go on; the batch cannot be cancelled any more (User Guide, "Run batches").
    batch.failed, batch.failure_reason, batch.failure_code = region.now, reason, code
    _move(region, batch, statuses.FAILED)


def _move(region: Region, batch: Batch, status: str) -> None:
    batch.status = status
    _announce(region, batch)


def _announce(region: Region, batch: Batch) -> None:
    counts = {**submission_summary(batch), **run_summary(batch, region.now)}
    shown = {name: str(count) for name, count in counts.items() if "Cancel" not in name and "Delete" not in name}
    region.announce(batch, batch.status, shown)


def _schedule_paced(region: Region, batch: Batch, action: str, happen: Any) -> None:
    # All batches of an account share the pace of StartRun, CancelRun and DeleteRun (User Guide, "Run batches").
    limits = region.limits
    rates = {
        "submit": limits.submissions_per_second,
        "cancel": limits.cancels_per_second,
        "delete": limits.deletes_per_second,
    }
    slot = max(region.now, region.next_slot[action])
    region.next_slot[action] = slot + 1.0 / rates[action]
    region.schedule(slot - region.now, happen, batch)
