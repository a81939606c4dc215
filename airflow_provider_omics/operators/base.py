"""What the operators share: the hook, the wait, and the road from a request to a result."""

from __future__ import annotations

import time
import uuid
from abc import abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Context, conf

from airflow_provider_omics.core.connection_defaults import ConnectionDefaults
from airflow_provider_omics.core.errors import AccessDenied, NotFound, OmicsError, Problem, ServiceError, SettingsError
from airflow_provider_omics.core.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.core.outcomes import error_of
from airflow_provider_omics.core.polling import WaitPlan, cancel, wait
from airflow_provider_omics.core.settings import CheckedRequest
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.workflow_parameters import check_parameters
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.masking import Masked
from airflow_provider_omics.operators.waiting import drive
from airflow_provider_omics.triggers.base import OmicsWaitTrigger

MARGIN = 0.1
"""Part of ``execution_timeout`` kept free, so that the cancel and the typed error come before Airflow's own end."""

LONGEST_MARGIN = 60.0
"""Seconds that are enough for it, however long the timeout is."""

KILL_PATIENCE = 4.0
"""Seconds for the cancel in a worker's ``on_kill``: SIGKILL follows 5 seconds after SIGTERM."""

SHOWN_REQUESTS = 3
"""Requests that ``dry_run`` shows."""


class OmicsBaseOperator(AwsBaseOperator[OmicsHook]):
    """Base of the operators for AWS HealthOmics.

    :param aws_conn_id: the Airflow connection of type ``aws``; default ``aws_default``.
    :param region_name: AWS Region; default: the connection's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle; default: the connection's.
    :param botocore_config: botocore configuration as a dict; default: the connection's.
    """

    aws_hook_class = OmicsHook
    template_fields: Sequence[str] = aws_template_fields()
    ui_color = "#e3f1ec"

    @property
    def defaults(self) -> ConnectionDefaults:
        """Team defaults of the connection."""
        return self.hook.defaults


def deadline_of(execution_timeout: timedelta | None, started: float) -> float | None:
    """Give the moment at which a wait must end, so that Airflow's own timeout does not come first.

    :param execution_timeout: the task's; None: no limit.
    :param started: when the task started, in seconds since the epoch.
    :return: seconds since the epoch, or None.
    """
    if execution_timeout is None:
        return None
    seconds = execution_timeout.total_seconds()
    return started + seconds - min(seconds * MARGIN, LONGEST_MARGIN)


