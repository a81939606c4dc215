"""Records of the emulated service, and one account's share of it in one region."""

from __future__ import annotations

import heapq
import random
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any, Protocol

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.limits import Limits
from airflow_provider_omics.emulator.request_memory import RequestMemory
from airflow_provider_omics.emulator.scenario import BatchRule, RunRule, Scenario
from airflow_provider_omics.emulator.surroundings import Surroundings

#: First id of each noun: an id used for the wrong noun never happens to exist.
_FIRST_IDS = {
    "run": 10_000_001,
    "runBatch": 2_000_001,
    "workflow": 3_000_001,
    "runGroup": 400_001,
    "runCache": 500_001,
    "task": 1_000_000_001,
}
# EventBridge delivery from HealthOmics is best effort; a queue that nobody empties must not eat the memory.
_LONGEST_OUTBOX = 200_000


class Subject(Protocol):
    """What an event on the timeline is about; it is void when the epoch has changed meanwhile."""

    epoch: int


#: Time, order among those of one time, what happens, to what, and the epoch in which that still holds.
Event = tuple[float, int, "Callable[[Region, Any], None]", Subject, int]


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
    #: The other members of the answer to GetWorkflow, as they were given.
    details: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    versions: dict[str, Workflow] = field(default_factory=dict)
    required: frozenset[str] = frozenset()
    known: frozenset[str] = frozenset()

    def set_template(self, template: dict[str, dict[str, Any]] | None) -> None:
        """Set which parameters a run may and must have; None: any."""
        self.parameter_template = template
        self.known = frozenset(template or ())
        self.required = frozenset(name for name, entry in (template or {}).items() if not entry.get("optional"))


@dataclass(slots=True, eq=False)
class RunGroup:
    """A run group, and how much of it is in use."""

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
    #: Lines written so far of each log stream.
    logged: dict[str, int] | None = None

    def setting(self, name: str) -> Any:
        """Look up what was asked for this run: its entry of the batch wins over the batch's default."""
        if self.entry is not None and name in self.entry.setting:
            return self.entry.setting[name]
        return self.settings.get(name)

    @property
    def run_output_uri(self) -> str:
        """Where the outputs are."""
        return f"{self.output_uri.rstrip('/')}/{self.id}"

    @property
    def parameters(self) -> Any:
        """The parameters: those of the batch and of the entry, merged key by key."""
        default, own = self.settings.get("parameters"), None
        if self.entry is not None:
            own = self.entry.setting.get("parameters")
        return merge(default, own)


def merge(default: Any, own: Any) -> Any:
    """
    Merge ``parameters`` or ``runTags`` as StartRunBatch does: key by key, the run's value wins.

    :param default: The batch's value, or None.
    :param own: The run's value, or None.
    :return: The merged value.
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
    """A batch. ``counts`` are exact; ``shown`` are those of the last renewal, which GetBatch tells."""

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
    when_idle: Callable[[Region, Batch], None] | None = None

    def renew(self, now: float) -> None:
        """Show the exact counts, if the time has come: before a change, or when somebody looks."""
        if now >= self.renewed_at:
            self.shown = dict(self.counts)
            lag = self.rule.count_lag
            self.renewed_at = now if lag == 0 else (now // lag + 1) * lag


class RunIndex:
    """
    Runs in the order of their creation, counted by status.

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


class Region:
    """What one account has in one region."""

    def __init__(
        self,
        account: str,
        name: str,
        *,
        now: float,
        scenario: Scenario,
        limits: Limits,
        seed: int,
        surroundings: Surroundings,
    ) -> None:
        self.account = account
        self.name = name
        #: The time of the event that is being carried out, else the clock's.
        self.now = now
        self.scenario = scenario
        self.limits = limits
        self.surroundings = surroundings
        self.random = random.Random(f"{seed}/{account}/{name}")
        self.timeline: list[Event] = []
        self.scheduled = 0
        self.sequence = 0
        self.next_ids = dict(_FIRST_IDS)
        self.free_run_ids: list[int] = []

        self.runs: dict[str, Run] = {}
        self.run_index = RunIndex()
        self.runs_by_name: dict[str, dict[int, Run]] = {}
        self.batches: dict[str, Batch] = {}
        self.groups: dict[str, RunGroup] = {}
        self.caches: dict[str, RunCache] = {}
        self.workflows: dict[str, Workflow] = {}
        #: (workflow id, runSettingId or run name) -> starts so far
        self.attempts: dict[tuple[str, str], int] = defaultdict(int)
        #: Everything ever started, also what was deleted since.
        self.started_runs: list[Run] = []
        self.started_batches: list[Batch] = []

        #: Finished runs with retentionMode REMOVE, as a heap of (sequence, run); may hold removed ones.
        self.removable: list[tuple[int, Run]] = []
        self.occupied: dict[str, int] = {"STATIC": 0, "DYNAMIC": 0}
        #: (storage type, run group id) -> heap of (-priority, sequence, run)
        self.waiting: dict[tuple[str, str | None], list[tuple[int, int, Run]]] = {}
        #: Next free moment of a paced operation.
        self.next_slot: dict[str, float] = defaultdict(float)

        #: Status changes that no event was made of yet: (time, run or batch, status, extra).
        self.outbox: deque[tuple[float, Run | Batch, str, dict[str, str] | None]] = deque(maxlen=_LONGEST_OUTBOX)
        #: Runs whose tasks still change, and how many of these changes were told; uuid -> (run, number).
        self.watched: dict[str, tuple[Run, int]] = {}
        #: Runs that may have log lines to write; uuid -> run.
        self.unlogged: dict[str, Run] = {}
        #: Runs whose outputs are not written; bucket -> runs.
        self.unwritten: dict[str, list[Run]] = defaultdict(list)
        self.requests = RequestMemory()

    def next_id(self, noun: str) -> str:
        """Make an id: increasing digits."""
        number = self.next_ids[noun]
        self.next_ids[noun] = number + 1
        return str(number)

    def next_run_id(self) -> str:
        """Make a run's id: increasing, or that of a deleted run where ids are reused."""
        if self.free_run_ids and self.limits.reuse_run_ids:
            return str(heapq.heappop(self.free_run_ids))
        return self.next_id("run")

    def next_uuid(self) -> str:
        """Make a uuid, the same in each run with the same seed."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def arn(self, resource: str) -> str:
        """Make the ARN of a resource, e.g. of ``run/10000001``."""
        return f"arn:aws:omics:{self.name}:{self.account}:{resource}"


def to_datetime(seconds: float) -> datetime:
    """Turn the emulator's seconds into what an answer carries, in whole milliseconds."""
    return datetime.fromtimestamp(round(seconds, 3), timezone.utc)
