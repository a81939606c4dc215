"""The door to the jobs: a start operator opens it when its task runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.attempt import Attempt
from airflow_provider_omics.jobs.batch.job import BatchArguments, BatchJob
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.jobs.report import Report
from airflow_provider_omics.jobs.run import RunArguments, RunJob
from airflow_provider_omics.jobs.task import Job, StartTask
from airflow_provider_omics.jobs.tries import StartArguments, Try

_JOBS: Mapping[str, tuple[Callable[[Mapping[str, Any]], Any], Callable[[Any, Try, Report], Job]]] = {
    "run": (RunArguments.of, RunJob),
    "batch": (BatchArguments.of, BatchJob),
}


def open_task(kind: str, given: Mapping[str, Any], hook: OmicsHook, log: Any, context: Context) -> StartTask:
    """Make the task of one try; nothing is called.

    :param kind: ``"run"`` or ``"batch"``.
    :param given: the operator's arguments, rendered: name -> value.
    :param hook: makes the calls.
    :param log: the task's logger.
    :param context: Airflow's context of the task.
    :return: the task.
    """
    task_instance = context["ti"]
    owner = Owner(hook, log, TaskIdentity.of(task_instance), task_instance.try_number, task_instance.max_tries)
    arguments = StartArguments(**{field.name: given[field.name] for field in fields(StartArguments)})
    try_ = Try(hook, log, arguments, context, owner)
    report = Report(try_)
    take, make = _JOBS[kind]
    job = make(take(given), try_, report)
    return StartTask(job, Attempt(hook, log, job, owner), try_, report)
