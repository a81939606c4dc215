"""What a start operator tells when its run or batch has ended: the diagnosis of a failure, assets, and lineage."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Asset, AssetAlias, Context

from airflow_provider_omics.core.errors import BatchError, OmicsError, RunError
from airflow_provider_omics.core.snapshots import Snapshot
from airflow_provider_omics.links.omics import OmicsFailedTaskLogsLink
from airflow_provider_omics.operators.base import OmicsBaseOperator

if TYPE_CHECKING:
    from airflow.providers.openlineage.extractors.base import OperatorLineage

    from airflow_provider_omics.core.failure.batch import BatchDiagnosis
    from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis
    from airflow_provider_omics.diagnosis import Diagnoser
    from airflow_provider_omics.operators.lineage import Lineage

    Diagnosis = TypeVar("Diagnosis", RunDiagnosis, BatchDiagnosis)


class OmicsReportingOperator(OmicsBaseOperator):
    """Base of the operators that report how a run or batch has ended.

    :param failure_log_lines: how many of the last lines of each failed task's log a failure shows, and of the engine's
        log when no task failed; default 30; 0: none.
    :param retry_permanent_failures: let Airflow spend its retries on any failure. Default False: a failure that comes
        back with the same settings (permanent, sizing) ends the task, an unclear one is tried once more, and what may
        pass by itself is tried as often as ``retries`` says.
    """

    def __init__(self, *, failure_log_lines: int = 30, retry_permanent_failures: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.failure_log_lines = failure_log_lines
        self.retry_permanent_failures = retry_permanent_failures
        self._reported: Mapping[str, Any] = {}

    # -- failures --------------------------------------------------------------------------------------------------

    def _collect(self, collect: Callable[[Diagnoser], Diagnosis], otherwise: Diagnosis) -> Diagnosis:
        """Ask why something failed; whatever goes wrong here, the failure itself is what the task shall end with.

        :param collect: asks.
        :param otherwise: what is known without asking.
        """
        from airflow_provider_omics.diagnosis import Diagnoser  # for tasks that fail, not for DAG files

        try:
            return collect(Diagnoser(self.hook, log_lines=self.failure_log_lines))
        except AirflowTaskTimeout:
            self.log.warning("The cause could not be looked for any longer: execution_timeout passed")
        except Exception:
            self.log.warning("The cause could not be looked for", exc_info=True)
        return otherwise

    def _explain(
        self,
        context: Context,
        error: RunError | BatchError,
        diagnosis: RunDiagnosis | BatchDiagnosis,
        *,
        final: bool | None = None,
    ) -> None:
        """Tell the diagnosis in the task log, put it into the error, and decide whether Airflow tries again.

        :param context: Airflow's context of the task.
        :param error: what the task is about to raise.
        :param diagnosis: why.
        :param final: whether Airflow shall spend no retry on it; default: as its class says.
        """
        # For tasks that fail, not for DAG files.
        from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis, retry_sentence
        from airflow_provider_omics.core.failure.reasons import FailureClass, is_final

        task_instance = context["ti"]
        before = self._unclear_before(task_instance) if diagnosis.failure_class is FailureClass.UNCLEAR else 0
        if final is None:
            final = is_final(diagnosis.failure_class, before, retry_permanent=self.retry_permanent_failures)
        tries_left = task_instance.max_tries - task_instance.try_number + 1
        retry = retry_sentence(diagnosis.failure_class, final=final, tries_left=tries_left)
        error.diagnosis = {**diagnosis.to_json(retry), "final": final}
        self.log.error("%s", diagnosis.text(retry))
        if isinstance(diagnosis, RunDiagnosis) and diagnosis.failed_tasks and diagnosis.run.log_level != "OFF":
            OmicsFailedTaskLogsLink.persist(
                context=context,
                operator=self,
                region_name=self.hook.conn_region_name,
                aws_partition=self.hook.conn_partition,
                run_id=diagnosis.run.id,
                task_id=diagnosis.failed_tasks[0].task_id,
            )

    def _unclear_before(self, task_instance: Any) -> int:
        """Count the tries that ended unclear before this one, since the first one or the last clear.

        Airflow keeps no such count: each earlier try of the series is taken for one. ``max_tries`` grows by ``retries``
        with each clear, from the number of the try before.
        """
        first_try = max(int(task_instance.max_tries) - int(self.retries or 0) + 1, 1)
        return max(int(task_instance.try_number) - first_try, 0)

    @staticmethod
    def _final_of(error: OmicsError) -> bool | None:
        """Tell whether Airflow shall spend no retry on an error; None: its class decides."""
        diagnosis = getattr(error, "diagnosis", None)
        return None if diagnosis is None else bool(diagnosis["final"])

    # -- successes -------------------------------------------------------------------------------------------------

    def _report_success(self, context: Context, result: dict[str, Any]) -> dict[str, Any]:
        """Put the result into the events of the task's assets.

        An Asset gets it as the event's extra; an AssetAlias gets an Asset of the place of the results, with what of the
        result is no list: Airflow 2 keeps the events of an alias by a hash of their extra.

        :param context: Airflow's context of the task.
        :param result: the task's result.
        :return: the same result.
        """
        self._reported = result
        outlets = [outlet for outlet in self.outlets or () if isinstance(outlet, (Asset, AssetAlias))]
        events: Any = context.get("outlet_events") if outlets else None
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

    # -- lineage ---------------------------------------------------------------------------------------------------

    @abstractmethod
    def _lineage(self) -> Lineage:
        """Give what there is to be told."""

    def get_openlineage_facets_on_complete(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Give inputs, outputs and the run's identity to OpenLineage; called by its provider, if there is one.

        :param task_instance: Airflow's task instance.
        :return: datasets and facets.
        """
        from airflow_provider_omics.operators.lineage import lineage_of

        return lineage_of(self._lineage())

    def get_openlineage_facets_on_failure(self, task_instance: Any) -> OperatorLineage[Any, Any]:
        """Give to OpenLineage what is known of a task that failed; called by its provider, if there is one.

        :param task_instance: Airflow's task instance.
        :return: datasets and facets.
        """
        return self.get_openlineage_facets_on_complete(task_instance)

    def _report_failure(self, context: Context, seen: Snapshot, error: OmicsError) -> None:
        """Tell why a run or batch failed."""
