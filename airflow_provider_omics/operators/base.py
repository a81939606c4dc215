"""The operators' base: the connection, the arguments that all start operators share, and the door to their work."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from inspect import signature
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import airflow
from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import AirflowException, Context, XComArg, conf

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.arguments import START_ARGUMENTS, read_arguments
from airflow_provider_omics.core.settings.names import argument_hints
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.masking import Masked, MaskedPartial, hidden, hidden_fields, masked, revealed

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors.base import OperatorLineage

    from airflow_provider_omics.jobs.task import StartTask

BY_NAME = ("workflow_name", "run_group_name", "cache_name", "workflow_digest")
"""Template fields of both start operators that say which workflow, run group and cache are meant."""


CALLS_DRY_RUN = airflow.__version__.startswith("2.")
"""Whether ``airflow tasks test --dry-run`` renders a task and calls its ``dry_run()``; Airflow 3 has no such option."""


NAMES_MAPPED_TASKS = not airflow.__version__.startswith("2.")
"""Whether a mapped task is shown by a name of ours. Airflow 2.11 copies the whole context to render one, and so logs a
deprecation warning for each of twenty variables of its own that nobody has used."""


@dataclass(eq=False, repr=False)
class RenderedDryRun:
    """The argument ``dry_run``, rendered, under the name of a method of Airflow's: it is both.

    :param value: the argument.
    :param method: ``BaseOperator.dry_run()``, which shows the rendered template fields.
    """

    value: Any
    method: Callable[[], None]

    def __call__(self) -> None:
        """Show the rendered template fields."""
        self.method()

    def __bool__(self) -> bool:
        """Return whether it is set, as its value would."""
        return bool(self.value)

    def __repr__(self) -> str:
        """Return the form that Airflow 2 stores and shows."""
        return str(self.value)


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

    def __init__(self, **kwargs: Any) -> None:
        try:
            super().__init__(**kwargs)
        except (TypeError, AirflowException) as error:  # Airflow 3 and 2, of arguments that nobody takes
            makers = [vars(cls)["__init__"] for cls in type(self).__mro__ if "__init__" in vars(cls)]
            known = {name for maker in makers for name in signature(maker).parameters}
            hints = argument_hints([name for name in kwargs if name not in known], known)
            if not hints:
                raise
            raise type(error)(f"{error}\n{hints}") from error


class OmicsActionOperator(OmicsBaseOperator):
    """Base of the operators that make one call; an answer that means "already done" counts as success."""

    action: ClassVar[str]
    action_arguments: ClassVar[tuple[str, ...]]

    def execute(self, context: Context) -> Any:
        """Make the call; called by Airflow.

        :return: the task's result.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        from airflow_provider_omics.jobs.actions import act  # the door: DAG files load no work

        arguments = {name: getattr(self, name) for name in self.action_arguments}
        return act(self.action, arguments, self.hook, self.log, context)


