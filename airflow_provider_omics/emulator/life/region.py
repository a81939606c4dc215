"""A region of one account: its resources, and the timeline of their events."""

from __future__ import annotations

import heapq
import random
import uuid
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Any, Protocol, TypeVar

from airflow_provider_omics.emulator.life.records import (
    Batch,
    Configuration,
    Run,
    RunCache,
    RunGroup,
    RunIndex,
    Workflow,
)
from airflow_provider_omics.emulator.life.request_memory import RequestMemory
from airflow_provider_omics.emulator.life.surroundings import Surroundings
from airflow_provider_omics.emulator.script.limits import Limits
from airflow_provider_omics.emulator.script.scenario import Scenario

#: First id of each noun: an id used for the wrong noun never happens to exist.
_FIRST_IDS = {
    "run": 10_000_001,
    "runBatch": 2_000_001,
    "workflow": 3_000_001,
    "runGroup": 400_001,
    "runCache": 500_001,
    "task": 1_000_000_001,
}
# EventBridge delivery from HealthOmics is best effort; a queue without a reader must not eat the memory.
_LONGEST_OUTBOX = 200_000


class Subject(Protocol):
    """The subject of an event on the timeline. The event is void once the epoch has changed."""

    epoch: int


SubjectT = TypeVar("SubjectT", bound=Subject)

#: Time, order among events of the same time, action, subject, and the epoch of the subject in which it holds.
Event = tuple[float, int, "Callable[[Region, Any], None]", Subject, int]


class Region:
    """The resources of one account in one region, and a heap of the events that lie ahead.

    Nothing happens by itself: each call first carries out the events that have come due, at their own times.
    """

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
        self._scheduled = 0
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
        self.configurations: dict[str, Configuration] = {}
        #: (workflow id, runSettingId or run name) -> starts so far
        self.attempts: dict[tuple[str, str], int] = defaultdict(int)
        #: All that was ever started, the deleted included.
        self.started_runs: list[Run] = []
        self.started_batches: list[Batch] = []

        #: Finished runs with retentionMode REMOVE, as a heap of (sequence, run); may hold removed ones.
        self.removable: list[tuple[int, Run]] = []
        self.occupied: dict[str, int] = {"STATIC": 0, "DYNAMIC": 0}
        #: (storage type, run group id) -> heap of (-priority, sequence, run)
        self.waiting: dict[tuple[str, str | None], list[tuple[int, int, Run]]] = {}
        #: Next free moment of a paced operation.
        self.next_slot: dict[str, float] = defaultdict(float)

        #: Status changes not yet announced: (time, run, batch or workflow, status, counts).
        self.outbox: deque[tuple[float, Run | Batch | Workflow, str, dict[str, str] | None]] = deque(
            maxlen=_LONGEST_OUTBOX
        )
        #: Whether anybody receives events: what nobody would receive need not be kept.
        self.has_listeners = True
        #: Events that are not on the bus yet, oldest first: (time, detail type, detail).
        self.undelivered: deque[tuple[float, str, dict[str, Any]]] = deque()
        #: Runs whose tasks still change, and the number of changes of each task announced; uuid -> (run, numbers).
        self.changing: dict[str, tuple[Run, list[int]]] = {}
        #: Runs that may have log lines to write; uuid -> run.
        self.unlogged: dict[str, Run] = {}
        #: Runs whose outputs are not written; bucket -> runs.
        self.unwritten: dict[str, list[Run]] = defaultdict(list)
        self.requests = RequestMemory()

    def next_id(self, noun: str) -> str:
        """Return a new id: increasing digits."""
        number = self.next_ids[noun]
        self.next_ids[noun] = number + 1
        return str(number)

    def next_run_id(self) -> str:
        """Return an id for a run: increasing, or that of a deleted run where ids are reused."""
        if self.free_run_ids and self.limits.reuse_run_ids:
            return str(heapq.heappop(self.free_run_ids))
        return self.next_id("run")

    def next_uuid(self) -> str:
        """Return a new uuid, the same each time for the same seed."""
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def arn(self, resource: str) -> str:
        """Return the ARN of a resource, e.g. of ``run/10000001``."""
        return f"arn:aws:omics:{self.name}:{self.account}:{resource}"

    @property
    def arn_of_caller(self) -> str:
        """The ARN of whoever calls: the emulator tells no users apart."""
        return f"arn:aws:iam::{self.account}:user/emulator"

    def announce(self, subject: Run | Batch | Workflow, status: str, counts: dict[str, str] | None = None) -> None:
        """Note a status change for the event bus, if anybody listens there.

        :param subject: the run, batch or workflow.
        :param status: its new status.
        :param counts: the counts of a batch.
        """
        if self.has_listeners:
            self.outbox.append((self.now, subject, status, counts))

    def schedule(self, delay: float, happen: Callable[[Region, SubjectT], None], subject: SubjectT) -> None:
        """Put an event on the timeline. It is void when ``subject.epoch`` has changed by then.

        :param delay: seconds from now.
        :param happen: carries the event out.
        :param subject: the run, batch or workflow that the event is about.
        """
        self._scheduled += 1
        event: Event = (self.now + delay, self._scheduled, happen, subject, subject.epoch)
        heapq.heappush(self.timeline, event)

    def advance(self, now: float, is_over: Callable[[], bool] = lambda: False) -> bool:
        """Carry out everything that was due, each event at its own time.

        :param now: the time to advance to, in seconds since the epoch; one that has passed changes nothing.
        :param is_over: asked after each event, whether the rest has to wait; default: no.
        :return: whether all was carried out. Else the region stands at the time of the last event, behind the clock.
        """
        self.has_listeners = self.surroundings.has_event_rules()
        while self.timeline and self.timeline[0][0] <= now:
            time, _, happen, subject, epoch = heapq.heappop(self.timeline)
            if subject.epoch == epoch:
                self.now = time
                happen(self, subject)
                if is_over():
                    return not (self.timeline and self.timeline[0][0] <= now)
        self.now = max(self.now, now)
        return True
