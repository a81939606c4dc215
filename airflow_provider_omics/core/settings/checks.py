"""Checks of run settings: their names, their values, their sizes, and those of the runs of a batch, one run at a time.

No check raises: each returns the problems that it found, so that the user sees all of them at once.
"""

from __future__ import annotations

import json
import math
import re
import unicodedata
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.errors import NOT_SET, Problem, show_value
from airflow_provider_omics.core.settings.documents import Fault, document_faults, document_size
from airflow_provider_omics.core.settings.fields import (
    ACCOUNT_ID,
    ARN,
    DIGITS,
    FIELDS,
    MAX_PARAMETERS_BYTES,
    MAX_TAG_KEY,
    MAX_TAG_VALUE,
    MAX_TAGS,
    NAME,
    OBJECT_URI,
    VISIBLE_LINES,
    VISIBLE_TEXT,
    YOUNGER_FIELDS,
    Place,
    SettingField,
    SettingKind,
)
from airflow_provider_omics.core.settings.names import meant_field, unknown_name_advice
from airflow_provider_omics.core.settings.rendering import lost_spelling, still_text

REQUIRED_BY_CONNECTION = "required by the connection's require_settings"
_OUTPUT_URI_NEEDED = "every run needs an output URI"

_PATTERN_WORDS = {
    DIGITS: "digits only",
    ACCOUNT_ID: "an account id of 12 digits",
    ARN: "an ARN (arn:...)",
    NAME: "letters, digits, '-', '.' and '_', beginning with a letter or digit",
    OBJECT_URI: "an object in a bucket (s3://bucket/key)",
    VISIBLE_TEXT: "no control or other invisible characters",
    VISIBLE_LINES: "no control or other invisible characters but tab and line ends",
}
# Buckets from before 2018 may have upper case, underscores and up to 255 characters.
_S3_URI = re.compile(r"s3://[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9](/.*)?", re.DOTALL)


# Not shown: a policy reveals what an account holds, and in place of an object's URI may stand a presigned URL, which
# opens the object to whoever reads it.
_NOT_SHOWN = frozenset({"sessionPolicy", "parametersUri"})
_FLAGS = {"true": True, "false": False}


@dataclass(frozen=True)
class InstalledModel:
    """The fields that the installed boto3 can send.

    :param release: its release: ``"1.42.84"``.
    :param fields: for each place the names of its fields.
    """

    release: str
    fields: Mapping[Place, Collection[str]]


ReadModel = Callable[[], InstalledModel]
"""Reads the installed model, which takes a client: it is called only where a field younger than the floor is set."""


def convert_value(field: SettingField, value: Any) -> Any:
    """Bring a value into the type that AWS takes, where nothing can be lost.

    Airflow renders a templated number to text, and, with ``render_template_as_native_obj``, an id, a name or the value
    of a tag to a number where it is all digits; both are converted back. Everything else stays as it is.

    :param field: the setting.
    :param value: the user's.
    :return: the value as it is sent.
    """
    if field.kind is SettingKind.WHOLE_NUMBER:
        if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 18:
            return int(value)
    elif field.kind is SettingKind.FLAG:
        if isinstance(value, str):
            return _FLAGS.get(value.strip().lower(), value)
    elif field.kind is SettingKind.TEXT:
        if type(value) is int and value >= 0:
            return str(value)
    elif field.kind is SettingKind.TAGS and isinstance(value, Mapping):
        return {key: str(text) if type(text) is int and text >= 0 else text for key, text in value.items()}
    elif isinstance(value, Mapping) and not isinstance(value, dict):
        return dict(value)
    return value


def clean_setting(setting: Any, place: Place) -> dict[str, Any]:
    """Leave out settings that are unset, and convert values that Airflow rendered to another type.

    :param setting: settings as the user gave them, by their names in ``place``; not changed. What is no dict of
        settings, which :func:`setting_problems` tells, has none.
    :param place: where they stand.
    :return: a new dict without None values; see :func:`convert_value`.
    """
    if not isinstance(setting, Mapping):
        return {}
    fields = FIELDS[place]
    return {
        name: convert_value(fields[name], value) if name in fields else value
        for name, value in setting.items()
        if value is not None
    }


