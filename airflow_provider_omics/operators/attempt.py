"""One try's hold on a run or batch: starts it or takes it over, and cancels it when the task is killed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeGuard

from airflow_provider_omics.core.attempt.earlier import REQUEST_ID_MEMORY
from airflow_provider_omics.core.attempt.flow import Begun, begin
from airflow_provider_omics.core.attempt.identity import (
    REQUEST_ID_TAG,
    IdentifiedRequest,
    TaskIdentity,
    fingerprint,
    given_name,
    identified_request,
    name_hash,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended, Present
from airflow_provider_omics.core.commands import Answer, AttemptAnswer, Choose, Find, IsSuccess, Save, Say, Start
from airflow_provider_omics.core.errors import (
    AttemptError,
    NotFound,
    NotOwner,
    OmicsError,
    ServiceError,
    Unavailable,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.cancel import cancel
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import LIST_LAG
from airflow_provider_omics.core.wait.plan import WaitPlan
from airflow_provider_omics.hooks.calls import before_each_request
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.attempt_search import find_started
from airflow_provider_omics.operators.attempt_stores import AttemptStore
from airflow_provider_omics.operators.record_keeping import RecordKeeper
from airflow_provider_omics.operators.waiting import pause
from airflow_provider_omics.task_state import asked_within

STATE_PATIENCE = 2.0
"""Seconds for Airflow's answer in ``on_kill``."""

OWNER_PATIENCE = 1.0
"""Seconds for the record in ``on_kill``, which on Airflow 3.3 comes from the same api-server as the state."""

KILL_PATIENCE = 4.0
"""Seconds for all that ``on_kill`` does: SIGKILL follows 5 seconds after SIGTERM. At a time limit: for the cancel."""

SEARCH_INTERVAL = 1.0
"""Seconds between two searches for what a request has started whose answer was not read."""

ENDED_BY_USER = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", "restarting"})
"""States of a task instance whose worker is told to end, in which no retry of Airflow's own can put it."""

_START = {"run": "StartRun", "batch": "StartRunBatch"}


@dataclass(frozen=True)
class Starter:
    """What an attempt needs to know of a run or of a batch.

    :param kind: ``"run"`` or ``"batch"``.
    :param start: sends a request, gives the snapshot.
    :param is_success: whether what has ended counts as a success of the task.
    :param prepare: makes the request of an attempt ready to be sent, which may take minutes; gives the one to send.
    :param choose: chooses the samples that an attempt submits, and keeps the choice; gives whether any is left.
    :param staged_run_tags: tells how many tags of its own a run has at most that is not in the request itself.
    """

    kind: str
    start: Callable[[Mapping[str, Any]], Snapshot]
    is_success: Callable[[Snapshot], bool]
    prepare: Callable[[AttemptRecord, Mapping[str, Any]], Mapping[str, Any]] = lambda _, request: request
    choose: Callable[[AttemptRecord], bool] = lambda _: True
    staged_run_tags: Callable[[], int] = lambda: 0


