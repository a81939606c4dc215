"""Checks of the settings of the runs of a batch, one run at a time.

``run_setting_rules`` computes once the rules that all runs share; ``check_run_setting`` looks at one run, so that
100,000 of them can be checked while they stream from a sample sheet to S3.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.settings.checks import (
    NOT_SET,
    ReadModel,
    parameters_size_problems,
    setting_problems,
    show_value,
    tag_count_problems,
    younger_problems,
)
from airflow_provider_omics.core.settings.documents import document_faults, document_size
from airflow_provider_omics.core.settings.fields import FIELDS, MAX_PARAMETERS_BYTES, Place

REQUIRED_BY_CONNECTION = "required by the connection's require_settings"
_OUTPUT_URI_NEEDED = "every run needs an output URI"


@dataclass(frozen=True)
class RunSettingRules:
    """The rules for all runs of a batch; made by :func:`run_setting_rules`.

    :param default: the ``defaultRunSetting`` of the batch.
    :param required: names that each run must give itself, as the default does not, each with the reason.
    :param parameters_size: bytes of the default's ``parameters``.
    :param model: reads the model of the installed boto3, which has to know each field; None: any will do.
    """

    default: Mapping[str, Any]
    required: Mapping[str, str]
    parameters_size: int
    model: ReadModel | None = None


def run_setting_rules(
    default: Mapping[str, Any], require: Collection[str] = (), model: ReadModel | None = None
) -> RunSettingRules:
    """Compute once what every run of a batch is checked against.

    :param default: the merged ``defaultRunSetting``; its own problems are not looked for.
    :param require: settings that the connection wants to see (``require_settings``). Default: none.
    :param model: reads the model of the installed boto3, which has to know each field. Default: any will do.
    :return: the rules for :func:`check_run_setting`.
    """
    required = {}
    for name, field in FIELDS[Place.PER_RUN].items():
        if default.get(name) in (None, "", {}):
            if name == "outputUri":
                required[name] = _OUTPUT_URI_NEEDED
            elif name in require or field.start_run in require:
                required[name] = REQUIRED_BY_CONNECTION
    parameters = default.get("parameters")
    size = document_size(parameters) if parameters and not document_faults(parameters) else 0
    return RunSettingRules(default=default, required=required, parameters_size=size, model=model)


def check_run_setting(
    setting: Any,
    index: int,
    rules: RunSettingRules,
    positions: dict[str, int],
    *,
    argument: str = "run_settings",
) -> list[Problem]:
    """Check the setting of one run of a batch, by itself and together with the default.

    :param setting: should be a dict in the spelling of AWS, with its ``runSettingId``.
    :param index: its position, from 0.
    :param rules: from :func:`run_setting_rules`, the same for all runs of the batch.
    :param positions: ``runSettingId`` -> position of the settings checked so far; this one is added.
    :param argument: the name of the list in messages. Default: "run_settings".
    :return: all problems of this setting.
    """
    place = f"{argument}[{index}]"
    if not isinstance(setting, Mapping):
        return [Problem(place, type(setting).__name__, "a dict: runSettingId, and what differs for this run")]
    problems = setting_problems(setting, Place.PER_RUN, lambda name: f"{place}[{name!r}]")
    problems += younger_problems(setting, Place.PER_RUN, lambda name: f"{place}[{name!r}]", rules.model)
    problems += _identity_problems(setting.get("runSettingId"), index, positions, argument)
    for name, reason in rules.required.items():
        if setting.get(name) in (None, {}):
            allowed = f"{reason}; give it here or in default_run_setting[{name!r}]"
            problems.append(Problem(f"{place}[{name!r}]", NOT_SET, allowed))
    parameters = setting.get("parameters")
    if parameters and not any(problem.argument.startswith(f"{place}['parameters']") for problem in problems):
        size = document_size(dict(parameters)) + rules.parameters_size
        if size > MAX_PARAMETERS_BYTES and rules.parameters_size:
            # Keys that stand in both were counted twice: count again, merged.
            size = document_size({**rules.default["parameters"], **parameters})
        problems += parameters_size_problems(size, f"{place}['parameters']")
    tags = setting.get("runTags")
    if tags and isinstance(tags, Mapping):
        default_tags = rules.default.get("runTags")
        keys = {*(default_tags if isinstance(default_tags, Mapping) else ()), *tags}
        problems += tag_count_problems(keys, f"{place}['runTags']")
    return problems


def _identity_problems(value: Any, index: int, positions: dict[str, int], argument: str) -> list[Problem]:
    label = f"{argument}[{index}]['runSettingId']"
    if value is None:
        return [Problem(label, NOT_SET, "required: text that is unique in the batch, such as the sample's name")]
    if not isinstance(value, str):
        return []  # its type is among the problems of the values
    first = positions.setdefault(value, index)
    if first == index:
        return []
    return [Problem(label, show_value(value), f"unique in the batch; {argument}[{first}] has the same")]