def setting_problems(setting: Any, place: Place, label: Callable[[Any], str], whole: str = "setting") -> list[Problem]:
    """Check the names and values of settings, each by itself.

    :param setting: settings by their names in ``place``; None values are unset. None: nothing was given.
    :param place: where they stand.
    :param label: how the user calls a setting of this origin, from its name.
    :param whole: how the user calls all of them. Default: "setting".
    :return: all problems.
    """
    if setting is not None and not isinstance(setting, Mapping):
        allowed = f"a dict of settings, spelled as AWS spells them{still_text(setting)}"
        return [Problem(whole, type(setting).__name__, allowed)]
    fields = FIELDS[place]
    problems = []
    for name, value in (setting or {}).items():
        field = fields.get(name)
        if field is None:
            problems.append(Problem(label(name), _show_misplaced(name, value), unknown_name_advice(name, place)))
        elif value is not None:
            for path, shown, allowed in value_faults(field, value):
                problems.append(Problem(f"{label(name)}{path}", shown, allowed))
    return problems


def younger_problems(
    names: Collection[str], place: Place, label: Callable[[Any], str], model: ReadModel
) -> list[Problem]:
    """Refuse fields that the installed boto3 cannot send, as they are younger than it.

    :param names: those of the given fields that are younger than the floor (:data:`YOUNGER_FIELDS`).
    :param place: where they stand.
    :param label: how the user calls a setting of this origin, from its name.
    :param model: reads the installed model.
    :return: a problem for each.
    """
    installed = model()
    problems = []
    for name in names:
        if name not in installed.fields[place]:
            needed = f"{name} needs boto3 {FIELDS[place][name].since(place)}; {installed.release} is installed"
            problems.append(Problem(label(name), "set", f"{needed}: upgrade boto3 and botocore, or leave it out"))
    return problems


def value_faults(field: SettingField, value: Any) -> list[Fault]:
    """Check one value against its field.

    :param field: the setting.
    :param value: the user's; None is not a value here.
    :return: its problems.
    """
    value = convert_value(field, value)
    low, high = field.minimum, field.maximum
    if field.kind is SettingKind.TAGS:
        return tag_faults(value)
    if field.kind is SettingKind.JSON_OBJECT:
        return document_faults(value)
    if field.kind is SettingKind.FLAG:
        return [] if isinstance(value, bool) else [Fault("", show_value(value), "true or false")]
    if field.kind is SettingKind.WHOLE_NUMBER:
        if isinstance(value, bool) or not isinstance(value, int) or not (low or 0) <= value <= (high or math.inf):
            return [Fault("", show_value(value), f"a whole number from {low} to {high}")]
        return []
    if field.choices:
        is_one = isinstance(value, str) and value in field.choices
        return [] if is_one else [Fault("", show_value(value), " or ".join(field.choices))]
    if not isinstance(value, str):
        hint = " (JSON text: json.dumps(value))" if field.name == "sessionPolicy" else lost_spelling(value)
        return [Fault("", show_value(value), f"text{hint}")]
    if field.pattern in (VISIBLE_TEXT, VISIBLE_LINES):
        matches = value.isprintable() or all(_is_visible(letter, field.pattern) for letter in value)
    else:
        matches = field.pattern is None or re.fullmatch(field.pattern, value) is not None
    if not matches or not (low or 0) <= len(value) <= (high or math.inf):
        return [Fault("", _show_text(field, value), _text_allowed(field))]
    if field.s3_uri and not _S3_URI.fullmatch(value):
        return [Fault("", _show_text(field, value), "an S3 URI: s3://bucket/...")]
    if field.name == "sessionPolicy" and not _is_json_object(value):
        return [Fault("", _show_text(field, value), "an IAM policy as JSON text")]
    return []


def tag_faults(tags: Any) -> list[Fault]:
    """Check each tag: text, lengths, and the prefix that AWS keeps for itself.

    Their number is a matter of the merged tags: see :func:`tag_count_problems`.

    :param tags: the user's.
    :return: their problems.
    """
    if not isinstance(tags, Mapping):
        return [Fault("", show_value(tags), f"tags: a dict of text to text{still_text(tags)}")]
    faults = []
    for key, value in tags.items():
        path, shown = f"[{show_value(key)}]", show_value(value)
        if not isinstance(key, str) or not 1 <= len(key) <= MAX_TAG_KEY:
            faults.append(Fault(path, shown, f"a tag key: text of 1 to {MAX_TAG_KEY} characters"))
        elif key[:4].lower() == "aws:":
            faults.append(Fault(path, shown, "another key: those that begin with 'aws:' are reserved by AWS"))
        if not isinstance(value, str) or len(value) > MAX_TAG_VALUE:
            allowed = f"a tag value: text of at most {MAX_TAG_VALUE} characters{lost_spelling(value)}"
            faults.append(Fault(path, shown, allowed))
    return faults


