"""The records of the emulated service: runs, batches, workflows, run groups and run caches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.script.rules import BatchRule, RunRule

#: Tags that a resource may have (User Guide, "Fixed quotas"); the model has no maximum for its tag maps.
MOST_TAGS = 50


@dataclass(slots=True, eq=False)
class Workflow:
    """A workflow or, with ``version_name``, one of its versions."""

    id: str
    uuid: str
    arn: str
    name: str
    type: str
    engine: str
    status: str
    created: float
    epoch: int = 0
    status_message: str | None = None
    owner: str | None = None
    version_name: str | None = None
    parameter_template: dict[str, dict[str, Any]] | None = None
    storage_type: str | None = None
    #: The zip archive; None: not there, because the emulator could not read it, or did not have to.
    definition: bytes | None = None
    digest: str = ""
    #: The uuid of the workflow that this is a version of.
    parent_uuid: str | None = None
    #: The other members of the answer to GetWorkflow, as they were given.
    details: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Workflow] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    @property
    def main(self) -> str | None:
        """The path of the main file."""
        return self.details.get("main")

    @property
    def workflow_arn(self) -> str:
        """The ARN of the workflow, for a version too."""
        return self.arn.partition("/version/")[0]

    def set_template(self, template: dict[str, dict[str, Any]] | None) -> None:
        """Set the parameters that a run may and must have; None: any."""
        self.parameter_template = template
        self.known = frozenset(template or ())
        self.required = frozenset(name for name, entry in (template or {}).items() if not entry.get("optional"))


@dataclass(slots=True, eq=False)
class RunGroup:
    """A run group, and its runs, vCPUs and GPUs in use."""

    id: str
    arn: str
    created: float
    settings: dict[str, Any]
    tags: dict[str, str]
    runs: RunIndex
    active_runs: int = 0
    active_cpus: int = 0
    active_gpus: int = 0


@dataclass(slots=True, eq=False)
class RunCache:
    """A run cache."""

    id: str
    arn: str
    uuid: str
    created: float
    settings: dict[str, Any]
    tags: dict[str, str]
    status: str = statuses.ACTIVE


@dataclass(slots=True, eq=False)
class Configuration:
    """A configuration: the VPC that runs may use."""

    name: str
    arn: str
    uuid: str
    sequence: int
    created: float
    request: dict[str, Any]
    tags: dict[str, str]
    status: str = statuses.CREATING
    epoch: int = 0


@dataclass(slots=True, eq=False)
class Run:
    """A run. Times are seconds since the epoch; ``started`` is when it entered RUNNING."""

    id: str
    uuid: str
    sequence: int
    workflow: Workflow
    rule: RunRule
    #: The request of StartRun, or the batch's defaultRunSetting, shared by its runs.
    settings: dict[str, Any]
    name: str | None
    output_uri: str
    storage_type: str
    priority: int
    tags: dict[str, str]
    created: float
    status: str = statuses.PENDING
    epoch: int = 0
    batch: Batch | None = None
    entry: Entry | None = None
    group: RunGroup | None = None
    source_run_id: str | None = None
    starting: float | None = None
    started: float | None = None
    stopping: float | None = None
    stopped: float | None = None
    #: Status after STOPPING.
    outcome: str = statuses.COMPLETED
    failure_reason: str | None = None
    status_message: str | None = None
    first_task_id: int = 0
    #: What the object behind parametersUri held when the run was started.
    file_parameters: dict[str, Any] | None = None
    configuration: Configuration | None = None
    #: Digests of the objects that the parameters name, once somebody has looked.
    resource_digests: dict[str, str] | None = None
    #: Lines written so far of each log stream.
    logged: dict[str, int] | None = None

    def setting(self, name: str) -> Any:
        """Return a setting as requested: the run's entry of the batch wins over the batch's default."""
        if self.entry is not None and name in self.entry.setting:
            return self.entry.setting[name]
        return self.settings.get(name)

    @property
    def engine_version(self) -> str:
        """The Nextflow version: as asked for in engineSettings, else a current one."""
        asked = str((self.setting("engineSettings") or {}).get("engineVersion", "25.10"))
        return asked if asked.count(".") > 1 else f"{asked}.0"

    @property
    def run_output_uri(self) -> str:
        """Where the outputs are: in a folder of the run's own, unless it asks for none."""
        if self.setting("outputUriPrefixMode") == "NONE_WITH_OVERWRITE":
            return self.output_uri.rstrip("/")
        return f"{self.output_uri.rstrip('/')}/{self.id}"

    @property
    def parameters(self) -> Any:
        """The parameters: those of the batch and of the entry, merged key by key."""
        if self.file_parameters is not None:
            return self.file_parameters
        default, own = self.settings.get("parameters"), None
        if self.entry is not None:
            own = self.entry.setting.get("parameters")
        return merge(default, own)


