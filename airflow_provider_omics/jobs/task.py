"""The road of a task that starts a run or a batch: begin, wait, conclude."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields, replace
from functools import partial
from importlib import import_module
from typing import Any, NoReturn, Protocol

from airflow.providers.common.compat.sdk import (
    AirflowException,
    AirflowFailException,
    AirflowSkipException,
    AirflowTaskTimeout,
    Asset,
    AssetAlias,
    Context,
    TaskDeferred,
)

from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import Ended
from airflow_provider_omics.core.errors import (
    AttemptError,
    NotOwner,
    OmicsError,
    Problem,
    ServiceError,
    SettingsError,
    StartTimedOut,
)
from airflow_provider_omics.core.settings.arguments import START_ARGUMENTS, read_arguments
from airflow_provider_omics.core.settings.by_name import NAMES
from airflow_provider_omics.core.settings.outputs import read_expected_outputs
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.core.wait.flow import WaitPlan, time_limits, wait
from airflow_provider_omics.core.wait.outcome import closing_line
from airflow_provider_omics.core.wait.stretch import Stretch
from airflow_provider_omics.exceptions import task_error
from airflow_provider_omics.hooks.driver import Driver
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.attempt import Attempt, Startable, StartRequest
from airflow_provider_omics.jobs.connection import find_connection
from airflow_provider_omics.jobs.owner import Lineage, Owner, StartArguments
from airflow_provider_omics.jobs.stores import TaskStateAttemptStore, attempt_store, deployment
from airflow_provider_omics.waiting.interrupts import time_out_in_turn
from airflow_provider_omics.waiting.task_states import task_state


class Stretches(Protocol):
    """The stretches of a wait, between which what has ended is collected."""

    def first(self) -> Stretch | None:
        """Begin the first one, as the wait begins; None: nothing is collected before the end."""

    def next(self, seen: Any, last: Stretch) -> Stretch:
        """Collect what has ended in the last stretch, and begin the next one.

        Trouble is a warning in the log: what waits for hours does not end by it.

        :param seen: what is waited for, going.
        :param last: the last stretch.
        """


class Job(Startable, Protocol):
    """The differences between a run and a batch of runs; ``jobs/run.py`` and ``jobs/batch/job.py`` implement it."""

    @property
    def nothing(self) -> Snapshot:
        """An empty snapshot: its result has the keys of every result."""

    @property
    def place(self) -> S3Place | None:
        """Where in S3 the task writes; None: nowhere."""

    @property
    def run_timeout(self) -> float | None:
        """Seconds that a run may take from its own start; None: no limit."""

    @property
    def stretches(self) -> Stretches | None:
        """The stretches of its wait; None: nothing is collected before the end."""

    def request(self, request_id: str) -> StartRequest:
        """Check the settings, make the request, and make the checks that the user asked for.

        :param request_id: the idempotency token.
        :raises SettingsError: bad settings: all problems at once; nothing was sent.
        :raises ServiceError: a check could not be made.
        """

    def show(self, request: StartRequest) -> None:
        """Show in the log what would be started."""

    def started(self, snapshot: Snapshot) -> None:
        """Store the console links of what has started."""

    def trigger(self, plan: WaitPlan, **shared: Any) -> Any:
        """Make the trigger that waits.

        :param plan: of the wait.
        :param shared: arguments that both triggers take.
        """

    def let_go(self) -> None:
        """Leave a run or batch that nobody waits for."""

    def nothing_left(self, begun: Begun) -> dict[str, Any]:
        """Make the result of a task to which nothing is left to do.

        :raises BatchVerdictError: more than tolerated did not complete.
        """

    def result(self, snapshot: Snapshot) -> dict[str, Any]:
        """Make the result of a run or batch that has not ended."""

    def conclude(self, event: WaitEvent) -> dict[str, Any]:
        """Tidy up once the wait is over, judge the end, and make the result.

        :param event: the end of the wait.
        :raises OmicsError: it did not end well.
        """

    def failed(self, seen: Snapshot, error: OmicsError) -> None:
        """Explain a failure, and save the results so far.

        :param seen: the run or batch, as last seen.
        :param error: the error that the task is about to raise.
        """

    def killed(self) -> None:
        """Tidy up after a kill."""

    def close(self) -> None:
        """Close what the job holds open."""

    def lineage(self) -> Lineage:
        """Collect inputs and outputs for OpenLineage."""


@dataclass(eq=False)
class StartTask:
    """One try of a task that starts a run or a batch. Made anew for each ``execute`` and ``execute_complete``.

    :param job: what is started.
    :param attempt: starts it, or takes it over.
    :param owner: the try.
    """

    job: Job
    attempt: Attempt
    owner: Owner
    _has_waited: bool = False
    """Whether the wait is over: what is raised from then on says how the run or batch has ended, or was left."""
    _is_collecting: bool = False
    """Whether it reads results between two stretches of the wait: then a user's end alone cancels."""
    _began: float = 0.0
    """When this try began, in seconds since the epoch."""

    def execute(self) -> dict[str, Any]:
        """Start, wait and judge.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        :raises TaskDeferred: the wait goes on in the triggerer.
        """
        self._began = started_at = time.time()
        job, arguments = self.job, self.owner.arguments
        begun: Begun | None = None
        try:
            try:
                is_dry_run = arguments.dry_run
                if not is_dry_run:
                    self._open(was_found=None)  # from now on a kill reaches the run or batch of an earlier try
                try:
                    request = job.request(str(uuid.uuid4()))
                except SettingsError:
                    self.attempt.name_leftovers()
                    raise
                if is_dry_run:
                    job.show(request)
                    return {**dict.fromkeys(job.result(job.nothing)), "status": "DRY_RUN"}
                begun = self.attempt.begin(request)
                event = None if begun.record.idle else self._wait(begun, started_at)
            except AirflowTaskTimeout:
                event = self._time_out()
            if event is not None:
                return self._conclude(event)
            assert begun is not None  # noqa: S101 - tells mypy that a time-out has an event
            return self._succeed(job.nothing_left(begun) if begun.record.idle else job.result(begun.snapshot))
        except OmicsError as error:
            self._raise(error)
        except Exception as error:
            self._part(error)
            self._close()
            raise
        finally:
            job.close()

    def resume(
        self,
        event: Any,
        request_id: str | None = None,
        connected: bool | None = None,
        try_number: int | None = None,
        resolved: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Take up the task when its trigger has fired.

        :param event: the payload of the trigger's event.
        :param request_id: the attempt's, as the task had it when it deferred.
        :param connected: whether Airflow had found the connection by then; None: unknown.
        :param try_number: the try that deferred; None: unknown.
        :param resolved: names that it had looked up, and their ids; None: none.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        self._began = time.time()
        seen: Snapshot | None = None
        try:
            parsed = parse_event(event, self.job.kind)
            seen = None if parsed.cancelled else parsed.snapshot
            self._is_collecting = parsed.outcome is Outcome.STRETCH_OVER
            carried: dict[str, Any] = {} if parsed.stretch is None else dict(parsed.stretch.carried)
            # `dag.test()` drops what a task carries beside its trigger.
            given = {"request_id": request_id, "connected": connected, "try_number": try_number, "resolved": resolved}
            carried.update((name, value) for name, value in given.items() if value is not None)
            self._open(was_found=carried.get("connected"))
            owner = self.owner
            owner.take_up(carried.get("request_id"), parsed.snapshot)
            owner.resolved = carried.get("resolved") or {}
            if not owner.is_of_an_earlier_try(carried.get("try_number")):
                if parsed.outcome is Outcome.STRETCH_OVER:
                    parsed = self._go_on(parsed)
                return self._conclude(parsed)
        except Exception as error:
            if not self._has_waited and seen is not None and seen.phase is Phase.ACTIVE:
                self.owner.log.warning("%s %s may be going, and is left as it is", self.job.kind, seen.id)
            if isinstance(error, OmicsError):
                self._raise(error)
            raise
        # Airflow 3.0 keeps `next_method` when a try fails after its deferral, and hands its event to the next one.
        self.owner.log.info("The event belongs to a failed earlier try; this try starts over")
        return self.execute()

    def kill(self) -> None:
        """Cancel the run or batch when a user ends the task while it runs on a worker; called in a signal handler."""
        if not self.owner.arguments.cancel_on_kill:
            self.owner.log.warning("What this task has started is left going, as cancel_on_kill is off")
        else:
            state = partial(task_state, self.owner.context["ti"])
            self.attempt.kill(may_leave=self.owner.may_be_adopted or self._is_collecting, task_state=state)
        self._tidy_after_cancel()

    def _tidy_after_cancel(self) -> None:
        record = self.owner.record
        if record is not None and record.resource_id is not None and record.ended is Ended.BADLY:
            self.job.killed()

    def lineage(self) -> Lineage:
        """Collect inputs and outputs for OpenLineage."""
        return self.job.lineage()

    def _open(self, *, was_found: bool | None) -> None:
        """Find the connection and the store of the record; this try must not go on as somebody else."""
        owner, hook, arguments, context = self.owner, self.owner.hook, self.owner.arguments, self.owner.context
        if hook.misses_connection:
            accessor = context.get("task_state_store")
            if was_found is None and accessor is not None:
                was_found = TaskStateAttemptStore(accessor).was_connected()
            is_named = arguments.aws_conn_id != hook.default_conn_name
            find_connection(hook, was_found=was_found, is_suspect=is_named or owner.try_number > 1)
        owner.store = attempt_store(context, hook, owner.identity, self.job.place)
        # Only what outlives this try can be adopted by the next, and only if there is one.
        owner.may_be_adopted = arguments.durable and owner.store.lasts and owner.try_number <= owner.max_tries

    def _wait(self, begun: Begun, started_at: float) -> WaitEvent | None:
        """Wait for the end; None: nobody wants to."""
        arguments, started = self.owner.arguments, begun.snapshot
        self.job.started(started)
        if begun.vanished:
            error = "an earlier try has started it, and no answer shows its end"
            return WaitEvent(Outcome.VANISHED, started, error=error)
        if not arguments.wait_for_completion:
            self.job.let_go()
            return None
        limits = {}
        if arguments.execution_timeout is not None:
            limits = time_limits(arguments.execution_timeout, started_at)
        stretch = None if self.job.stretches is None else self.job.stretches.first()
        return self._wait_for(started, stretch, **limits)

    def _wait_for(self, seen: Snapshot, stretch: Stretch | None, **limits: Any) -> WaitEvent:
        """Wait for the end; what has ended before is collected in between."""
        arguments, hook = self.owner.arguments, self.owner.hook
        plan = WaitPlan(
            kind=self.job.kind,
            id=seen.id,
            uuid=seen.uuid,
            # The account's budget holds in a worker, too; all that wait in a triggerer share one.
            poll_interval=max(arguments.poll_interval, 1 / hook.defaults.calls_per_second),
            run_timeout=self.job.run_timeout,
            patience=arguments.patience,
            cancel=arguments.cancel_on_kill,
            stretch=stretch,
            **limits,
        )
        while True:
            if arguments.deferrable and seen.phase is Phase.ACTIVE:
                self._defer(plan)
            self._is_collecting = False
            # The answer of a start lacks fields of an ended run: one more look at least.
            event = self.attempt.drive(wait(plan))
            if event.outcome is not Outcome.STRETCH_OVER:
                return event
            seen = event.snapshot
            plan = replace(plan, stretch=self._collect(seen, plan.stretch))

    def _go_on(self, event: WaitEvent) -> WaitEvent:
        """Collect what has ended in a stretch, and wait on."""
        seen, last = event.snapshot, event.stretch
        carried = {} if last is None else last.carried
        limits = {name: carried[name] for name in ("deadline", "grace") if carried.get(name) is not None}
        try:
            return self._wait_for(seen, self._collect(seen, last), **limits)
        except AirflowTaskTimeout:
            return self._time_out()

    def _collect(self, seen: Snapshot, last: Stretch | None) -> Stretch | None:
        if self.job.stretches is None or last is None:
            return None  # a wait without stretches has none that is over
        self._is_collecting = True
        stretch = self.job.stretches.next(seen, last)
        try:
            self.owner.check_owner()  # it took its time: a later try may have come
        except NotOwner:
            raise
        except OmicsError as error:
            self.owner.log.warning("Whether a later try has begun cannot be read: %s", error)
        return stretch

    def _defer(self, plan: WaitPlan) -> NoReturn:
        arguments, owner = self.owner.arguments, self.owner
        carried = {
            "request_id": owner.request_id,
            "connected": not owner.hook.misses_connection,
            "try_number": owner.try_number,
            **({"resolved": owner.resolved} if owner.resolved else {}),
        }
        if plan.stretch is not None:
            limits = {"deadline": plan.deadline, "grace": plan.grace}
            plan = replace(plan, stretch=replace(plan.stretch, carried={**carried, **limits}))
        trigger = self.job.trigger(
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
        raise TaskDeferred(trigger=trigger, method_name="execute_complete", kwargs=carried)

    def _time_out(self) -> WaitEvent:
        """End what a task has started that Airflow's own timeout has struck.

        The deadline of a wait lies before it, but one slow call can outlast the margin, and the steps before the wait,
        such as writes to XCom, look at no deadline.
        """
        self.owner.is_last = not self.owner.may_be_adopted
        event = self.attempt.time_out(cancels=self.owner.arguments.cancel_on_kill)
        if event is None:
            raise StartTimedOut(self.job.kind, self.owner.request_id)
        return event

    def _part(self, error: Exception) -> None:
        """See to what this try has started, when it ends with an error before it has waited for it."""
        if self._has_waited or isinstance(error, NotOwner) or self.owner.is_killed or self.owner.record is None:
            return  # the error says what became of it, or whose it is; or a kill has seen to it
        is_final = isinstance(error, (AirflowFailException, AirflowSkipException)) or getattr(error, "is_final", False)
        self.owner.is_last = is_final or not self.owner.may_be_adopted
        try:
            self._let_go()
        except AirflowTaskTimeout:  # strikes once: the error itself stays what the task ends with
            self._let_go()

    def _let_go(self) -> None:
        self.attempt.part(cancels=self.owner.arguments.cancel_on_kill)
        self._tidy_after_cancel()

    def _conclude(self, event: WaitEvent) -> dict[str, Any]:
        """Turn the end of the wait into the task's result or error, and record how the attempt ended."""
        self._has_waited = True
        if event.outcome is Outcome.ENDED and self.owner.record is not None and self.owner.record.outdated:
            self.job.close()
            self._has_waited = False
            self.attempt.snapshot = None  # the next one is looked for, or started, as by a new try
            return self.execute()  # the settings are other ones than those that have ended: they are compared
        try:
            result = self.job.conclude(event)
            if self.owner.record is not None and self.owner.record.canary:
                self.job.close()
                self._has_waited = False
                self.attempt.snapshot = None
                return self.execute()  # the canary has completed: what it was for is submitted
        except OmicsError as error:
            if not isinstance(error, ServiceError):  # else the judge could not be asked: nothing is known to be bad
                still_going = event.outcome is not Outcome.ENDED and not event.cancelled
                self.owner.note(ended=Ended.LOST if still_going else Ended.BADLY)
            try:
                self.job.failed(event.snapshot, error)
            except (Exception, AirflowTaskTimeout):  # the error itself stays what the task ends with
                self.owner.log.warning("Not all about the failure could be told", exc_info=True)
            raise
        self.owner.note(ended=Ended.WELL)
        return self._succeed(result)

    def _succeed(self, result: dict[str, Any]) -> dict[str, Any]:
        """Put the result into the events of the task's assets.

        An Asset gets it as the event's extra; an AssetAlias gets an Asset of the place of the results, with the values
        that are no lists: Airflow 2 keeps the events of an alias by a hash of their extra.
        """
        if self.owner.resolved:
            result = {**result, "resolved": dict(self.owner.resolved)}
        self.owner.reported = result
        outlets = [outlet for outlet in self.owner.arguments.outlets if isinstance(outlet, (Asset, AssetAlias))]
        if outlets:
            try:
                self.owner.try_to_write("asset events", self._tell_assets, outlets, result)
            except AirflowTaskTimeout:  # what was waited for has ended well
                self.owner.log.warning("The asset events could not be written: execution_timeout passed")
        self._close()
        return result

    def _close(self) -> None:
        """Close the log: how long it took, and where everything is."""
        owner, kind, record = self.owner, self.job.kind, self.owner.record
        known = owner.reported or {f"{kind}_id": None if record is None else record.resource_id}
        since = self._began if record is None else record.requested_at
        with suppress(AirflowTaskTimeout):  # strikes once: how the task ends stays as it is
            owner.log.info("%s", closing_line(kind, known, time.time() - since))

    def _tell_assets(self, outlets: list[Any], result: dict[str, Any]) -> None:
        events: Any = self.owner.context.get("outlet_events")
        if events is None:
            return
        uri = result.get("results_uri") or result.get("run_output_uri")
        for outlet in outlets:
            if isinstance(outlet, Asset):
                events[outlet].extra.update(result)
            elif uri:
                plain = {key: value for key, value in result.items() if not isinstance(value, (list, dict))}
                events[outlet].add(Asset(uri), extra=plain)

    def _raise(self, error: OmicsError) -> NoReturn:
        diagnosis = getattr(error, "diagnosis", None)
        final = None if diagnosis is None else bool(diagnosis["final"])
        if isinstance(error, SettingsError) and self.owner.arguments.masks_parameters:
            error = error.masked()
        if isinstance(error, AttemptError) and self.attempt.is_interrupted:
            final = False  # a deploy has ended the process in the midst of the start: the next try goes on
        raised = task_error(error, self.owner.log, final=final, policy=self.owner.retry_policy)
        self._part(raised)
        if not isinstance(error, AirflowException):  # else it has closed the log: a try that began anew has raised it
            self._close()
        raise raised from None


_JOBS = {"run": f"{__package__}.run", "batch": f"{__package__}.batch.job"}
"""Kind -> the module of its job, loaded for tasks of this kind only; its ``make_job`` makes one."""


def open_task(kind: str, given: Mapping[str, Any], hook: OmicsHook, log: Any, context: Context) -> StartTask:
    """Make the task of one try: the door through which an operator reaches its work. Nothing is called yet.

    :param kind: ``"run"`` or ``"batch"``.
    :param given: the operator's arguments, rendered: name -> value.
    :param hook: makes the calls.
    :param log: the task's logger.
    :param context: Airflow's context of the task.
    :return: the task.
    """
    task_instance = context["ti"]
    given, problems = read_arguments(given, START_ARGUMENTS)
    known = {field.name: given[field.name] for field in fields(StartArguments) if field.name in given}
    if given.get("expected_outputs") is not None:
        known["expected_outputs"], faults = read_expected_outputs(given["expected_outputs"])
        if known["expected_outputs"] is not None and not given["wait_for_completion"]:
            faults.append(Problem("expected_outputs", "set", "with wait_for_completion=True: else nobody looks"))
        problems = (*problems, *faults)
    names = {name: given[name] for name in NAMES if given.get(name)}
    arguments = StartArguments(**known, names=names, problems=problems)
    identity = TaskIdentity.of(task_instance, deployment())
    hook.patience = arguments.patience
    if arguments.execution_timeout is not None:
        time_out_in_turn()
    owner = Owner(hook, log, arguments, context, identity, task_instance.try_number, task_instance.max_tries)
    job: Job = import_module(_JOBS[kind]).make_job(given, owner)
    return StartTask(job, Attempt(job, owner, Driver(hook, log, owner)), owner)
