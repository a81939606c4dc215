"""The page of a cohort: all that it shows, made of records, counts and the verdict."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.batch.verdict import BatchCounts, Verdict
from airflow_provider_omics.core.console import log_stream_url, run_list_url, run_url, s3_url
from airflow_provider_omics.core.cost.cohort import SHOWN_ADVICE, CohortCost, CostCounter, RunPrice
from airflow_provider_omics.core.cost.record import basis
from airflow_provider_omics.core.cost.sizing import SHOWN_PROCESSES, ProcessSizing, Sizing, Spread
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.failure.diagnosis import duration
from airflow_provider_omics.core.failure.groups import FailureGroup, group_failures
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.reports.picture import Durations, NamedTimes, TimeCollector, TimePicture
from airflow_provider_omics.reports.samples import RunTimes, SampleTable, SampleTableWriter
from airflow_provider_omics.reports.settings import EffectiveSetting

SHOWN_GROUPS = 30
SHOWN_SAMPLES = 10
"""Causes, and samples of each, that are named; the table has them all."""

SHOWN_STRAGGLERS = 3

SHOWN_ORIGINS = 10
"""Values of one kind, such as versions of a workflow, that are named."""

_PROVENANCE = {
    "workflow": "workflow_id",
    "version": "workflow_version_name",
    "digest": "workflow_digest",
    "engine": "engine_version",
    "service role": "role_arn",
    "batch": "batch_id",
    "try": "try_number",
    "DAG run": "dag_run_id",
}


@dataclass(frozen=True)
class CohortFacts:
    """What is known of a cohort beside its records.

    :param title: the task: ``"cohort_dag / wgs"``.
    :param region: AWS Region, for the addresses.
    :param made_at: when the page is made, aware.
    :param counts: all samples by how they ended; those that are still going are in the total only.
    :param verdict: the verdict; None: there is none yet.
    :param problem: a sentence, where the batch ended without a verdict. Default: it did not.
    :param going: samples that have not ended, by what they do: ``{"running": 12, "waiting": 80}``.
    :param batch_id: the last batch; None: there was none.
    :param attempts: how often the task has submitted samples.
    :param carried_forward: samples that earlier attempts have left.
    :param results_uri: the results file; None: there is none.
    :param samples_as_of: when the records were collected, where the counts are newer. Default: with the counts.
    :param settings: the effective settings.
    :param diagnosis: why samples failed: the failed tasks of a few are known from it.
    :param prices_as_of: when the prices were read that costs rest on; None: not known.
    :param sizing: what the processes used of what they asked for; None: not known.
    :param masks: hide messages, which can hold a user's values (``mask_parameters``).
    """

    title: str
    region: str
    made_at: datetime
    counts: BatchCounts
    verdict: Verdict | None = None
    problem: str | None = None
    going: Mapping[str, int] = field(default_factory=dict)
    batch_id: str | None = None
    attempts: int = 1
    carried_forward: int = 0
    results_uri: str | None = None
    samples_as_of: datetime | None = None
    settings: Sequence[EffectiveSetting] = ()
    diagnosis: BatchDiagnosis | None = None
    prices_as_of: str | None = None
    sizing: Sizing | None = None
    masks: bool = False


def going(batch: BatchSnapshot) -> dict[str, int]:
    """Count the runs of a batch that have not ended, by what they do.

    :param batch: the batch.
    """
    counts = {
        "running": batch.count("running_runs"),
        "starting": batch.count("starting_runs"),
        "stopping": batch.count("stopping_runs"),
        "waiting": batch.count("pending_runs") + batch.count("pending_submissions"),
    }
    return {words: number for words, number in counts.items() if number}


@dataclass(frozen=True)
class Count:
    """Samples in one state.

    :param kind: ``completed``, ``failed``, ``cancelled``, ``unsubmitted``, ``unknown``, ``running`` or ``waiting``.
    :param words: the state in words.
    :param number: how many.
    :param x: where its part of the bar begins, in percent.
    :param width: how wide that is.
    """

    kind: str
    words: str
    number: int
    x: float
    width: float


@dataclass(frozen=True)
class NamedLink:
    """A link.

    :param words: its text.
    :param url: its address; None: the text alone.
    """

    words: str
    url: str | None = None


@dataclass(frozen=True)
class CauseGroup:
    """Samples that failed for one cause.

    :param cause: in a few words.
    :param count: how many.
    :param message: AWS's words; empty: none, or hidden.
    :param explanation: the meaning.
    :param owner: whose move it is.
    :param failure_class: whether another try can help.
    :param action: what to do.
    :param samples: the first, with links to their runs.
    :param logs: the log streams of failed tasks that are known.
    """

    cause: str
    count: int
    message: str
    explanation: str
    owner: str
    failure_class: str
    action: str
    samples: tuple[NamedLink, ...]
    logs: tuple[NamedLink, ...] = ()


@dataclass(frozen=True)
class Fact:
    """A line of the provenance: a name and its values."""

    name: str
    values: tuple[NamedLink, ...]


@dataclass(frozen=True)
class SizingRow:
    """What the tasks of a process asked for and used, in words: median, p95 and maximum.

    :param name: the process.
    :param tasks: how many ran.
    :param ran: how long.
    :param vcpus: used, of what was asked for.
    :param memory: the same.
    :param instance: that most of them ran on.
    :param enough: the smallest that would have been enough.
    :param saved: USD that it would have saved.
    :param is_tight: whether a task came close to its memory.
    """

    name: str
    tasks: int
    ran: str
    vcpus: str
    memory: str
    instance: str
    enough: str
    saved: str
    is_tight: bool


@dataclass(frozen=True)
class SizingTable:
    """The sizing of a cohort: rows, and a sentence on how to read them."""

    rows: tuple[SizingRow, ...]
    words: str


@dataclass(frozen=True)
class CohortPage:
    """All that the page of a cohort shows, in its order."""

    title: str
    made_at: datetime
    region: str
    state: str
    """``succeeded``, ``failed`` or ``running``; ``ended`` without a judgement."""
    headline: str
    verdict: str
    counts: tuple[Count, ...]
    progress: str | None
    groups: tuple[CauseGroup, ...]
    more_groups: tuple[int, int]
    """Causes that are not shown, and their samples."""
    samples: SampleTable
    samples_as_of: datetime | None
    removed: int
    """Samples whose rows have left the sheet: they no longer count."""
    picture: TimePicture | None
    durations: Durations | None
    stragglers: tuple[NamedLink, ...]
    settings: tuple[EffectiveSetting, ...]
    provenance: tuple[Fact, ...]
    cost: tuple[str, ...]
    advice: tuple[str, ...]
    """Samples that failed as something was too small, with what to give: the first."""
    sizing: SizingTable | None
    links: tuple[NamedLink, ...]
    masks: bool
    reload_after: int | None = None
    """Seconds after which a page that somebody serves loads itself anew; None: never."""
    template: str = "cohort.html"


def cohort_page(records: Iterable[Mapping[str, Any]], facts: CohortFacts) -> CohortPage:
    """Make the page of a cohort.

    :param records: one for each sample, as the lines of a results file; more keys than this version knows are ignored.
        Samples that have not ended may be among them, with the status of their run. They are read once.
    :param facts: what else is known.
    :return: the page.
    :raises KeyError: a record has no ``run_setting_id`` or no ``status``.
    """
    table, times = SampleTableWriter(), TimeCollector(facts.made_at.timestamp())
    failures: list[RunRecord] = []
    cost = CostCounter()
    origins: dict[str, Counter[str]] = {name: Counter() for name in _PROVENANCE}
    longest: list[tuple[int, str]] = []
    advice: list[str] = []
    removed = 0
    for record in records:
        if record["status"] == RecordStatus.REMOVED:
            removed += 1
            continue
        moments = RunTimes.of(record)
        row = table.add(record, moments)
        times.add(NamedTimes(row.sample, _kind(row.status, ended_badly=row.ended_badly), moments))
        if row.ended_badly:
            failures.append(_failure(record, masks=facts.masks))
        if "cost_usd" in record:
            for run in RunPrice.all_of(record):
                cost.add(run)
        if record.get("size_advice") and len(advice) < SHOWN_ADVICE:
            advice.append(f"{row.sample}: {visible(str(record['size_advice']))}")
        if moments.ran is not None:
            heapq.heappush(longest, (moments.ran, row.sample))
            if len(longest) > SHOWN_STRAGGLERS:
                heapq.heappop(longest)
        for name, key in _PROVENANCE.items():
            if record.get(key) is not None:
                origins[name][str(record[key])] += 1
    groups = group_failures(failures)
    durations = times.durations()
    shown = tuple(_group(group, facts) for group in groups[:SHOWN_GROUPS])
    rest = groups[SHOWN_GROUPS:]
    return CohortPage(
        title=facts.title,
        made_at=facts.made_at,
        region=facts.region,
        state=_state(facts),
        headline=_headline(facts.counts),
        verdict=_verdict(facts),
        counts=_counts(facts.counts, facts.going),
        progress=_progress(facts, durations),
        groups=shown,
        more_groups=(len(rest), sum(len(group.failures) for group in rest)),
        samples=table.finish(),
        samples_as_of=facts.samples_as_of,
        removed=removed,
        picture=times.picture(),
        durations=durations,
        stragglers=_stragglers(sorted(longest, reverse=True), durations),
        settings=tuple(facts.settings),
        provenance=_provenance(origins, facts),
        cost=_cost(cost.result(), facts.prices_as_of),
        advice=tuple(advice),
        sizing=_sizing(facts.sizing),
        links=_links(facts),
        masks=facts.masks,
    )


def _kind(status: str, *, ended_badly: bool) -> str:
    return "completed" if status == RecordStatus.COMPLETED else "failed" if ended_badly else "going"


def _failure(record: Mapping[str, Any], *, masks: bool) -> RunRecord:
    """Keep what a group needs: 100,000 samples may have failed."""
    return RunRecord(
        record["run_setting_id"],
        record.get("run_id"),
        None,
        RecordStatus(record["status"]),
        failure_reason=record.get("failure_reason"),
        message=None if masks else record.get("message"),
        cause=record.get("cause"),
    )


def _headline(counts: BatchCounts) -> str:
    """Count all samples in a sentence: ``"490 of 500 samples completed"``."""
    samples = "sample" if counts.total_runs == 1 else "samples"
    return f"{counts.completed_runs:,} of {counts.total_runs:,} {samples} completed"


def _state(facts: CohortFacts) -> str:
    if facts.verdict is None:
        return "running" if facts.problem is None else "failed"
    return "succeeded" if facts.verdict.succeeded else "failed"


def _verdict(facts: CohortFacts) -> str:
    verdict = facts.verdict
    if verdict is None:
        return facts.problem or "The batch is going; there is no verdict yet."
    bad, allowed = verdict.counts.not_completed, verdict.allowed
    tolerance = f"at most {allowed:,} may fail" if allowed else "no failure is tolerated"
    if verdict.missed:
        names, more = ", ".join(verdict.missed[:SHOWN_SAMPLES]), len(verdict.missed) - SHOWN_SAMPLES
        return f"The task failed: {names}{f' and {more:,} more' if more > 0 else ''} must succeed, and did not."
    if not verdict.succeeded:
        return f"The task failed: {bad:,} did not complete, and {tolerance}."
    if bad:
        return f"The task succeeded: {bad:,} did not complete, and up to {allowed:,} may fail."
    return "The task succeeded."


def _counts(counts: BatchCounts, going: Mapping[str, int]) -> tuple[Count, ...]:
    ended = (
        ("completed", "completed", counts.completed_runs),
        ("failed", "failed", counts.failed_runs),
        ("cancelled", "cancelled", counts.cancelled_runs),
        ("unsubmitted", "not submitted", counts.failed_submissions),
        ("incomplete", "without expected outputs", counts.incomplete_runs),
        ("unknown", "of unknown outcome", counts.unknown_runs),
    )
    known = sum(number for *_, number in ended) + sum(going.values())
    active = [("running" if words == "running" else "waiting", words, number) for words, number in going.items()]
    rest = max(counts.total_runs - known, 0)
    parts = [part for part in (*ended, *active, ("waiting", "not ended", rest)) if part[2]]
    total = max(sum(number for *_, number in parts), 1)
    shown, x = [], 0.0
    for kind, words, number in parts:
        width = 100 * number / total
        # One of 100,000 that failed must be seen.
        shown.append(Count(kind, words, number, round(min(x, 99.5), 2), round(max(width, 0.5), 2)))
        x += width
    return tuple(shown)


def _progress(facts: CohortFacts, durations: Durations | None) -> str | None:
    """Say how far it is, and how long it takes if as many keep running at a time, each for the median so far."""
    if facts.verdict is not None or facts.problem is not None:
        return None
    counts = facts.counts
    ended = counts.total_runs - sum(facts.going.values()) if facts.going else _ended(counts)
    said = f"{ended:,} of {counts.total_runs:,} have ended"
    running = facts.going.get("running", 0)
    waiting = sum(facts.going.values()) - running
    if not running or durations is None or durations.median is None:
        return f"{said}."
    left = durations.median * (waiting / running + 0.5)
    at_a_time = f"{running:,} run at a time for {duration(durations.median)} each, the median so far"
    return f"{said}; about {duration(left)} more, if {at_a_time}."


def _ended(counts: BatchCounts) -> int:
    return (
        counts.completed_runs
        + counts.failed_runs
        + counts.cancelled_runs
        + counts.failed_submissions
        + counts.unknown_runs
        + counts.incomplete_runs
    )


def _group(group: FailureGroup, facts: CohortFacts) -> CauseGroup:
    examples = {} if facts.diagnosis is None else facts.diagnosis.examples
    logs = tuple(
        NamedLink(
            f"log of {task.name} of {failure.run_setting_id}", log_stream_url(facts.region, task.stream(found.run.id))
        )
        for failure in group.failures
        if (found := examples.get(failure.run_setting_id)) is not None and found.run.log_level != "OFF"
        for task in found.failed_tasks[:1]
    )
    if not logs:  # nobody has diagnosed them, as while the batch goes on
        logs = tuple(
            NamedLink(
                f"log of run {one.run_id} of {one.run_setting_id}", log_stream_url(facts.region, f"run/{one.run_id}")
            )
            for one in group.failures[:1]
            if one.run_id is not None
        )
    reason = group.reason
    return CauseGroup(
        cause=group.cause,
        count=len(group.failures),
        message=group.message,
        explanation=reason.explanation,
        owner=reason.owner.value,
        failure_class=reason.failure_class.value,
        action=group.action,
        samples=tuple(
            NamedLink(run.run_setting_id, None if run.run_id is None else run_url(facts.region, run.run_id))
            for run in group.failures[:SHOWN_SAMPLES]
        ),
        logs=logs,
    )


def _stragglers(longest: Sequence[tuple[int, str]], durations: Durations | None) -> tuple[NamedLink, ...]:
    """Name runs that took twice the median or more."""
    if durations is None or durations.median is None:
        return ()
    median = durations.median
    return tuple(NamedLink(f"{name} ({duration(ran)})") for ran, name in longest if ran >= 2 * median > 0)


def _provenance(origins: Mapping[str, Counter[str]], facts: CohortFacts) -> tuple[Fact, ...]:
    found = []
    for name, values in origins.items():
        total = sum(values.values())
        shown = [
            NamedLink(value if len(values) == 1 else f"{value} ({count:,} of {total:,} samples)")
            for value, count in values.most_common(SHOWN_ORIGINS)
        ]
        if len(values) > SHOWN_ORIGINS:
            shown.append(NamedLink(f"{len(values) - SHOWN_ORIGINS:,} more"))
        if shown:
            found.append(Fact(name, tuple(shown)))
    if not origins["batch"] and facts.batch_id:
        found.append(Fact("batch", (NamedLink(facts.batch_id),)))
    found.append(Fact("attempts", (NamedLink(f"{facts.attempts:,}"),)))
    if facts.carried_forward:
        found.append(Fact("carried forward", (NamedLink(f"{facts.carried_forward:,} samples of earlier attempts"),)))
    return tuple(found)


def _cost(cost: CohortCost, prices_as_of: str | None) -> tuple[str, ...]:
    return (*cost.lines(), basis(prices_as_of)) if cost.runs > cost.unpriced_runs else ()


def _sizing(sizing: Sizing | None) -> SizingTable | None:
    if sizing is None or not sizing.processes:
        return None
    rows = tuple(_sizing_row(process) for process in sizing.processes[:SHOWN_PROCESSES])
    more = len(sizing.processes) - len(rows)
    words = f"Enough is the smallest instance with {sizing.headroom:.0%} above the most that any task used"
    left_out = f"; {sizing.gpu_tasks:,} tasks with a GPU are left out" if sizing.gpu_tasks else ""
    return SizingTable(rows, f"{words}{left_out}{f'; {more:,} more processes are in sizing.json' if more else ''}.")


def _sizing_row(process: ProcessSizing) -> SizingRow:
    return SizingRow(
        name=process.name,
        tasks=process.tasks,
        ran=_spread(process.seconds, lambda seconds: duration(round(seconds))),
        vcpus=_asked(process.vcpus, process.vcpus_used, ""),
        memory=_asked(process.memory, process.memory_used, " GiB"),
        instance=process.instance_type or "",
        enough=process.enough or "",
        saved="" if process.saved_usd is None else f"{process.saved_usd:,.2f}",
        is_tight=process.is_tight,
    )


def _spread(spread: Spread | None, write: Callable[[float], str]) -> str:
    """Write median, p95 and maximum: ``"1.2 / 3.4 / 3.9"``."""
    return "" if spread is None else " / ".join(map(write, (spread.median, spread.p95, spread.maximum)))


def _asked(asked: float | None, used: Spread | None, unit: str) -> str:
    shown = _spread(used, lambda value: f"{value:.3g}")
    if asked is None:
        return f"{shown}{unit}" if shown else ""
    return f"{shown} of {asked:g}{unit}" if shown else f"{asked:g}{unit} asked for"


def _links(facts: CohortFacts) -> tuple[NamedLink, ...]:
    links = [NamedLink("Runs in the console", run_list_url(facts.region))]
    if facts.results_uri is not None:
        links.append(NamedLink(facts.results_uri, s3_url(facts.results_uri.rpartition("/")[0])))
    return tuple(links)
