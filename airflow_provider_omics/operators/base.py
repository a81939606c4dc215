"""What all operators share: the hook, and the shape of those that make one call."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from airflow.providers.amazon.aws.operators.base_aws import AwsBaseOperator
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.errors import NotFound, OmicsError, Problem, ServiceError, SettingsError
from airflow_provider_omics.core.settings.connection import ConnectionDefaults
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.hooks.omics import OmicsHook


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
