"""Whether the parameters of a run fit the ``parameterTemplate`` of its workflow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.errors import NOT_SET, Problem
from airflow_provider_omics.core.text import nearest_name

if TYPE_CHECKING:
    from collections.abc import Mapping


def check_parameters(
    template: Mapping[str, Mapping[str, Any]] | None, parameters: Mapping[str, Any] | None, *, argument: str
) -> list[Problem]:
    """Compare the merged parameters of a run with its workflow's template.

    A run must give every parameter that the template does not call optional, and none that it does not name
    (StartRun API reference). Types are the engine's business: the template has none.

    :param template: ``parameterTemplate`` of GetWorkflow or GetWorkflowVersion: name -> description, optional.
        None or empty: the workflow has none, and nothing is compared.
    :param parameters: the merged parameters; None: none.
    :param argument: how the user calls them: ``"parameters"``, ``"run_settings[3]['parameters']"``.
    :return: one problem for each unknown and each missing name, with the nearest name of the other side.
    """
    if not template:
        return []
    parameters = parameters or {}
    unknown = [name for name in parameters if name not in template]
    missing = [name for name, entry in template.items() if name not in parameters and not entry.get("optional")]
    absent = [name for name in template if name not in parameters]
    problems = []
    for name in unknown:
        near = nearest_name(str(name), absent)
        hint = f"did you mean {near!r}?" if near else f"it takes {_few(template)}"
        shown = type(parameters[name]).__name__
        problems.append(Problem(f"{argument}[{name!r}]", shown, f"the workflow has no such parameter; {hint}"))
    for name in missing:
        near = nearest_name(name, [str(other) for other in unknown])
        hint = f"; {near!r} was given, which it does not know" if near else ""
        problems.append(Problem(f"{argument}[{name!r}]", NOT_SET, f"required by the workflow{hint}"))
    return problems


def _few(names: Mapping[str, Any], limit: int = 20) -> str:
    listed = ", ".join(sorted(names)[:limit])
    return listed if len(names) <= limit else f"{listed} and {len(names) - limit} more"
