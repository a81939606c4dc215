"""Layers of run settings: merging them, and the checks that only the merged settings allow."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.settings.checks import (
    NOT_SET,
    ReadModel,
    clean_setting,
    parameters_size_problems,
    setting_problems,
    show_value,
    tag_count_problems,
    younger_problems,
)
from airflow_provider_omics.core.settings.documents import document_faults, document_size
from airflow_provider_omics.core.settings.fields import FIELDS, MERGED_BY_KEY, SETTING_FIELDS, Place
from airflow_provider_omics.core.settings.names import nearest_name
from airflow_provider_omics.core.settings.run_setting import REQUIRED_BY_CONNECTION

CONNECTION_DEFAULT = "connection default_run_setting"


def merge_settings(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Merge layers of settings; later layers win.

    ``parameters``, ``engineSettings``, ``runTags`` and ``tags`` are merged key by key, one level deep: a value
    below them, None (JSON's null) included, replaces the earlier one. So an empty dict adds nothing and removes
    nothing. Every other setting is replaced as a whole. None as a setting means "not set" and never overrides.

    :param layers: settings by name, weakest first; not changed.
    :return: a new dict without None values.
    """
    merged: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            if value is None:
                continue
            earlier = merged.get(name)
            if name in MERGED_BY_KEY and isinstance(value, Mapping):
                merged[name] = {**earlier, **value} if isinstance(earlier, Mapping) else dict(value)
            else:
                merged[name] = value
    return merged


@dataclass(frozen=True)
class Layer:
    """Settings of one origin.

    :param prefix: how the user calls the dict; empty for operator arguments, which go by their own names.
    :param values: the settings; None: nothing was given.
    :param place: whose names are used.
    """

    prefix: str
    values: Any
    place: Place

    def label(self, name: Any) -> str:
        """Name a setting of this layer as the user typed it."""
        if self.prefix:
            return f"{self.prefix}[{name!r}]"
        field = FIELDS[self.place].get(name)
        return field.argument if field else str(name)

    def problems(self) -> list[Problem]:
        """Check each setting by itself."""
        if self.values is not None and not isinstance(self.values, Mapping):
            allowed = "a dict of settings, spelled as AWS spells them"
            return [Problem(self.prefix or "setting", type(self.values).__name__, allowed)]
        return setting_problems(self.values or {}, self.place, self.label)

    def cleaned(self) -> dict[str, Any]:
        """Keep the settings that are set, in the types that AWS takes."""
        return clean_setting(self.values, self.place) if isinstance(self.values, Mapping) else {}


@dataclass(frozen=True)
class MergedSettings:
    """Settings merged from layers, which know where each of them came from.

    :param values: the merged settings, by their names in ``place``.
    :param place: StartRun or defaultRunSetting.
    :param layers: where they came from, weakest first.
    """

    values: dict[str, Any]
    place: Place
    layers: Sequence[Layer]

    def label(self, name: str) -> str:
        """Name a setting as it was typed where it was set; if it was not set, as it should be."""
        field = FIELDS[self.place][name]
        for layer in reversed(self.layers):
            here = field.name_in(layer.place)
            if layer.cleaned().get(here) is not None:
                return layer.label(here)
        return field.argument if self.place is Place.START_RUN else f"default_run_setting[{name!r}]"

    def missing_problems(self, require: Collection[str] = (), exempt: Collection[str] = ()) -> list[Problem]:
        """Find the settings that the API or the connection requires and nobody gave.

        :param require: names in either spelling, ``tags`` or ``runTags``; one without a place here is no matter.
        :param exempt: names, as in ``place``, that need not be here.
        :return: all problems, unknown names in ``require`` included.
        """
        problems = [
            Problem(self.label(name), NOT_SET, f"required: give it here, or {in_connection(field.name)}")
            for name, field in FIELDS[self.place].items()
            if self.place in field.required and name not in exempt and name not in self.values
        ]
        fields = {name: field for field in SETTING_FIELDS for name in (field.name, field.start_run) if name}
        for name in require:
            field = fields.get(name)
            if field is None:
                near = nearest_name(str(name), fields)
                allowed = f"the name of a run setting{f'; did you mean {near!r}?' if near else ''}"
                problems.append(Problem("connection require_settings", show_value(name), allowed))
                continue
            here = field.name_in(self.place)
            known = here in FIELDS[self.place] and here not in exempt
            if known and self.values.get(here) in (None, "", {}):
                problems.append(Problem(self.label(here), NOT_SET, REQUIRED_BY_CONNECTION))
        return problems

    def younger_problems(self, model: ReadModel | None) -> list[Problem]:
        """Name the settings that the installed boto3 cannot send, wherever they were set.

        :param model: reads the installed model; None: every field can be sent.
        """
        return younger_problems(self.values, self.place, self.label, model)

    def companion_problems(self) -> list[Problem]:
        """Find the settings that lack a companion."""
        problems = []
        if "cacheBehavior" in self.values and "cacheId" not in self.values:
            allowed = f"needs a run cache: set {self.label('cacheId')} too"
            shown = show_value(self.values["cacheBehavior"])
            problems.append(Problem(self.label("cacheBehavior"), shown, allowed))
        if self.values.get("networkingMode") == "VPC" and "configurationName" not in self.values:
            allowed = f"needs a configuration: set {self.label('configurationName')} too"
            problems.append(Problem(self.label("networkingMode"), "'VPC'", allowed))
        return problems

    def parameters_problems(self) -> list[Problem]:
        """Refuse parameters from two sources: StartRun takes ``parameters`` or ``parametersUri``, not both."""
        if "parametersUri" not in self.values or "parameters" not in self.values:
            return []
        other = self.label("parameters")
        allowed = f"{self.label('parametersUri')} or {other}, not both: leave one out, or put all in the S3 object"
        return [Problem(self.label("parametersUri"), f"set, and {other} too", allowed)]

    def size_problems(self) -> list[Problem]:
        """Check the size of the merged parameters and the number of merged tags."""
        problems = []
        parameters = self.values.get("parameters")
        if parameters and not document_faults(parameters):
            problems += parameters_size_problems(document_size(parameters), self.label("parameters"))
        tags_name = "tags" if self.place is Place.START_RUN else "runTags"
        tags = self.values.get(tags_name)
        if isinstance(tags, Mapping):
            problems += tag_count_problems(tags, self.label(tags_name))
        return problems


def in_connection(name: str) -> str:
    """Name the place of a team default.

    :param name: as ``defaultRunSetting`` spells it.
    :return: half a sentence.
    """
    return f"default_run_setting[{name!r}] in the connection's extra (service_config.omics)"
