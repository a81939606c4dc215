"""Rules: the part of a scenario that decides how runs, their tasks and batches go."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cached_property

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.script.mapping import ScenarioError

_SECONDS = {"minimum": 0}
# RunFailureReason and TaskFailureReason of the model.
_REASON = {"longest": 64}
# Reasons for which a run ends before its first task (User Guide, "Run failure reasons"): it imports its inputs first.
_BEFORE_TASKS = frozenset(
    {
        "ASSUME_ROLE_FAILED",
        "IMPORT_FAILED",
        "INACTIVE_OMICS_STORAGE_RESOURCE",
        "INPUT_URI_NOT_FOUND",
        "INVALID_URI_INPUT",
        "MODIFIED_INPUT_RESOURCE",
        "UNSUPPORTED_INPUT_SIZE",
        "WORKFLOW_VER_VALIDATION_FAILED",
    }
)
#: The reason for which a run ends after its last task.
EXPORT_FAILED = "EXPORT_FAILED"
# In RUNNING without a task: an import.
_IMPORT_SECONDS = 200.0


@dataclass(frozen=True)
class TaskRule:
    """One task of a run; the scenario module explains the keys."""

    name: str = field(metadata={"longest": 128})
    duration: float | None = field(default=None, metadata=_SECONDS)
    cpus: int = field(default=2, metadata={"minimum": 1})
    memory: int = field(default=4, metadata={"minimum": 1})
    gpus: int = field(default=0, metadata={"minimum": 0})
    cpus_used: float | None = field(default=None, metadata={"minimum": 0})
    memory_used: float | None = field(default=None, metadata={"minimum": 0})
    instance_type: str | None = None
    image: str | None = None
    outcome: str = field(default=statuses.COMPLETED, metadata={"allowed": (statuses.COMPLETED, statuses.FAILED)})
    failure_reason: str | None = field(default=None, metadata=_REASON)
    exit_text: str | None = None
    log: tuple[str, ...] = ()
    cache_hit: bool = False


@dataclass(frozen=True)
class SubmissionFailure:
    """The error that keeps a run from being created."""

    reason: str = field(metadata={"allowed": statuses.SUBMISSION_FAILURE_REASONS})
    message: str = "The run could not be submitted."


@dataclass(frozen=True)
class RunMatch:
    """The runs that a rule is for; an unset field matches all."""

    workflow: str | None = None
    name: str | None = None
    run_setting_id: str | None = None
    batch: str | None = None
    attempt: tuple[int, ...] = field(default=(), metadata={"minimum": 1})


@dataclass(frozen=True)
class TimedTask:
    """A task with its place in the run: seconds since the run entered RUNNING."""

    rule: TaskRule
    begins: float
    ends: float


@dataclass(frozen=True)
class RunRule:
    """The course of a run; the scenario module explains the keys."""

    match: RunMatch = RunMatch()
    pending: float = field(default=5.0, metadata=_SECONDS)
    starting: float = field(default=60.0, metadata=_SECONDS)
    running: float | None = field(default=None, metadata=_SECONDS)
    stopping: float = field(default=30.0, metadata=_SECONDS)
    outcome: str = field(default=statuses.COMPLETED, metadata={"allowed": (statuses.COMPLETED, statuses.FAILED)})
    fails_in: str = field(
        default=statuses.RUNNING, metadata={"allowed": (statuses.PENDING, statuses.STARTING, statuses.RUNNING)}
    )
    failure_reason: str | None = field(default=None, metadata=_REASON)
    status_message: str | None = None
    cancel_takes: float = field(default=20.0, metadata=_SECONDS)
    vanish_after: float | None = field(default=None, metadata=_SECONDS)
    engine_log: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ()
    tasks: tuple[TaskRule, ...] = ()
    submission_failure: SubmissionFailure | None = None

    def __post_init__(self) -> None:
        if self.outcome == statuses.COMPLETED:
            for name in ("failure_reason", "fails_in"):
                if getattr(self, name) not in (None, statuses.RUNNING):
                    raise ScenarioError(name, f"{getattr(self, name)!r} needs outcome: FAILED")

    @cached_property
    def timetable(self) -> tuple[TimedTask, ...]:
        """The tasks that this run starts, with their times."""
        rules = self.tasks or _default_tasks(self)
        if self.outcome == statuses.FAILED:
            failing = [number for number, rule in enumerate(rules) if rule.outcome == statuses.FAILED]
            if failing:
                rules = rules[: failing[-1] + 1]
        given = sum(rule.duration for rule in rules if rule.duration is not None)
        untimed = sum(rule.duration is None for rule in rules)
        # 200 s a task: ten minutes for the three default ones.
        running = given + 200.0 * untimed if self.running is None else self.running
        share = max(running - given, 0.0) / untimed if untimed else 0.0
        timetable, begins = [], 0.0
        for rule in rules:
            ends = begins + (share if rule.duration is None else rule.duration)
            timetable.append(TimedTask(rule, begins, ends))
            begins = ends
        return tuple(timetable)

    @cached_property
    def running_seconds(self) -> float:
        """Seconds that the run stays in RUNNING: never fewer than its tasks take."""
        if not self.timetable:
            return _IMPORT_SECONDS if self.running is None else self.running
        return max(self.running or 0.0, self.timetable[-1].ends)

    @cached_property
    def cpus(self) -> int:
        """VCPUs that the run takes from its run group."""
        return max((task.rule.cpus for task in self.timetable), default=0)

    @cached_property
    def gpus(self) -> int:
        """GPUs that the run takes from its run group."""
        return max((task.rule.gpus for task in self.timetable), default=0)


@dataclass(frozen=True)
class BatchMatch:
    """The batches that a rule is for; an unset field matches all."""

    name: str | None = None
    workflow: str | None = None


@dataclass(frozen=True)
class BatchFailure:
    """The error that fails a whole batch, and the number of runs before it."""

    reason: str
    code: str = "VALIDATION_EXCEPTION"
    after_runs: int = field(default=0, metadata={"minimum": 0})


@dataclass(frozen=True)
class BatchRule:
    """The course of a batch; the scenario module explains the keys."""

    match: BatchMatch = BatchMatch()
    creating: float = field(default=2.0, metadata=_SECONDS)
    pending: float = field(default=3.0, metadata=_SECONDS)
    count_lag: float = field(default=10.0, metadata=_SECONDS)
    failure: BatchFailure | None = None
    cancel_failures: int = field(default=0, metadata={"minimum": 0})
    delete_failures: int = field(default=0, metadata={"minimum": 0})


def _default_tasks(run: RunRule) -> tuple[TaskRule, ...]:
    align = TaskRule(name="ALIGN", cpus=8, memory=32, instance_type="omics.m.2xlarge")
    if run.failure_reason in _BEFORE_TASKS:
        return ()
    if run.outcome == statuses.FAILED and run.failure_reason != EXPORT_FAILED:
        align = replace(
            align,
            outcome=statuses.FAILED,
            failure_reason=run.failure_reason or "RUN_TASK_FAILED",
            exit_text="The task ended with exit code 1.",
            log=("Command error:", "  input file is truncated", "exit code 1"),
        )
    return (TaskRule(name="FASTQC"), align, TaskRule(name="MULTIQC", cpus=1, memory=2))
