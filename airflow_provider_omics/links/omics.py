"""Links to runs, their logs and batches in the AWS console.

They are written to XCom as soon as a run or batch has its id, so they work while a task is still deferred.
"""

from __future__ import annotations

from typing import Any

import airflow
from airflow.providers.amazon.aws.links.base_aws import BaseAwsLink
from airflow.providers.common.compat.sdk import conf

from airflow_provider_omics.core.console import (
    cohort_path,
    log_stream_url,
    run_list_url,
    run_url,
    s3_object_url,
    s3_url,
)

HAS_TAB = not airflow.__version__.startswith(("2.", "3.0."))
"""Whether Airflow's api-server serves the page of a cohort."""


class OmicsRunLink(BaseAwsLink):
    """The run in the HealthOmics console."""

    name = "HealthOmics run"
    key = "omics_run"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name`` and ``run_id``.
        :return: the address.
        """
        return run_url(kwargs["region_name"], kwargs["run_id"])


class OmicsRunLogsLink(BaseAwsLink):
    """The run's log stream in the CloudWatch console."""

    name = "HealthOmics run logs"
    key = "omics_run_logs"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name`` and ``run_id``.
        :return: the address.
        """
        return log_stream_url(kwargs["region_name"], f"run/{kwargs['run_id']}")


class OmicsFailedTaskLogsLink(BaseAwsLink):
    """The log stream of a run's failed task, in the CloudWatch console."""

    name = "HealthOmics failed task logs"
    key = "omics_failed_task_logs"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name``, ``run_id`` and ``task_id``.
        :return: the address.
        """
        return log_stream_url(kwargs["region_name"], f"run/{kwargs['run_id']}/task/{kwargs['task_id']}")


class OmicsRunOutputsLink(BaseAwsLink):
    """The outputs of the run in the S3 console."""

    name = "HealthOmics run outputs"
    key = "omics_run_outputs"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``run_output_uri``.
        :return: the address.
        """
        return s3_url(kwargs["run_output_uri"])


class OmicsRunBatchLink(BaseAwsLink):
    """The list of runs in the HealthOmics console, as AWS documents no console page for a batch."""

    name = "HealthOmics runs"
    key = "omics_run_batch"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name``.
        :return: the address.
        """
        return run_list_url(kwargs["region_name"])


class OmicsRunReportLink(BaseAwsLink):
    """The page of the run in the S3 console, which opens it."""

    name = "Run report"
    key = "omics_run_report"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name`` and ``uri``.
        :return: the address.
        """
        return s3_object_url(kwargs["region_name"], kwargs["uri"])


class OmicsCohortLink(BaseAwsLink):
    """The tab of a task in Airflow, from 3.1 on: its cohort, or its single run.

    Airflow shows the tab only to users who may see plugins: Viewer and User of the FAB manager may not.
    """

    name = "Cohort"
    key = "omics_cohort"

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """Return the address, called by Airflow.

        :param operator: the operator.
        :param ti_key: the task instance.
        :return: the address; empty where Airflow has no such page.
        """
        if not HAS_TAB:
            return ""
        address = conf.get("api", "base_url", fallback="") or ""
        return cohort_path(address, ti_key.dag_id, ti_key.run_id, ti_key.task_id, ti_key.map_index)


class OmicsCohortReportLink(BaseAwsLink):
    """The page of the cohort in the S3 console, which opens it."""

    name = "Cohort report"
    key = "omics_cohort_report"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name`` and ``uri``.
        :return: the address.
        """
        return s3_object_url(kwargs["region_name"], kwargs["uri"])


class OmicsResultsFileLink(BaseAwsLink):
    """The results file in the S3 console."""

    name = "Results file"
    key = "omics_results_file"

    def format_link(self, **kwargs: str) -> str:
        """Return the address, called by Airflow.

        :param kwargs: stored by the operator: ``region_name`` and ``uri``.
        :return: the address.
        """
        return s3_object_url(kwargs["region_name"], kwargs["uri"])