class Attempt(RecordKeeper):
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
        super().__init__(hook, log, store, try_number)
        self._starter = starter
        self.identity = identity
        self._tag = tag
        self._request: Mapping[str, Any] = {}
        self._sent: str | None = None
        """Request id of the request that was sent last."""
        self._killed = False
        self._cancelled = False
        self.snapshot: Snapshot | None = None

    @property
    def is_interrupted(self) -> bool:
        """Whether the machine has ended this process, and no user the task: what is left of its tries may go on."""
        return self._killed and not self._ended_by_user

    def check_not_killed(self) -> None:
        """Refuse to go on when the task was ended for good: nothing may be started any more.

        :raises AttemptError: it was.
        """
        if self._killed:
            reason = "The task was ended before its start was answered"
            raise AttemptError(reason, request_id=self.request_id or "unknown")

    def begin(
        self,
        request: Mapping[str, Any],
        *,
        max_tries: int,
        durable: bool,
        chooses: bool,
        has_earlier: bool,
        also: Any = None,
        cancel_old: bool,
        patience: float,
    ) -> Begun:
        """Start, adopt, or find ended, as :func:`airflow_provider_omics.core.attempt.flow.begin` decides.

        :param request: the checked request, without a request id.
        :param max_tries: Airflow's of the task now.
        :param durable: adopt what an earlier try left.
        :param chooses: what an earlier attempt has completed is not submitted again.
        :param has_earlier: results of other tasks tell what need not be submitted, too.
        :param also: what the request depends on beside its own content; None: nothing.
        :param cancel_old: cancel what a clear leaves behind.
        :param patience: seconds for which a start that does not get through is repeated.
        :return: what the try has in hand.
        :raises OmicsError: as ``begin`` does.
        """
        self._request, self._cancels_replaced = request, cancel_old
        present = Present(
            kind=self._starter.kind,
            try_number=self._try_number,
            max_tries=max_tries,
            fingerprint=fingerprint(request if also is None else {**request, "also": also}),
            new_request_id=str(uuid.uuid4()),
            tagged=self._tag,
            name_hash=name_hash(given_name(self._starter.kind, request)),
            durable=durable,
            chooses=chooses,
            has_earlier=has_earlier,
            cancel=cancel_old,
            patience=patience,
        )
        while True:
            self._record = self._store.load()
            try:
                begun = self.drive(begin(self._record, present, now=time.time()))
            except NotOwner as error:
                if error.owner_try is None or error.owner_try >= self._try_number:
                    raise
                self._log.warning("The process of try %s is still at work; reading its record anew", error.owner_try)
                continue
            self._record, self.snapshot = begun.record, begun.snapshot
            return begun

    def kill(self, *, may_leave: bool, task_state: Callable[[], str | None]) -> None:
        """Cancel what this try, or the one before it, has started; called in a signal handler.

        A node drain, a deploy or an outage of the api-server end a worker as well: unless Airflow says that the task
        was ended, and while another try will adopt it, the run is left alone.

        :param may_leave: whether another try would adopt it.
        :param task_state: asks Airflow for the task's state.
        """
        work = threading.Thread(target=self._kill, args=(may_leave, task_state), daemon=True)
        work.start()
        work.join(KILL_PATIENCE)

    def time_out(self, *, cancels: bool) -> WaitEvent | None:
        """End what this try, or the one before it, has started, when Airflow's own timeout has struck.

        :param cancels: whether it is cancelled, or left going.
        :return: the end; what is found ended wins over the limit. None: nothing is known to have started.
        :raises NotOwner: a later try owns it.
        """
        self._killed = self._killed or cancels
        record = self._record or self._left_by_an_earlier_try()
        # At our own deadline, before Airflow's timeout struck in the wait for what came of it.
        was_cancelled = record is not None and record.ended is Ended.BADLY
        if cancels and record is not None:
            self._cancel(record, LIST_LAG)
        seen = self.snapshot
        if seen is None and record is not None and record.resource_id and record.ended in (None, Ended.LOST):
            seen = WaitPlan(self._starter.kind, record.resource_id, record.resource_uuid).unseen()
        if seen is None:
            return None
        if _has_ended(seen) and not (was_cancelled and seen.phase is Phase.CANCELLED):
            return WaitEvent(Outcome.ENDED, seen)
        cancelled = self._cancelled or was_cancelled
        return WaitEvent(Outcome.TIMED_OUT, seen, limit="execution_timeout", cancelled=cancelled)

    def _kill(self, may_leave: bool, task_state: Callable[[], str | None]) -> None:
        record = self._record or self._left_by_an_earlier_try()
        state = asked_within(task_state, STATE_PATIENCE, self._log)
        self._ended_by_user = state in ENDED_BY_USER
        self._is_last, self._owner_patience = not may_leave, OWNER_PATIENCE
        is_left = may_leave and not self._ended_by_user
        self._killed = self._killed or not is_left
        if record is None:
            return
        if is_left:
            self._log.warning("%s is left going for the next try: the task is not ended by a user", self._name(record))
            return
        try:
            self._cancel(record, KILL_PATIENCE)
        except Exception as error:  # noqa: BLE001 - the end of a thread: nobody else would hear of it
            unforeseen = not isinstance(error, NotOwner)
            self._log.warning("%s was not cancelled: %s", self._name(record), error, exc_info=unforeseen)

    def _cancel(self, record: AttemptRecord, search_patience: float) -> None:
        """Cancel what a record names, and note what came of it.

        :param record: the record.
        :param search_patience: seconds for which what a request without an answer has started is searched.
        """
        snapshot = self.snapshot or self._left(record, search_patience)
        if snapshot is None:
            self._log.warning("%s: nothing to cancel was found", self._name(record))
            return
        if self._record is record and record.resource_id is None:
            # Saved with the cancel: the next try has to know what is stopping.
            self._record = replace(record, resource_id=snapshot.id, resource_uuid=snapshot.uuid)
        plan = WaitPlan(self._starter.kind, snapshot.id, snapshot.uuid)
        left = self.drive(cancel(plan, patience=KILL_PATIENCE, settle=KILL_PATIENCE))
        self._cancelled = left is None
        self.snapshot = left if _has_ended(left) else snapshot

    def _name(self, record: AttemptRecord) -> str:
        return f"{self._starter.kind} {record.resource_id or 'of request ' + record.request_id}"

    def tell_what_is_left(self) -> None:
        """Say what an earlier try has started, as this one ends before it has taken it over."""
        record = self._left_by_an_earlier_try()
        if record is not None and record.resource_id is not None and record.ended in (None, Ended.LOST):
            self._log.error(
                "%s %s of try %s may still be going, and nobody waits for it: correct the settings and clear the task, "
                "or cancel it",
                self._starter.kind,
                record.resource_id,
                record.owner_try,
            )

    def _left_by_an_earlier_try(self) -> AttemptRecord | None:
        """Read what this try would take over once its settings are checked; None: nothing, or it cannot be read."""
        try:
            return self._store.load()
        except Exception:  # noqa: BLE001 - whatever store it is; nobody else would hear of it
            self._log.warning("What an earlier try has started cannot be read, and may be going", exc_info=True)
            return None

    def _left(self, record: AttemptRecord, search_patience: float) -> Snapshot | None:
        """Look at what a record names, of which this try has seen nothing yet; None: nothing that could be going."""
        if record.ended in (Ended.WELL, Ended.BADLY):
            return None
        if record.resource_id is None:
            return self._search(record, search_patience)
        plan = WaitPlan(self._starter.kind, record.resource_id, record.resource_uuid)
        try:
            seen = self._hook.look(plan.kind, plan.id)
        except NotFound:
            return None
        except ServiceError:
            return plan.unseen()
        return None if plan.is_another(seen) else seen

    def _search(self, record: AttemptRecord, patience: float) -> Snapshot | None:
        """Search what a request has started: once, or for some time if it was sent just now, as lists may lag."""
        until = time.time() + (patience if self._sent == record.request_id else 0)
        while True:
            found = _found(self._find(record))
            if found is not None or self.snapshot is not None or time.time() >= until:
                return found or self.snapshot
            pause(SEARCH_INTERVAL)

    def _perform(self, command: Any) -> Answer:
        if isinstance(command, Say):
            self.tell(command.seen)
        if isinstance(command, Save):
            self._keep(command.record, self.snapshot)
        elif isinstance(command, Start):
            return AttemptAnswer(time.time(), self._start(command.record))
        elif isinstance(command, Find):
            return AttemptAnswer(time.time(), self._find(command.record))
        elif isinstance(command, IsSuccess):
            return AttemptAnswer(time.time(), judged=self._starter.is_success(command.snapshot))
        elif isinstance(command, Choose):
            is_any_left = self._starter.choose(command.record)
            self.check_not_killed()  # it took its time: a later try, or a kill, may have come
            self._check_owner()
            return AttemptAnswer(time.time(), judged=is_any_left)
        else:
            answer = super()._perform(command)
            return AttemptAnswer(answer.now, answer.result, answer.run_ids)
        return AttemptAnswer(time.time())

    def _start(self, record: AttemptRecord) -> Snapshot | ServiceError:
        self.check_not_killed()
        identified = self._identified(record)
        if record.owner_try == record.first_try and self._sent != record.request_id:
            for warning in identified.warnings:
                self._log.warning("%s", warning)
        operation = _START[self._starter.kind]
        is_resend = False

        def check() -> None:
            nonlocal is_resend
            self._check_may_start()
            if is_resend and time.time() - record.requested_at > REQUEST_ID_MEMORY:
                raise Unavailable(operation, "TooLate", "HealthOmics may have forgotten the request id: a search first")
            is_resend = True

        try:
            if self._sent == record.request_id:
                self._check_owner()  # the back-off took its time; before it, the record was saved just now
            request = self._starter.prepare(record, identified.request)
            with before_each_request(self._hook, operation, check):
                self._sent = record.request_id
                started = self._starter.start(request)
        except ServiceError as error:
            return error
        self.snapshot = started
        self._log.info("Started %s %s (uuid %s)", self._starter.kind, started.id, started.uuid)
        if self._killed:
            self._log.warning("%s %s has started although the task was ended", self._starter.kind, started.id)
            self._record = replace(record, resource_id=started.id, resource_uuid=started.uuid)
            self.drive(cancel(WaitPlan(self._starter.kind, started.id, started.uuid), settle=KILL_PATIENCE))
        return started

    def _check_may_start(self) -> None:
        """Refuse to send a request when a kill, or a later try, has come meanwhile.

        :raises AttemptError: the task was ended for good.
        :raises NotOwner: a later try owns the attempt.
        """
        self.check_not_killed()
        self._check_owner()

    def _find(self, record: AttemptRecord) -> Snapshot | ServiceError | None:
        # While the settings of a retry are checked, all that is known of the request is what the record tells.
        is_tagged = record.tagged
        if self._request:
            is_tagged = REQUEST_ID_TAG in self._identified(record).request.get("tags", {})
        return find_started(self._hook, self._starter.kind, record, self.identity, self._request, is_tagged=is_tagged)

    def _identified(self, record: AttemptRecord) -> IdentifiedRequest:
        staged = self._starter.staged_run_tags()
        return identified_request(self._starter.kind, self._request, self.identity, record, staged_run_tags=staged)


def _has_ended(seen: Snapshot | NotFound | None) -> TypeGuard[Snapshot]:
    return isinstance(seen, (RunSnapshot, BatchSnapshot)) and seen.phase is not Phase.ACTIVE


def _found(result: Snapshot | ServiceError | None) -> Snapshot | None:
    return None if isinstance(result, (OmicsError, type(None))) else result
