"""An attempt: one start of a run or batch. It starts or takes over, and cancels when the task is killed."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeGuard, TypeVar

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.attempt.commands import Choice, Choose, Find, FindEarlier, IsSuccess, Save, Start
from airflow_provider_omics.core.attempt.flow import Begun, begin
from airflow_provider_omics.core.attempt.identity import (
    NAME_FIELDS,
    OWN_TAGS,
    REQUEST_ID_TAG,
    IdentifiedRequest,
    fingerprint,
    identified_request,
    name_hash,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord, EarlierStart, Ended, Present
from airflow_provider_omics.core.commands import Answer, Flow, Say
from airflow_provider_omics.core.errors import (
    CredentialsExpired,
    InvalidRequest,
    NotFound,
    NotOwner,
    OmicsError,
    ServiceError,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.core.settings.fields import MAX_TAGS
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import LIST_LAG, WaitPlan, cancel
from airflow_provider_omics.hooks.client import ONE_ATTEMPT, REQUEST, at_each
from airflow_provider_omics.hooks.driver import Driver, pause
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.jobs.search import find_earlier, find_started
from airflow_provider_omics.waiting.task_states import asked_within

T = TypeVar("T")

STATE_PATIENCE = 2.0
"""Seconds for Airflow's answer in ``on_kill``."""

OWNER_PATIENCE = 1.0
"""Seconds for the record in ``on_kill``, which on Airflow 3.3 comes from the same api-server as the state."""

KILL_PATIENCE = 4.0
"""Seconds for all that ``on_kill`` does: SIGKILL follows 5 seconds after SIGTERM. At a time limit: for the cancel."""

SEARCH_INTERVAL = 1.0
"""Seconds between two searches for the run of a request whose answer was not read."""

ENDED_BY_USER = frozenset({"failed", "success", "skipped", "removed", "upstream_failed", "restarting"})
"""States of a task instance whose worker is told to end, in which no retry of Airflow's own can put it."""


@dataclass(frozen=True)
class StartRequest:
    """A checked request, and how it is to be started.

    :param content: keyword arguments of StartRun or StartRunBatch, as AWS spells them, without a request id.
    :param also: values that the start depends on beside the request itself, part of its fingerprint. Default: none.
    :param chooses: samples that an earlier attempt has completed are not submitted again. Default False.
    :param has_earlier: results of other tasks show what need not be submitted, too. Default False.
    :param compares: what has completed is compared with the settings of now before it counts. Default False.
    :param staged_run_tags: most tags of its own that a run has among the settings that are not in the request.
    :param settings_etag: S3's mark of the object that the request names, part of its fingerprint. Default: not known.
    """

    content: Mapping[str, Any]
    also: Any = None
    chooses: bool = False
    has_earlier: bool = False
    compares: bool = False
    staged_run_tags: int = 0
    settings_etag: str | None = None


class Startable(Protocol):
    """The part of a job that an attempt needs: where the start of a run and of a batch differ."""

    kind: str
    operation: str

    def start(self, record: AttemptRecord, request: Mapping[str, Any]) -> Snapshot:
        """Prepare the start, which may take minutes, send the request, and return the run or batch that has started."""

    def not_started(self) -> None:
        """Tidy up after a start that has failed."""

    def choose(self, record: AttemptRecord) -> Choice:
        """Choose the samples that an attempt submits, and keep the choice."""

    def is_success(self, ended: Snapshot) -> bool:
        """Whether the ended run or batch counts as a success of the task."""

    def has_results(self) -> bool:
        """Whether the task's results tell what its earlier tries have completed, where no record does any more."""


