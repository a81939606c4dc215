"""The report of a try: why a run or batch failed, its result in asset events, links and XCom."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Asset, AssetAlias

from airflow_provider_omics.core.errors import BatchError, RunError
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis, retry_sentence
from airflow_provider_omics.core.failure.reasons import FailureClass, is_final
from airflow_provider_omics.jobs.diagnosis import Diagnoser
from airflow_provider_omics.jobs.tries import Try
from airflow_provider_omics.links.omics import OmicsFailedTaskLogsLink

Diagnosis = TypeVar("Diagnosis", RunDiagnosis, BatchDiagnosis)


class Report:
    """Reports what one try has come to.

    :param try_: the try.
    """

    def __init__(self, try_: Try) -> None:
        self._try = try_
        self.reported: Mapping[str, Any] = {}
        """The task's result, or as much of it as is known of a failure; OpenLineage is told of it."""

    # -- failures --------------------------------------------------------------------------------------------------

    def diagnose(self, ask: Callable[[Diagnoser], Diagnosis], otherwise: Diagnosis) -> Diagnosis:
        """Ask why something failed; whatever goes wrong here, the task ends with the failure itself.

        :param ask: asks.
        :param otherwise: the diagnosis without asking.
        :return: the diagnosis.
        """
        log = self._try.log
        try:
            return ask(Diagnoser(self._try.hook, log_lines=self._try.arguments.failure_log_lines))
        except AirflowTaskTimeout:
            log.warning("The cause could not be looked for any longer: execution_timeout passed")
        except Exception:
            log.warning("The cause could not be looked for", exc_info=True)
        return otherwise

    def explain(
        self, error: RunError | BatchError, diagnosis: RunDiagnosis | BatchDiagnosis, *, final: bool | None = None
    ) -> None:
        """Write the diagnosis into the task log and into the error, and decide whether Airflow tries again.

        :param error: the error that the task is about to raise.
        :param diagnosis: why.
        :param final: whether Airflow shall spend no retry on it; default: as the failure's class says.
        """
        task_instance, arguments = self._try.context["ti"], self._try.arguments
        before = self.unclear_before() if diagnosis.failure_class is FailureClass.UNCLEAR else 0
        if final is None:
            final = is_final(diagnosis.failure_class, before, retry_permanent=arguments.retry_permanent_failures)
        tries_left = task_instance.max_tries - task_instance.try_number + 1
        retry = retry_sentence(diagnosis.failure_class, final=final, tries_left=tries_left)
        error.diagnosis = {**diagnosis.to_json(retry), "final": final}
        self._try.log.error("%s", diagnosis.text(retry))
        if isinstance(diagnosis, RunDiagnosis) and diagnosis.failed_tasks and diagnosis.run.log_level != "OFF":
            task_id = diagnosis.failed_tasks[0].task_id
            self.link(OmicsFailedTaskLogsLink, run_id=diagnosis.run.id, task_id=task_id)

    def unclear_before(self) -> int:
        """Count this unclear failure; returns how many tries had ended so since the first one or the last clear.

        Where no record outlives a try, Airflow keeps no such count: each earlier try of the series is taken for one.
        ``max_tries`` grows by ``retries`` with each clear, from the number of the try before.
        """
        counted = self._try.owner.count_unclear()
        return self.earlier_tries() if counted is None else counted

    def earlier_tries(self) -> int:
        """Count the tries of this series before this one, by Airflow's numbers."""
        task_instance = self._try.context["ti"]
        first_try = max(int(task_instance.max_tries) - int(self._try.arguments.retries or 0) + 1, 1)
        return max(int(task_instance.try_number) - first_try, 0)

    def push(self, result: dict[str, Any]) -> None:
        """Push the result of a task that is about to fail: a task with trigger rule ``all_done`` needs it.

        :param result: the result.
        """
        if self._try.arguments.do_xcom_push:
            self._try.context["ti"].xcom_push("return_value", result)

    # -- successes -------------------------------------------------------------------------------------------------

    def succeed(self, result: dict[str, Any]) -> dict[str, Any]:
        """Put the result into the events of the task's assets.

        An Asset gets it as the event's extra; an AssetAlias gets an Asset of the place of the results, with the values
        that are no lists: Airflow 2 keeps the events of an alias by a hash of their extra.

        :param result: the task's result.
        :return: the same result.
        """
        self.reported = result
        outlets = [outlet for outlet in self._try.arguments.outlets if isinstance(outlet, (Asset, AssetAlias))]
        events: Any = self._try.context.get("outlet_events") if outlets else None
        if events is None:
            return result
        uri = result.get("results_uri") or result.get("run_output_uri")
        for outlet in outlets:
            if isinstance(outlet, Asset):
                events[outlet].extra.update(result)
            elif uri:
                plain = {key: value for key, value in result.items() if not isinstance(value, (list, dict))}
                events[outlet].add(Asset(uri), extra=plain)
        return result

    def link(self, link: type[BaseAwsLink], **values: Any) -> None:
        """Store the ids that a console link needs.

        :param link: the link.
        :param values: its ids.
        """
        hook, context = self._try.hook, self._try.context
        place = {"region_name": hook.conn_region_name, "aws_partition": hook.conn_partition}
        link.persist(context=context, operator=context["task"], **place, **values)
