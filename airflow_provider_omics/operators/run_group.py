"""Operators for run groups, made for setup and teardown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.operators.base import OmicsActionOperator


class OmicsCreateRunGroupOperator(OmicsActionOperator):
    """Create a run group, which caps the resources of its runs together, and return its id.

    :param name: name of the group, at most 128 characters.
    :param max_runs: runs at a time; more wait in PENDING. Default: no cap.
    :param max_cpus: CPUs at a time. Default: no cap.
    :param max_gpus: GPUs at a time. Default: no cap.
    :param max_duration: minutes after which a run of the group fails. Default: no cap.
    :param tags: tags of the group.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: id of the run group.
    :raises SettingsError: a cap is not a whole number from 1 to 100,000; nothing was sent.
    :raises QuotaExceeded: the account has reached its quota of run groups.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "create_run_group"
    action_arguments = ("name", "max_runs", "max_cpus", "max_gpus", "max_duration", "tags")
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


class OmicsDeleteRunGroupOperator(OmicsActionOperator):
    """Delete a run group that has no active run; one that is gone counts as done.

    :param run_group_id: id of the run group.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: its runs are still in progress.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "delete_run_group"
    action_arguments = ("run_group_id",)
    template_fields: Sequence[str] = aws_template_fields("run_group_id")

    def __init__(self, *, run_group_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run_group_id = run_group_id
