"""``@task.omics_run_batch``: a function returns the runs of a batch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import TaskDecorator, task_decorator_factory

from airflow_provider_omics.decorators.base import Arguments, FunctionOperator, OmicsTaskDecorator, one_output
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator

if TYPE_CHECKING:
    # Type checkers learn the decorator's arguments from the operator's.
    def _as(operator: Callable[Arguments, Any]) -> OmicsTaskDecorator[Arguments]: ...


class _RunBatchDecoratedOperator(FunctionOperator, OmicsStartRunBatchOperator):
    custom_operator_name = "@task.omics_run_batch"
    returned_fields = ("run_settings", "sample_sheet", "run_settings_s3_uri")
    masked_fields = (*OmicsStartRunBatchOperator.masked_fields, "op_args", "op_kwargs")
    template_fields: Sequence[str] = (*FunctionOperator.template_fields, *OmicsStartRunBatchOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **FunctionOperator.template_fields_renderers,
        **OmicsStartRunBatchOperator.template_fields_renderers,
    }

    def take(self, returned: Any) -> Mapping[str, Any]:
        """Take a path or a mapping as ``sample_sheet``, all else as ``run_settings``, whose check refuses the rest."""
        is_sheet = isinstance(returned, (str, Mapping))
        return {"sample_sheet" if is_sheet else "run_settings": returned}


def omics_run_batch_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns the runs of a batch into a task; in Airflow, ``@task.omics_run_batch``.

    ::

        @task.omics_run_batch(default_run_setting={"workflowId": "1234567"}, max_failed_percent=2)
        def cohort(day: str) -> list[dict]:
            return [{"runSettingId": name, "parameters": {"reads": uri}} for name, uri in arrived(day)]

        cohort("{{ ds }}")

    :param python_callable: the function: it returns a list of run settings, or a sheet (a path, a
        :class:`~airflow_provider_omics.sheets.SampleSheet`, or a mapping with its fields; ``SampleSheet(rows=...)``
        maps rows that it already has). It is called once a try, before the start, and never after a deferral.
    :param kwargs: arguments of :class:`~airflow_provider_omics.operators.run_batch.OmicsStartRunBatchOperator`, except
        ``run_settings``, ``run_settings_s3_uri`` and ``sample_sheet``.
    :return: the decorator, or the decorated function.
    :raises TypeError: one of these three is given as well.
    """
    return task_decorator_factory(
        python_callable, decorated_operator_class=_RunBatchDecoratedOperator, **one_output(kwargs)
    )


if TYPE_CHECKING:
    omics_run_batch = _as(OmicsStartRunBatchOperator)
else:
    omics_run_batch = omics_run_batch_task
