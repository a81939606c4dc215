"""The base of the decorated operators: the function is called once, when the task starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, ParamSpec, Protocol, TypeVar, overload

from airflow.providers.common.compat.sdk import Context, DecoratedOperator, context_merge

from airflow_provider_omics.operators.masking import Masked

if TYPE_CHECKING:
    from airflow.sdk.bases.decorator import Task, determine_kwargs  # noqa: TID251 - type checkers see the newest Airflow
else:
    # common-compat 1.14.0, which Amazon MWAA pins for Airflow 2.11, does not have the name.
    try:
        from airflow.sdk.bases.decorator import determine_kwargs  # noqa: TID251 - see above
    except ImportError:
        from airflow.utils.operator_helpers import determine_kwargs

Arguments = ParamSpec("Arguments")
Parameters = ParamSpec("Parameters")
Returned = TypeVar("Returned")


class OmicsTaskDecorator(Protocol[Arguments]):
    """A decorator with the arguments of an operator, with or without parentheses."""

    @overload
    def __call__(  # type: ignore[overload-overlap]  # operators take keywords only: what has a position is the function
        self, python_callable: Callable[Parameters, Returned], /
    ) -> Task[Parameters, Returned]: ...

    @overload
    def __call__(
        self, *args: Arguments.args, **kwargs: Arguments.kwargs
    ) -> Callable[[Callable[Parameters, Returned]], Task[Parameters, Returned]]: ...


class FunctionOperator(DecoratedOperator):
    """Call the decorated function when the task starts, and continue with its return value.

    ``execute_complete`` is the operator's own: after a deferral, the function is not called again. Airflow renders the
    function's arguments, never its return value.

    :param python_callable: the decorated function.
    :param kwargs: arguments of the operator.
    :raises TypeError: an argument is given that the function returns.
    """

    template_fields: Sequence[str] = DecoratedOperator.template_fields
    template_fields_renderers: ClassVar[dict[str, str]] = dict(DecoratedOperator.template_fields_renderers)
    custom_operator_name: str
    returned_fields: ClassVar[tuple[str, ...]]
    if not hasattr(DecoratedOperator, "xcom_push"):
        xcom_push = None  # Airflow 3.0's execute() hands it on, to where nothing uses it

    def __init__(self, *, python_callable: Callable[..., Any], **kwargs: Any) -> None:
        given = [name for name in self.returned_fields if kwargs.get(name) is not None]
        if given:
            raise TypeError(f"{self.custom_operator_name} takes no {' and no '.join(given)}: the function returns it")
        super().__init__(python_callable=python_callable, **kwargs)

    def take(self, returned: Any) -> Mapping[str, Any]:
        """Sort what the function returned.

        :param returned: the value.
        :return: name of an argument of the operator -> value.
        """
        raise NotImplementedError

    def execute(self, context: Context) -> Any:
        """Call the function, and run its return value; called by Airflow.

        :return: the result of the operator.
        """
        # Airflow has stored what it shows of them, and its own execute looks into them.
        for name in ("op_args", "op_kwargs"):
            value = getattr(self, name)
            setattr(self, name, value.value if isinstance(value, Masked) else value)
        context_merge(context, self.op_kwargs)
        wanted = determine_kwargs(self.python_callable, self.op_args, context)
        for name, value in self.take(self.python_callable(*self.op_args, **wanted)).items():
            setattr(self, name, value)
        return super().execute(context)


def one_output(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Keep the result of a task in one XCom, unless the user wants each key in its own.

    Airflow infers ``multiple_outputs`` from the function's annotation; but the task's result is the operator's, and
    Airflow 3.0 takes no XCom of None, which some of its keys have.

    :param arguments: of the decorator.
    :return: the same, with ``multiple_outputs``.
    """
    return {"multiple_outputs": False, **arguments}
