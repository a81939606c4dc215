"""The life of a run: PENDING, STARTING, RUNNING, STOPPING, then COMPLETED, FAILED or CANCELLED.

Each step is an event on the region's timeline. The next call carries it out, at the time when it was due.
"""

from __future__ import annotations

import heapq

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life import capacity
from airflow_provider_omics.emulator.life.records import Run
from airflow_provider_omics.emulator.life.region import Region
from airflow_provider_omics.emulator.script.rules import EXPORT_FAILED


def begin(region: Region, run: Run) -> None:
    """Store a new run and schedule its first step."""
    region.runs[run.id] = run
    region.run_index.add(run)
    region.started_runs.append(run)
    if run.name is not None:
        region.runs_by_name.setdefault(run.name, {})[run.sequence] = run
    if run.batch is not None:
        run.batch.renew(region.now)
        run.batch.runs.add(run)
        run.batch.counts[run.status] += 1
        run.batch.active += 1
    if run.group is not None:
        run.group.runs.add(run)
    region.announce(run, run.status)
    if run.rule.outcome == statuses.FAILED and run.rule.fails_in == statuses.PENDING:
        region.schedule(run.rule.pending, _fail, run)
    else:
        region.schedule(run.rule.pending, _get_ready, run)


def cancel(region: Region, run: Run) -> None:
    """Cancel a run whose status allows it.

    A run that is STOPPING already ends as it would have; AWS does not document this case.
    """
    if run.status != statuses.STOPPING:
        _stop(region, run, statuses.CANCELLED, takes=run.rule.cancel_takes)


def delete(region: Region, run: Run) -> None:
    """Delete an ended run: its record goes, its logs and outputs stay."""
    _move(region, run, statuses.DELETED)
    run.epoch += 1
    if region.scenario.deleted_visible > 0:
        region.schedule(region.scenario.deleted_visible, forget, run)
    else:
        forget(region, run)


def forget(region: Region, run: Run) -> None:
    """Remove a run, as retention does; the batch's counts stay as they are."""
    if region.runs.get(run.id) is not run:
        return
    run.epoch += 1
    del region.runs[run.id]
    region.run_index.remove(run)
    if run.name is not None:
        named = region.runs_by_name[run.name]
        del named[run.sequence]
        if not named:
            del region.runs_by_name[run.name]
    if run.batch is not None:
        run.batch.runs.remove(run)
    if run.group is not None:
        run.group.runs.remove(run)
    if region.limits.reuse_run_ids:
        heapq.heappush(region.free_run_ids, int(run.id))


def drop(region: Region, run: Run) -> None:
    """Remove a run in any status; an active one also frees its room."""
    forget(region, run)
    if run.status not in statuses.RUN_ENDED:
        _leave(region, run)


def admit_waiting(region: Region) -> None:
    """Start the waiting runs for which there is room now."""
    while (run := capacity.next_waiting(region)) is not None:
        _start(region, run)


def _get_ready(region: Region, run: Run) -> None:
    if capacity.has_room(region, run):
        _start(region, run)
    else:
        capacity.wait(region, run)


def _start(region: Region, run: Run) -> None:
    capacity.occupy(region, run)
    run.starting = region.now
    region.unlogged[run.uuid] = run
    _move(region, run, statuses.STARTING)
    fails = run.rule.outcome == statuses.FAILED and run.rule.fails_in == statuses.STARTING
    region.schedule(run.rule.starting, _fail if fails else _run, run)


def _run(region: Region, run: Run) -> None:
    run.started = region.now
    run.first_task_id = region.next_ids["task"]
    region.next_ids["task"] += len(run.rule.timetable)
    _move(region, run, statuses.RUNNING)
    longest = region.limits.run_duration
    if run.group is not None and "maxDuration" in run.group.settings:
        # maxDuration is in minutes (API reference, CreateRunGroup).
        longest = min(longest, run.group.settings["maxDuration"] * 60.0)
    if run.rule.running_seconds > longest:
        region.schedule(longest, _time_out, run)
    elif run.rule.outcome == statuses.FAILED:
        region.schedule(run.rule.running_seconds, _fail, run)
    else:
        region.schedule(run.rule.running_seconds, _complete, run)


def _complete(region: Region, run: Run) -> None:
    problem = _export_problem(region, run)
    if problem is not None:
        run.failure_reason, run.status_message = EXPORT_FAILED, problem
        _stop(region, run, statuses.FAILED, takes=run.rule.stopping)
        return
    run.status_message = run.rule.status_message
    _stop(region, run, statuses.COMPLETED, takes=run.rule.stopping)


def _export_problem(region: Region, run: Run) -> str | None:
    if region.scenario.has_place(run.output_uri):
        return None
    bucket = run.output_uri.removeprefix("s3://").split("/", 1)[0]
    if region.surroundings.has_bucket(bucket):
        return None
    return f"The outputs could not be exported to {run.run_output_uri}: the bucket {bucket} does not exist."


def _fail(region: Region, run: Run) -> None:
    run.failure_reason = run.rule.failure_reason or "RUN_TASK_FAILED"
    run.status_message = run.rule.status_message or "The run failed; see its log streams."
    _stop(region, run, statuses.FAILED, takes=run.rule.stopping)


def _time_out(region: Region, run: Run) -> None:
    run.failure_reason = "RUN_TIMED_OUT"
    run.status_message = "The run exceeded its maximum duration."
    _stop(region, run, statuses.FAILED, takes=run.rule.stopping)


def _stop(region: Region, run: Run, outcome: str, *, takes: float) -> None:
    run.epoch += 1
    run.stopping = region.now
    run.outcome = outcome
    region.unlogged[run.uuid] = run
    _move(region, run, statuses.STOPPING)
    region.schedule(takes, _end, run)


def _end(region: Region, run: Run) -> None:
    run.stopped = region.now
    _move(region, run, run.outcome)
    if run.outcome != statuses.CANCELLED:
        region.unwritten[run.output_uri.removeprefix("s3://").split("/", 1)[0]].append(run)
    if run.setting("retentionMode") == "REMOVE":
        heapq.heappush(region.removable, (run.sequence, run))
    if run.rule.vanish_after is not None:
        region.schedule(run.rule.vanish_after, forget, run)
    _leave(region, run)


def _leave(region: Region, run: Run) -> None:
    # A run that was cancelled in PENDING never took up room.
    if run.starting is not None:
        capacity.release(region, run)
        admit_waiting(region)
    batch = run.batch
    if batch is not None:
        batch.active -= 1
        if batch.active == 0 and batch.when_idle is not None:
            batch.when_idle()


def _move(region: Region, run: Run, status: str) -> None:
    before = run.status
    batch = run.batch
    if batch is not None:
        batch.renew(region.now)
        batch.counts[before] -= 1
        batch.counts[status] += 1
    run.status = status
    region.run_index.moved(run, before)
    if batch is not None:
        batch.runs.moved(run, before)
    if run.group is not None:
        run.group.runs.moved(run, before)
    region.announce(run, status)
