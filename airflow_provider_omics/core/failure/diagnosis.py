"""Why a run failed: the known facts, arranged to fit into a task log's first screen.

Facts come from GetRun, ListRunTasks, GetRunTask, and CloudWatch Logs or the run's manifest stream;
:mod:`airflow_provider_omics.jobs.diagnosis` collects them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from airflow_provider_omics.core.console import log_stream_url, run_url, s3_url
from airflow_provider_omics.core.failure.causes import deciding_code
from airflow_provider_omics.core.failure.reasons import INCOMPLETE, FailureClass, FailureReason, run_reason
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.text import clean_line, clean_message, visible


@dataclass(frozen=True)
class FailedTask:
    """A task of a run that failed.

    :param task_id: its id.
    :param name: its name in the workflow.
    :param reason: AWS's failureReason of the task; None: there is none.
    :param message: AWS's statusMessage, the exit information; None: there is none.
    :param instance_type: the instance that it ran on: ``"omics.m.2xlarge"``.
    :param cpus: requested vCPUs.
    :param memory: requested GiB.
    :param gpus: requested GPUs.
    :param seconds: how long it ran.
    :param log_lines: the last lines of its log, oldest first.
    """

    task_id: str
    name: str
    reason: str | None = None
    message: str | None = None
    instance_type: str | None = None
    cpus: float | None = None
    memory: float | None = None
    gpus: float | None = None
    seconds: float | None = None
    log_lines: tuple[str, ...] = ()

    @classmethod
    def from_response(cls, response: Mapping[str, Any], task_id: str | None = None) -> FailedTask:
        """Take a task from an item of ListRunTasks, which has no reason, from GetRunTask, or from a manifest.

        :param response: the item or answer.
        :param task_id: its id; None: that of the response.
        :return: the task, its texts bounded and cleaned.
        :raises KeyError: it has no id.
        """
        started, stopped = response.get("startTime"), response.get("stopTime")
        seconds = None
        if isinstance(started, datetime) and isinstance(stopped, datetime):
            seconds = (stopped - started).total_seconds()
        return cls(
            task_id=task_id or str(response["taskId"]),
            name=clean_line(visible(str(response.get("name") or "a task without a name")), 128),
            reason=_text(response.get("failureReason")),
            message=_text(response.get("statusMessage")),
            instance_type=_text(response.get("instanceType")),
            cpus=_number(response.get("cpus")),
            memory=_number(response.get("memory")),
            gpus=_number(response.get("gpus")),
            seconds=seconds,
        )

    def stream(self, run_id: str) -> str:
        """Name its log stream in ``/aws/omics/WorkflowLog``. Source: user guide, "CloudWatch Logs"."""
        return f"run/{run_id}/task/{self.task_id}"

    @property
    def resources(self) -> str:
        """Its resources and duration: ``"omics.m.2xlarge, 8 vCPUs, 32 GiB, ran 1 h 12 min"``."""
        parts = [
            self.instance_type,
            f"{self.cpus:g} vCPUs" if self.cpus else None,
            f"{self.memory:g} GiB" if self.memory else None,
            f"{self.gpus:g} GPUs" if self.gpus else None,
            f"ran {duration(self.seconds)}" if self.seconds is not None else None,
        ]
        return ", ".join(part for part in parts if part)


class Diagnosis(ABC):
    """The account of a failure, a run's or a batch's."""

    @abstractmethod
    def summary(self, retry: str | None = None) -> list[str]:
        """State the cause, whose move it is and the action, without log lines.

        :param retry: Airflow's next step, a sentence.
        :return: lines.
        """

    @abstractmethod
    def details(self) -> list[str]:
        """Add the details that the summary leaves out, and the facts that could not be read."""

    def text(self, retry: str | None = None) -> str:
        """Write the whole text for the task log.

        :param retry: Airflow's next step, a sentence.
        """
        return "\n".join([*self.summary(retry), *self.details()])


@dataclass(frozen=True)
class RunDiagnosis(Diagnosis):
    """The facts about a failed run.

    :param run: its last snapshot.
    :param region: AWS Region, for the addresses.
    :param failed_tasks: the tasks that failed, the last one first; earlier ones may have been retried.
    :param more_tasks: number of failed tasks that are left out.
    :param engine_lines: the last lines of the engine log, when no task failed.
    :param notes: facts that could not be read, a sentence each.
    """

    run: RunSnapshot
    region: str
    failed_tasks: tuple[FailedTask, ...] = ()
    more_tasks: int = 0
    engine_lines: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def code(self) -> str | None:
        """AWS's code that decides: the task's where the run only says that something failed."""
        return deciding_code(self.run.failure_reason, self.failed_tasks[0].reason if self.failed_tasks else None)

    @property
    def is_incomplete(self) -> bool:
        """Whether the run completed without its expected outputs; the tasks that failed were ignored, or retried."""
        return self.run.status == INCOMPLETE.code

    @property
    def reason(self) -> FailureReason:
        """The cause, explained."""
        return INCOMPLETE if self.is_incomplete else run_reason(self.code)

    @property
    def failure_class(self) -> FailureClass:
        """Whether another try can help."""
        return self.reason.failure_class

    @property
    def headline(self) -> str:
        """The failure in one line: ``"Run 10000001 failed: OUT_OF_MEMORY_ERROR in ALIGN"``."""
        if self.is_incomplete:
            return f"Run {self.run.id} completed without expected outputs"
        where = f" in {self.failed_tasks[0].name}" if self.failed_tasks else ""
        return f"Run {self.run.id} failed: {clean_line(self.reason.code, 64)}{where}"

    @property
    def links(self) -> dict[str, str]:
        """Addresses in the AWS console, by their subject: ``run``, ``task log``, ``run log``, ``outputs``."""
        logged = self.run.log_level != "OFF"
        links = {"run": run_url(self.region, self.run.id)}
        if logged and self.failed_tasks:
            links["task log"] = log_stream_url(self.region, self.failed_tasks[0].stream(self.run.id))
        if logged:
            links["run log"] = log_stream_url(self.region, f"run/{self.run.id}")
        if self.run.run_output_uri:
            links["outputs"] = s3_url(self.run.run_output_uri)
        return links

    def summary(self, retry: str | None = None) -> list[str]:
        """State the failure, its cause, whose move it is and where to look: a few lines, without log lines.

        :param retry: Airflow's next step, a sentence.
        :return: lines.
        """
        facts = {
            "why": self.reason.explanation,
            "found" if self.is_incomplete else "AWS says": clean_message(self.run.status_message),
            "whose move": f"{self.reason.owner.value} ({self.reason.failure_class.value} failure)",
            "what to do": self.reason.action,
            "retry": retry,
            **self.links,
        }
        return [self.headline, *(f"  {name}: {fact}" for name, fact in facts.items() if fact)]

    def details(self) -> list[str]:
        """Show each failed task with the end of its log, or that of the engine log, and the facts that are missing."""
        lines: list[str] = []
        if self.failed_tasks:
            more = f", the last {len(self.failed_tasks)} shown" if self.more_tasks else ""
            lines.append(f"Failed tasks: {len(self.failed_tasks) + self.more_tasks}{more}")
        for task in self.failed_tasks:
            said = ": ".join(text for text in (task.reason, task.message) if text)
            lines.append(f"  {task.name} (task {task.task_id}): {said or 'no reason known'}")
            if task.resources:
                lines.append(f"    {task.resources}")
            lines += [f"    | {line}" for line in task.log_lines]
        if self.engine_lines:
            lines += ["End of the engine log:", *(f"    | {line}" for line in self.engine_lines)]
        return [*lines, *(f"Note: {note}" for note in self.notes)]

    def to_json(self, retry: str | None = None) -> dict[str, Any]:
        """Write the diagnosis as JSON values, as the error carries it.

        :param retry: Airflow's next step, a sentence.
        :return: ``summary`` is the text without log lines; the rest are its facts.
        """
        return {
            "headline": f"{self.headline} ({self.reason.owner.value})",
            "summary": "\n".join(self.summary(retry)),
            "retry": retry,
            "run_id": self.run.id,
            "run_uuid": self.run.uuid,
            "cause": self.reason.code,
            "explanation": self.reason.explanation,
            "owner": self.reason.owner.value,
            "action": self.reason.action,
            "failure_class": self.failure_class.value,
            "failure_reason": self.run.failure_reason,
            "status_message": clean_message(self.run.status_message),
            "failed_tasks": [
                {**vars(task), "log_lines": list(task.log_lines), "log_stream": task.stream(self.run.id)}
                for task in self.failed_tasks
            ],
            "more_failed_tasks": self.more_tasks,
            "engine_log_lines": list(self.engine_lines),
            "links": self.links,
            "notes": list(self.notes),
        }


def task_order(task_id: str, stopped: object) -> tuple[float, str]:
    """Make the key that sorts tasks by their ends, and those without one before all others.

    :param task_id: its id; later ones are higher.
    :param stopped: its stop time, an aware datetime; anything else: not known.
    """
    return stopped.timestamp() if isinstance(stopped, datetime) else 0.0, task_id.rjust(18, "0")


def duration(seconds: float) -> str:
    """Write a length of time: ``"45 s"``, ``"12 min"``, ``"3 h 5 min"``."""
    if seconds < 120:
        return f"{max(seconds, 0):.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def retry_sentence(failure_class: FailureClass, *, final: bool, tries_left: int) -> str:
    """Write the sentence about Airflow's next step after a failure.

    :param failure_class: of the failure.
    :param final: whether the error ends the task, whatever its ``retries``.
    :param tries_left: tries that the task would have left.
    """
    if tries_left <= 0:
        return "none left"
    if final and failure_class is FailureClass.UNCLEAR:
        return "none, as it failed without a clear reason twice (retry_permanent_failures=True would go on)"
    if final:
        return f"none, as a {failure_class.value} failure comes back (retry_permanent_failures=True would try)"
    if failure_class is FailureClass.UNCLEAR:
        return "one more, in case it passes"
    return f"up to {tries_left} more"


def _text(value: Any) -> str | None:
    return clean_message(visible(value)) if isinstance(value, str) else None


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) and not isinstance(value, bool) else None
