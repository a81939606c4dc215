"""The record of a try's attempt, and who may touch what it names: only the try that owns it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.commands import Cancel
from airflow_provider_omics.core.errors import NotOwner, OmicsError, Unavailable
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.wait.cancel import cancel
from airflow_provider_omics.core.wait.plan import WaitPlan
from airflow_provider_omics.hooks.commands import Call, CallResult
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.attempt_stores import AttemptStore, TaskStateAttemptStore, TryAttemptStore
from airflow_provider_omics.operators.waiting import Driver
from airflow_provider_omics.task_state import within


class RecordKeeper(Driver):
    """Keeps the record of one try's attempt in its store, and cancels nothing that a later try owns.

    :param hook: where to ask.
    :param log: the task's logger.
    :param store: where the record is kept.
    :param try_number: number of this try.
    """

    def __init__(self, hook: OmicsHook, log: Any, store: AttemptStore, try_number: int) -> None:
        super().__init__(hook, log, before_cancel=self._check_owner)
        self._store = store
        self._try_number = try_number
        self._record: AttemptRecord | None = None
        self._request_id: str | None = None
        self._ended_by_user = False
        self._is_last = False
        """Whether this process is being ended, and no other try will come to take over what it leaves."""
        self._owner_patience: float | None = None
        """Seconds within which the owner must be known; None: as long as the store takes."""
        self._cancels_replaced = True

    @property
    def request_id(self) -> str | None:
        """Request id of the attempt in hand; None: there is none."""
        return self._request_id if self._record is None else self._record.request_id

    @property
    def record(self) -> AttemptRecord | None:
        """The attempt in hand; None: there is none, or no record of it outlives a deferral."""
        return self._record

    def stored(self) -> AttemptRecord | None:
        """Give what an earlier try has left; None: nothing."""
        return self._store.load()

    @property
    def lasts(self) -> bool:
        """Whether the record outlives this try."""
        return not isinstance(self._store, TryAttemptStore)

    def is_started(self, max_tries: int, *, durable: bool) -> bool:
        """Tell whether an earlier try has started what this one is about to find.

        :param max_tries: Airflow's of the task now; it differs from the recorded one after a clear.
        :param durable: whether this try adopts what an earlier one left.
        """
        record = self._store.load()
        started = record is not None and record.resource_id is not None and record.ended is not Ended.BADLY
        return started and durable and record is not None and record.max_tries == max_tries

    def take_up(self, request_id: str | None, seen: Snapshot) -> None:
        """Take the stored record in hand, when a task is taken up after its deferral.

        :param request_id: what the task carried through the deferral, for where no record outlives it; None: nothing.
        :param seen: what the wait saw last: its id may not have got into the record.
        """
        self._request_id = request_id
        try:
            record = self._store.load()
        except Exception:  # noqa: BLE001 - whatever store it is: how the wait has ended is known all the same
            self._log.warning("The record of the attempt cannot be read; going on without it", exc_info=True)
            return
        if record is not None and record.resource_id is None and record.request_id == request_id:
            record = replace(record, resource_id=seen.id, resource_uuid=seen.uuid)
        self._record = record

    def is_of_an_earlier_try(self, deferred: int | None) -> bool:
        """Tell whether what was taken up is an earlier try's, and this one has begun nothing yet.

        :param deferred: number of the try that deferred, as the task carried it; None: only the record tells.
        """
        begun = self._record.owner_try if deferred is None and self._record is not None else deferred
        return begun is not None and begun < self._try_number

    def end(self, ended: Ended) -> None:
        """Record how the attempt ended; a failure is told in the log only, as the outcome is more important.

        :param ended: how it ended.
        """
        record = self._record
        if record is None or record.owner_try != self._try_number:
            return
        self._note(replace(record, ended=ended))

    def count_unclear(self) -> int | None:
        """Count a failure of which nobody can tell whether it passes.

        :return: how many there were before, since the first try or the last clear; None: no record outlives this try.
        """
        record = self._record
        if record is None or record.owner_try != self._try_number or isinstance(self._store, TryAttemptStore):
            return None
        self._note(replace(record, unclear_failures=record.unclear_failures + 1))
        return record.unclear_failures

    def _note(self, record: AttemptRecord) -> None:
        self._record = record
        try:
            self._check_owner()
            self._store.save(record)
        except Exception:  # noqa: BLE001 - whatever store it is: the task's outcome must not depend on this note
            self._log.warning("The end of the attempt could not be recorded", exc_info=True)

    def tell(self, seen: Snapshot | None) -> None:
        """Put the progress of a batch where Airflow keeps the state of tasks (3.3+); a failure does no harm.

        :param seen: what was seen last.
        """
        if not isinstance(self._store, TaskStateAttemptStore) or not isinstance(seen, BatchSnapshot):
            return
        try:
            self._store.tell(seen.numbers)
        except Exception:  # noqa: BLE001 - whatever Airflow has against it: the batch is what matters
            self._log.warning("The progress could not be stored", exc_info=True)

    def _call(self, command: Call) -> CallResult:
        result = super()._call(command)
        record = self._record
        if isinstance(command, Cancel) and record is not None and command.id == record.resource_id:
            # Another try must not adopt what is stopping on our word; it may come before this one is told the end.
            self._record = replace(record, ended=Ended.BADLY)
            try:
                self._store.save(self._record)
            except Exception:  # noqa: BLE001 - whatever store it is: the cancel is what matters
                self._log.warning("The cancel could not be recorded", exc_info=True)
        return result

    def _save(self, record: AttemptRecord) -> None:
        known = self._record
        if known is not None and known.request_id == record.request_id and known.ended is Ended.BADLY:
            record = replace(record, ended=Ended.BADLY)  # cancelled by a kill while this was under way
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

    def _keep(self, record: AttemptRecord, started: Snapshot | None) -> None:
        """Save the record; what this try has just started does not go on unknown to a later one.

        :param started: what it has started; None: nothing.
        :raises NotOwner: another try has written.
        """
        new = started if started is not None and started.id == record.resource_id else None
        if new is not None and isinstance(self._store, TaskStateAttemptStore):
            self._cancel_if_replaced(record, new)  # S3 tells when it saves
        try:
            self._save(record)
        except NotOwner:
            if new is not None:
                self._cancel_if_replaced(record, new)
            raise

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
        what_now = "it is cancelled" if self._cancels_replaced else "it is left going, as cancel_on_kill is off"
        self._log.warning("%s %s has started after try %s began anew: %s", kind, started.id, stored.owner_try, what_now)
        if self._cancels_replaced:
            # Not by this driver, which cancels only what the record names.
            Driver(self._hook, self._log).drive(cancel(WaitPlan(kind, started.id, started.uuid)))
        raise NotOwner(started.id, stored.owner_try)

    def _check_owner(self) -> None:
        """Refuse to touch what a later try owns: the orphaned process of an earlier try can live on.

        :raises NotOwner: a later try owns the attempt, or the record is out of this process's reach: Airflow closes
            its store to a try once there is a later one. When a user cleared the running task, that is no obstacle.
        :raises ServiceError: the record cannot be read. Where a user ended the task, or nobody would come to take over
            what is left, that is no obstacle either.
        """
        patience = self._owner_patience
        try:
            stored = self._store.load() if patience is None else within(self._store.load, patience)
        except Exception as error:
            if self._ended_by_user or self._is_last:
                self._log.warning("The record of the attempt cannot be read; no other try waits for it", exc_info=True)
                return
            if isinstance(error, OmicsError):
                raise
            raise Unavailable("ReadAttempt", type(error).__name__, str(error)) from error
        if stored is None:
            if self._record is None or self._ended_by_user:
                return
            raise NotOwner(self._record.resource_id, None)
        if stored.owner_try > self._try_number:
            raise NotOwner(stored.resource_id, stored.owner_try)