class OmicsStartOperator(OmicsBaseOperator):
    """Base of the operators that start a run or a batch, wait for its end, and judge it.

    Flags may be text (``"false"``); times may be a timedelta, seconds, or seconds as text. Before anything is sent, one
    error lists unreadable arguments together with all problems of the settings.

    :param wait_for_completion: wait for the end (default); if False, the task ends once the run or batch is started.
    :param deferrable: wait in the triggerer instead of a worker; default: ``[operators] default_deferrable``.
    :param poll_interval: time between polls, a timedelta or seconds; default 30.
    :param cancel_on_kill: whether a user's kill of the task, and a time limit, cancel the run or batch; default True.
    :param durable: a retry adopts an earlier try's run or batch instead of starting a second one (default). Needs
        Airflow 3.3, or ``staging_s3_uri`` in the connection. If False, each try starts afresh.
    :param patience: how long to tolerate throttling, service errors and a lost connection, a timedelta or seconds;
        default three hours.
    :param tag_with_airflow_context: tag runs and batches with the ids of DAG, task and DAG run, and with the request id
        by which a later try finds them; default: the connection's, which is on by default.
    :param workflow_name: name of the workflow, instead of its id; looked up once a try, it must match exactly one
        ACTIVE workflow. There is no "latest": a workflow with versions needs ``workflow_version_name``. Default: the
        connection's, if neither a workflow nor a run to repeat is given.
    :param run_group_name: name of the run group, instead of its id; default: the connection's.
    :param cache_name: name of the run cache, instead of its id; default: the connection's.
    :param workflow_digest: AWS's digest of the definition, as a release or a run returns it; any other definition is
        refused. Default: any, unless the connection has ``approved_workflows``.
    :param check_workflow: look the workflow up first (GetWorkflow): is it ACTIVE, and do the parameters fit its
        template? Default False.
    :param check_inputs: look up every S3 object that the parameters name. An object that is missing, or archived and
        not restored, is an error, and so is a pattern that matches nothing. A prefix of keys is enough (a folder, an
        index): the first 1,000 keys are listed, and 100 that may be archived are looked up. Addresses that HealthOmics
        cannot read (``gs://``, local paths, ...) cause a warning. In a batch, an input replaced since its sample
        completed counts as changed. Default False.
    :param check_role_arn: the role that looks up the inputs, such as the runs' own, if its trust policy lets the
        connection assume it; an input that it may not read is an error. Default: the connection itself, whose missing
        permissions prove nothing and only cause a warning.
    :param restore_margin: how long an archived input's restored copy must last from now on, a timedelta or seconds; a
        copy that expires earlier is an error. Default seven days.
    :param dry_run: check everything, start nothing, and show the request; default False.
    :param mask_parameters: store and show parameters in Airflow as counts and keys only; default: the connection's
        ``mask_parameters``, which is off by default.
    :param failure_log_lines: how many of the last lines of each failed task's log a failure shows, and of the engine's
        log when no task failed; default 30; 0: none.
    :param report: if there is a place for results, write a page, ``report.html``, beside them once the run or batch has
        ended (default).
    :param read_costs: read the cost and resource use of the run, or of each run of the batch, from its manifest in
        CloudWatch Logs and the prices of the connection's ``prices_uri`` or the AWS Price List. A batch needs a place
        for results. Default: the connection's ``read_costs``, which is off by default.
    :param expected_outputs: outputs that each run must leave: name -> pattern of a key below its output URI, ``{"vcf":
        "**/*.vcf.gz"}`` (``*`` within a name, ``**`` for any number of folders). A run that completed without one of
        them counts as failed: a batch records it as INCOMPLETE, a single run raises ``RunIncomplete``. The check lists
        the run's first 10,000 objects. A batch needs a place for results. Default: no check.
    :param retry_permanent_failures: let Airflow spend its retries on any failure. Default False: a failure that would
        recur with the same settings (permanent, sizing) ends the task, an unclear one is retried once, and a transient
        one as often as ``retries`` says.
    :param kwargs: see :class:`OmicsBaseOperator`.
    """

    kind: ClassVar[str]
    named_by: ClassVar[tuple[str, ...]]
    masked_fields: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        *,
        wait_for_completion: bool = True,
        deferrable: bool | None = None,
        poll_interval: timedelta | float | str = 30.0,
        cancel_on_kill: bool = True,
        durable: bool = True,
        patience: timedelta | float | str = timedelta(hours=3),
        tag_with_airflow_context: bool | None = None,
        workflow_name: str | None = None,
        run_group_name: str | None = None,
        cache_name: str | None = None,
        workflow_digest: str | None = None,
        check_workflow: bool = False,
        check_inputs: bool = False,
        check_role_arn: str | None = None,
        restore_margin: timedelta | float | str = timedelta(days=7),
        dry_run: bool = False,
        mask_parameters: bool | None = None,
        failure_log_lines: int = 30,
        report: bool = True,
        read_costs: bool | str | None = None,
        expected_outputs: Mapping[str, str] | XComArg | None = None,
        retry_permanent_failures: bool = False,
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
        self.workflow_name = workflow_name
        self.run_group_name = run_group_name
        self.cache_name = cache_name
        self.workflow_digest = workflow_digest
        self.check_workflow = check_workflow
        self.check_inputs = check_inputs
        self.check_role_arn = check_role_arn
        self.restore_margin = restore_margin
        # The argument hides BaseOperator.dry_run() until it is rendered; nobody calls the method before.
        self.dry_run = dry_run  # type: ignore[assignment,method-assign]
        self.mask_parameters = mask_parameters
        self.failure_log_lines = failure_log_lines
        self.report = report
        self.read_costs = read_costs
        self.expected_outputs = expected_outputs
        self.retry_permanent_failures = retry_permanent_failures
        self._task: StartTask | None = None
        self._given: dict[str, tuple[Any, Any]] = {}

    @classmethod
    def partial(cls, **kwargs: Any) -> Any:
        """Set arguments of a mapped task; masked literals stay out of the serialized DAG.

        :param kwargs: see ``BaseOperator.partial``.
        :return: what ``expand()`` is called on.
        """
        if kwargs.get("mask_parameters") is not True:
            return super().partial(**kwargs)
        return MaskedPartial(super().partial(**hidden_fields(kwargs, cls.masked_fields)), cls.masked_fields)

    def _hide(self) -> None:
        """Keep literals of masked fields out of the serialized DAG, where the operator asks for it."""
        if self.mask_parameters is not True:
            return
        for name in self.masked_fields:
            given = revealed(getattr(self, name))  # partial() has hidden it once
            self._given[name] = (hidden(given, name), given)
            setattr(self, name, self._given[name][0])

    def _reveal(self, name: str) -> Any:
        """Give a field as the DAG file gave it, unless somebody has set it since."""
        value = getattr(self, name)
        put, given = self._given.get(name, (None, None))
        return given if put is value and put is not None else value

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a template; called by Airflow.

        Text without a template stays as it is: native rendering would turn ``1_000`` into 1000, and ``0x1F`` into 31.

        :param content: a template, or a container of templates.
        :param args: see Airflow's method.
        :param kwargs: see Airflow's method.
        :return: the rendered content.
        """
        if isinstance(content, str) and not any(mark in content for mark in ("{{", "{%", "{#")):
            return content
        return super().render_template(content, *args, **kwargs)

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, wait and judge; called by Airflow.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        return self._open(context).execute()

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        request_id: str | None = None,
        connected: bool | None = None,
        try_number: int | None = None,
        resolved: Mapping[str, str] | None = None,
    ) -> dict[str, Any]:
        """Resume the task after its trigger has fired; called by Airflow.

        :param event: the payload of the trigger's event.
        :param request_id: the attempt's, as the task had it when it deferred.
        :param connected: whether Airflow had found the connection by then; None: unknown.
        :param try_number: the try that deferred; None: unknown.
        :param resolved: the names looked up by then, with their ids; None: none.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        return self._open(context).resume(event, request_id, connected, try_number, resolved)

    def on_kill(self) -> None:
        """Cancel the run or batch when a user ends the task while it runs on a worker; called by Airflow.

        It runs in a signal handler, which must not wait for an import: its modules were loaded with the task.
        """
        if self._task is not None:
            self._task.kill()

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Collect inputs, outputs and the run's identity; called by OpenLineage's provider, if installed.

        :param task_instance: Airflow's task instance.
        :return: datasets and facets.
        """
        from airflow_provider_omics.jobs.openlineage import lineage_of  # where the OpenLineage provider is installed
        from airflow_provider_omics.jobs.owner import Lineage

        try:
            task = self._task or self._open(Context({"ti": task_instance, "task": self}))
            return lineage_of(task.lineage())
        except Exception as error:  # noqa: BLE001 - lineage never takes the place of a result or an error
            self.log.warning("OpenLineage is not told of this task (%s: %s)", type(error).__name__, error)
            return lineage_of(Lineage({}, (), ()))

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Collect the known facts of a failed task; called by OpenLineage's provider, if installed.

        :param task_instance: Airflow's task instance.
        :return: datasets and facets.
        """
        return self.get_openlineage_facets_on_complete(task_instance)

    def _open(self, context: Context) -> StartTask:
        """Open the door to the work: it is loaded when a task runs, and made anew for each call."""
        from airflow_provider_omics.jobs.task import open_task

        if NAMES_MAPPED_TASKS and context["ti"].map_index not in (None, -1):
            self._name_map_index(context)
        wrapped = (Masked, RenderedDryRun)
        given = {name: value.value if isinstance(value, wrapped) else value for name, value in vars(self).items()}
        given |= {name: self._reveal(name) for name in self._given if not isinstance(getattr(self, name), Masked)}
        given["masks_parameters"] = self._masks_parameters()
        self._task = open_task(self.kind, given, self.hook, self.log, context)
        return self._task

    def _name_map_index(self, context: Context) -> None:
        """Show a mapped task by the name of its run, batch or sheet, unless the author of the DAG shows another.

        Airflow renders the template after the task, from this context: the name is a variable in it, as a name with
        braces must not be rendered itself.
        """
        given = (getattr(self, name) for name in self.named_by)
        paths = (value.get("path") if isinstance(value, Mapping) else value for value in given)
        name = next((str(path).rstrip("/").rpartition("/")[2] for path in paths if isinstance(path, (str, Path))), "")
        variables: Any = context  # Airflow's type knows no variables of others
        if name and variables.get("map_index_template") is None:
            variables.update(map_index_template="{{ omics_name }}", omics_name=name)

    def _masks_parameters(self) -> bool:
        read, problems = read_arguments({"mask_parameters": self.mask_parameters}, START_ARGUMENTS)
        if problems:
            return True  # execute() tells which
        if read["mask_parameters"] is not None:
            return bool(read["mask_parameters"])
        try:
            return self.hook.defaults.mask_parameters
        except SettingsError:
            return True  # execute() names the fault of the connection; until then nothing is shown

    def _do_render_template_fields(self, parent: Any, *args: Any, **kwargs: Any) -> None:
        """Mask after rendering, before Airflow stores the fields; Airflow calls this for mapped tasks as well."""
        if parent is self:
            for name in self._given:
                setattr(self, name, self._reveal(name))
        super()._do_render_template_fields(parent, *args, **kwargs)
        if parent is self and CALLS_DRY_RUN and not isinstance(self.dry_run, RenderedDryRun):
            self.dry_run = RenderedDryRun(self.dry_run, super().dry_run)
        if parent is self and self._masks_parameters():
            for name in self.masked_fields:
                setattr(self, name, masked(getattr(self, name), name))
