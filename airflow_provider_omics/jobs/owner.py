"""The owner of an attempt: keeps its record, and lets only the try that owns it touch the run or batch it names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Context

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.errors import AttemptError, NotOwner, OmicsError, Problem, Unavailable
from airflow_provider_omics.core.settings.outputs import ExpectedOutputs
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot, Snapshot
from airflow_provider_omics.core.wait.flow import WaitPlan, cancel
from airflow_provider_omics.hooks.driver import Driver
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.stores import AttemptStore, TaskStateAttemptStore, TryAttemptStore
from airflow_provider_omics.waiting.task_states import within


@dataclass(frozen=True)
class Lineage:
    """The lineage of a task, in plain data.

    :param facts: of the run or batch, by the names of a task's result.
    :param documents: parameters and settings, with URIs of inputs in them.
    :param outputs: URIs of outputs; other values than text are passed over.
    """

    facts: Mapping[str, Any]
    documents: Iterable[Any]
    outputs: Iterable[Any]


@dataclass(frozen=True)
class StartArguments:
    """The rendered arguments that both start operators take, and document, as read.

    Times are in seconds. ``problems`` names the arguments that cannot be read: with any of them nothing is started.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None
    wait_for_completion: bool
    deferrable: bool
    poll_interval: float
    cancel_on_kill: bool
    durable: bool
    patience: float
    tag_with_airflow_context: bool | None
    check_workflow: bool
    check_inputs: bool
    check_role_arn: str | None
    restore_margin: float
    dry_run: bool
    failure_log_lines: int
    report: bool
    read_costs: bool | None
    retry_permanent_failures: bool
    execution_timeout: timedelta | None
    retries: int | None
    outlets: Sequence[Any]
    do_xcom_push: bool
    masks_parameters: bool
    workflow_digest: str | None
    expected_outputs: ExpectedOutputs | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    """``workflow_name`` and the others that were given, by argument."""
    problems: Sequence[Problem] = ()