class OmicsActionOperator(OmicsBaseOperator):
    """Base of the operators that make one call; an answer that means "it is so already" counts as done."""

    done_already: ClassVar[tuple[type[ServiceError], ...]] = (NotFound,)

    @abstractmethod
    def _act(self) -> str:
        """Make the call; the sentence that it gives goes to the log."""

    def execute(self, context: Context) -> None:
        """Make the call; called by Airflow.

        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        try:
            self.log.info("%s", self._act())
        except self.done_already as error:
            self.log.info("Nothing to do: %s", error)
        except OmicsError as error:
            raise airflow_error(error) from error


class OmicsStartOperator(OmicsBaseOperator):
    """Base of the operators that start a run or a batch, wait for its end, and judge it.

    :param wait_for_completion: wait for the end (default); otherwise the task ends once the run or batch is started.
    :param deferrable: wait in the triggerer instead of a worker; default: ``[operators] default_deferrable``.
    :param poll_interval: seconds between two looks; default 30.
    :param cancel_on_kill: whether a user's kill of the task, and a time limit, cancel the run or batch; default True.
    :param patience: how long throttling, errors of the service and a lost connection are borne; default three hours.
    :param check_workflow: look the workflow up first (GetWorkflow): is it ACTIVE, and do the parameters fit its
        template? Default False.
    :param dry_run: check everything, start nothing, and show what would be sent; default False.
    :param mask_parameters: store and show parameters in Airflow as counts and keys only; default: the connection's
        ``mask_parameters``, which is off by default.
    """

    kind: ClassVar[str]
    trigger_class: ClassVar[Callable[..., OmicsWaitTrigger]]
    masked_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: float = 30.0,
        cancel_on_kill: bool = True,
        patience: timedelta = timedelta(hours=3),
        check_workflow: bool = False,
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
        self.patience = patience
        self.check_workflow = check_workflow
        # The argument hides BaseOperator.dry_run(), which only renders templates for a command line option.
        self.dry_run = dry_run  # type: ignore[assignment,method-assign]
        self.mask_parameters = mask_parameters
        self._started: Snapshot | None = None

    # -- what a run and a batch do differently ---------------------------------------------------------------------

    @abstractmethod
    def _build_request(self, request_id: str) -> CheckedRequest:
        """Check the settings and make the request."""

    @abstractmethod
    def _start(self, request: Mapping[str, Any]) -> Snapshot:
        """Send the request; the snapshot has what the answer and the request tell."""

    @abstractmethod
    def _persist_links(self, context: Context, started: Snapshot) -> None:
        """Store the ids that the console links need."""

    @abstractmethod
    def _result(self, snapshot: Snapshot) -> dict[str, Any]:
        """Give the task's result for a run or batch that has not ended, or that completed."""

    @abstractmethod
    def _parameters_by_run(self, request: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Give the merged parameters of each run, with the name of the argument they stand in."""

    def _finish(self, context: Context, ended: Snapshot) -> dict[str, Any]:
        """Give the result of what ended well; a batch is judged here."""
        return self._result(ended)

    # -- the road --------------------------------------------------------------------------------------------------

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, wait and judge; called by Airflow.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        try:
            checked = self._build_request(str(uuid.uuid4()))
            for warning in checked.warnings:
                self.log.warning("%s", warning)
            if self.check_workflow:
                self._check_workflow(checked.request)
            if self._is_true("dry_run"):
                return self._show(checked.request)
            started = self._start(checked.request)
            self._started = started
            self.log.info("Started %s %s (uuid %s)", self.kind, started.id, started.uuid)
            self._persist_links(context, started)
            if not self.wait_for_completion:
                return self._result(started)
            return self._wait(context, self._plan(started), started)
        except OmicsError as error:
            self._raise(error)

    def execute_complete(self, context: Context, event: Any = None) -> dict[str, Any]:
        """Take up the task when its trigger has fired; called by Airflow.

        :param event: the payload of the trigger's event.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        try:
            return self._conclude(context, parse_event(event, self.kind))
        except OmicsError as error:
            self._raise(error)

    def on_kill(self) -> None:
        """Cancel the run or batch when the task is killed while it runs on a worker."""
        if self._started is None:
            return
        if not self.cancel_on_kill:
            self.log.warning("%s %s is left going, as cancel_on_kill is off", self.kind, self._started.id)
            return
        plan = self._plan(self._started)
        drive(cancel(plan, patience=KILL_PATIENCE), self.hook, self.log)

    def _wait(self, context: Context, plan: WaitPlan, started: Snapshot) -> dict[str, Any]:
        if started.phase is not Phase.ACTIVE:
            # A request that the service had seen before may answer with a run that has ended; GetRun has all of it.
            return self._conclude(context, drive(wait(plan), self.hook, self.log))
        if self.deferrable:
            self._defer(plan)
        try:
            event = drive(wait(plan), self.hook, self.log)
        except AirflowTaskTimeout:
            # The deadline lies before Airflow's own, but one slow call can outlast the margin.
            left = drive(cancel(plan, patience=KILL_PATIENCE), self.hook, self.log) if plan.cancel else started
            event = WaitEvent(Outcome.TIMED_OUT, started, limit="execution_timeout", cancelled=left is None)
        return self._conclude(context, event)

    def _defer(self, plan: WaitPlan) -> NoReturn:
        self.defer(
            trigger=self.trigger_class(
                plan.id,
                plan.uuid,
                poll_interval=plan.poll_interval,
                deadline=plan.deadline,
                **({"run_timeout": plan.run_timeout} if self.kind == "run" else {}),
                patience=plan.patience,
                cancel_on_kill=plan.cancel,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
        )

    def _conclude(self, context: Context, event: WaitEvent) -> dict[str, Any]:
        error = error_of(event, self.hook.conn_region_name)
        if error is not None:
            raise error
        return self._finish(context, event.snapshot)

    def _plan(self, started: Snapshot) -> WaitPlan:
        return WaitPlan(
            kind=self.kind,
            id=started.id,
            uuid=started.uuid,
            poll_interval=self.poll_interval,
            deadline=deadline_of(self.execution_timeout, time.time()),
            patience=self.patience.total_seconds(),
            cancel=self._is_true("cancel_on_kill"),
        )

    def _raise(self, error: OmicsError) -> NoReturn:
        raise airflow_error(error) from error

    # -- before the start ------------------------------------------------------------------------------------------

    def _check_workflow(self, request: Mapping[str, Any]) -> None:
        """Ask whether the workflow is ACTIVE and the merged parameters of each run fit its template."""
        setting = request.get("defaultRunSetting", request)
        workflow_id = setting.get("workflowId")
        if workflow_id is None:
            self.log.info("check_workflow: a repeated run takes its workflow from the source run; nothing to look up")
            return
        version = setting.get("workflowVersionName")
        whose = {
            "workflow_type": setting.get("workflowType"),
            "workflow_owner_id": setting.get("workflowOwnerId"),
        }
        answer: Mapping[str, Any]
        try:
            if version:
                answer = self.hook.get_workflow_version(workflow_id, version, **whose)
            else:
                answer = self.hook.get_workflow(workflow_id, **whose)
        except AccessDenied as error:
            self.log.warning("check_workflow: going on without the check: %s", error)
            return
        name = f"{workflow_id} version {version}" if version else workflow_id
        problems = []
        if answer.get("status") != "ACTIVE":
            problems.append(Problem("workflow_id", f"{name} ({answer.get('status')})", "a workflow that is ACTIVE"))
        template = answer.get("parameterTemplate")
        for argument, parameters in self._parameters_by_run(request):
            problems += check_parameters(template, parameters, argument=argument)
        if problems:
            raise SettingsError(problems)

    def _show(self, request: Mapping[str, Any]) -> dict[str, Any]:
        runs = list(self._parameters_by_run(request))
        self.log.info("Dry run: nothing is started. %d run(s) would be:", len(runs))
        for argument, parameters in runs[:SHOWN_REQUESTS]:
            self.log.info("  %s with parameters %s", argument, ", ".join(parameters) or "(none)")
        # Values can identify a patient: they are for those who turn the debug level on.
        self.log.debug("The request: %s", request)
        return {**dict.fromkeys(self._result(self._nothing())), "status": "DRY_RUN"}

    @abstractmethod
    def _nothing(self) -> Snapshot:
        """Give an empty snapshot: its result has the keys of every result."""

    # -- template fields -------------------------------------------------------------------------------------------

    def _is_true(self, argument: str) -> bool:
        """Read a flag that a template may have turned into text."""
        value = getattr(self, argument)
        if isinstance(value, str):
            if value.strip().lower() in ("true", "1", "yes", "on"):
                return True
            if value.strip().lower() in ("false", "0", "no", "off", "none", ""):
                return False
            raise SettingsError([Problem(argument, repr(value), "true or false")])
        return bool(value)

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Mask after rendering, before Airflow stores the fields; Airflow calls this for mapped tasks as well."""
        super()._do_render_template_fields(parent, *args, **kwargs)
        masks = self.defaults.mask_parameters if self.mask_parameters is None else self._is_true("mask_parameters")
        if parent is not self or not masks:
            return
        for name in self.masked_fields:
            value = getattr(self, name)
            if value is not None and not isinstance(value, Masked):
                setattr(self, name, Masked(value))


def with_request(snapshot: Snapshot, **known: Any) -> Snapshot:
    """Fill what a start's answer does not tell from what the request said.

    :param snapshot: taken from the answer.
    :param known: field -> value; None and fields that the answer had are left alone.
    :return: the completed snapshot.
    """
    missing = {name: value for name, value in known.items() if value is not None and getattr(snapshot, name) is None}
    return replace(snapshot, **missing)
