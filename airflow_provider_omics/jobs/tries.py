"""A try of a task that starts a run or a batch: its arguments, and what it works with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.settings.checks import is_true
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.owner import Owner


@dataclass(frozen=True)
class StartArguments:
    """The rendered arguments that both start operators take; what each means is documented there.

    Flags that are template fields may be text: :meth:`flag` reads them.
    """

    aws_conn_id: str | None
    region_name: str | None
    verify: bool | str | None
    botocore_config: dict[str, Any] | None
    wait_for_completion: bool
    deferrable: bool
    poll_interval: float
    cancel_on_kill: Any
    durable: bool
    patience: timedelta
    tag_with_airflow_context: Any
    check_workflow: bool
    check_inputs: Any
    check_role_arn: str | None
    dry_run: Any
    failure_log_lines: int
    retry_permanent_failures: bool
    execution_timeout: timedelta | None
    retries: int | None
    outlets: Sequence[Any]
    do_xcom_push: bool
    masks_parameters: bool

    def flag(self, argument: str) -> bool:
        """Read a flag that a template may have turned into text.

        :param argument: its name.
        :return: what it says.
        :raises SettingsError: it is neither true nor false.
        """
        return is_true(argument, getattr(self, argument))


@dataclass(frozen=True)
class Try:
    """One try, as a job and its report need it.

    :param hook: makes the calls.
    :param log: the task's logger.
    :param arguments: the operator's, rendered.
    :param context: Airflow's context of the task.
    :param owner: keeps the record of the attempt.
    """

    hook: OmicsHook
    log: Any
    arguments: StartArguments
    context: Context
    owner: Owner
