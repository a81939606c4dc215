"""The operator that collects the results of a batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.errors import OmicsError, Problem, SettingsError
from airflow_provider_omics.exceptions import airflow_error
from airflow_provider_omics.operators.base import OmicsBaseOperator


class OmicsCollectBatchResultsOperator(OmicsBaseOperator):
    """Read what has ended so far of a batch, and add it to a results file: one record for each run setting.

    At any time and as often as one likes: while the batch is going, after its task was lost, and for batches that
    Airflow did not start. What has its record already is not asked for again. The task succeeds whatever became of the
    runs; how many completed stands in its result.

    :param batch_id: id of the batch.
    :param results_s3_uri: where the results are: ``s3://bucket/key.jsonl``, packed if it ends in ``.jsonl.gz``, or
        ``s3://bucket/prefix/`` for ``{dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz`` below it; default: the
        connection's ``results_s3_uri``, which is such a prefix. DAG runs that shall add to one file name the file.
    :param results_detail: ``"full"`` (default): one GetRun for each run that ended, at the pace of the connection's
        ``calls_per_second``; the only source of the output URI and of what made a file. ``"listed"``: the id of the run
        and how it ended, from lists of 100 a call.
    :param read_outputs: with ``"full"``, also what each completed run has put out: the parsed ``outputs.json`` of WDL
        and CWL, for Nextflow the URIs of its objects; default False.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: ``batch_id, status, total_runs, completed_runs, failed_runs, cancelled_runs, not_submitted_runs,
        unknown_runs, new_records, results_uri``: of the batch its status, of its records the counts.
    :raises SettingsError: no place, a place of another form, a file of something else, or an unknown detail.
    :raises ServiceError: HealthOmics or S3 refused a call, or did not answer; its subclasses say how.
    """

    template_fields: Sequence[str] = aws_template_fields("batch_id", "results_s3_uri", "results_detail")

    def __init__(
        self,
        *,
        batch_id: str,
        results_s3_uri: str | None = None,
        results_detail: str = "full",
        read_outputs: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.results_s3_uri = results_s3_uri
        self.results_detail = results_detail
        self.read_outputs = read_outputs

    def execute(self, context: Context) -> dict[str, Any]:
        """Collect; called by Airflow.

        :return: the counts and the place, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        # For running tasks, not for DAG files.
        from airflow_provider_omics.core.attempt.identity import TaskIdentity
        from airflow_provider_omics.core.batch.collect import ResultsDetail
        from airflow_provider_omics.results.collecting import collect_results
        from airflow_provider_omics.results.places import results_place

        try:
            detail = ResultsDetail.checked(self.results_detail)
            identity = TaskIdentity.of(context["ti"])
            uri = results_place(self.results_s3_uri, self.defaults.results_s3_uri, identity)
            if uri is None:
                allowed = "s3://bucket/key.jsonl.gz, or results_s3_uri in the connection"
                raise SettingsError([Problem("results_s3_uri", "not set", allowed)])
            collected = collect_results(
                self.hook, self.batch_id, uri, self.log, detail=detail, read_outputs=self.read_outputs
            )
        except OmicsError as error:
            raise airflow_error(error) from error
        return collected.to_result()