def tag_count_problems(keys: Collection[str], argument: str) -> list[Problem]:
    """Refuse more tags than a resource can have.

    :param keys: the merged tag keys.
    :param argument: how the user calls them.
    :return: at most one problem.
    """
    if len(keys) <= MAX_TAGS:
        return []
    return [Problem(argument, f"{len(keys)} tags", f"at most {MAX_TAGS} tags, defaults included")]


def parameters_size_problems(size: int, argument: str) -> list[Problem]:
    """Refuse parameters that are larger than the service takes.

    :param size: bytes of the merged parameters.
    :param argument: how the user calls them.
    :return: at most one problem.
    """
    if size <= MAX_PARAMETERS_BYTES:
        return []
    allowed = f"at most {MAX_PARAMETERS_BYTES:,} bytes as JSON, defaults included; put long lists in S3 files"
    return [Problem(argument, f"{size:,} bytes", allowed)]


@dataclass(frozen=True)
class RunSettingRules:
    """The rules for all runs of a batch; made once by :func:`run_setting_rules`.

    So 100,000 runs can be checked one by one while they stream from a sample sheet to S3.

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
    """Compute once the rules that every run of a batch is checked against.

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
    setting: Any, index: int, rules: RunSettingRules, positions: dict[str, int], *, argument: str = "run_settings"
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
        allowed = f"a dict: runSettingId, and what differs for this run{still_text(setting)}"
        return [Problem(place, type(setting).__name__, allowed)]
    problems = setting_problems(setting, Place.PER_RUN, lambda name: f"{place}[{name!r}]")
    younger = [name for name in YOUNGER_FIELDS[Place.PER_RUN] if setting.get(name) is not None]
    if younger and rules.model is not None:
        problems += younger_problems(younger, Place.PER_RUN, lambda name: f"{place}[{name!r}]", rules.model)
    identity = convert_value(FIELDS[Place.PER_RUN]["runSettingId"], setting.get("runSettingId"))
    if identity is None:
        allowed = "required: text that is unique in the batch, such as the sample's name"
        problems.append(Problem(f"{place}['runSettingId']", NOT_SET, allowed))
    elif isinstance(identity, str) and (first := positions.setdefault(identity, index)) != index:
        allowed = f"unique in the batch; {argument}[{first}] has the same"
        problems.append(Problem(f"{place}['runSettingId']", show_value(identity), allowed))
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


def _show_misplaced(name: Any, value: Any) -> str:
    # A name that nobody knows may be misspelt workflow parameters, whose values can identify a patient.
    field = meant_field(name) if isinstance(name, str) else None
    shown = field is not None and field.kind is not SettingKind.JSON_OBJECT and field.name not in _NOT_SHOWN
    return show_value(value) if shown else type(value).__name__


def _show_text(field: SettingField, value: str) -> str:
    return f"text of {len(value)} characters" if field.name in _NOT_SHOWN else show_value(value)


def _text_allowed(field: SettingField) -> str:
    words = ["an S3 URI (s3://bucket/...)"] if field.s3_uri else []
    if field.minimum is not None and field.minimum == field.maximum:
        words.append(f"text of {field.minimum} characters")
    elif field.maximum is not None:
        words.append(f"text of {field.minimum or 0} to {field.maximum} characters")
    if field.pattern:
        words.append(_PATTERN_WORDS[field.pattern])
    return ", ".join(words)


def _is_visible(letter: str, pattern: str) -> bool:
    # Unassigned code points (Cn) pass: which ones are assigned depends on the Unicode version of either side.
    if letter in "\t\n\r":
        return pattern == VISIBLE_LINES
    return unicodedata.category(letter) not in ("Cc", "Cf", "Cs", "Co")


def _is_json_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False