@dataclass(eq=False)
class Owner:
    """One try as the owner of its attempt: keeps the record in its store, and refuses to touch a later try's.

    :param hook: makes the calls.
    :param log: the task's logger.
    :param arguments: the operator's, rendered.
    :param context: Airflow's context of the task.
    :param identity: the task instance.
    :param try_number: number of this try.
    :param max_tries: Airflow's ``max_tries`` of the task; a clear changes it.
    :param store: keeps the record. Default: for this try only.
    :param record: the attempt in hand; None: there is none, or no record of it outlives a deferral.
    :param carried_request_id: the attempt's request id, as the task carried it through its deferral.
    :param resolved: names that were looked up, and the ids that they stand for; empty: none.
    :param reported: the task's result, or the known part of it after a failure; for OpenLineage.
    :param is_killed: the task was ended for good: nothing may be started any more.
    :param is_ended_by_user: a user has ended the task.
    :param may_be_adopted: whether another try adopts what this one leaves going.
    :param is_last: this process is being ended, and no other try comes to take over what it leaves.
    :param patience: seconds within which the owner must be known; None: as long as the store takes.
    """

    hook: OmicsHook
    log: Any
    arguments: StartArguments
    context: Context
    identity: TaskIdentity
    try_number: int
    max_tries: int
    store: AttemptStore = field(default_factory=TryAttemptStore)
    record: AttemptRecord | None = None
    carried_request_id: str | None = None
    resolved: Mapping[str, str] = field(default_factory=dict)
    reported: Mapping[str, Any] = field(default_factory=dict)
    is_killed: bool = False
    is_ended_by_user: bool = False
    may_be_adopted: bool = False
    is_last: bool = False
    patience: float | None = None
    _not_written: set[str] = field(default_factory=set)
    _told: Mapping[str, Any] = field(default_factory=dict)

    @property
    def request_id(self) -> str | None:
        """Request id of the attempt in hand; None: there is none."""
        return self.carried_request_id if self.record is None else self.record.request_id

    @property
    def retry_policy(self) -> object:
        """The task's policy, which decides about retries from Airflow 3.3 on; None: it has none."""
        return getattr(self.context.get("task"), "retry_policy", None)

    @property
    def first_try(self) -> int:
        """Number of the first try since the task was new, or cleared: with ``retries`` it makes ``max_tries``."""
        return max(self.max_tries - int(self.arguments.retries or 0) + 1, 1)

    @property
    def may_be_cleared(self) -> bool:
        """Whether this try may be the first one after a clear, by Airflow's numbers."""
        return 1 < self.try_number <= self.first_try

    @property
    def is_started(self) -> bool:
        """Whether this try is about to find, and adopt, the run or batch of an earlier one."""
        record = self.store.load()
        if record is None or record.resource_id is None or record.ended is Ended.BADLY:
            return False
        return self.arguments.durable and record.max_tries == self.max_tries

    def take_up(self, request_id: str | None, seen: Snapshot) -> None:
        """Take the stored record in hand, when a task is taken up after its deferral.

        :param request_id: the attempt's, which the task carried through the deferral in case no record outlives it.
        :param seen: the last observation of the wait: its id may not have got into the record.
        """
        self.carried_request_id = request_id
        try:
            record = self.store.load()
        except Exception:
            self.log.warning("The record of the attempt cannot be read; going on without it", exc_info=True)
            return
        if record is not None and record.resource_id is None and record.request_id == request_id:
            record = replace(record, resource_id=seen.id, resource_uuid=seen.uuid)
        self.record = record

    def is_of_an_earlier_try(self, deferred: int | None) -> bool:
        """Whether the attempt that was taken up is an earlier try's, and this one has begun nothing yet.

        :param deferred: number of the try that deferred, as the task carried it; None: only the record has it.
        """
        begun = self.record.owner_try if deferred is None and self.record is not None else deferred
        return begun is not None and begun < self.try_number

    def save(self, record: AttemptRecord, started: Snapshot | None) -> None:
        """Store a record and take it in hand; if that fails, cancel what this try has just started.

        :param record: the record.
        :param started: the run or batch that this try has started; None: nothing.
        :raises NotOwner: another try has written.
        """
        new = started if started is not None and started.id == record.resource_id else None
        if new is not None and isinstance(self.store, TaskStateAttemptStore):
            self._cancel_if_replaced(record, new)  # S3 reports it when it saves
        known = self.record
        if known is not None and known.request_id == record.request_id and known.ended is Ended.BADLY:
            record = replace(record, ended=Ended.BADLY)  # cancelled by a kill while this was under way
        try:
            self.store.save(record)
        except NotOwner:
            if new is not None:
                self._cancel_if_replaced(record, new)
            raise
        except Exception:
            if record.resource_id is None:
                raise  # nothing was sent yet, and nothing must be
            # The request id is stored, so the next try finds what was started by name and tag.
            self.log.warning("%s could not be stored; going on", record.resource_id, exc_info=True)
        self.record = record

    def note(self, **changes: Any) -> None:
        """Record how the attempt ended; a failure goes to the log only, as the outcome is more important.

        :param changes: of the record: ``ended=Ended.WELL``.
        """
        if self.record is None or self.record.owner_try != self.try_number:
            return
        self.record = replace(self.record, **changes)
        try:
            self.check_owner()
            self.store.save(self.record)
        except (Exception, AirflowTaskTimeout):  # the outcome stays what the task ends with
            self.log.warning("The end of the attempt could not be recorded", exc_info=True)

    def count_unclear(self) -> int | None:
        """Count a failure that may or may not pass by itself.

        :return: how many there were before, since the first try or the last clear; None: no record outlives this try.
        """
        record = self.record
        if record is None or record.owner_try != self.try_number or not self.store.lasts:
            return None
        self.note(unclear_failures=record.unclear_failures + 1)
        return record.unclear_failures

    def show_progress(self, batch: BatchSnapshot, more: Mapping[str, Any] | None = None) -> None:
        """Put the progress of a batch where Airflow keeps the state of tasks (3.3+); a failure does no harm.

        :param batch: as last seen.
        :param more: what else is known of the cohort, kept until more is known. Default: nothing new.
        """
        self._told = self._told if more is None else more
        if isinstance(self.store, TaskStateAttemptStore):
            self.try_to_write("progress", self.store.tell, {**batch.numbers, **self._told})

    def check_not_killed(self) -> None:
        """Refuse to go on when the task was ended for good.

        :raises AttemptError: it was.
        """
        if self.is_killed:
            raise AttemptError(
                "The task was ended before its start was answered.",
                advice="The next try looks for what may have started; where there is none left, clear the task.",
                request_id=self.request_id or "unknown",
            )

    def check_owner(self, *, acts: bool = False) -> None:
        """Refuse to touch a later try's attempt: the orphaned process of an earlier try can live on.

        :param acts: something is about to be started or cancelled. Default False.
        :raises NotOwner: a later try owns the attempt, or the record is out of this process's reach: Airflow closes
            its store to a try once there is a later one. When a user cleared the running task, that is no obstacle.
        :raises ServiceError: the record cannot be read. Where a user ended the task, or nobody would come to take over
            what is left, that is no obstacle either.
        """
        try:
            stored = self.store.load() if self.patience is None else within(self.store.load, self.patience)
        except Exception as error:
            if self.is_ended_by_user or self.is_last:
                self.log.warning("The record of the attempt cannot be read; no other try waits for it", exc_info=True)
                return
            if isinstance(error, OmicsError):
                raise
            raise Unavailable("ReadAttempt", type(error).__name__, str(error)) from error
        if stored is None:
            if self.record is None or self.is_ended_by_user:
                return
            # S3 keeps no try out: whether a later one had taken over before somebody removed the record, nobody can
            # tell. What goes on is found by its tags then, and adopted.
            is_found = self.may_be_adopted and not self.is_last and self.record.tagged
            if acts and is_found and not isinstance(self.store, TaskStateAttemptStore):
                raise NotOwner(self.record.resource_id, None)
            # Airflow's store is closed to a try once there is a later one, and takes nothing of it then. If it does,
            # somebody has removed the record.
            try:
                self.store.save(self.record)
            except Exception as error:
                raise NotOwner(self.record.resource_id, None) from error
            return
        if stored.owner_try > self.try_number:
            raise NotOwner(stored.resource_id, stored.owner_try)

    def before_cancel(self) -> None:
        """Refuse to cancel a later try's run or batch.

        :raises OmicsError: as :meth:`check_owner` does.
        """
        self.check_owner(acts=True)

    def after_cancel(self, resource_id: str) -> None:
        """Record a cancel: another try may come before the run or batch has stopped, and must not adopt it.

        :param resource_id: the run or batch that stops.
        """
        if self.record is None or resource_id != self.record.resource_id:
            return
        self.record = replace(self.record, ended=Ended.BADLY)
        try:
            self.store.save(self.record)
        except Exception:
            self.log.warning("The cancel could not be recorded", exc_info=True)

    def _cancel_if_replaced(self, record: AttemptRecord, started: Snapshot) -> None:
        """Cancel the run or batch that has just started, if a later try made a request of its own meanwhile.

        A later try that has taken over the same request gets the same run as its answer, or finds it. One with another
        request has searched before: only this process knows of a run that has started since.

        :raises NotOwner: so it was.
        """
        try:
            stored = self.store.load()
        except Exception:
            self.log.warning("Whether a later try has begun anew cannot be read", exc_info=True)
            return
        if stored is None or stored.request_id == record.request_id:
            return
        kind = "run" if isinstance(started, RunSnapshot) else "batch"
        cancels = self.arguments.cancel_on_kill
        fate = "it is cancelled" if cancels else "it is left going, as cancel_on_kill is off"
        self.log.warning("%s %s has started after try %s began anew: %s", kind, started.id, stored.owner_try, fate)
        if cancels:
            # Unguarded: a guarded driver cancels only what the record names.
            Driver(self.hook, self.log).drive(cancel(WaitPlan(kind, started.id, started.uuid)))
        raise NotOwner(started.id, stored.owner_try)

    def link(self, link: type[BaseAwsLink], **values: Any) -> None:
        """Store the ids that a console link needs.

        :param link: the link.
        :param values: its ids.
        """
        self.try_to_write(
            "console links",
            lambda: link.persist(
                context=self.context,
                operator=self.context["task"],
                region_name=self.hook.conn_region_name,
                aws_partition=self.hook.conn_partition,
                # The page in Airflow's UI reads what the task has recorded, by the task's own connection.
                aws_conn_id=self.hook.aws_conn_id,
                **values,
            ),
        )

    def push(self, result: dict[str, Any]) -> None:
        """Push the result of a task that is about to fail: a task with trigger rule ``all_done`` needs it.

        :param result: the result; the names that were looked up, and their ids, come to it.
        """
        if self.resolved:
            result = {**result, "resolved": dict(self.resolved)}
        if self.arguments.do_xcom_push:
            self.try_to_write("result in XCom", self.context["ti"].xcom_push, "return_value", result)

    def try_to_write(self, what: str, write: Callable[..., object], *values: Any) -> None:
        """Write something that is convenient to have; a failure never takes the place of a result or an error.

        :param what: its name in the log, which has the first failure of each.
        :param write: writes it.
        :param values: its arguments.
        """
        try:
            write(*values)
        except Exception as error:  # noqa: BLE001 - as said above
            if what not in self._not_written:
                self._not_written.add(what)
                self.log.warning("The %s could not be written (%s: %s); going on", what, type(error).__name__, error)
