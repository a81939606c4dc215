"""Why a run or the runs of a batch failed, collected from HealthOmics and CloudWatch Logs.

A diagnosis never fails: one sentence replaces a part that cannot be read, and a call that hangs is abandoned, so that
the user sees the failure itself. The number of calls is bounded, however many tasks and runs failed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import redact

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.console import run_list_url
from airflow_provider_omics.core.errors import NotFound, ServiceError
from airflow_provider_omics.core.failure.batch import DIAGNOSED_GROUPS, BatchDiagnosis
from airflow_provider_omics.core.failure.causes import GENERAL_REASONS, cause_of, deciding_code
from airflow_provider_omics.core.failure.diagnosis import FailedTask, RunDiagnosis, task_order
from airflow_provider_omics.core.failure.groups import group_failures, spread
from airflow_provider_omics.core.failure.manifest import failed_tasks_from_manifest
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.text import clean_line, clean_message, last_lines
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import RunLogsHook
from airflow_provider_omics.results.cohort import Cohort, not_submitted

LISTED_TASKS = 100
"""Failed tasks that are listed: one page."""

LISTED_RUNS = 100
"""Runs of a batch that failed as a whole that are listed: one page."""

SHOWN_TASKS = 10
"""Failed tasks that are asked for in full, with their logs."""

FIRST_RUNS = 20
"""Failed runs of a batch that are looked at in any case: the error names as many with their reasons."""

SPREAD_RUNS = 30
"""Failed runs that are looked at beyond, spread over the batch: up to three calls each, of ten a second for the whole
account."""

PATIENCE = 120.0
"""Seconds after which nothing more is asked."""

Answer = TypeVar("Answer")


class Diagnoser:
    """Finds out why something failed; asks no more of a service that has refused or failed one of its calls.

    :param hook: where to ask.
    :param log_lines: lines of each log that are shown; 0: none.
    :param clock: returns seconds; default: the process's.
    """

    def __init__(self, hook: OmicsHook, *, log_lines: int = 30, clock: Callable[[], float] = time.monotonic) -> None:
        self._hook = hook
        self._logs = RunLogsHook.beside(hook)
        self._log_lines = log_lines
        self._clock = clock
        self._ends = clock() + PATIENCE
        self._silent: set[str] = set()
        self._notes: list[str] = []

    def run(self, run: RunSnapshot) -> RunDiagnosis:
        """Diagnose a run: at most 1 + 10 calls to HealthOmics, and 2 + 20 to CloudWatch Logs.

        :param run: its last snapshot, FAILED.
        :return: the diagnosis.
        """
        diagnosis = self._with_logs(run, self._failed_tasks(run, SHOWN_TASKS), SHOWN_TASKS)
        return replace(diagnosis, notes=self._take_notes())

    def batch(self, batch: BatchSnapshot, cohort: Cohort) -> BatchDiagnosis:
        """Diagnose a batch: at most 3 * 50 calls to look at its runs, and two for each of five examples.

        The first runs that failed while executing are looked at, and some spread over the others.

        :param batch: its last snapshot.
        :param cohort: all samples.
        :return: the diagnosis.
        """
        runs: dict[str, tuple[RunSnapshot, list[FailedTask]]] = {}
        executed = [run for run in cohort.failed if run.status is RecordStatus.FAILED]
        looked_at = [self._looked_at(run, runs) for run in self._some_of(executed)]
        groups = group_failures((*_known(cohort), *(run for run in looked_at if run is not None)))
        examples = {}
        for group in groups[:DIAGNOSED_GROUPS]:
            first = group.failures[0]
            if first.run_id in runs:
                run, tasks = runs[first.run_id]
                if run.failure_reason not in GENERAL_REASONS:  # else it is in full already
                    tasks = self._in_full(run, tasks, 1)
                examples[first.run_setting_id or first.run_id] = self._with_logs(run, tasks, 1)
        known = diagnosis_of(batch, cohort, self._hook.conn_region_name)
        return replace(known, groups=groups, examples=examples, notes=self._take_notes())

    def failed_batch(self, batch: BatchSnapshot) -> BatchDiagnosis:
        """Diagnose a batch that itself ended FAILED: one page of its runs that were not started.

        :param batch: its last snapshot.
        :return: the diagnosis.
        """
        listed = self._ask(
            "omics",
            "The runs that were not started could not be listed",
            lambda: list(islice(self._hook.list_runs_in_batch(batch.id, submission_status="FAILED"), LISTED_RUNS)),
            list[dict[str, Any]](),
        )
        refused = replace(Cohort().with_counts(batch), failed=tuple(map(not_submitted, listed)))
        known = diagnosis_of(batch, refused, self._hook.conn_region_name)
        return replace(known, notes=self._take_notes())

    def causes(self, failed: Sequence[RunRecord]) -> tuple[dict[str, str], tuple[str, ...]]:
        """Find the tasks that failed in runs of which only a general reason is known: at most 2 * 50 calls.

        :param failed: the runs.
        :return: ``runSettingId`` -> cause, of those whose task was found; and a sentence for each gap.
        """
        causes = {}
        for failure in self._some_of(failed):
            run = RunSnapshot(str(failure.run_id), failure.status.value, failure_reason=failure.failure_code)
            for task in self._failed_tasks(run, 1)[:1]:
                code = deciding_code(failure.failure_code, task.reason)
                causes[failure.run_setting_id] = cause_of(failure.status.value, code, task.name)
        return causes, self._take_notes()

    def _with_logs(self, run: RunSnapshot, tasks: list[FailedTask], shown: int) -> RunDiagnosis:
        run = replace(run, status_message=_masked(run.status_message))
        region = self._hook.conn_region_name
        if self._log_lines <= 0:
            return RunDiagnosis(run, region, tuple(tasks[:shown]), len(tasks[shown:]))
        if run.log_level == "OFF":
            self._note("The run wrote no logs, as its logLevel is OFF: start it with log_level='ERROR' to see more.")
            return RunDiagnosis(run, region, tuple(tasks[:shown]), len(tasks[shown:]))
        told = [replace(task, log_lines=self._end_of(task.stream(run.id), run)) for task in tasks[:shown]]
        engine = () if tasks else self._end_of(f"run/{run.id}/engine", run)
        return RunDiagnosis(run, region, tuple(told), len(tasks[shown:]), engine)

    def _failed_tasks(self, run: RunSnapshot, shown: int) -> list[FailedTask]:
        """Find the failed tasks, the last one first; the first of them in full, by GetRunTask."""
        lead = "The failed tasks could not be listed"

        def listed() -> list[FailedTask]:
            items = list(islice(self._hook.list_run_tasks(run.id, status="FAILED"), LISTED_TASKS))
            items.sort(key=lambda item: task_order(str(item["taskId"]), item.get("stopTime")), reverse=True)
            return [_task(item, str(item["taskId"])) for item in items]

        def from_manifest() -> list[FailedTask]:
            tasks = failed_tasks_from_manifest(self._logs.manifest_messages(run.id, run.uuid), run.id)
            return [replace(task, message=_masked(task.message)) for task in tasks]

        def without_record() -> list[FailedTask]:
            return self._ask("logs", lead, from_manifest, list[FailedTask]())

        tasks = self._ask("omics", lead, listed, list[FailedTask](), gone=without_record)
        return self._in_full(run, tasks, shown)

    def _in_full(self, run: RunSnapshot, tasks: list[FailedTask], shown: int) -> list[FailedTask]:
        """Get the first of some failed tasks in full."""

        def got(task: FailedTask) -> FailedTask:
            return self._ask(
                "omics",
                f"Task {task.task_id} could not be looked at",
                lambda: _task(self._hook.get_run_task(run.id, task.task_id), task.task_id),
                task,
                gone=lambda: task,
            )

        return [*map(got, tasks[:shown]), *tasks[shown:]]

    def _end_of(self, stream: str, run: RunSnapshot) -> tuple[str, ...]:
        messages = self._ask(
            "logs",
            f"The log {stream} could not be read",
            lambda: self._logs.last_messages(stream, self._log_lines, since=run.creation_time),
            list[str](),
            gone=lambda: self._no_log(stream),
        )
        return last_lines((str(_masked(message)) for message in messages), self._log_lines)

    def _no_log(self, stream: str) -> list[str]:
        self._note(f"There is no log {stream}: nothing was printed, or it has been deleted.")
        return []

    @staticmethod
    def _some_of(failed: Sequence[RunRecord]) -> Iterator[RunRecord]:
        """Yield the first runs, and some spread over the others."""
        yield from failed[:FIRST_RUNS]
        others = failed[FIRST_RUNS:]
        yield from (others[position] for position in spread(len(others), SPREAD_RUNS))

    def _looked_at(self, failed: RunRecord, runs: dict[str, tuple[RunSnapshot, list[FailedTask]]]) -> RunRecord | None:
        run_id = str(failed.run_id)
        run = self._ask(
            "omics",
            "The reasons of the failed runs could not be asked for",
            lambda: self._present(run_id),
            None,
            gone=lambda: self._ask("logs", "A manifest could not be read", lambda: self._manifest(run_id), None),
        )
        if run is None:
            return None
        tasks = self._failed_tasks(run, 1 if run.failure_reason in GENERAL_REASONS else 0)
        runs[run_id] = run, tasks
        diagnosis = RunDiagnosis(run, self._hook.conn_region_name, tuple(tasks[:1]))
        task = diagnosis.failed_tasks[0] if diagnosis.failed_tasks else None
        message = task.message if task and diagnosis.code != run.failure_reason else run.status_message
        cause = cause_of(failed.status.value, diagnosis.code, task.name if task else None)
        return replace(failed, cause=cause, message=clean_message(_masked(message)))

    def _present(self, run_id: str) -> RunSnapshot | None:
        return RunSnapshot.from_response(self._hook.get_run(run_id))

    def _manifest(self, run_id: str) -> RunSnapshot | None:
        return self._logs.read_manifest(run_id, None)

    def _ask(
        self,
        service: str,
        lead: str,
        call: Callable[[], Answer],
        otherwise: Answer,
        *,
        gone: Callable[[], Answer] | None = None,
    ) -> Answer:
        """Make a call; where it fails, note it in one sentence and go on.

        :param service: ``"omics"`` or ``"logs"``: not asked again once it has refused or failed.
        :param lead: how the sentence begins.
        :param call: the call, with the reading of its answer.
        :param otherwise: taken where it fails.
        :param gone: asked instead where there is no such thing (any more).
        """
        if service in self._silent:
            return otherwise
        if self._clock() > self._ends:
            self._note(f"Nothing more was asked after {PATIENCE:.0f} s.")
            return otherwise
        try:
            return call()
        except NotFound as error:
            if gone is not None:
                return gone()
            self._note(f"{lead}: {_short(error)}")
        except ServiceError as error:
            self._silent.add(service)
            self._note(f"{lead}: {_short(error)}")
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            self._silent.add(service)  # a proxy's page in the place of an answer, or an answer of a newer service
            self._note(f"{lead}: the answer cannot be read ({type(error).__name__}).")
        return otherwise

    def _note(self, sentence: str) -> None:
        if sentence not in self._notes:
            self._notes.append(sentence)

    def _take_notes(self) -> tuple[str, ...]:
        notes, self._notes = tuple(self._notes), []
        return notes


def diagnosis_of(batch: BatchSnapshot, cohort: Cohort, region: str) -> BatchDiagnosis:
    """Diagnose a batch by its counts and lists, without further calls.

    :param batch: its last snapshot.
    :param cohort: all samples, as far as they are known.
    :param region: AWS Region, for the address.
    :return: the diagnosis; of runs that failed while executing it has no cause.
    """
    return BatchDiagnosis(
        batch_id=batch.id,
        total_runs=cohort.counts.total_runs,
        failed_runs=cohort.counts.not_completed,
        ends={} if batch.phase is Phase.FAILED else cohort.counts.ends,
        groups=group_failures(_known(cohort)),
        examples={},
        console_url=run_list_url(region),
        batch_failed=batch.phase is Phase.FAILED,
        batch_message=_masked(batch.failure_reason),
        carried=cohort.carried_forward,
    )


def _known(cohort: Cohort) -> Iterator[RunRecord]:
    """Yield the failures whose cause is known without a look at the run."""
    for run in (*(run for run in cohort.failed if run.status is not RecordStatus.FAILED), *cohort.carried):
        yield replace(run, message=clean_message(_masked(run.message)))


def _task(response: Mapping[str, Any], task_id: str) -> FailedTask:
    message = response.get("statusMessage")
    return FailedTask.from_response({**response, "statusMessage": redact(message)}, task_id)


def _short(error: ServiceError) -> str:
    text = clean_line(f"{error.code}.", 100)
    return f"{text} {error.advice}" if error.advice else text


def _masked(text: str | None) -> str | None:
    """Hide what Airflow knows to be a secret: connections' passwords, values of ``mask_secret``."""
    return None if text is None else str(redact(text))
