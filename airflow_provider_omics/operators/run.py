"""Operators for single runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.core.settings.fields import START_RUN_ARGUMENTS
from airflow_provider_omics.links.omics import (
    OmicsCohortLink,
    OmicsFailedTaskLogsLink,
    OmicsRunLink,
    OmicsRunLogsLink,
    OmicsRunOutputsLink,
    OmicsRunReportLink,
)
from airflow_provider_omics.operators.base import BY_NAME, OmicsActionOperator, OmicsStartOperator


class OmicsStartRunOperator(OmicsStartOperator):
    """Start a run, wait until it ends, and return its result.

    Every field of StartRun has an argument. An unset argument comes from the connection's ``default_run_setting``, key
    by key for ``parameters``, ``tags`` and ``engine_settings``, or stays unset. Everything is checked before anything
    is sent. A run that ends FAILED, CANCELLED or DELETED raises a typed error.

    :param workflow_id: id (not uuid) of the workflow; or give ``workflow_name`` or ``source_run_id``.
    :param source_run_id: id of a run to repeat (the API's ``runId``): its settings are the defaults of the new run.
    :param role_arn: service role of the run.
    :param output_uri: where the outputs go: ``s3://bucket/prefix/``.
    :param output_uri_prefix_mode: ``SERVICE_DEFINED`` (outputs in the run's own folder below ``output_uri``) or
        ``NONE_WITH_OVERWRITE`` (outputs directly under it, overwriting those of the run before). Unset: AWS means
        SERVICE_DEFINED. Needs boto3 1.43.123.
    :param run_name: name of the run, at most 128 characters.
    :param parameters: workflow parameters, a JSON object of at most 256,000 bytes.
    :param parameters_uri: an S3 object with the workflow parameters as JSON, instead of ``parameters``. HealthOmics
        reads it after the start, and fails the run with ``INVALID_RUN_PARAMETERS`` if it is not valid. Needs boto3
        1.44.8.
    :param workflow_type: ``PRIVATE`` or ``READY2RUN``.
    :param workflow_owner_id: account that owns a shared workflow.
    :param workflow_version_name: version of the workflow.
    :param cache_id: id of a run cache.
    :param cache_behavior: ``CACHE_ON_FAILURE`` or ``CACHE_ALWAYS``; needs ``cache_id``.
    :param run_group_id: id of a run group, which caps runs, CPUs and duration.
    :param priority: 0 to 100,000; AWS's pages disagree on whether 1 or the largest number comes first.
    :param storage_type: ``STATIC`` or ``DYNAMIC``.
    :param storage_capacity: GiB of STATIC storage.
    :param log_level: ``OFF``, ``FATAL``, ``ERROR`` or ``ALL``.
    :param tags: tags of the run, at most 50.
    :param retention_mode: ``RETAIN`` or ``REMOVE`` (the service removes the oldest records at its limit).
    :param networking_mode: ``RESTRICTED`` or ``VPC``; VPC needs ``configuration_name``.
    :param configuration_name: name of a configuration.
    :param scratch_storage_mode: ``LOCAL`` or ``SHARED``: the storage mounted at /tmp of CPU tasks. Unset: AWS means
        SHARED. Needs boto3 1.43.35.
    :param requester_pays_enabled: whether the run may read inputs from Requester Pays buckets, at the cost of your
        account. Unset: AWS means False. Needs boto3 1.44.8.
    :param session_policy: JSON text of a policy that narrows the role, at most 2,048 characters. Needs boto3 1.43.90.
    :param engine_settings: settings of the workflow engine (Nextflow: ``{"profile": "test"}``).
    :param run_timeout: how long the run may take from its own start, a timedelta or seconds; queueing in PENDING is
        free. Default: no limit.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsStartOperator` and
        :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: ``run_id, run_uuid, run_arn, status, run_output_uri, started_at, stopped_at, workflow_id, workflow_uuid,
        workflow_version_name, workflow_digest, engine_version, role_arn``; with a ``results_s3_uri`` in the connection
        also ``report_uri``; with ``expected_outputs`` ``files``: name -> the first 25 objects, each with ``uri``,
        ``size`` and ``etag``, and ``files_left_out``, if there are more; with ``read_costs`` ``cost_usd``, its parts
        and its unknowns; if names were looked up, ``resolved`` has them with their ids.
    :raises SettingsError: bad settings: all problems at once; nothing was sent.
    :raises RunFailed: it ended FAILED; ``failure_reason`` and ``diagnosis`` say why.
    :raises RunIncomplete: it completed without an output that ``expected_outputs`` names.
    :raises RunCancelled: someone else cancelled it.
    :raises (RunDeleted, RunVanished): its record was deleted, or is gone and its end unknown.
    :raises RunTimedOut: ``execution_timeout`` or ``run_timeout`` passed.
    :raises StartTimedOut: ``execution_timeout`` passed before it was known to have started.
    :raises LostContact: no poll succeeded for ``patience``; it may still be going.
    :raises AttemptError: the start of an earlier try cannot be resolved safely; nothing was started.
    :raises ServiceError: HealthOmics refused a call; its subclasses say how.
    :raises EventError: the trigger's event cannot be read; it never counts as success.
    :raises NotOwner: a later try has taken over; this process outlived its own try and touches nothing.
    """

    kind = "run"
    named_by = ("run_name",)
    masked_fields: ClassVar[tuple[str, ...]] = ("parameters", "session_policy")
    template_fields: Sequence[str] = aws_template_fields(
        *START_RUN_ARGUMENTS,
        *BY_NAME,
        "check_inputs",
        "check_role_arn",
        "read_costs",
        "expected_outputs",
        "dry_run",
        "cancel_on_kill",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "parameters": "json",
        "tags": "json",
        "engine_settings": "json",
        "session_policy": "json",
        "expected_outputs": "json",
    }
    operator_extra_links = (
        OmicsRunLink(),
        OmicsRunLogsLink(),
        OmicsFailedTaskLogsLink(),
        OmicsRunOutputsLink(),
        OmicsCohortLink(),
        OmicsRunReportLink(),
    )

    def __init__(
        self,
        *,
        workflow_id: str | None = None,
        source_run_id: str | None = None,
        role_arn: str | None = None,
        output_uri: str | None = None,
        output_uri_prefix_mode: str | None = None,
        run_name: str | None = None,
        parameters: Mapping[str, Any] | None = None,
        parameters_uri: str | None = None,
        workflow_type: str | None = None,
        workflow_owner_id: str | None = None,
        workflow_version_name: str | None = None,
        cache_id: str | None = None,
        cache_behavior: str | None = None,
        run_group_id: str | None = None,
        priority: int | str | None = None,
        storage_type: str | None = None,
        storage_capacity: int | str | None = None,
        log_level: str | None = None,
        tags: Mapping[str, str] | None = None,
        retention_mode: str | None = None,
        networking_mode: str | None = None,
        configuration_name: str | None = None,
        scratch_storage_mode: str | None = None,
        requester_pays_enabled: bool | str | None = None,
        session_policy: str | None = None,
        engine_settings: Mapping[str, Any] | None = None,
        run_timeout: timedelta | float | str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workflow_id = workflow_id
        self.source_run_id = source_run_id
        self.role_arn = role_arn
        self.output_uri = output_uri
        self.output_uri_prefix_mode = output_uri_prefix_mode
        self.run_name = run_name
        self.parameters = parameters
        self.parameters_uri = parameters_uri
        self.workflow_type = workflow_type
        self.workflow_owner_id = workflow_owner_id
        self.workflow_version_name = workflow_version_name
        self.cache_id = cache_id
        self.cache_behavior = cache_behavior
        self.run_group_id = run_group_id
        self.priority = priority
        self.storage_type = storage_type
        self.storage_capacity = storage_capacity
        self.log_level = log_level
        self.tags = tags
        self.retention_mode = retention_mode
        self.networking_mode = networking_mode
        self.configuration_name = configuration_name
        self.scratch_storage_mode = scratch_storage_mode
        self.requester_pays_enabled = requester_pays_enabled
        self.session_policy = session_policy
        self.engine_settings = engine_settings
        self.run_timeout = run_timeout
        self._hide()


class OmicsCancelRunOperator(OmicsActionOperator):
    """Cancel a run; one that has ended, or is gone, counts as done.

    :param run_id: id of the run.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "cancel_run"
    action_arguments = ("run_id",)
    template_fields: Sequence[str] = aws_template_fields("run_id")

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id


class OmicsDeleteRunOperator(OmicsActionOperator):
    """Delete the record of an ended run; one that is gone counts as done. Outputs and logs stay.

    :param run_id: id of the run.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: it is still going.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "delete_run"
    action_arguments = ("run_id",)
    template_fields: Sequence[str] = aws_template_fields("run_id")

    def __init__(self, *, run_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_id = run_id
