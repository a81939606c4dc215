"""Operators for run groups, made for setup and teardown."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.errors import OmicsError, Problem, SettingsError
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.operators.base import OmicsActionOperator, OmicsBaseOperator

MAX_CAP = 100_000
"""Greatest value of each cap (CreateRunGroup API reference)."""

_CAPS = {"max_runs": "maxRuns", "max_cpus": "maxCpus", "max_gpus": "maxGpus", "max_duration": "maxDuration"}


class OmicsCreateRunGroupOperator(OmicsBaseOperator):
    """Create a run group, which caps what its runs use together, and return its id.

    :param name: name of the group, at most 128 characters.
    :param max_runs: runs at a time; more wait in PENDING. Default: no cap.
    :param max_cpus: CPUs at a time. Default: no cap.
    :param max_gpus: GPUs at a time. Default: no cap.
    :param max_duration: minutes after which a run of the group fails. Default: no cap.
    :param tags: tags of the group.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: id of the run group.
    :raises SettingsError: a cap is no whole number from 1 to 100,000; nothing was sent.
    :raises QuotaExceeded: the account has as many run groups as it may have.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields(
        "name", "max_runs", "max_cpus", "max_gpus", "max_duration", "tags"
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"tags": "json"}

    def __init__(
        self,
        *,
        name: str | None = None,
        max_runs: int | str | None = None,
        max_cpus: int | str | None = None,
        max_gpus: int | str | None = None,
        max_duration: int | str | None = None,
        tags: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.max_runs = max_runs
        self.max_cpus = max_cpus
        self.max_gpus = max_gpus
        self.max_duration = max_duration
        self.tags = tags

    def execute(self, context: Context) -> str:
        """Create the run group; called by Airflow.

        :return: its id.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        try:
            request: dict[str, Any] = self._caps()
            if self.name is not None:
                request["name"] = self.name
            if self.tags:
                request["tags"] = dict(self.tags)
            # One id per try: the group of a try that died keeps its id in AWS, and costs nothing.
            created = self.hook.create_run_group({**request, "requestId": str(uuid.uuid4())})
        except OmicsError as error:
            raise airflow_error(error) from error
        self.log.info("Created run group %s", created["id"])
        return str(created["id"])

    def _caps(self) -> dict[str, int]:
        """Read the caps, which a template may have turned into text."""
        caps = {argument: getattr(self, argument) for argument in _CAPS if getattr(self, argument) is not None}
        problems = [
            Problem(argument, repr(cap), f"a whole number from 1 to {MAX_CAP:,}, or None for no cap")
            for argument, cap in caps.items()
            if isinstance(cap, bool) or not str(cap).isdecimal() or not 1 <= int(cap) <= MAX_CAP
        ]
        if problems:
            raise SettingsError(problems)
        return {_CAPS[argument]: int(cap) for argument, cap in caps.items()}


class OmicsDeleteRunGroupOperator(OmicsActionOperator):
    """Delete a run group that has no active run; one that is gone counts as done.

    :param run_group_id: id of the run group.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: runs of it are still going.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields("run_group_id")

    def __init__(self, *, run_group_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_group_id = run_group_id

    def _act(self) -> str:
        self.hook.delete_run_group(self.run_group_id)
        return f"Deleted run group {self.run_group_id}"
