"""The page of a single run: how it ended, and what each of its tasks asked for and used."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from airflow_provider_omics.core.console import log_stream_url, run_url, s3_url
from airflow_provider_omics.core.cost.usage import RunUsage, TaskUsage
from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis, duration
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import Phase, RunStatus
from airflow_provider_omics.reports.cohort import CauseGroup, Fact, NamedLink
from airflow_provider_omics.reports.picture import NamedTimes, TimePicture, bars_of, time_ticks
from airflow_provider_omics.reports.samples import RunTimes
from airflow_provider_omics.reports.settings import EffectiveSetting

MAX_TASKS = 1_000
"""Tasks in the table: those that failed, then the longest."""

MAX_TASK_BARS = 120


@dataclass(frozen=True)
class RunFacts:
    """What is known of a run.

    :param title: the task: ``"align_dag / align"``.
    :param region: AWS Region, for the addresses.
    :param made_at: when the page is made, aware.
    :param run: the run, as last seen.
    :param usage: what it used, from its manifest; None: not known.
    :param has_more_tasks: whether it has more tasks than ``usage``. Default False.
    :param diagnosis: why it failed; None: it did not, or nobody knows.
    :param settings: the effective settings.
    :param cost: sentences about its cost; empty: not known.
    :param masks: hide messages and log lines, which can hold a user's values (``mask_parameters``).
    """

    title: str
    region: str
    made_at: datetime
    run: RunSnapshot
    usage: RunUsage | None = None
    has_more_tasks: bool = False
    diagnosis: RunDiagnosis | None = None
    settings: Sequence[EffectiveSetting] = ()
    cost: Sequence[str] = ()
    masks: bool = False


@dataclass(frozen=True)
class TaskRow:
    """A task in the table.

    :param name: its name in the workflow.
    :param status: as AWS spells it, or ``CACHED``.
    :param waited: seconds between its creation and its start; None: not known.
    :param ran: seconds that it ran; None: not known.
    :param instance: the instance that it ran on.
    :param vcpus: asked for and used, in words.
    :param memory: the same.
    :param gpus: asked for.
    :param log: its log.
    """

    name: str
    status: str
    waited: float | None
    ran: float | None
    instance: str
    vcpus: str
    memory: str
    gpus: str
    log: NamedLink | None


@dataclass(frozen=True)
class RunPage:
    """All that the page of a run shows, in its order."""

    title: str
    made_at: datetime
    region: str
    state: str
    """``succeeded``, ``failed`` or ``running``."""
    headline: str
    verdict: str
    groups: tuple[CauseGroup, ...]
    log_lines: tuple[str, ...]
    picture: TimePicture | None
    tasks: tuple[TaskRow, ...]
    more_tasks: int | None
    """Tasks that are not shown; None: nobody has counted them."""
    settings: tuple[EffectiveSetting, ...]
    provenance: tuple[Fact, ...]
    cost: tuple[str, ...]
    links: tuple[NamedLink, ...]
    masks: bool
    reload_after: int | None = None
    template: str = "run.html"


def run_page(facts: RunFacts) -> RunPage:
    """Make the page of a run.

    :param facts: what is known of it.
    :return: the page.
    """
    run, usage = facts.run, facts.usage
    tasks = () if usage is None else usage.tasks
    ordered = sorted(tasks, key=lambda task: (task.status != RunStatus.FAILED, -(task.seconds or 0)))
    failing = facts.diagnosis.failed_tasks[:1] if facts.diagnosis is not None else ()
    lines = failing[0].log_lines if failing else facts.diagnosis.engine_lines if facts.diagnosis is not None else ()
    return RunPage(
        title=facts.title,
        made_at=facts.made_at,
        region=facts.region,
        state=_state(facts),
        headline=_headline(facts),
        verdict=_verdict(run, tasks),
        groups=() if facts.diagnosis is None else (_cause(facts.diagnosis, masks=facts.masks),),
        log_lines=() if facts.masks else lines,
        picture=_picture(tasks, facts.made_at),
        tasks=tuple(_row(task, facts) for task in ordered[:MAX_TASKS]),
        more_tasks=None if facts.has_more_tasks else max(len(ordered) - MAX_TASKS, 0),
        settings=tuple(facts.settings),
        provenance=_provenance(run, usage),
        cost=tuple(facts.cost),
        links=_links(facts),
        masks=facts.masks,
    )


def _state(facts: RunFacts) -> str:
    if facts.diagnosis is not None and facts.diagnosis.is_incomplete:
        return "failed"
    return {Phase.SUCCEEDED: "succeeded", Phase.ACTIVE: "running"}.get(facts.run.phase, "failed")


def _headline(facts: RunFacts) -> str:
    if facts.diagnosis is not None and facts.diagnosis.is_incomplete:
        return facts.diagnosis.headline
    run = facts.run
    return f"Run {run.id} is going" if run.phase is Phase.ACTIVE else f"Run {run.id} {run.status.lower()}"


def _verdict(run: RunSnapshot, tasks: Sequence[TaskUsage]) -> str:
    if run.phase is Phase.ACTIVE and tasks:
        ended = sum(task.stopped is not None for task in tasks)
        return f"Its status is {run.status}; {ended:,} of {len(tasks):,} tasks that it has begun have ended."
    if run.start_time is None or run.stop_time is None:
        return f"Its status is {run.status}."
    ran = duration((run.stop_time - run.start_time).total_seconds())
    if run.creation_time is None:
        return f"It ran {ran}."
    return f"It waited {duration((run.start_time - run.creation_time).total_seconds())}, and ran {ran}."


def _cause(diagnosis: RunDiagnosis, *, masks: bool) -> CauseGroup:
    reason = diagnosis.reason
    task = diagnosis.failed_tasks[0] if diagnosis.failed_tasks else None
    said = [diagnosis.run.status_message, None if task is None else task.message]
    logs = [NamedLink(words, url) for words, url in diagnosis.links.items() if words.endswith("log")]
    return CauseGroup(
        cause=reason.code if task is None else f"{reason.code} in {task.name}",
        count=1,
        message="" if masks else " ".join(text for text in said if text),
        explanation=reason.explanation,
        owner=reason.owner.value,
        failure_class=reason.failure_class.value,
        action=reason.action,
        samples=(),
        logs=tuple(logs),
    )


def _picture(tasks: Sequence[TaskUsage], made_at: datetime) -> TimePicture | None:
    lines = [
        NamedTimes(task.name, _kind(task), _times(task), _note(task))
        for task in tasks
        if task.started is not None and not task.is_cached  # what a cache answered never ran
    ]
    if not lines:
        return None
    now = made_at.timestamp()
    starts = [line.times.created or line.times.started or now for line in lines]
    ends = [line.times.stopped or now for line in lines]
    first, last = min(starts), max(ends)
    longest = sorted(lines, key=lambda line: (line.kind != "failed", -(line.times.ran or 0)))[:MAX_TASK_BARS]
    left_out = len(lines) - len(longest)
    words = f"{len(lines):,} {'task' if len(lines) == 1 else 'tasks'} in {duration(last - first)}"
    hits = sum(task.is_cached for task in tasks)
    words += f"; {hits:,} more came from the run cache" if hits else ""
    words += f"; the {len(longest)} longest, and those that failed, have a bar." if left_out else "."
    bars = bars_of(longest, first, max(last - first, 1.0), now)
    return TimePicture(bars, "", "", 0, time_ticks(first, last), sum(bar.line for bar in bars), words)


def _kind(task: TaskUsage) -> str:
    if task.status == RunStatus.COMPLETED:
        return "completed"
    return "going" if task.stopped is None else "failed"


def _note(task: TaskUsage) -> str:
    """Write what a task used of what it asked for: ``"3.1 of 8 vCPUs, 25 of 32 GiB"``."""
    used = (_used(task.vcpus, task.vcpus_maximum, " vCPUs"), _used(task.memory, task.memory_maximum, " GiB"))
    return ", ".join(filter(None, used))


def _times(task: TaskUsage) -> RunTimes:
    return RunTimes(
        *(None if moment is None else moment.timestamp() for moment in (task.created, task.started, task.stopped))
    )


def _row(task: TaskUsage, facts: RunFacts) -> TaskRow:
    waited = None
    if task.created is not None and task.started is not None:
        waited = max((task.started - task.created).total_seconds(), 0.0)
    logged = facts.run.log_level != "OFF" and not task.is_cached
    url = log_stream_url(facts.region, f"run/{facts.run.id}/task/{task.task_id}")
    return TaskRow(
        name=task.name,
        status="CACHED" if task.is_cached else task.status,
        waited=waited,
        ran=None if task.is_cached or (task.started is None and task.stopped is None) else task.seconds,
        instance=task.instance_type or "",
        vcpus=_used(task.vcpus, task.vcpus_maximum, ""),
        memory=_used(task.memory, task.memory_maximum, " GiB"),
        gpus=f"{task.gpus:g}" if task.gpus else "",
        log=NamedLink("log", url) if logged else None,
    )


def _used(asked: float | None, used: float | None, unit: str) -> str:
    """Write what was asked for and used: ``"3.1 of 8 GiB"``."""
    if asked is None and used is None:
        return ""
    if used is None:
        return f"{asked:g}{unit} asked for"
    return f"{used:.3g} of {asked:g}{unit}" if asked is not None else f"{used:.3g}{unit}"


def _provenance(run: RunSnapshot, usage: RunUsage | None) -> tuple[Fact, ...]:
    storage = None
    if usage is not None and usage.storage_type is not None:
        storage = f"{usage.storage_type} {_used(usage.storage_capacity, usage.storage_maximum, ' GiB')}".strip()
    values = {
        "run": run.id,
        "uuid": run.uuid,
        "ARN": run.arn,
        "workflow": run.workflow_id,
        "version": run.workflow_version_name,
        "digest": run.digest,
        "engine": (usage.engine if usage is not None else None),
        "engine version": run.engine_version,
        "service role": run.role_arn,
        "storage": storage,
    }
    return tuple(Fact(name, (NamedLink(value),)) for name, value in values.items() if value)


def _links(facts: RunFacts) -> tuple[NamedLink, ...]:
    run, region = facts.run, facts.region
    links = [NamedLink("Run in the console", run_url(region, run.id))]
    if run.log_level != "OFF":
        links.append(NamedLink("Run log", log_stream_url(region, f"run/{run.id}")))
    if run.run_output_uri:
        links.append(NamedLink(run.run_output_uri, s3_url(run.run_output_uri)))
    return tuple(links)
