"""Operators for run caches, made for setup and teardown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields

from airflow_provider_omics.operators.base import OmicsActionOperator


class OmicsCreateRunCacheOperator(OmicsActionOperator):
    """Find the run cache of a name, or create it, and return its id.

    :param name: name of the cache, at most 128 characters; an ACTIVE cache of this name is used as it is.
    :param cache_s3_location: where HealthOmics keeps the outputs of tasks: ``s3://bucket/prefix/``, in the Region of
        the runs. Nothing is ever removed from there: give it a lifecycle rule.
    :param cache_behavior: ``CACHE_ON_FAILURE`` or ``CACHE_ALWAYS``. Unset: AWS means CACHE_ON_FAILURE.
    :param cache_bucket_owner_id: account that owns the bucket. Default: not checked.
    :param description: at most 256 characters.
    :param tags: tags of the cache.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: id of the run cache.
    :raises SettingsError: there is no name, or the cache of this name has another location or behavior; nothing was
        sent.
    :raises QuotaExceeded: the account has reached its quota of run caches.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "create_run_cache"
    action_arguments = (
        "name",
        "cache_s3_location",
        "cache_behavior",
        "cache_bucket_owner_id",
        "description",
        "tags",
    )
    template_fields: Sequence[str] = aws_template_fields(*action_arguments)
    template_fields_renderers: ClassVar[dict[str, str]] = {"tags": "json"}

    def __init__(
        self,
        *,
        name: str,
        cache_s3_location: str,
        cache_behavior: str | None = None,
        cache_bucket_owner_id: str | None = None,
        description: str | None = None,
        tags: Mapping[str, str] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.name = name
        self.cache_s3_location = cache_s3_location
        self.cache_behavior = cache_behavior
        self.cache_bucket_owner_id = cache_bucket_owner_id
        self.description = description
        self.tags = tags


class OmicsUpdateRunCacheOperator(OmicsActionOperator):
    """Change name, description or behavior of a run cache; its location cannot change.

    :param cache_id: id of the run cache.
    :param name: its new name. Default: unchanged.
    :param cache_behavior: ``CACHE_ON_FAILURE`` or ``CACHE_ALWAYS``. Default: unchanged.
    :param description: its new description. Default: unchanged.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "update_run_cache"
    action_arguments = ("cache_id", "name", "cache_behavior", "description")
    template_fields: Sequence[str] = aws_template_fields(*action_arguments)

    def __init__(
        self,
        *,
        cache_id: str,
        name: str | None = None,
        cache_behavior: str | None = None,
        description: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cache_id = cache_id
        self.name = name
        self.cache_behavior = cache_behavior
        self.description = description


class OmicsDeleteRunCacheOperator(OmicsActionOperator):
    """Delete a run cache; one that is gone counts as done. Its files in S3 stay, and runs that use it go on.

    :param cache_id: id of the run cache.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "delete_run_cache"
    action_arguments = ("cache_id",)
    template_fields: Sequence[str] = aws_template_fields("cache_id")

    def __init__(self, *, cache_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.cache_id = cache_id