@dataclass(eq=False)
class Attempt:
    """The attempt of one try.

    :param job: starts and judges.
    :param owner: keeps the record.
    :param driver: carries out the commands that are not the start's own.
    :param snapshot: the run or batch, as last seen; None: nothing is known to have started.
    """

    job: Startable
    owner: Owner
    driver: Driver
    snapshot: Snapshot | None = None
    _request: StartRequest = StartRequest({})
    _tags: bool = True
    _sent: str | None = None
    """Request id of the request that was sent last."""
    _cancelled: bool = False
    _is_unanswered: bool = False
    """Whether a request was sent that may have started something, and no answer has said so."""

    @property
    def is_interrupted(self) -> bool:
        """Whether the machine has ended this process, and no user the task: its remaining tries may go on."""
        return self.owner.is_killed and not self.owner.is_ended_by_user

    def begin(self, request: StartRequest) -> Begun:
        """Start, adopt, or find ended, as :func:`airflow_provider_omics.core.attempt.flow.begin` decides.

        :param request: the checked request.
        :return: what the try has in hand.
        :raises OmicsError: as ``begin`` does.
        """
        owner, content, arguments = self.owner, request.content, self.owner.arguments
        tag, name = arguments.tag_with_airflow_context, content.get(NAME_FIELDS[self.job.kind])
        self._request, self._tags = request, owner.hook.defaults.tag_with_airflow_context if tag is None else tag
        misses_record = owner.store.lasts and owner.try_number > 1 and (arguments.durable or owner.may_be_cleared)
        present = Present(
            kind=self.job.kind,
            try_number=owner.try_number,
            max_tries=owner.max_tries,
            fingerprint=fingerprint(
                {
                    **content,
                    **({} if request.also is None else {"also": request.also}),
                    **({} if request.settings_etag is None else {"ETag": request.settings_etag}),
                }
            ),
            settings_etag=request.settings_etag,
            new_request_id=str(uuid.uuid4()),
            tagged=self._tags,
            name_hash=None if name is None else name_hash(name),
            durable=arguments.durable,
            chooses=request.chooses,
            has_earlier=request.has_earlier,
            compares=request.compares,
            cancel=arguments.cancel_on_kill,
            patience=arguments.patience,
            resolved=owner.resolved or None,
            misses_record=misses_record,
            first_try=owner.first_try if misses_record else 1,
        )
        while True:
            owner.record = owner.store.load()
            if owner.record is None and present.misses_record and present.chooses and self.job.has_results():
                present = replace(present, has_earlier=True)
            try:
                begun = self.drive(begin(owner.record, present, now=time.time()))
            except NotOwner as error:
                if error.owner_try is None or error.owner_try >= owner.try_number:
                    raise  # a later try sends the same request
                owner.log.warning("The process of try %s is still at work; reading its record anew", error.owner_try)
                continue
            except (OmicsError, AirflowTaskTimeout):
                self.job.not_started()
                raise
            owner.record, self.snapshot = begun.record, begun.snapshot
            owner.resolved = begun.record.resolved or {}
            return begun

    def drive(self, flow: Flow[T]) -> T:
        """Run a flow of this attempt to its end.

        :param flow: the start, a wait or a cancel.
        :return: the flow's return value.
        """
        return self.driver.drive(flow, self._perform)

    def kill(self, *, may_leave: bool, task_state: Callable[[], str | None]) -> None:
        """Cancel the run or batch of this try, or of the one before it; called in a signal handler.

        A node drain, a deploy or an outage of the api-server end a worker as well: unless Airflow says that the task
        was ended, and while another try will adopt it, the run is left alone.

        :param may_leave: whether another try would adopt it.
        :param task_state: asks Airflow for the task's state.
        """
        work = threading.Thread(target=self._kill, args=(may_leave, task_state), daemon=True)
        work.start()
        work.join(KILL_PATIENCE)

    def time_out(self, *, cancels: bool) -> WaitEvent | None:
        """End the run or batch of this try, or of the one before it, when Airflow's own timeout has struck.

        :param cancels: whether it is cancelled, or left going.
        :return: the end; one that has ended by itself wins over the limit. None: nothing is known to have started.
        :raises NotOwner: a later try owns it.
        """
        owner = self.owner
        owner.is_killed = owner.is_killed or cancels
        record = owner.record or self._left_by_an_earlier_try()
        # At our own deadline, before Airflow's timeout struck in the wait for the outcome.
        was_cancelled = record is not None and record.ended is Ended.BADLY
        if cancels and record is not None:
            self._cancel(record, LIST_LAG)
        seen = self.snapshot
        if seen is None and record is not None and record.resource_id and record.ended in (None, Ended.LOST):
            seen = WaitPlan(self.job.kind, record.resource_id, record.resource_uuid).unseen()
        if seen is None:
            return None
        if _has_ended(seen) and not (was_cancelled and seen.phase is Phase.CANCELLED):
            return WaitEvent(Outcome.ENDED, seen)
        cancelled = self._cancelled or was_cancelled
        return WaitEvent(Outcome.TIMED_OUT, seen, limit="execution_timeout", cancelled=cancelled)

    def part(self, *, cancels: bool) -> None:
        """Cancel, hand over or name what this try has started, or may have, when an error ends it before the wait.

        :param cancels: whether it is cancelled where no other try adopts it, or left going.
        """
        owner = self.owner
        record = owner.record
        if record is None or record.idle or record.ended is not None or _has_ended(self.snapshot):
            return
        if self.snapshot is None and not self._is_unanswered:
            return
        if not (cancels and owner.is_last):
            reason = "cancel_on_kill is off" if owner.is_last else "the next try takes it over"
            owner.log.warning("%s may be going and is left as it is: %s", self._name(record), reason)
            return
        try:
            self._cancel(record, LIST_LAG)
        except Exception as error:  # noqa: BLE001 - the error that ends the task is another one
            owner.log.warning("%s was not cancelled and may be going: %s", self._name(record), error)

    def _kill(self, may_leave: bool, task_state: Callable[[], str | None]) -> None:
        owner = self.owner
        record = owner.record or self._left_by_an_earlier_try()
        state = asked_within(task_state, STATE_PATIENCE, self.owner.log)
        owner.is_ended_by_user = state in ENDED_BY_USER
        owner.is_last, owner.patience = not may_leave, OWNER_PATIENCE
        is_left = may_leave and not owner.is_ended_by_user
        owner.is_killed = owner.is_killed or not is_left
        if record is None:
            return
        if is_left:
            self.owner.log.warning(
                "%s is left going for the next try, or a clear: the task is not ended by a user", self._name(record)
            )
            return
        try:
            self._cancel(record, KILL_PATIENCE)
        except Exception as error:
            unforeseen = not isinstance(error, NotOwner)
            self.owner.log.warning("%s was not cancelled: %s", self._name(record), error, exc_info=unforeseen)

    def _cancel(self, record: AttemptRecord, search_patience: float) -> None:
        """Cancel the run or batch that a record names, and record the outcome.

        :param record: the record.
        :param search_patience: seconds for which the run of a request without an answer is searched.
        """
        snapshot = self.snapshot or self._left(record, search_patience)
        if snapshot is None:
            self.owner.log.warning("%s: nothing to cancel was found", self._name(record))
            return
        if self.owner.record is record and record.resource_id is None:
            # Saved with the cancel: the next try has to know what is stopping.
            self.owner.record = replace(record, resource_id=snapshot.id, resource_uuid=snapshot.uuid)
        plan = WaitPlan(self.job.kind, snapshot.id, snapshot.uuid)
        left = self.drive(cancel(plan, patience=KILL_PATIENCE, settle=KILL_PATIENCE))
        self._cancelled = left is None
        if self._cancelled and self.owner.record is not None and self.owner.record.ended is None:
            self.owner.after_cancel(snapshot.id)  # a timeout has struck after the first call, and before its record
        self.snapshot = left if _has_ended(left) else snapshot

    def _name(self, record: AttemptRecord) -> str:
        return f"{self.job.kind} {record.resource_id or 'of request ' + record.request_id}"

    def name_leftovers(self) -> None:
        """Name in the log the run or batch of an earlier try, as this one ends before it has taken it over."""
        record = self._left_by_an_earlier_try()
        if record is not None and record.resource_id is not None and record.ended in (None, Ended.LOST):
            self.owner.log.error(
                "%s %s of try %s may still be going, and nobody waits for it: correct the settings and clear the task, "
                "or cancel it",
                self.job.kind,
                record.resource_id,
                record.owner_try,
            )

    def _left_by_an_earlier_try(self) -> AttemptRecord | None:
        """Read the record that this try takes over once its settings are checked; None: none, or it cannot be read."""
        try:
            return self.owner.store.load()
        except Exception:
            self.owner.log.warning("What an earlier try has started cannot be read, and may be going", exc_info=True)
            return None

    def _left(self, record: AttemptRecord, search_patience: float) -> Snapshot | None:
        """Look at the run or batch that a record names, unseen by this try so far; None: none that could be going."""
        if record.ended in (Ended.WELL, Ended.BADLY):
            return None
        if record.resource_id is None:
            return self._search(record, search_patience)
        plan = WaitPlan(self.job.kind, record.resource_id, record.resource_uuid)
        try:
            seen = self.owner.hook.look(plan.kind, plan.id)
        except NotFound:
            return None
        except ServiceError:
            return plan.unseen()
        return None if plan.is_another(seen) else seen

    def _search(self, record: AttemptRecord, patience: float) -> Snapshot | None:
        """Search the run of a request: once, or for some time if it was sent just now, as lists may lag."""
        until = time.time() + (patience if self._sent == record.request_id else 0)
        while True:
            found = self._find(record)
            if isinstance(found, (RunSnapshot, BatchSnapshot)):
                return found
            if self.snapshot is not None or time.time() >= until:
                return self.snapshot
            pause(SEARCH_INTERVAL)

    def _perform(self, command: Any) -> Answer[Any]:
        """Carry out a command of the start; the rest is the driver's."""
        owner = self.owner
        value: Any = None
        if isinstance(command, Save):
            owner.save(command.record, self.snapshot)
        elif isinstance(command, Start):
            value = self._start(command.record)
        elif isinstance(command, Find):
            value = self._find(command.record)
        elif isinstance(command, FindEarlier):
            value = self._find_earlier()
        elif isinstance(command, IsSuccess):
            value = self.job.is_success(command.snapshot)
        elif isinstance(command, Choose):
            value = self.job.choose(command.record)
            owner.check_not_killed()  # it took its time: a later try, or a kill, may have come
            owner.check_owner()
        else:
            if isinstance(command, Say) and isinstance(command.seen, BatchSnapshot):
                owner.show_progress(command.seen)
            return self.driver.perform(command)
        return Answer(time.time(), value)

    def _start(self, record: AttemptRecord) -> Snapshot | ServiceError:
        owner, job = self.owner, self.job
        owner.check_not_killed()
        identified = self._identified(record)
        if record.owner_try == record.first_try and self._sent != record.request_id:
            for warning in identified.warnings:
                owner.log.warning("%s", warning)

        def check(**_: Any) -> None:
            owner.check_not_killed()
            owner.check_owner(acts=True)
            self._sent = record.request_id

        try:
            if self._sent == record.request_id:
                owner.check_owner(acts=True)  # the back-off took its time; before it, the record was saved just now
            with at_each({f"{REQUEST}.{job.operation}": check, **ONE_ATTEMPT}):
                started = job.start(record, identified.request)
        except ServiceError as error:
            is_refusal = not isinstance(error, Unavailable) or isinstance(error, (Throttled, CredentialsExpired))
            self._is_unanswered = self._is_unanswered or (self._sent == record.request_id and not is_refusal)
            return error
        except Exception:
            self._is_unanswered = self._sent == record.request_id
            raise
        self.snapshot = started
        with suppress(Exception):  # a log that fails must not part this try from what it has started
            owner.log.info("Started %s %s (uuid %s)", job.kind, started.id, started.uuid)
        if owner.is_killed:
            owner.log.warning("%s %s has started although the task was ended", job.kind, started.id)
            owner.record = replace(record, resource_id=started.id, resource_uuid=started.uuid)
            self.drive(cancel(WaitPlan(job.kind, started.id, started.uuid), settle=KILL_PATIENCE))
        return started

    def _find(self, record: AttemptRecord) -> Snapshot | ServiceError | None:
        # While the settings of a retry are checked, all that is known of the request stands in the record.
        content, is_tagged = self._request.content, record.tagged
        if content:
            is_tagged = REQUEST_ID_TAG in self._identified(record).request.get("tags", {})
        identity = self.owner.identity
        with at_each(ONE_ATTEMPT):
            return find_started(self.owner.hook, self.job.kind, record, identity, content, is_tagged=is_tagged)

    def _find_earlier(self) -> tuple[EarlierStart, ...] | ServiceError:
        owner, kind = self.owner, self.job.kind
        tags = self._request.content.get("tags") or {}
        if not self._tags or len(tags) > MAX_TAGS - OWN_TAGS:
            return InvalidRequest("ListRuns", "NotFindable", "without tags of ours nothing tells one task from another")
        name = self._request.content.get(NAME_FIELDS[kind])
        with at_each(ONE_ATTEMPT):
            return find_earlier(owner.hook, kind, owner.identity, owner.try_number, name)

    def _identified(self, record: AttemptRecord) -> IdentifiedRequest:
        request, identity = self._request, self.owner.identity
        return identified_request(
            self.job.kind, request.content, identity, record, staged_run_tags=request.staged_run_tags
        )


def _has_ended(seen: Snapshot | NotFound | None) -> TypeGuard[Snapshot]:
    return isinstance(seen, (RunSnapshot, BatchSnapshot)) and seen.phase is not Phase.ACTIVE
