"""One try's hold on a run or batch: starts it or takes it over, and cancels it when the task is killed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_omics.core.attempt_record import AttemptRecord, Ended, Present
from airflow_provider_omics.core.attempts import AttemptAnswer, Begun, Find, IsSuccess, Save, Start, begin
from airflow_provider_omics.core.cancelling import cancel
from airflow_provider_omics.core.commands import Answer, WaitPlan
from airflow_provider_omics.core.errors import InvalidRequest, NotOwner, OmicsError, ServiceError
from airflow_provider_omics.core.identity import (
    REQUEST_ID_TAG,
    IdentifiedRequest,
    TaskIdentity,
    fingerprint,
    identified_request,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.attempt_stores import AttemptStore
from airflow_provider_omics.operators.waiting import Driver

STATE_PATIENCE = 2.0
"""Seconds for Airflow's answer in ``on_kill``: asking inside a signal handler can deadlock."""

KILL_PATIENCE = 4.0
"""Seconds for all that ``on_kill`` does: SIGKILL follows 5 seconds after SIGTERM."""

CLOCK_SKEW = 300.0
"""Seconds by which the clocks of worker and AWS may differ when a started run is searched by its creation time."""


@dataclass(frozen=True)
class Starter:
    """What an attempt needs to know of a run or of a batch.

    :param kind: ``"run"`` or ``"batch"``.
    :param start: sends a request, gives the snapshot.
    :param is_success: whether what has ended counts as a success of the task.
    """

    kind: str
    start: Callable[[Mapping[str, Any]], Snapshot]
    is_success: Callable[[Snapshot], bool]


