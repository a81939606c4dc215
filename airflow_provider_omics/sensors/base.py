"""The base of the sensors for runs and batches."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any, ClassVar, NoReturn

from airflow.providers.amazon.aws.sensors.base_aws import AwsBaseSensor
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import (
    AirflowSensorTimeout,
    AirflowSkipException,
    Context,
    PokeReturnValue,
    conf,
)

from airflow_provider_omics.core.errors import AccessDenied, NotFound, OmicsError, SettingsError, Unavailable
from airflow_provider_omics.core.settings.arguments import ACTION_ARGUMENTS, read_arguments
from airflow_provider_omics.core.snapshots import RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent, parse_event
from airflow_provider_omics.core.wait.flow import SECOND_LOOK, WaitPlan
from airflow_provider_omics.core.wait.outcome import error_of
from airflow_provider_omics.exceptions import task_error
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import ended_run
from airflow_provider_omics.triggers.base import OmicsWaitTrigger
from airflow_provider_omics.waiting.interrupts import time_out_in_turn


class OmicsWaitSensor(AwsBaseSensor[OmicsHook]):
    """Base of the sensors that wait for a run or a batch by its id; they never cancel anything.

    :param deferrable: wait in the triggerer; default: ``[operators] default_deferrable``.
    :param poll_interval: time between polls while deferred, a timedelta or seconds; default 30. Otherwise
        ``poke_interval`` applies.
    :param patience: how long to tolerate throttling, service errors and a lost connection while deferred, a timedelta
        or seconds; default three hours. Otherwise a failed poll is one poke without an answer, and ``timeout`` applies.
    :param aws_conn_id: the Airflow connection of type ``aws``; default ``aws_default``.
    :param region_name: AWS Region; default: the connection's.
    :param verify: whether to verify TLS certificates, or the path of a CA bundle; default: the connection's.
    :param botocore_config: botocore configuration as a dict; default: the connection's.
    :param kwargs: see Airflow's ``BaseSensorOperator``: ``timeout``, ``soft_fail``, ``mode``, ``poke_interval``, ...
    """

    aws_hook_class = OmicsHook
    template_fields: Sequence[str] = aws_template_fields()
    kind: ClassVar[str]
    trigger_class: ClassVar[Callable[..., OmicsWaitTrigger]]

    def __init__(
        self,
        *,
        deferrable: bool | None = None,
        poll_interval: timedelta | float | str = 30.0,
        patience: timedelta | float | str = timedelta(hours=3),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.deferrable = (
            conf.getboolean("operators", "default_deferrable", fallback=False) if deferrable is None else deferrable
        )
        self.poll_interval = poll_interval
        self.patience = patience

    @property
    @abstractmethod
    def resource_id(self) -> str:
        """Id of the run or batch."""

    @abstractmethod
    def _result(self, ended: Snapshot) -> dict[str, Any]:
        """Return the task's result."""

    def execute(self, context: Context) -> Any:
        """Wait; called by Airflow.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        time_out_in_turn()
        self._read_arguments()
        return self._look_and_defer(context) if self.deferrable else super().execute(context)

    def _read_arguments(self) -> None:
        """Read the rendered arguments, as Airflow renders templates: in place.

        A mistake in them is never skipped: ``soft_fail`` is for what is waited for.
        """
        names = ("run_id", "batch_id", "deferrable", "poll_interval", "patience")
        given = {name: value for name, value in vars(self).items() if name in names}
        read, problems = read_arguments(given, ACTION_ARGUMENTS)
        if problems:
            error = SettingsError(problems)
            raise task_error(error, self.log) from None
        for name, value in read.items():
            setattr(self, name, value)

    def _look_and_defer(self, context: Context) -> Any:
        found = self.poke(context)
        return found.xcom_value if found else self._defer(context)

    def _defer(self, context: Context) -> NoReturn:
        self.defer(
            trigger=self.trigger_class(
                self.resource_id,
                poll_interval=self.poll_interval,
                deadline=time.time() + self._limit(),
                patience=self.patience,
                cancel_on_kill=False,
                aws_conn_id=self.aws_conn_id,
                region_name=self.region_name,
                verify=self.verify,
                botocore_config=self.botocore_config,
            ),
            method_name="execute_complete",
            kwargs={"try_number": context["ti"].try_number},
        )

    def _limit(self) -> float:
        """Seconds that the sensor may wait: ``timeout``, or ``execution_timeout`` where that is shorter."""
        execution_timeout = self.execution_timeout
        return min([self.timeout, *([execution_timeout.total_seconds()] if execution_timeout else [])])

    def poke(self, context: Context) -> PokeReturnValue:
        """Look once; called by Airflow."""
        try:
            seen = self._look()
        except Unavailable as error:
            self.log.warning("%s; looking again at the next poke", error)
            return PokeReturnValue(is_done=False)
        except NotFound as error:
            gone = self._gone(error)
            return PokeReturnValue(is_done=gone is not None, xcom_value=gone and self._conclude(gone))
        except OmicsError as error:
            self._raise(error)
        self.log.info("%s %s is %s", self.kind, seen.id, seen.status)
        if seen.phase is Phase.ACTIVE:
            return PokeReturnValue(is_done=False)
        return PokeReturnValue(is_done=True, xcom_value=self._conclude(WaitEvent(Outcome.ENDED, seen)))

    def _look(self) -> Snapshot:
        """Look; after "not found" or "denied" look once more, as both can be false for a moment."""
        try:
            return self.hook.look(self.kind, self.resource_id)
        except (AccessDenied, NotFound) as error:
            self.log.warning("%s; looking once more before this is believed", error)
            time.sleep(SECOND_LOOK)  # noqa: TID251 - this is the wait itself; tests step it
            return self.hook.look(self.kind, self.resource_id)

    def _gone(self, error: NotFound) -> WaitEvent | None:
        """Find the end of a vanished run in its manifest, which outlives its record. None: not readable just now."""
        unseen = WaitPlan(self.kind, self.resource_id).unseen()
        ended = ended_run(self.hook, self.resource_id, None) if self.kind == "run" else None
        if isinstance(ended, RunSnapshot):
            self.log.warning("The record of run %s is gone; its manifest says %s", ended.id, ended.status)
            return WaitEvent(Outcome.ENDED, ended)
        if isinstance(ended, Unavailable):
            self.log.warning("The record of run %s is gone; its manifest at the next poke: %s", self.resource_id, ended)
            return None
        return WaitEvent(Outcome.VANISHED, unseen, error=str(error))

    def execute_complete(self, context: Context, event: Any = None, try_number: int | None = None) -> Any:
        """Resume the task after its trigger has fired; called by Airflow.

        :param event: the payload of the trigger's event.
        :param try_number: the try that deferred; None: unknown.
        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        if try_number is not None and try_number < context["ti"].try_number:
            # Airflow 3.0 keeps `next_method` when a try fails after its deferral, and hands its event to the next one.
            self.log.info("The event is of an earlier try, which has failed; this one looks anew")
            self._read_arguments()
            return self._look_and_defer(context)
        try:
            parsed = parse_event(event, self.kind)
        except OmicsError as error:
            self._raise(error)
        return self._conclude(parsed)

    def _conclude(self, event: WaitEvent) -> dict[str, Any]:
        if event.outcome is Outcome.TIMED_OUT:
            text = f"{self.kind} {event.snapshot.id} is still {event.snapshot.status} after {self._limit():.0f} s"
            raise AirflowSkipException(f"Skipping: {text}") if self._skips() else AirflowSensorTimeout(text)
        error = error_of(event, self.hook.conn_region_name)
        if error is not None:
            self._raise(error)
        return self._result(event.snapshot)

    def _raise(self, error: OmicsError) -> NoReturn:
        """Raise the error, or skip: Airflow's handling of ``soft_fail`` differs between modes and versions."""
        if self._skips():
            raise AirflowSkipException(f"Skipping: {error}") from error
        raise task_error(error, self.log, policy=getattr(self, "retry_policy", None)) from None

    def _skips(self) -> bool:
        return bool(self.soft_fail or self.never_fail)
