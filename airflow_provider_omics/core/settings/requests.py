"""Run settings: the checked requests of StartRun and StartRunBatch.

Settings come from three places. What stands nearer to the task wins, setting by setting:

1. the operator's own arguments (for a batch: ``scratch_storage_mode``),
2. ``default_run_setting`` of the batch operator,
3. ``default_run_setting`` of the connection.

``parameters``, ``engineSettings`` and tags are merged key by key; everything else is replaced as a whole.
Everything is checked before anything is sent, and the user gets all problems at once.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from airflow_provider_omics.core.errors import NOT_SET, Problem, SettingsError, show_value
from airflow_provider_omics.core.settings.checks import (
    REQUIRED_BY_CONNECTION,
    ReadModel,
    RunSettingRules,
    check_run_setting,
    clean_setting,
    parameters_size_problems,
    run_setting_rules,
    setting_problems,
    tag_count_problems,
    younger_problems,
)
from airflow_provider_omics.core.settings.documents import document_faults, document_size
from airflow_provider_omics.core.settings.fields import (
    FIELDS,
    MAX_INLINE_SETTINGS,
    MAX_RUNS_IN_BATCH,
    MERGED_BY_KEY,
    SETTING_FIELDS,
    YOUNGER_FIELDS,
    Place,
)
from airflow_provider_omics.core.settings.rendering import still_text
from airflow_provider_omics.core.text import nearest_name, visible

MAX_PROBLEMS = 100
"""Problems of one error; a list of 100,000 settings with one mistake in each helps nobody."""
SHOWN_SETTINGS = (
    "workflowId",
    "workflowVersionName",
    "roleArn",
    "outputUri",
    "storageType",
    "storageCapacity",
    "scratchStorageMode",
    "networkingMode",
    "runGroupId",
)
"""Settings that a dry run shows even where they are not set: by which what runs, as whom, where, in which queue."""
RETENTION_WARNING_RUNS = 1_000
RUN_GROUP_WARNING_RUNS = 100

_CONNECTION_DEFAULT = "connection default_run_setting"
_WORKFLOW_FIELDS = frozenset({"workflowId", "workflowType", "workflowOwnerId", "workflowVersionName"})


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


def merged_run_settings(
    default_run_setting: Mapping[str, Any], run_settings: Iterable[Mapping[str, Any]]
) -> Iterator[dict[str, Any]]:
    """Merge the settings that each run of a batch effectively gets, by the rule of AWS.

    ``parameters`` and ``runTags`` are merged key by key and the run's value wins; every other field,
    engineSettings included, is replaced (StartRunBatch API reference). A stream: 100,000 settings need no list.

    :param default_run_setting: the batch's ``defaultRunSetting``, checked.
    :param run_settings: the per-run settings, checked; not changed.
    :return: one new dict for each run, with its ``runSettingId``.
    """
    default = clean_setting(default_run_setting, Place.DEFAULT_RUN_SETTING)
    for run_setting in run_settings:
        merged = {**default, **clean_setting(run_setting, Place.PER_RUN)}
        for name in ("parameters", "runTags"):
            if name in default:
                merged[name] = {**default[name], **merged[name]}
        yield merged


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


@dataclass(frozen=True)
class MergedSettings:
    """Settings merged from layers, which know where each of them came from.

    :param values: the merged settings, by their names in ``place``.
    :param place: StartRun or defaultRunSetting.
    :param layers: where they came from, weakest first.
    :param connection: the connection, in the words of a message.
    """

    values: dict[str, Any]
    place: Place
    layers: Sequence[Layer]
    connection: str = "the connection"

    def places(self, name: str) -> str:
        """List where else a setting that is missing may be set.

        :param name: as ``default_run_setting`` spells it.
        """
        theirs = f"default_run_setting[{name!r}] of {self.connection} (in its extra: service_config, omics)"
        return f"in default_args of the DAG or of a task group, or in {theirs}"

    def label(self, name: str) -> str:
        """Name a setting as it was typed where it was set; if it was not set, as it should be."""
        field = FIELDS[self.place][name]
        for layer in reversed(self.layers):
            here = field.name_in(layer.place)
            if clean_setting(layer.values, layer.place).get(here) is not None:
                return layer.label(here)
        return field.argument if self.place is Place.START_RUN else f"default_run_setting[{name!r}]"

    def missing_problems(self, require: Collection[str] = (), exempt: Collection[str] = ()) -> list[Problem]:
        """Find the settings that the API or the connection requires and nobody gave.

        :param require: names in either spelling, ``tags`` or ``runTags``; one without a place here is no matter.
        :param exempt: names, as in ``place``, that need not be here.
        :return: all problems, unknown names in ``require`` included.
        """
        problems = [
            Problem(self.label(name), NOT_SET, f"required: give it here, {self.places(field.name)}")
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

    def problems(self, model: ReadModel | None, *, has_source_run: bool = False) -> list[Problem]:
        """Find the settings that do not go together, are too large, or that the installed boto3 cannot send.

        :param model: reads the installed model; None: every field can be sent.
        :param has_source_run: the service may inherit a missing companion from the run that is repeated.
        :return: all problems, each by the name of a setting where it was set.
        """
        values, label = self.values, self.label
        problems = []
        if "cacheBehavior" in values and "cacheId" not in values and not has_source_run:
            allowed = f"needs a run cache: set {label('cacheId')} too"
            problems.append(Problem(label("cacheBehavior"), show_value(values["cacheBehavior"]), allowed))
        if values.get("networkingMode") == "VPC" and "configurationName" not in values and not has_source_run:
            allowed = f"needs a configuration: set {label('configurationName')} too"
            problems.append(Problem(label("networkingMode"), "'VPC'", allowed))
        if self.place is Place.START_RUN and "parametersUri" in values and "parameters" in values:
            uri, other = label("parametersUri"), label("parameters")
            allowed = f"{uri} or {other}, not both: leave one out, or put all in the S3 object"
            problems.append(Problem(uri, f"set, and {other} too", allowed))
        parameters = values.get("parameters")
        if parameters and not document_faults(parameters):
            problems += parameters_size_problems(document_size(parameters), label("parameters"))
        tags_name = "tags" if self.place is Place.START_RUN else "runTags"
        tags = values.get(tags_name)
        if isinstance(tags, Mapping):
            problems += tag_count_problems(tags, label(tags_name))
        younger = [name for name in YOUNGER_FIELDS[self.place] if values.get(name) is not None]
        if younger and model is not None:
            problems += younger_problems(younger, self.place, label, model)
        return problems

    def lines(self) -> Iterator[str]:
        """Show each setting and its origin, and which of the settings that matter most are not set.

        No values of parameters and session policies, which can identify a patient: of what has keys, the keys.
        """
        for name in dict.fromkeys((*SHOWN_SETTINGS, *self.values)):
            if name in self.values:
                yield f"{name} = {setting_outline(name, self.values[name])} (from {self.origin(name)})"
            elif name in FIELDS[self.place]:
                yield f"{name} = {NOT_SET}"

    def origin(self, name: str) -> str:
        """Name the place that a setting comes from: connection, ``default_run_setting``, argument.

        :param name: in ``values``.
        :return: the place; of a setting that is merged key by key, each place with its keys.
        """
        field = FIELDS[self.place][name]
        values = [
            (layer, clean_setting(layer.values, layer.place).get(field.name_in(layer.place))) for layer in self.layers
        ]
        given = [(layer, value) for layer, value in values if value is not None]
        if name not in MERGED_BY_KEY or len(given) == 1:
            return self._place_of(given[-1][0])
        origins = {key: self._place_of(layer) for layer, value in given for key in value}
        places = dict.fromkeys(self._place_of(layer) for layer, _ in given)
        keys = {place: [visible(str(key)) for key in origins if origins[key] == place] for place in places}
        return "; ".join(f"{place}: {', '.join(own)}" for place, own in keys.items() if own)

    def _place_of(self, layer: Layer) -> str:
        return self.connection if layer.prefix == _CONNECTION_DEFAULT else layer.prefix or "argument"


def setting_outline(name: str, value: Any) -> str:
    """Show a setting without values that can identify a patient.

    :param name: of the setting.
    :param value: of the setting.
    :return: of what has keys, the keys; of a session policy, that there is one; else the value.
    """
    if isinstance(value, Mapping):
        return f"{len(value)} keys: {', '.join(visible(str(key)) for key in value)}"
    return "set" if name == "sessionPolicy" else visible(str(value))


@dataclass(frozen=True)
class CheckedRequest:
    """A request without problems.

    :param request: keyword arguments of the API operation, in the spelling of AWS.
    :param warnings: settings that are allowed but probably not meant, each once.
    :param merged: its settings, which know where each of them came from; of a batch, those that all runs share.
    """

    request: dict[str, Any]
    warnings: tuple[str, ...]
    merged: MergedSettings


def build_start_run_request(
    setting: Mapping[str, Any],
    *,
    defaults: Mapping[str, Any] | None = None,
    require: Collection[str] = (),
    request_id: str,
    model: ReadModel | None = None,
    also: Sequence[Problem] = (),
    connection: str = "the connection",
) -> CheckedRequest:
    """Check and build the request of StartRun.

    A setting with a source run (``runId``) takes its workflow from that run: the four settings of the connection
    that name a workflow give way, and what the service inherits from that run is not missed here.

    :param setting: the settings of the task, by the names of StartRun; None: not set.
    :param defaults: the connection's default_run_setting, as AWS spells ``defaultRunSetting``: ``runTags`` becomes
        ``tags``; ``outputBucketOwnerId`` has no place in StartRun and is left out. Default: none.
    :param require: settings that the connection wants to see (``require_settings``). Default: none.
    :param request_id: the idempotency token, 1 to 128 characters.
    :param model: reads the model of the installed boto3, which has to know each field. Default: any will do.
    :param also: problems of other arguments, to be reported with those of the settings. Default: none.
    :param connection: the connection of ``defaults``, in the words of a message. Default: "the connection".
    :return: the request and its warnings.
    :raises SettingsError: with all problems.
    """
    team = Layer(_CONNECTION_DEFAULT, defaults, Place.DEFAULT_RUN_SETTING)
    arguments = Layer("", setting, Place.START_RUN)
    problems = list(also)
    for layer in (team, arguments):
        problems += setting_problems(layer.values, layer.place, layer.label, layer.prefix or "setting")
    given = clean_setting(setting, Place.START_RUN)
    if "requestId" in given:
        problems.append(Problem("request_id", "in the settings", "set by the operator: leave it out"))
    exempt: Collection[str] = _WORKFLOW_FIELDS if "runId" in given else ()
    base = {
        field.start_run: value
        for name, value in clean_setting(defaults, Place.DEFAULT_RUN_SETTING).items()
        if (field := FIELDS[Place.DEFAULT_RUN_SETTING].get(name)) and field.start_run and name not in exempt
    }
    merged = MergedSettings(merge_settings(base, given), Place.START_RUN, (team, arguments), connection)
    if "workflowId" in given and "runId" in given:
        allowed = "workflow_id or source_run_id, not both: a repeated run has its workflow already"
        problems.append(Problem("workflow_id", show_value(given["workflowId"]), allowed))
    elif "workflowId" not in merged.values and "runId" not in given:
        allowed = f"required: workflow_id, source_run_id, here, {merged.places('workflowId')}"
        problems.append(Problem("workflow_id", NOT_SET, allowed))
    # Where parameters are required, those in S3 are as good as those in the request.
    in_s3 = ("parameters",) if "parametersUri" in merged.values else ()
    problems += merged.missing_problems(require, exempt={"requestId", *exempt, *in_s3})
    problems += merged.problems(model, has_source_run="runId" in given)
    problems += setting_problems({"requestId": request_id}, Place.START_RUN, lambda _: "request_id")
    if problems:
        raise _error_of(problems)
    return CheckedRequest({**merged.values, "requestId": request_id}, _warnings(merged.values, total_runs=1), merged)


def build_start_run_batch_request(
    *,
    default_run_setting: Mapping[str, Any] | None,
    run_settings: Iterable[Mapping[str, Any]] | None = None,
    run_settings_s3_uri: str | None = None,
    batch_name: str | None = None,
    tags: Mapping[str, str] | None = None,
    scratch_storage_mode: str | None = None,
    defaults: Mapping[str, Any] | None = None,
    require: Collection[str] = (),
    request_id: str,
    total_runs: int | None = None,
    model: ReadModel | None = None,
    also: Sequence[Problem] = (),
    connection: str = "the connection",
) -> CheckedRequest:
    """Check and build the request of StartRunBatch.

    :param default_run_setting: settings that all runs share, as ``defaultRunSetting``; None: the connection's alone.
    :param run_settings: settings of each run, 1 to 100 dicts as ``inlineSettings``; exactly one of this and the next.
    :param run_settings_s3_uri: the S3 object that holds them, up to 100,000, as a JSON array.
    :param batch_name: name of the batch, up to 64 characters. Default: none.
    :param tags: tags of the batch itself; its runs take theirs from ``runTags``. Default: none.
    :param scratch_storage_mode: LOCAL or SHARED for all runs; wins over the same setting in default_run_setting,
        which wins over the connection's. Default: not set (AWS then means SHARED).
    :param defaults: the connection's default_run_setting. Default: none.
    :param require: settings that the connection wants to see (``require_settings``), in the default or, where
        they may differ, in every run. Default: none.
    :param request_id: the idempotency token, 1 to 128 characters.
    :param total_runs: the number of runs in the S3 object, for a caller that wrote it and checked each of them
        with :func:`check_run_setting`. Default: not known.
    :param model: reads the model of the installed boto3, which has to know each field. Default: any will do.
    :param also: problems of other arguments, to be reported with those of the settings. Default: none.
    :param connection: the connection of ``defaults``, in the words of a message. Default: "the connection".
    :return: the request and its warnings.
    :raises SettingsError: with all problems.
    """
    layers = (
        Layer(_CONNECTION_DEFAULT, defaults, Place.DEFAULT_RUN_SETTING),
        Layer("default_run_setting", default_run_setting, Place.DEFAULT_RUN_SETTING),
        Layer("", {"scratchStorageMode": scratch_storage_mode}, Place.DEFAULT_RUN_SETTING),
    )
    default = merge_settings(*(clean_setting(layer.values, layer.place) for layer in layers))
    merged = MergedSettings(default, Place.DEFAULT_RUN_SETTING, layers, connection)
    problems = list(also)
    for layer in layers:
        problems += setting_problems(layer.values, layer.place, layer.label, layer.prefix or "setting")
    if default.get("workflowType") == "READY2RUN":
        allowed = "PRIVATE: a batch cannot run READY2RUN workflows; start single runs"
        problems.append(Problem(merged.label("workflowType"), "'READY2RUN'", allowed))
    problems += merged.problems(model)
    # Settings that may differ between the runs are looked for in each of them, where they can be seen.
    runs_are_seen = run_settings is not None or total_runs is not None
    problems += merged.missing_problems(require, FIELDS[Place.PER_RUN] if runs_are_seen else ())

    batch: dict[str, Any] = {
        "batchName": batch_name,
        "tags": tags,
        "requestId": request_id,
        "s3UriSettings": run_settings_s3_uri,
    }
    problems += setting_problems(batch, Place.BATCH, lambda name: FIELDS[Place.BATCH][name].argument)
    batch = clean_setting(batch, Place.BATCH)
    problems += tag_count_problems(tags if isinstance(tags, Mapping) else (), "tags")
    if (run_settings is None) == (run_settings_s3_uri is None):
        shown = NOT_SET if run_settings is None else "all set"
        allowed = "exactly one of run_settings, run_settings_s3_uri"
        problems.append(Problem("run_settings and run_settings_s3_uri", shown, allowed))
    inline: list[Any] = []
    if run_settings is not None:
        inline, found = _inline_settings(run_settings, run_setting_rules(default, require, model), merged)
        problems += found
        total_runs = len(inline)
    elif total_runs is not None and not 1 <= total_runs <= MAX_RUNS_IN_BATCH:
        problems.append(Problem("total_runs", str(total_runs), f"1 to {MAX_RUNS_IN_BATCH:,} runs in one batch"))
    if problems:
        raise _error_of(problems)

    request: dict[str, Any] = {"requestId": request_id, "defaultRunSetting": default}
    if run_settings is None:
        request["batchRunSettings"] = {"s3UriSettings": run_settings_s3_uri}
    else:
        request["batchRunSettings"] = {
            "inlineSettings": [clean_setting(run_setting, Place.PER_RUN) for run_setting in inline]
        }
    request |= {name: batch[name] for name in ("batchName", "tags") if name in batch}
    return CheckedRequest(request, _warnings(default, total_runs), merged)


def _inline_settings(
    run_settings: Any, rules: RunSettingRules, merged: MergedSettings
) -> tuple[list[Any], list[Problem]]:
    if isinstance(run_settings, (str, bytes, Mapping)) or not isinstance(run_settings, Iterable):
        allowed = f"a list of dicts, one for each run{still_text(run_settings)}"
        return [], [Problem("run_settings", type(run_settings).__name__, allowed)]
    inline = list(run_settings)
    if not inline:
        return [], [Problem("run_settings", "empty", "at least one run")]
    problems = []
    if len(inline) > MAX_INLINE_SETTINGS:
        allowed = f"at most {MAX_INLINE_SETTINGS} inline: put more in an S3 object, use run_settings_s3_uri"
        problems.append(Problem("run_settings", f"{len(inline)} settings", allowed))
    # A setting that no run has is missing once, in the default, and not once in each run.
    given = {name for item in inline if isinstance(item, Mapping) for name, value in item.items() if value}
    for name, reason in rules.required.items():
        if name not in given:
            allowed = f"{reason}; give it here, in each run, {merged.places(name)}"
            problems.append(Problem(merged.label(name), NOT_SET, allowed))
    required = {name: reason for name, reason in rules.required.items() if name in given}
    rules = replace(rules, required=required)
    positions: dict[str, int] = {}
    for index, item in enumerate(inline):
        problems += check_run_setting(item, index, rules, positions)
    return inline, problems


def _warnings(setting: Mapping[str, Any], total_runs: int | None) -> tuple[str, ...]:
    warnings = []
    if setting.get("storageType") == "DYNAMIC" and "storageCapacity" in setting:
        warnings.append("storageCapacity has no effect with storageType DYNAMIC: the service ignores it.")
    retention = "retentionMode is not set: REMOVE keeps the account under its limit of stored runs."
    group = "runGroupId is not set: without a run group the batch competes with urgent single runs."
    if total_runs is None:
        large = [text for name, text in (("retentionMode", retention), ("runGroupId", group)) if name not in setting]
        unknown = "The runs behind run_settings_s3_uri are not looked at here; their number is not known."
        warnings.append(" ".join([unknown, *(["If they are many:", *large] if large else [])]))
        return tuple(warnings)
    if total_runs > RETENTION_WARNING_RUNS and "retentionMode" not in setting:
        warnings.append(f"A batch of {total_runs:,} runs, and {retention}")
    if total_runs > RUN_GROUP_WARNING_RUNS and "runGroupId" not in setting:
        warnings.append(f"A batch of {total_runs:,} runs, and {group}")
    return tuple(warnings)


def _error_of(problems: Sequence[Problem]) -> SettingsError:
    if len(problems) > MAX_PROBLEMS:
        rest = Problem("...", f"{len(problems) - MAX_PROBLEMS:,} more", "not listed; correct these first")
        problems = [*problems[:MAX_PROBLEMS], rest]
    return SettingsError(problems)