def merge(default: Any, own: Any) -> Any:
    """Merge ``parameters`` or ``runTags`` as StartRunBatch does: key by key, the run's value wins.

    :param default: the batch's value, or None.
    :param own: the run's value, or None.
    :return: the merged value.
    """
    if isinstance(default, dict) and isinstance(own, dict):
        return {**default, **own}
    return default if own is None else own


@dataclass(slots=True, eq=False)
class Entry:
    """One run setting of a batch; ``status`` is None until its submission was tried."""

    setting: dict[str, Any]
    status: str | None = None
    run: Run | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(slots=True, eq=False)
class Batch:
    """A batch. ``counts`` are exact; ``shown`` are those of the last renewal, which GetBatch returns."""

    id: str
    uuid: str
    arn: str
    sequence: int
    workflow: Workflow
    rule: BatchRule
    name: str | None
    default: dict[str, Any]
    tags: dict[str, str]
    request_id: str
    created: float
    runs: RunIndex
    settings_uri: str | None = None
    settings_etag: str | None = None
    entries: list[Entry] | None = None
    #: The rest of the settings file.
    reading: Iterator[Entry] = field(default_factory=lambda: iter(()))
    by_setting: dict[str, Entry] = field(default_factory=dict)
    by_run: dict[str, Entry] = field(default_factory=dict)
    status: str = statuses.CREATING
    epoch: int = 0
    #: How many entries were submitted, cancelled or deleted in the present state.
    cursor: int = 0
    failures_left: int = 0
    active: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(statuses.RUN_STATUSES, 0))
    shown: dict[str, int] = field(default_factory=lambda: dict.fromkeys(statuses.RUN_STATUSES, 0))
    renewed_at: float = 0.0
    submissions: dict[str, int] = field(default_factory=lambda: dict.fromkeys(statuses.SUBMISSION_STATUSES, 0))
    submitted: float | None = None
    processed: float | None = None
    failed: float | None = None
    failure_reason: str | None = None
    failure_code: str | None = None
    #: Called when the last of its runs has ended.
    when_idle: Callable[[], None] | None = None

    def renew(self, now: float) -> None:
        """Renew the counts that GetBatch returns, when they are due. Called before each change and each look."""
        if now >= self.renewed_at:
            self.shown = dict(self.counts)
            lag = self.rule.count_lag
            self.renewed_at = now if lag == 0 else (now // lag + 1) * lag


class RunIndex:
    """Runs in the order of their creation, counted by status.

    Kept in blocks, so that a page of a rare status among 100,000 runs is found without looking at each.
    """

    BLOCK = 512
    __slots__ = ("_blocks", "counts")

    def __init__(self) -> None:
        self._blocks: dict[int, tuple[dict[int, Run], dict[str, int]]] = {}
        self.counts: dict[str, int] = defaultdict(int)

    def __len__(self) -> int:
        return sum(self.counts.values())

    def add(self, run: Run) -> None:
        """Add a new run: its sequence is above all others."""
        block = self._blocks.get(run.sequence // self.BLOCK)
        if block is None:
            block = self._blocks[run.sequence // self.BLOCK] = ({}, defaultdict(int))
        block[0][run.sequence] = run
        block[1][run.status] += 1
        self.counts[run.status] += 1

    def moved(self, run: Run, before: str) -> None:
        """Note that a run has a new status."""
        counts = self._blocks[run.sequence // self.BLOCK][1]
        counts[before] -= 1
        counts[run.status] += 1
        self.counts[before] -= 1
        self.counts[run.status] += 1

    def remove(self, run: Run) -> None:
        """Take a run out."""
        number = run.sequence // self.BLOCK
        runs, counts = self._blocks[number]
        del runs[run.sequence]
        counts[run.status] -= 1
        self.counts[run.status] -= 1
        if not runs:
            del self._blocks[number]

    def after(self, sequence: int, status: str | None = None) -> Iterator[Run]:
        """Go through the runs created after one, all or those of one status."""
        first = sequence // self.BLOCK
        for number, (runs, counts) in self._blocks.items():
            if number < first or (status is not None and not counts[status]):
                continue
            for run in runs.values():
                if run.sequence > sequence and (status is None or run.status == status):
                    yield run


def to_milliseconds(seconds: float) -> int:
    """Turn the emulator's seconds into those of a log event: never before or after :func:`to_datetime` of the same."""
    return round(round(seconds, 3) * 1000)


def to_datetime(seconds: float) -> datetime:
    """Turn the emulator's seconds into the datetime of an answer, in whole milliseconds."""
    return datetime.fromtimestamp(round(seconds, 3), timezone.utc)
