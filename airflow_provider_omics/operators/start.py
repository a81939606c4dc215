"""The road from a request to a result that the operators for a run and for a batch share."""

from __future__ import annotations

import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Context, conf

from airflow_provider_omics.core.errors import AttemptError, OmicsError, ServiceError, SettingsError, StartTimedOut
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.operators.checking import OmicsCheckingOperator
from airflow_provider_omics.operators.reporting import OmicsReportingOperator
from airflow_provider_omics.task_state import task_state

if TYPE_CHECKING:
    from airflow_provider_omics.core.attempt.flow import Begun
    from airflow_provider_omics.core.attempt.identity import TaskIdentity
    from airflow_provider_omics.core.attempt.record import AttemptRecord
    from airflow_provider_omics.core.settings.requests import CheckedRequest
    from airflow_provider_omics.core.wait.plan import WaitPlan
    from airflow_provider_omics.hooks.s3 import S3Place
    from airflow_provider_omics.operators.attempt import Attempt
    from airflow_provider_omics.triggers.base import OmicsWaitTrigger


class OmicsStartOperator(OmicsCheckingOperator, OmicsReportingOperator):
    """Base of the operators that start a run or a batch, wait for its end, and judge it.

    :param wait_for_completion: wait for the end (default); otherwise the task ends once the run or batch is started.
    :param deferrable: wait in the triggerer instead of a worker; default: ``[operators] default_deferrable``.
    :param poll_interval: seconds between two looks; default 30.
    :param cancel_on_kill: whether a user's kill of the task, and a time limit, cancel the run or batch; default True.
    :param durable: a retry adopts what an earlier try has started, instead of starting a second one (default). It needs
        Airflow 3.3, or ``staging_s3_uri`` in the connection. Off: each try starts afresh.
    :param patience: how long throttling, errors of the service and a lost connection are tolerated; default three
        hours.
    :param tag_with_airflow_context: tag runs and batches with the ids of DAG, task and DAG run, and with the request id
        by which a later try finds them; default: the connection's, which is on by default.
    :param check_workflow: look the workflow up first (GetWorkflow): is it ACTIVE, and do the parameters fit its
        template? Default False.
    :param check_inputs: look up every S3 object that the parameters name: one that is missing, or archived and not
        restored, is an error. The beginning of keys will do, too: of those below it the first 1,000 are listed, and 100
        that may be archived looked at. Default False.
    :param check_role_arn: the role that looks them up, such as the runs' own, if its trust policy lets the connection
        assume it: what it may not read is an error then. Default: the connection itself, whose lack of rights proves
        nothing and is only warned of.
    :param dry_run: check everything, start nothing, and show what would be sent; default False.
    :param mask_parameters: store and show parameters in Airflow as counts and keys only; default: the connection's
        ``mask_parameters``, which is off by default.
    :param kwargs: see :class:`~airflow_provider_omics.operators.reporting.OmicsReportingOperator`.
    """

    kind: ClassVar[str]

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 30.0,
        cancel_on_kill: bool = True,
        durable: bool = True,
        patience: timedelta = timedelta(hours=3),
        tag_with_airflow_context: bool | None = None,
        check_workflow: bool = False,
        check_inputs: bool = False,
        check_role_arn: str | None = None,
        dry_run: bool = False,
        mask_parameters: bool | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.wait_for_completion = wait_for_completion
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )
        self.poll_interval = poll_interval
        self.cancel_on_kill = cancel_on_kill
        self.durable = durable
        self.patience = patience
        self.tag_with_airflow_context = tag_with_airflow_context
        self.check_workflow = check_workflow
        self.check_inputs = check_inputs
        self.check_role_arn = check_role_arn
        # The argument hides BaseOperator.dry_run(), which only renders templates for a command line option.
        self.dry_run = dry_run  # type: ignore[assignment,method-assign]
        self.mask_parameters = mask_parameters
        self._attempt: Attempt | None = None
        self._may_be_adopted = False
        self._task_instance: Any = None
        self._state_store: Any = None

    # -- what a run and a batch do differently ---------------------------------------------------------------------

    @abstractmethod
    def _build_request(self, request_id: str) -> CheckedRequest:
        """Check the settings and make the request."""

    @abstractmethod
    def _start(self, request: Mapping[str, Any]) -> Snapshot:
        """Send the request; the snapshot has what the answer and the request tell."""

    def _prepare(self, record: AttemptRecord, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Do what must be done before the request of an attempt is sent, and may take long; gives the one to send."""
        return request

    def _choose(self, record: AttemptRecord) -> bool:
        """Choose the samples that an attempt submits; gives whether any is left."""
        return True

    def _conclude_idle(self, context: Context, begun: Begun) -> dict[str, Any]:
        """Give the result of a task to which nothing is left to do."""
        return self._result(begun.snapshot)

    @abstractmethod
    def _persist_links(self, context: Context, started: Snapshot) -> None:
        """Store the ids that the console links need."""

    @abstractmethod
    def _result(self, snapshot: Snapshot) -> dict[str, Any]:
        """Give the task's result for a run or batch that has not ended, or that completed."""

    def _finish(self, context: Context, ended: Snapshot) -> dict[str, Any]:
        """Give the result of what ended well; a batch is judged here."""
        return self._result(ended)

    # -- the road --------------------------------------------------------------------------------------------------

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, wait and judge; called by Airflow.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        return self._perform(context)

    def _perform(self, context: Context) -> dict[str, Any]:
        """Do what ``execute`` does, which nobody but Airflow may call where ``allow_nested_operators`` is off."""
        started_at = time.time()
        try:
            try:
                if not self._is_true("dry_run"):
                    self._find_connection(context)
                    self._new_attempt(context)  # a kill from now on reaches what an earlier try has left going
                request = self._checked_request(context)
                if self._is_true("dry_run"):
                    from airflow_provider_omics.operators.before_start import show_request  # not for DAG files

                    show_request(self.log, request, self._parameters_by_run(request))
                    return {**dict.fromkeys(self._result(self._nothing())), "status": "DRY_RUN"}
                begun = self._begin(context, request)
            except AirflowTaskTimeout:
                return self._time_out(context)
            if begun.record.idle:
                return self._conclude_idle(context, begun)
            self._persist_links(context, begun.snapshot)
            plan = self._plan(begun.snapshot, started_at)
            if begun.vanished:
                error = "an earlier try has started it, and no answer tells its end"
                return self._conclude(context, WaitEvent(Outcome.VANISHED, begun.snapshot, error=error))
            if not self.wait_for_completion:
                self._let_go(begun.record)
                return self._report_success(context, self._result(begun.snapshot))
            return self._wait(context, plan, begun.snapshot)
        except OmicsError as error:
            self._raise(error)

    def _checked_request(self, context: Context) -> Mapping[str, Any]:
        try:
            checked = self._build_request(str(uuid.uuid4()))
            for warning in checked.warnings:
                self.log.warning("%s", warning)
            self._check_workflow(checked.request)
            if self._is_true("check_inputs"):
                self._check_inputs(context, checked.request)
        except SettingsError:
            if self._attempt is not None:
                self._attempt.tell_what_is_left()
            raise
        return checked.request

    def _is_started(self, check: str) -> bool:
        attempt = self._attempt
        started = attempt is not None and attempt.is_started(self._task_instance.max_tries, durable=self.durable)
        if started:
            self.log.info("%s: an earlier try has started this; it is not checked again", check)
        return started

    def _time_out(self, context: Context) -> dict[str, Any]:
        """End a task that Airflow's own timeout has struck."""
        if self._attempt is None:
            raise StartTimedOut(self.kind, None)
        event = self._attempt.time_out(cancels=self._is_true("cancel_on_kill"))
        if event is None:
            raise StartTimedOut(self.kind, self._attempt.request_id)
        return self._conclude(context, event)

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        request_id: str | None = None,
        connected: bool | None = None,
        try_number: int | None = None,
    ) -> dict[str, Any]:
        """Take up the task when its trigger has fired; called by Airflow.

        :param event: the payload of the trigger's event.
        :param request_id: the attempt's, as the task had it when it deferred.
        :param connected: whether Airflow had found the connection by then; None: nothing tells.
        :param try_number: the try that deferred; None: nothing tells.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        try:
            parsed = parse_event(event, self.kind)
            self._find_connection(context, connected)
            attempt = self._new_attempt(context)
            attempt.take_up(request_id, parsed.snapshot)
            if not attempt.is_of_an_earlier_try(try_number):
                return self._conclude(context, parsed)
        except OmicsError as error:
            self._raise(error)
        # Airflow 3.0 keeps `next_method` when a try fails after its deferral, and hands its event to the next one.
        self.log.info("The event is of an earlier try, which has failed; this one begins anew")
        return self._perform(context)

    def on_kill(self) -> None:
        """Cancel the run or batch when a user ends the task while it runs on a worker; called by Airflow."""
        if self._attempt is None:
            return
        if not self._is_true("cancel_on_kill"):
            self.log.warning("What this task has started is left going, as cancel_on_kill is off")
            return
        self._attempt.kill(may_leave=self._may_be_adopted, task_state=lambda: task_state(self._task_instance))

    def _begin(self, context: Context, request: Mapping[str, Any]) -> Begun:
        assert self._attempt is not None  # noqa: S101 - set by execute
        return self._attempt.begin(
            request,
            max_tries=self._task_instance.max_tries,
            durable=self.durable,
            **self._begins_with(),
            cancel_old=self._is_true("cancel_on_kill"),
            patience=self.patience.total_seconds(),
        )

    def _find_connection(self, context: Context, was_found: bool | None = None) -> None:
        """See to it that this try does not go on as somebody else where an earlier one, or this, had the connection."""
        if not self.hook.misses_connection:
            return
        # For running tasks, not for DAG files.
        from airflow_provider_omics.operators.attempt_stores import TaskStateAttemptStore
        from airflow_provider_omics.operators.connecting import find_connection

        accessor = context.get("task_state_store")
        if was_found is None and accessor is not None:
            was_found = TaskStateAttemptStore(accessor).was_connected()
        is_named = self.aws_conn_id != self.hook.default_conn_name
        find_connection(self.hook, was_found=was_found, is_suspect=is_named or context["ti"].try_number > 1)

    def _new_attempt(self, context: Context) -> Attempt:
        # For running tasks, not for DAG files. All that a kill needs is loaded before there is something to cancel.
        from airflow_provider_omics.core.attempt.identity import TaskIdentity
        from airflow_provider_omics.operators.attempt import Attempt, Starter
        from airflow_provider_omics.operators.attempt_stores import TryAttemptStore, attempt_store

        self._task_instance = task_instance = context["ti"]
        identity = TaskIdentity.of(task_instance)
        self._state_store = context.get("task_state_store")
        store = attempt_store(context, self.hook, identity, self._place(identity))
        # Only what outlives this try can be adopted by the next, and only if there is one.
        lasting = not isinstance(store, TryAttemptStore)
        self._may_be_adopted = self.durable and lasting and task_instance.try_number <= task_instance.max_tries
        tags = self.defaults.tag_with_airflow_context if self.tag_with_airflow_context is None else None
        self._attempt = Attempt(
            self.hook,
            self.log,
            Starter(self.kind, self._start, self._is_success, self._prepare, self._choose, self._staged_run_tags),
            store,
            identity,
            task_instance.try_number,
            tag=self._is_true("tag_with_airflow_context") if tags is None else tags,
        )
        return self._attempt

    def _staged_run_tags(self) -> int:
        """Tell how many tags of its own a run has at most that is not in the request itself."""
        return 0

    def _begins_with(self) -> dict[str, Any]:
        """Give the arguments of :meth:`Attempt.begin` that only batches use."""
        return {"chooses": False, "has_earlier": False}

    def _place(self, identity: TaskIdentity) -> S3Place | None:
        """Give where in S3 the task writes; None: nowhere."""
        return None

    def _is_success(self, ended: Snapshot) -> bool:
        return ended.phase is Phase.SUCCEEDED

    def _let_go(self, record: AttemptRecord) -> None:
        """Say what stays behind of a start that nobody waits for."""

    def _wait(self, context: Context, plan: WaitPlan, started: Snapshot) -> dict[str, Any]:
        # For running tasks, not for DAG files.
        from airflow_provider_omics.core.wait.flow import wait

        assert self._attempt is not None  # noqa: S101 - set by execute
        if started.phase is not Phase.ACTIVE:
            # The answer of a start does not have all of what an ended run has: one look more.
            return self._conclude(context, self._attempt.drive(wait(plan)))
        if self.deferrable:
            self._defer(plan)
        try:
            event = self._attempt.drive(wait(plan))
        except AirflowTaskTimeout:
            # The deadline lies before Airflow's own, but one slow call can outlast the margin.
            return self._time_out(context)
        return self._conclude(context, event)

    @abstractmethod
    def _trigger_class(self) -> Callable[..., OmicsWaitTrigger]:
        """Give the trigger that waits; it is asked for late, so that DAG files need not load it."""

    def _trigger_arguments(self, plan: WaitPlan) -> dict[str, Any]:
        """Give the arguments that only this kind of trigger takes."""
        return {}

    def _defer(self, plan: WaitPlan) -> NoReturn:
        self.defer(
            trigger=self._trigger_class()(
                plan.id,
                plan.uuid,
                poll_interval=plan.poll_interval,
                deadline=plan.deadline,
                **self._trigger_arguments(plan),
                patience=plan.patience,
                cancel_on_kill=plan.cancel,
                grace=plan.grace,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            kwargs={
                "request_id": self._attempt.request_id if self._attempt else None,
                "connected": not self.hook.misses_connection,
                "try_number": self._task_instance.try_number,
            },
        )

    def _conclude(self, context: Context, event: WaitEvent) -> dict[str, Any]:
        """Turn the end of the wait into the task's result or error, and record how the attempt ended."""
        # For running tasks, not for DAG files.
        from airflow_provider_omics.core.attempt.record import Ended
        from airflow_provider_omics.core.wait.outcome import error_of

        assert self._attempt is not None  # noqa: S101 - set by execute and execute_complete
        try:
            ended_badly = error_of(event, self.hook.conn_region_name)
            if ended_badly is not None:
                raise ended_badly
            result = self._finish(context, event.snapshot)
        except ServiceError:
            raise  # the judge could not be asked: nothing is known to have ended badly
        except OmicsError as error:
            still_going = event.outcome is not Outcome.ENDED and not event.cancelled
            self._attempt.end(Ended.LOST if still_going else Ended.BADLY)
            self._report_failure(context, event.snapshot, error)
            raise
        self._attempt.end(Ended.WELL)
        return self._report_success(context, result)

    def _plan(self, started: Snapshot, started_at: float) -> WaitPlan:
        from airflow_provider_omics.core.wait.plan import (
            WaitPlan,  # for running tasks, not for DAG files
            time_limits,
        )

        return WaitPlan(
            kind=self.kind,
            id=started.id,
            uuid=started.uuid,
            poll_interval=self.poll_interval,
            patience=self.patience.total_seconds(),
            cancel=self._is_true("cancel_on_kill"),
            **time_limits(self.execution_timeout, started_at),
        )

    def _unclear_before(self, task_instance: Any) -> int:
        counted = self._attempt.count_unclear() if self._attempt is not None else None
        return super()._unclear_before(task_instance) if counted is None else counted

    def _raise(self, error: OmicsError) -> NoReturn:
        if isinstance(error, SettingsError) and self._masks_parameters():
            # Without the error itself, which Airflow would show as the cause.
            raise airflow_error(error.masked(), final=self._final_of(error)) from None
        final = self._final_of(error)
        if isinstance(error, AttemptError) and self._attempt is not None and self._attempt.is_interrupted:
            final = False  # a deploy has ended the process in the midst of the start: the next try goes on
        raise airflow_error(error, final=final) from error

    @abstractmethod
    def _nothing(self) -> Snapshot:
        """Give an empty snapshot: its result has the keys of every result."""
