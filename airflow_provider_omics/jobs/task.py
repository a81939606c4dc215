"""The road of a task that starts a run or a batch: begin, wait, conclude."""

from __future__ import annotations

import time
import uuid
from functools import partial
from typing import Any, NoReturn, Protocol

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, TaskDeferred

from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.record import Ended
from airflow_provider_omics.core.errors import (
    AttemptError,
    NotOwner,
    OmicsError,
    ServiceError,
    SettingsError,
    StartTimedOut,
)
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.core.wait.outcome import error_of
from airflow_provider_omics.core.wait.plan import WaitPlan, time_limits
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.attempt import Attempt, Startable, StartRequest
from airflow_provider_omics.jobs.connection import find_connection
from airflow_provider_omics.jobs.lineage import Lineage
from airflow_provider_omics.jobs.report import Report
from airflow_provider_omics.jobs.stores import TaskStateAttemptStore, attempt_store
from airflow_provider_omics.jobs.tries import Try
from airflow_provider_omics.task_state import task_state


class Job(Startable, Protocol):
    """What differs between a run and a batch of runs."""

    nothing: Snapshot
    """An empty snapshot: its result has the keys of every result."""
    run_timeout: float | None
    """Seconds that a run may take from its own start; None: no limit."""

    def place(self) -> S3Place | None:
        """Name where in S3 the task writes; None: nowhere."""

    def request(self, request_id: str) -> StartRequest:
        """Check all settings, and make the request."""

    def show(self, request: StartRequest) -> None:
        """Show what would be started."""

    def not_started(self) -> None:
        """Tidy up after a start that has failed."""

    def started(self, snapshot: Snapshot) -> None:
        """Store the console links."""

    def trigger(self, plan: WaitPlan, **shared: Any) -> Any:
        """Make the trigger that waits."""

    def nothing_left(self, begun: Begun) -> dict[str, Any]:
        """Make the result of a task to which nothing is left to do."""

    def over(self, event: WaitEvent | None) -> None:
        """Tidy up once the wait is over; None: nobody waits."""

    def result(self, snapshot: Snapshot) -> dict[str, Any]:
        """Make the result of what has not ended, or has completed."""

    def finish(self, ended: Snapshot) -> dict[str, Any]:
        """Judge what has ended, and make the result."""

    def failed(self, seen: Snapshot, error: OmicsError) -> None:
        """Explain a failure, and save what there is of results."""

    def killed(self) -> None:
        """Tidy up after a kill."""

    def close(self) -> None:
        """Close what the job holds open."""

    def lineage(self) -> Lineage:
        """Collect inputs and outputs for OpenLineage."""


