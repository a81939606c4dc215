"""``@task.omics_run``: a function returns the parameters of a run."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.common.compat.sdk import TaskDecorator, task_decorator_factory

from airflow_provider_omics.core.uris import is_s3_uri
from airflow_provider_omics.decorators.base import Arguments, FunctionOperator, OmicsTaskDecorator, one_output
from airflow_provider_omics.operators.run import OmicsStartRunOperator

if TYPE_CHECKING:
    # Type checkers learn the decorator's arguments from the operator's.
    def _as(operator: Callable[Arguments, Any]) -> OmicsTaskDecorator[Arguments]: ...


class _RunDecoratedOperator(FunctionOperator, OmicsStartRunOperator):
    custom_operator_name = "@task.omics_run"
    returned_fields = ("parameters", "parameters_uri")
    masked_fields = (*OmicsStartRunOperator.masked_fields, "op_args", "op_kwargs")
    template_fields: Sequence[str] = (*FunctionOperator.template_fields, *OmicsStartRunOperator.template_fields)
    template_fields_renderers: ClassVar[dict[str, str]] = {
        **FunctionOperator.template_fields_renderers,
        **OmicsStartRunOperator.template_fields_renderers,
    }

    def take(self, returned: Any) -> Mapping[str, Any]:
        """Take an S3 URI as ``parameters_uri``, all else as ``parameters``, whose check refuses what they cannot be."""
        is_uri = isinstance(returned, str) and is_s3_uri(returned)
        return {"parameters_uri" if is_uri else "parameters": returned}


def omics_run_task(python_callable: Callable[..., Any] | None = None, **kwargs: Any) -> TaskDecorator:
    """Turn a function that returns the parameters of a run into a task; in Airflow, ``@task.omics_run``.

    ::

        @task.omics_run(workflow_id="1234567", output_uri="s3://bucket/out/")
        def align(sample: str) -> dict:
            return {"sample": sample, "reads": reads_of(sample)}

        align.expand(sample=["S1", "S2"])

    :param python_callable: the function: it returns the parameters, or the URI of an S3 object with them. It is called
        once a try, before the start, and never after a deferral.
    :param kwargs: arguments of :class:`~airflow_provider_omics.operators.run.OmicsStartRunOperator`, except
        ``parameters`` and ``parameters_uri``.
    :return: the decorator, or the decorated function.
    :raises TypeError: ``parameters`` or ``parameters_uri`` is given as well.
    """
    return task_decorator_factory(python_callable, decorated_operator_class=_RunDecoratedOperator, **one_output(kwargs))


if TYPE_CHECKING:
    omics_run = _as(OmicsStartRunOperator)
else:
    omics_run = omics_run_task
