"""The owner of an attempt: the record of it, and who may touch what it names. Only the try that owns it may."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.errors import AttemptError, NotOwner, OmicsError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.wait.cancel import cancel
from airflow_provider_omics.core.wait.plan import WaitPlan
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.driver import Driver
from airflow_provider_omics.jobs.stores import AttemptStore, TaskStateAttemptStore, TryAttemptStore
from airflow_provider_omics.task_state import within


class Owner:
    """One try as the owner of its attempt: keeps the record in its store, and refuses to touch a later try's.

    :param hook: cancels what has started beside a later try's.
    :param log: the task's logger.
    :param identity: the task instance.
    :param try_number: number of this try.
    :param max_tries: Airflow's ``max_tries`` of the task; a clear changes it.
    """

    def __init__(self, hook: OmicsHook, log: Any, identity: TaskIdentity, try_number: int, max_tries: int) -> None:
        self._hook = hook
        self._log = log
        self._store: AttemptStore = TryAttemptStore()
        self.identity = identity
        self.try_number = try_number
        self.max_tries = max_tries
        self.record: AttemptRecord | None = None
        """The attempt in hand; None: there is none, or no record of it outlives a deferral."""
        self._request_id: str | None = None
        self.cancels_replaced = True
        """Whether a run that has started beside a later try's is cancelled (``cancel_on_kill``)."""
        self.is_killed = False
        """Whether the task was ended for good: nothing may be started any more."""
        self.is_ended_by_user = False
        self.is_last = False
        """Whether this process is being ended, and no other try comes to take over what it leaves."""
        self.patience: float | None = None
        """Seconds within which the owner must be known; None: as long as the store takes."""

    def keep_in(self, store: AttemptStore) -> None:
        """Keep the record in a store from now on; until then it is kept for this try only.

        :param store: the store.
        """
        self._store = store

    @property
    def request_id(self) -> str | None:
        """Request id of the attempt in hand; None: there is none."""
        return self._request_id if self.record is None else self.record.request_id

    @property
    def lasts(self) -> bool:
        """Whether the record outlives this try."""
        return not isinstance(self._store, TryAttemptStore)

    def stored(self) -> AttemptRecord | None:
        """Read the record that an earlier try has left; None: there is none."""
        return self._store.load()

    def is_started(self, *, durable: bool) -> bool:
        """Whether an earlier try has started what this one is about to find.

        :param durable: this try adopts what an earlier one left.
        """
        record = self._store.load()
        started = record is not None and record.resource_id is not None and record.ended is not Ended.BADLY
        return started and durable and record is not None and record.max_tries == self.max_tries

    def take_up(self, request_id: str | None, seen: Snapshot) -> None:
        """Take the stored record in hand, when a task is taken up after its deferral.

        :param request_id: the attempt's, as the task carried it through the deferral, for where no record outlives it.
        :param seen: the last observation of the wait: its id may not have got into the record.
        """
        self._request_id = request_id
        try:
            record = self._store.load()
        except Exception:  # noqa: BLE001 - whatever store it is: how the wait has ended is known all the same
            self._log.warning("The record of the attempt cannot be read; going on without it", exc_info=True)
            return
        if record is not None and record.resource_id is None and record.request_id == request_id:
            record = replace(record, resource_id=seen.id, resource_uuid=seen.uuid)
        self.record = record

    def is_of_an_earlier_try(self, deferred: int | None) -> bool:
        """Whether the attempt that was taken up is an earlier try's, and this one has begun nothing yet.

        :param deferred: number of the try that deferred, as the task carried it; None: only the record tells.
        """
        begun = self.record.owner_try if deferred is None and self.record is not None else deferred
        return begun is not None and begun < self.try_number

    # -- the record ------------------------------------------------------------------------------------------------

    def save(self, record: AttemptRecord, started: Snapshot | None) -> None:
        """Store a record and take it in hand; what this try has just started does not go on unknown to a later one.

        :param record: the record.
        :param started: the run or batch that this try has started; None: nothing.
        :raises NotOwner: another try has written.
        """
        new = started if started is not None and started.id == record.resource_id else None
        if new is not None and isinstance(self._store, TaskStateAttemptStore):
            self._cancel_if_replaced(record, new)  # S3 tells when it saves
        known = self.record
        if known is not None and known.request_id == record.request_id and known.ended is Ended.BADLY:
            record = replace(record, ended=Ended.BADLY)  # cancelled by a kill while this was under way
        try:
            self._store.save(record)
        except NotOwner:
            if new is not None:
                self._cancel_if_replaced(record, new)
            raise
        except Exception:
            if record.resource_id is None:
                raise  # nothing was sent yet, and nothing must be
            # The request id is stored, so the next try finds what was started by name and tag.
            self._log.warning("%s could not be stored; going on", record.resource_id, exc_info=True)
        self.record = record

    def end(self, ended: Ended) -> None:
        """Record how the attempt ended; a failure goes to the log only, as the outcome is more important.

        :param ended: how it ended.
        """
        if self.record is not None and self.record.owner_try == self.try_number:
            self._note(replace(self.record, ended=ended))

    def count_unclear(self) -> int | None:
        """Count a failure that may or may not pass by itself.

        :return: how many there were before, since the first try or the last clear; None: no record outlives this try.
        """
        record = self.record
        if record is None or record.owner_try != self.try_number or not self.lasts:
            return None
        self._note(replace(record, unclear_failures=record.unclear_failures + 1))
        return record.unclear_failures

    def _note(self, record: AttemptRecord) -> None:
        self.record = record
        try:
            self.check_owner()
            self._store.save(record)
        except Exception:  # noqa: BLE001 - whatever store it is: the task's outcome must not depend on this note
            self._log.warning("The end of the attempt could not be recorded", exc_info=True)

    def show_progress(self, seen: Snapshot | None) -> None:
        """Put the progress of a batch where Airflow keeps the state of tasks (3.3+); a failure does no harm.

        :param seen: the last observation.
        """
        if not isinstance(self._store, TaskStateAttemptStore) or not isinstance(seen, BatchSnapshot):
            return
        try:
            self._store.tell(seen.numbers)
        except Exception:  # noqa: BLE001 - whatever Airflow has against it: the batch is what matters
            self._log.warning("The progress could not be stored", exc_info=True)

    # -- who may go on ---------------------------------------------------------------------------------------------

    def check_not_killed(self) -> None:
        """Refuse to go on when the task was ended for good.

        :raises AttemptError: it was.
        """
        if self.is_killed:
            reason = "The task was ended before its start was answered"
            raise AttemptError(reason, request_id=self.request_id or "unknown")

    def check_owner(self) -> None:
        """Refuse to touch a later try's attempt: the orphaned process of an earlier try can live on.

        :raises NotOwner: a later try owns the attempt, or the record is out of this process's reach: Airflow closes
            its store to a try once there is a later one. When a user cleared the running task, that is no obstacle.
        :raises ServiceError: the record cannot be read. Where a user ended the task, or nobody would come to take over
            what is left, that is no obstacle either.
        """
        try:
            stored = self._store.load() if self.patience is None else within(self._store.load, self.patience)
        except Exception as error:
            if self.is_ended_by_user or self.is_last:
                self._log.warning("The record of the attempt cannot be read; no other try waits for it", exc_info=True)
                return
            if isinstance(error, OmicsError):
                raise
            raise Unavailable("ReadAttempt", type(error).__name__, str(error)) from error
        if stored is None:
            if self.record is None or self.is_ended_by_user:
                return
            raise NotOwner(self.record.resource_id, None)
        if stored.owner_try > self.try_number:
            raise NotOwner(stored.resource_id, stored.owner_try)

    def before_cancel(self) -> None:
        """Refuse to cancel a later try's run or batch.

        :raises OmicsError: as :meth:`check_owner` does.
        """
        self.check_owner()

    def after_cancel(self, resource_id: str) -> None:
        """Record a cancel: another try must not adopt what is stopping on our word, and may come before its end.

        :param resource_id: the run or batch that stops.
        """
        if self.record is None or resource_id != self.record.resource_id:
            return
        self.record = replace(self.record, ended=Ended.BADLY)
        try:
            self._store.save(self.record)
        except Exception:  # noqa: BLE001 - whatever store it is: the cancel is what matters
            self._log.warning("The cancel could not be recorded", exc_info=True)

    def _cancel_if_replaced(self, record: AttemptRecord, started: Snapshot) -> None:
        """Cancel what has just started, if its request was on its way while a later try made one of its own.

        A later try that has taken over the same request is answered with the same run, or finds it. One with another
        request has searched before, and what has started since is known to this process alone.

        :raises NotOwner: so it was.
        """
        try:
            stored = self._store.load()
        except Exception:  # noqa: BLE001 - whatever store it is: what has started is waited for all the same
            self._log.warning("Whether a later try has begun anew cannot be read", exc_info=True)
            return
        if stored is None or stored.request_id == record.request_id:
            return
        kind = "run" if isinstance(started, RunSnapshot) else "batch"
        fate = "it is cancelled" if self.cancels_replaced else "it is left going, as cancel_on_kill is off"
        self._log.warning("%s %s has started after try %s began anew: %s", kind, started.id, stored.owner_try, fate)
        if self.cancels_replaced:
            # Unguarded: a guarded driver cancels only what the record names.
            Driver(self._hook, self._log).drive(cancel(WaitPlan(kind, started.id, started.uuid)))
        raise NotOwner(started.id, stored.owner_try)
