"""Checks of a run setting that was made from rows; problems name the cells that are to blame."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_omics.core.errors import NOT_SET, Problem
from airflow_provider_omics.core.settings.checks import RunSettingRules, check_run_setting
from airflow_provider_omics.core.settings.workflow_parameters import check_parameters
from airflow_provider_omics.core.sheet.cells import Row
from airflow_provider_omics.core.sheet.mapping import SETTINGS
from airflow_provider_omics.core.sheet.nodes import CellFault, Leaf
from airflow_provider_omics.core.uris import uri_faults

MAX_FAULTS = 50
"""Faults of one setting that are told: more than one error lists."""
_PLACE = "[0]"  # how `check_run_setting` calls the first setting of a list without a name


def setting_faults(
    setting: Mapping[str, Any],
    rows: Sequence[Row],
    leaves: Iterator[Leaf] | None,
    rules: RunSettingRules,
    template: Mapping[str, Mapping[str, Any]] | None,
) -> list[CellFault]:
    """Check the run setting of the rows of one id.

    :param setting: in the spelling of AWS.
    :param rows: the rows that it was made from.
    :param leaves: where each of its values came from, looked at only if something is wrong; None: nobody knows, as a
        function of the user's has made it.
    :param rules: of the batch's defaults.
    :param template: the workflow's ``parameterTemplate``; None: not compared.
    :return: its faults; without a line where the mapping is to blame, and not the rows.
    """
    problems = [(problem, False) for problem in check_run_setting(setting, 0, rules, {}, argument="")]
    parameters = setting.get("parameters")
    for path, shown, allowed in uri_faults(parameters):
        problems.append((Problem(f"{_PLACE}['parameters']{path}", shown, allowed), False))
    if template and isinstance(parameters, (Mapping, type(None))):
        default = rules.default.get("parameters")
        merged = {**(default if isinstance(default, Mapping) else {}), **(parameters or {})}
        # A parameter that the workflow does not know comes from the mapping, and is the same in all rows.
        found = check_parameters(template, merged, argument=f"{_PLACE}['parameters']")
        problems += [(problem, problem.value != NOT_SET) for problem in found]
    if not problems:
        return []
    known = None if leaves is None else list(leaves)
    return [_located(problem, rows, known, of_mapping=of_mapping) for problem, of_mapping in problems[:MAX_FAULTS]]


def _located(problem: Problem, rows: Sequence[Row], leaves: list[Leaf] | None, *, of_mapping: bool) -> CellFault:
    path = problem.argument.removeprefix(_PLACE)
    name, _, rest = path.removeprefix("['").partition("']")
    if leaves is None:
        return CellFault(rows[0].line, (), f"{name}{rest}", problem.value, problem.allowed)
    blamed = next((leaf for leaf in leaves if path.startswith(leaf.path)), None)
    if blamed and blamed.columns and not of_mapping:
        return CellFault(blamed.line, blamed.columns, f"{name}{rest}", problem.value, problem.allowed)
    if not of_mapping and any(leaf.columns for leaf in leaves if leaf.path.startswith(path)):
        return CellFault(rows[0].line, (), f"{name}{rest}", problem.value, problem.allowed)
    columns = blamed.columns if blamed else ()
    return CellFault(None, columns, f"{SETTINGS.get(name, name)}{rest}", problem.value, problem.allowed)