class StartTask:
    """One try of a task that starts a run or a batch. Made anew for each ``execute`` and ``execute_complete``.

    :param job: what is started.
    :param attempt: starts it, or takes it over.
    :param try_: the try.
    :param report: reports the end.
    """

    def __init__(self, job: Job, attempt: Attempt, try_: Try, report: Report) -> None:
        self._job = job
        self._attempt = attempt
        self._try = try_
        self._report = report
        self._may_be_adopted = False

    def execute(self) -> dict[str, Any]:
        """Start, wait and judge.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        :raises TaskDeferred: the wait goes on in the triggerer.
        """
        started_at = time.time()
        job, arguments = self._job, self._try.arguments
        try:
            try:
                is_dry_run = arguments.flag("dry_run")
                if not is_dry_run:
                    self._open(was_found=None)  # a kill from now on reaches what an earlier try has left going
                request = self._request()
                if is_dry_run:
                    job.show(request)
                    return {**dict.fromkeys(job.result(job.nothing)), "status": "DRY_RUN"}
                begun = self._begin(request)
            except AirflowTaskTimeout:
                return self._time_out()
            if begun.record.idle:
                return self._report.succeed(job.nothing_left(begun))
            job.started(begun.snapshot)
            if begun.vanished:
                error = "an earlier try has started it, and no answer tells its end"
                return self._conclude(WaitEvent(Outcome.VANISHED, begun.snapshot, error=error))
            if not arguments.wait_for_completion:
                job.over(None)
                return self._report.succeed(job.result(begun.snapshot))
            return self._wait(begun.snapshot, started_at)
        except OmicsError as error:
            self._raise(error)
        finally:
            job.close()

    def resume(
        self, event: Any, request_id: str | None = None, connected: bool | None = None, try_number: int | None = None
    ) -> dict[str, Any]:
        """Take up the task when its trigger has fired.

        :param event: the payload of the trigger's event.
        :param request_id: the attempt's, as the task had it when it deferred.
        :param connected: whether Airflow had found the connection by then; None: nothing tells.
        :param try_number: the try that deferred; None: nothing tells.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        try:
            parsed = parse_event(event, self._job.kind)
            self._open(was_found=connected)
            owner = self._try.owner
            owner.take_up(request_id, parsed.snapshot)
            if not owner.is_of_an_earlier_try(try_number):
                return self._conclude(parsed)
        except OmicsError as error:
            self._raise(error)
        # Airflow 3.0 keeps `next_method` when a try fails after its deferral, and hands its event to the next one.
        self._try.log.info("The event is of an earlier try, which has failed; this one begins anew")
        return self.execute()

    def kill(self) -> None:
        """Cancel the run or batch when a user ends the task while it runs on a worker; called in a signal handler."""
        if not self._try.arguments.flag("cancel_on_kill"):
            self._try.log.warning("What this task has started is left going, as cancel_on_kill is off")
        else:
            state = partial(task_state, self._try.context["ti"])
            self._attempt.kill(may_leave=self._may_be_adopted, task_state=state)
        record = self._try.owner.record
        if record is not None and record.resource_id is not None and record.ended is Ended.BADLY:
            self._job.killed()

    def lineage(self) -> Lineage:
        """Collect inputs and outputs for OpenLineage."""
        return self._job.lineage()

    # -- its parts -------------------------------------------------------------------------------------------------

    def _open(self, *, was_found: bool | None) -> None:
        """Find the connection and the store of the record; this try must not go on as somebody else."""
        hook, owner, arguments, context = self._try.hook, self._try.owner, self._try.arguments, self._try.context
        if hook.misses_connection:
            accessor = context.get("task_state_store")
            if was_found is None and accessor is not None:
                was_found = TaskStateAttemptStore(accessor).was_connected()
            is_named = arguments.aws_conn_id != hook.default_conn_name
            find_connection(hook, was_found=was_found, is_suspect=is_named or owner.try_number > 1)
        owner.keep_in(attempt_store(context, hook, owner.identity, self._job.place()))
        # Only what outlives this try can be adopted by the next, and only if there is one.
        self._may_be_adopted = arguments.durable and owner.lasts and owner.try_number <= owner.max_tries

    def _request(self) -> StartRequest:
        try:
            return self._job.request(str(uuid.uuid4()))
        except SettingsError:
            self._attempt.name_leftovers()
            raise

    def _begin(self, request: StartRequest) -> Begun:
        arguments = self._try.arguments
        tags = self._try.hook.defaults.tag_with_airflow_context if arguments.tag_with_airflow_context is None else None
        try:
            return self._attempt.begin(
                request,
                tag=arguments.flag("tag_with_airflow_context") if tags is None else tags,
                durable=arguments.durable,
                cancel_old=arguments.flag("cancel_on_kill"),
                patience=arguments.patience.total_seconds(),
            )
        except NotOwner:
            raise  # a later try sends the same request
        except (OmicsError, AirflowTaskTimeout):
            self._job.not_started()
            raise

    def _wait(self, started: Snapshot, started_at: float) -> dict[str, Any]:
        arguments, hook = self._try.arguments, self._try.hook
        plan = WaitPlan(
            kind=self._job.kind,
            id=started.id,
            uuid=started.uuid,
            poll_interval=arguments.poll_interval,
            run_timeout=self._job.run_timeout,
            patience=arguments.patience.total_seconds(),
            cancel=arguments.flag("cancel_on_kill"),
            **time_limits(arguments.execution_timeout, started_at),
        )
        if arguments.deferrable and started.phase is Phase.ACTIVE:
            trigger = self._job.trigger(
                plan,
                poll_interval=plan.poll_interval,
                deadline=plan.deadline,
                patience=plan.patience,
                cancel_on_kill=plan.cancel,
                grace=plan.grace,
                aws_conn_id=arguments.aws_conn_id,
                region_name=arguments.region_name,
                verify=arguments.verify,
                botocore_config=arguments.botocore_config,
            )
            carried = {
                "request_id": self._try.owner.request_id,
                "connected": not hook.misses_connection,
                "try_number": self._try.owner.try_number,
            }
            raise TaskDeferred(trigger=trigger, method_name="execute_complete", kwargs=carried)
        try:
            # The answer of a start does not have all of what an ended run has: one look more at the least.
            event = self._attempt.wait(plan)
        except AirflowTaskTimeout:
            # The deadline lies before Airflow's own, but one slow call can outlast the margin.
            return self._time_out()
        return self._conclude(event)

    def _time_out(self) -> dict[str, Any]:
        """End a task that Airflow's own timeout has struck."""
        event = self._attempt.time_out(cancels=self._try.arguments.flag("cancel_on_kill"))
        if event is None:
            raise StartTimedOut(self._job.kind, self._try.owner.request_id)
        return self._conclude(event)

    def _conclude(self, event: WaitEvent) -> dict[str, Any]:
        """Turn the end of the wait into the task's result or error, and record how the attempt ended."""
        job, owner = self._job, self._try.owner
        job.over(event)
        try:
            ended_badly = error_of(event, self._try.hook.conn_region_name)
            if ended_badly is not None:
                raise ended_badly
            result = job.finish(event.snapshot)
        except OmicsError as error:
            if not isinstance(error, ServiceError):  # else the judge could not be asked: nothing is known to be bad
                still_going = event.outcome is not Outcome.ENDED and not event.cancelled
                owner.end(Ended.LOST if still_going else Ended.BADLY)
            job.failed(event.snapshot, error)
            raise
        owner.end(Ended.WELL)
        return self._report.succeed(result)

    def _raise(self, error: OmicsError) -> NoReturn:
        diagnosis = getattr(error, "diagnosis", None)
        final = None if diagnosis is None else bool(diagnosis["final"])
        if isinstance(error, SettingsError) and self._try.arguments.masks_parameters:
            # Without the error itself, which Airflow would show as the cause.
            raise airflow_error(error.masked(), final=final) from None
        if isinstance(error, AttemptError) and self._attempt.is_interrupted:
            final = False  # a deploy has ended the process in the midst of the start: the next try goes on
        raise airflow_error(error, final=final) from error
