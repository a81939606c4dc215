"""The operator that checks the setup before the first run, under the identity of the runs' tasks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.operators.base import OmicsActionOperator

if TYPE_CHECKING:
    from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet

_ARGUMENTS = (
    "workflow_id",
    "workflow_type",
    "workflow_owner_id",
    "workflow_version_name",
    "role_arn",
    "output_uri",
    "staging_s3_uri",
    "results_s3_uri",
    "sample_sheet",
    "write",
)


class OmicsCheckOperator(OmicsActionOperator):
    """Check connection, caller, Region, service role, S3 prefixes, workflow and sheet, in a worker; start nothing.

    The same check as ``python -m airflow_provider_omics check``, under the identity and in the network of the tasks.
    Each finding is a line of the log, with its fix. Warnings do not fail the task.

    :param workflow_id: the workflow to look up. Default: the connection's, or none.
    :param workflow_type: ``PRIVATE`` or ``READY2RUN``.
    :param workflow_owner_id: account that owns a shared workflow.
    :param workflow_version_name: version of the workflow.
    :param role_arn: service role of the runs. Default: the connection's.
    :param output_uri: location of the outputs. Default: the connection's.
    :param staging_s3_uri: prefix of staged settings. Default: the connection's.
    :param results_s3_uri: prefix of results. Default: the connection's.
    :param sample_sheet: a sheet to check against the workflow: a path, a mapping with the fields of
        :class:`~airflow_provider_omics.sheets.SampleSheet`, or such a sheet. Default: none.
    :param write: write an object below the staging and results prefixes, and delete it. Default False.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: the findings: a list of dicts with ``subject, level, text, mend``.
    :raises SettingsError: a finding is an error; all of them at once.
    :raises ServiceError: the check itself could not be made.
    """

    action = "check"
    action_arguments = _ARGUMENTS
    template_fields: Sequence[str] = aws_template_fields(*_ARGUMENTS)
    template_fields_renderers: ClassVar[dict[str, str]] = {"sample_sheet": "json"}

    def __init__(
        self,
        *,
        workflow_id: str | None = None,
        workflow_type: str | None = None,
        workflow_owner_id: str | None = None,
        workflow_version_name: str | None = None,
        role_arn: str | None = None,
        output_uri: str | None = None,
        staging_s3_uri: str | None = None,
        results_s3_uri: str | None = None,
        sample_sheet: SampleSheet | Mapping[str, Any] | str | None = None,
        write: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.workflow_id = workflow_id
        self.workflow_type = workflow_type
        self.workflow_owner_id = workflow_owner_id
        self.workflow_version_name = workflow_version_name
        self.role_arn = role_arn
        self.output_uri = output_uri
        self.staging_s3_uri = staging_s3_uri
        self.results_s3_uri = results_s3_uri
        self.sample_sheet = sample_sheet
        self.write = write