class Attempt(Driver):
    """The attempt of one try.

    :param hook: where to ask.
    :param log: the task's logger.
    :param starter: what differs between a run and a batch.
    :param store: where the record is kept.
    :param identity: the task instance.
    :param try_number: number of this try.
    :param tag: whether names and tags of Airflow go into the request.
    """

    def __init__(
        self,
        hook: OmicsHook,
        log: Any,
        starter: Starter,
        store: AttemptStore,
        identity: TaskIdentity,
        try_number: int,
        *,
        tag: bool,
    ) -> None:
        super().__init__(hook, log, before_cancel=self._check_owner)
        self._starter = starter
        self._store = store
        self._identity = identity
        self._try_number = try_number
        self._tag = tag
        self._request: Mapping[str, Any] = {}
        self._record: AttemptRecord | None = None
        self._killed = False
        self.snapshot: Snapshot | None = None

    def begin(
        self,
        request: Mapping[str, Any],
        *,
        max_tries: int,
        durable: bool,
        keep_success: bool,
        cancel_old: bool,
        patience: float,
    ) -> Begun:
        """Start, adopt, or find ended, as :func:`airflow_provider_omics.core.attempts.begin` decides.

        :param request: the checked request, without a request id.
        :param max_tries: Airflow's of the task now.
        :param durable: adopt what an earlier try left.
        :param keep_success: a clear after a success returns the stored result.
        :param cancel_old: cancel what a clear leaves behind.
        :param patience: seconds for which a start that does not get through is repeated.
        :return: what the try has in hand.
        :raises OmicsError: as ``begin`` does.
        """
        self._request = request
        present = Present(
            kind=self._starter.kind,
            try_number=self._try_number,
            max_tries=max_tries,
            fingerprint=fingerprint(request),
            new_request_id=str(uuid.uuid4()),
            durable=durable,
            keep_success=keep_success,
            cancel=cancel_old,
            patience=patience,
        )
        begun = self.drive(begin(self._store.load(), present, now=time.time()))
        self._record, self.snapshot = begun.record, begun.snapshot
        return begun

    def take_up(self) -> None:
        """Take the stored record in hand, when a task is taken up after its deferral."""
        self._record = self._store.load()

    def end(self, ended: Ended) -> None:
        """Record how the attempt ended; a failure is told in the log only, as the outcome is more important.

        :param ended: how it ended.
        """
        record = self._record
        if record is None or record.owner_try != self._try_number:
            return
        try:
            self._store.save(replace(record, ended=ended))
        except Exception:  # noqa: BLE001 - whatever store it is: the task's outcome must not depend on this note
            self._log.warning("The end of the attempt could not be recorded", exc_info=True)

    def kill(self, *, may_leave: bool, task_state: Callable[[], str | None]) -> None:
        """Cancel what this try has started, if it was a user who ended the task; called in a signal handler.

        A node drain, a deploy or an outage of the api-server end a worker as well: while Airflow still takes the task
        for running, or does not answer, and another try will adopt it, the run is left alone.

        :param may_leave: whether another try would adopt it.
        :param task_state: asks Airflow for the task's state.
        """
        if self._record is None:
            return
        work = threading.Thread(target=self._kill, args=(may_leave, task_state), daemon=True)
        work.start()
        work.join(KILL_PATIENCE)

    def _kill(self, may_leave: bool, task_state: Callable[[], str | None]) -> None:
        record = self._record
        assert record is not None  # noqa: S101 - checked by kill
        name = f"{self._starter.kind} {record.resource_id or 'of request ' + record.request_id}"
        state = _bounded(task_state, STATE_PATIENCE, self._log)
        if may_leave and state in (None, "running"):
            self._log.warning("%s is left going for the next try: the task is not ended by a user", name)
            return
        self._killed = True
        snapshot = self.snapshot or _found(self._find(record))
        if snapshot is None:
            self._log.warning("%s: nothing to cancel was found yet", name)
            return
        try:
            plan = WaitPlan(self._starter.kind, snapshot.id, snapshot.uuid)
            self.drive(cancel(plan, patience=KILL_PATIENCE, settle=KILL_PATIENCE))
        except NotOwner as error:
            self._log.warning("Not cancelled: %s", error)

    def _perform(self, command: Any) -> Answer:
        if isinstance(command, Save):
            self._save(command.record)
        elif isinstance(command, Start):
            return AttemptAnswer(time.time(), self._start(command.record))
        elif isinstance(command, Find):
            return AttemptAnswer(time.time(), self._find(command.record))
        elif isinstance(command, IsSuccess):
            return AttemptAnswer(time.time(), judged=self._starter.is_success(command.snapshot))
        else:
            answer = super()._perform(command)
            return AttemptAnswer(answer.now, answer.result)
        return AttemptAnswer(time.time())

    def _save(self, record: AttemptRecord) -> None:
        try:
            self._store.save(record)
        except NotOwner:
            raise
        except Exception:
            if record.resource_id is None:
                raise  # nothing was sent yet, and nothing must be
            # The request id is stored, so the next try finds what was started by name and tag.
            self._log.warning("%s could not be stored; going on", record.resource_id, exc_info=True)
        self._record = record

    def _start(self, record: AttemptRecord) -> Snapshot | ServiceError:
        self._check_owner()
        identified = self._identified(record)
        if record.owner_try == record.first_try:
            for warning in identified.warnings:
                self._log.warning("%s", warning)
        try:
            started = self._starter.start(identified.request)
        except ServiceError as error:
            return error
        self.snapshot = started
        self._log.info("Started %s %s (uuid %s)", self._starter.kind, started.id, started.uuid)
        if self._killed:
            self._hook.cancel(self._starter.kind, started.id)
            self._log.warning("Cancelled %s %s: the task was killed while it started", self._starter.kind, started.id)
        return started

    def _find(self, record: AttemptRecord) -> Snapshot | ServiceError | None:
        identified = self._identified(record)
        if not identified.is_findable:
            return InvalidRequest("ListRuns", "NotFindable", "a user's name and no tag do not tell it from others")
        try:
            for item in self._candidates(identified.name):
                created = item.get("creationTime") or item.get("createdAt")
                if created is not None and created.timestamp() < record.requested_at - CLOCK_SKEW:
                    continue
                found = self._confirmed(item["id"], identified)
                if found is not None:
                    return found
        except ServiceError as error:
            return error
        return None

    def _candidates(self, name: str) -> Any:
        return self._hook.list_runs(name=name) if self._starter.kind == "run" else self._hook.list_batches(name=name)

    def _confirmed(self, resource_id: str, identified: IdentifiedRequest) -> Snapshot | None:
        """Look at a run or batch of the right name, and give it if it is ours."""
        get = self._hook.get_run if self._starter.kind == "run" else self._hook.get_batch
        response: Mapping[str, Any] = get(resource_id)
        request_id = identified.request["requestId"]
        tagged = (response.get("tags") or {}).get(REQUEST_ID_TAG)
        if tagged != request_id and not (tagged is None and request_id in identified.name):
            return None
        read = RunSnapshot.from_response if self._starter.kind == "run" else BatchSnapshot.from_response
        return read(response)

    def _identified(self, record: AttemptRecord) -> IdentifiedRequest:
        return identified_request(self._starter.kind, self._request, self._identity, record, tag=self._tag)

    def _check_owner(self) -> None:
        """Refuse to touch what a later try owns: the orphaned process of an earlier try can live on.

        :raises NotOwner: a later try owns the attempt.
        """
        stored = self._store.load()
        if stored is not None and stored.owner_try > self._try_number:
            raise NotOwner(stored.resource_id, stored.owner_try)


def _found(result: Snapshot | ServiceError | None) -> Snapshot | None:
    return None if isinstance(result, (OmicsError, type(None))) else result


def _bounded(ask: Callable[[], str | None], seconds: float, log: Any) -> str | None:
    """Ask in a thread of its own, and give up after some time; no answer is None."""
    answers: list[str | None] = []

    def answer() -> None:
        try:
            answers.append(ask())
        except Exception:
            log.warning("Airflow did not tell the state of the task", exc_info=True)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    thread.join(seconds)
    return answers[0] if answers else None
