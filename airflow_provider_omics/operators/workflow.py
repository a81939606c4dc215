"""The operator that releases a workflow to HealthOmics."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import Context, conf

from airflow_provider_omics.core.release.requests import FIELDS
from airflow_provider_omics.operators.base import OmicsBaseOperator


class OmicsReleaseWorkflowOperator(OmicsBaseOperator):
    """Make sure that a workflow of this name has an ACTIVE version with this definition, and return it.

    The first release of a name creates the workflow and its first version; a changed definition, or changed settings of
    the workflow, a new version. An existing version is found by its digest and never created again, even by a retry, a
    clear or another DAG. No version is ever overwritten or deleted, as its runs may have to be repeated.

    :param name: name of the workflow, at most 128 characters; only releases should use it.
    :param definition: a folder, without files that ``.gitignore`` excludes; a zip archive; an S3 URI of one; or a
        repository at a commit, as AWS spells ``definitionRepository`` (``connectionArn``, ``fullRepositoryId``,
        ``sourceReference`` of type COMMIT). A folder and its archive have the same digest.
    :param version: name of the version, at most 64 letters, digits, ``-``, ``.`` and ``_``. Default: the version that
        has this definition; a new one is named by its digest, for a repository by commit and digest.
    :param description: at most 256 characters.
    :param engine: ``WDL``, ``WDL_LENIENT``, ``NEXTFLOW`` or ``CWL``. Default: AWS detects it.
    :param main: path of the main file in the definition. Default: AWS detects it.
    :param parameter_template: the parameters: name -> ``{"description": ..., "optional": True}``. Default: AWS derives
        them from the definition.
    :param parameter_template_path: path of a JSON file with them in a repository.
    :param storage_type: ``STATIC`` or ``DYNAMIC``, for runs that do not set their own.
    :param storage_capacity: GiB of STATIC storage, for runs that do not set their own.
    :param accelerators: ``GPU``.
    :param container_registry_map: map of the images' registries, as AWS spells ``containerRegistryMap``.
    :param container_registry_map_uri: an S3 object with that map.
    :param readme_markdown: text of the README, in Markdown.
    :param readme_path: path of the README in a repository.
    :param readme_uri: an S3 object with the README.
    :param workflow_bucket_owner_id: account that owns the bucket of the definition. Default: not checked.
    :param tags: tags of the workflow and the version, at most 48; the release adds two more,
        ``airflow:definition_digest`` and the version's ``airflow:released_by``.
    :param staging_s3_uri: where HealthOmics reads an archive of more than 4.4 MB: ``s3://bucket/prefix/``; default: the
        connection's. It stays there.
    :param deferrable: wait in the triggerer instead of a worker; default: ``[operators] default_deferrable``.
    :param poll_interval: time between polls, a timedelta or seconds; default 30.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: ``workflow_id, workflow_name, workflow_version_name, digest, source_digest, created, not_checked``:
        ``digest`` is AWS's, as runs have it; ``source_digest`` identifies an existing version to a release; ``created``
        is whether this task created the version in this DAG run, in whichever try; ``not_checked`` names the part that
        only HealthOmics has checked.
    :raises SettingsError: bad input, a name that several workflows have, invalid WDL, or a version with another
        definition; nothing was created.
    :raises WorkflowFailed: HealthOmics could not create the workflow or the version; ``status_message`` says why.
    :raises QuotaExceeded: the account has reached its quota of workflows, or the workflow its quota of versions.
    :raises ServiceError: HealthOmics or S3 refused a call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields("name", "definition", "version", *FIELDS, "staging_s3_uri")
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "definition": "json",
        "parameter_template": "json",
        "container_registry_map": "json",
        "tags": "json",
    }

    def __init__(
        self,
        *,
        name: str,
        definition: str | Mapping[str, Any],
        version: str | None = None,
        description: str | None = None,
        engine: str | None = None,
        main: str | None = None,
        parameter_template: Mapping[str, Any] | None = None,
        parameter_template_path: str | None = None,
        storage_type: str | None = None,
        storage_capacity: int | str | None = None,
        accelerators: str | None = None,
        container_registry_map: Mapping[str, Any] | None = None,
        container_registry_map_uri: str | None = None,
        readme_markdown: str | None = None,
        readme_path: str | None = None,
        readme_uri: str | None = None,
        workflow_bucket_owner_id: str | None = None,
        tags: Mapping[str, str] | None = None,
        staging_s3_uri: str | None = None,
        deferrable: bool | None = None,
        poll_interval: timedelta | float | str = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.definition = definition
        self.version = version
        self.description = description
        self.engine = engine
        self.main = main
        self.parameter_template = parameter_template
        self.parameter_template_path = parameter_template_path
        self.storage_type = storage_type
        self.storage_capacity = storage_capacity
        self.accelerators = accelerators
        self.container_registry_map = container_registry_map
        self.container_registry_map_uri = container_registry_map_uri
        self.readme_markdown = readme_markdown
        self.readme_path = readme_path
        self.readme_uri = readme_uri
        self.workflow_bucket_owner_id = workflow_bucket_owner_id
        self.tags = tags
        self.staging_s3_uri = staging_s3_uri
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )
        self.poll_interval = poll_interval

    def execute(self, context: Context) -> dict[str, Any]:
        """Release; called by Airflow.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        return self._release(context, None)

    def execute_complete(
        self,
        context: Context,
        event: Any = None,
        awaited: Mapping[str, Any] | None = None,
        try_number: int | None = None,
    ) -> dict[str, Any]:
        """Look again after the trigger has fired; called by Airflow.

        :param event: the payload of the trigger's event, which only wakes the task.
        :param awaited: the creation that the task waited for: ``workflow_id, version_name``.
        :param try_number: the try that deferred; None: not known.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.exceptions`.
        """
        if event and event.get("error"):
            self.log.warning("The triggerer could not look: %s", event["error"])
        # Airflow 3.0 keeps `next_method` when a try fails after its deferral, and hands its event to the next one.
        return self._release(context, awaited if try_number == context["ti"].try_number else None)

    def _release(self, context: Context, awaited: Mapping[str, Any] | None) -> dict[str, Any]:
        from airflow_provider_omics.jobs.release import release_workflow  # the door: DAG files load no work

        return release_workflow(self, self.hook, context, awaited)
