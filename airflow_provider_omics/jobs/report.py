"""The report of a failure: why a run or batch failed, and whether Airflow tries again."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.errors import BatchError, RunError
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis, retry_sentence
from airflow_provider_omics.core.failure.reasons import FailureClass, is_final
from airflow_provider_omics.jobs.diagnosis import Diagnoser
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.links.omics import OmicsFailedTaskLogsLink

Diagnosis = TypeVar("Diagnosis", RunDiagnosis, BatchDiagnosis)


@dataclass(frozen=True)
class Report:
    """Reports why a run or batch failed.

    :param owner: the try.
    """

    owner: Owner

    def diagnose(self, ask: Callable[[Diagnoser], Diagnosis], otherwise: Diagnosis) -> Diagnosis:
        """Ask why something failed; if the asking fails, the task still ends with the failure itself.

        :param ask: asks.
        :param otherwise: the diagnosis without asking.
        :return: the diagnosis.
        """
        log = self.owner.log
        try:
            return ask(Diagnoser(self.owner.hook, log_lines=self.owner.arguments.failure_log_lines))
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
        task_instance, arguments = self.owner.context["ti"], self.owner.arguments
        before = self.unclear_before() if diagnosis.failure_class is FailureClass.UNCLEAR else 0
        if final is None:
            final = is_final(diagnosis.failure_class, before, retry_permanent=arguments.retry_permanent_failures)
        tries_left = task_instance.max_tries - task_instance.try_number + 1
        retry = retry_sentence(diagnosis.failure_class, final=final, tries_left=tries_left)
        if self.owner.retry_policy is not None:
            retry = "as the task's retry_policy decides"
        error.diagnosis = {**diagnosis.to_json(retry), "final": final}
        self.owner.log.error("%s", diagnosis.text(retry))
        if isinstance(diagnosis, RunDiagnosis) and diagnosis.failed_tasks and diagnosis.run.log_level != "OFF":
            task_id = diagnosis.failed_tasks[0].task_id
            self.owner.link(OmicsFailedTaskLogsLink, run_id=diagnosis.run.id, task_id=task_id)

    def unclear_before(self) -> int:
        """Count this unclear failure; returns how many tries had ended so since the first one or the last clear.

        Where no record outlives a try, Airflow keeps no such count: each earlier try of the series is taken for one.
        """
        counted = self.owner.count_unclear()
        return self.earlier_tries() if counted is None else counted

    def earlier_tries(self) -> int:
        """Count the tries of this series before this one, by Airflow's numbers."""
        task_instance = self.owner.context["ti"]
        return max(int(task_instance.try_number) - self.owner.first_try, 0)
