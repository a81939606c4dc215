"""The extra of an AWS connection: team defaults under ``service_config`` -> ``omics``, and what people type there.

Connection URIs and forms leave objects as text, and keys of ours end up in the wrong place.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from airflow_provider_omics.core.errors import GivenValue, Problem, SettingsError, show_value
from airflow_provider_omics.core.settings.approval import APPROVAL_FORM, is_approval_list
from airflow_provider_omics.core.settings.by_name import NAMES
from airflow_provider_omics.core.text import nearest_name
from airflow_provider_omics.core.uris import is_s3_uri

OBJECTS = ("service_config", "config_kwargs", "assume_role_kwargs")
"""Keys that the Amazon provider takes for objects, without a look."""

_OURS = re.compile(r"((aws|amazon)[\W_]*)?(health[\W_]*)?omics", re.IGNORECASE)
_SERVICES = re.compile(r"services?[\W_]*config", re.IGNORECASE)
_OF_A_CONNECTION = frozenset({"conn_type", "conn_id", "login", "password"})

# Keys of the same place that the Amazon provider reads itself.
_OF_THE_AMAZON_PROVIDER = frozenset({"endpoint_url"})

KINDS: Mapping[str, tuple[Any, str]] = {
    "default_run_setting": (Mapping, "a JSON object as AWS spells defaultRunSetting"),
    "require_settings": (list, "a list of setting names"),
    "staging_s3_uri": (str, "s3://bucket/prefix/"),
    "staging_kms_key_id": (str, "a KMS key id or ARN"),
    "results_s3_uri": (str, "s3://bucket/prefix/"),
    "results_kms_key_id": (str, "a KMS key id or ARN"),
    "tag_with_airflow_context": (bool, "true or false"),
    "mask_parameters": (bool, "true or false"),
    "calls_per_second": ((int, float), "a number above 0"),
    "pending_notice_seconds": ((int, float), "a number above 0"),
    "read_costs": (bool, "true or false"),
    "prices_uri": (str, "s3://bucket/key.json, or the path of a file"),
    "workflow_name": (str, "the name of a workflow"),
    "workflow_version_name": (str, "the name of a version of workflow_name"),
    "run_group_name": (str, "the name of a run group"),
    "cache_name": (str, "the name of a run cache"),
    "approved_workflows": (list, APPROVAL_FORM),
}
"""Keys of the block, each with its type and the allowed values."""


@dataclass(frozen=True)
class ConnectionDefaults:
    """A team's defaults for all its runs; a task's own arguments win, key by key.

    :param default_run_setting: as AWS spells ``defaultRunSetting``; merged under every run and batch.
    :param require_settings: names of settings (AWS's spelling) without which nothing is started.
    :param staging_s3_uri: where large lists of run settings are put: ``s3://bucket/prefix/``.
    :param staging_kms_key_id: KMS key for all that is put into the staging place, this one or a task's own.
    :param results_s3_uri: where results are written: ``s3://bucket/prefix/``.
    :param results_kms_key_id: KMS key for results and all that is kept beside them, here or in a task's own place.
    :param tag_with_airflow_context: tag runs and batches with DAG, task and run ids; default on.
    :param mask_parameters: show parameters in the UI as counts and keys only; default off.
    :param calls_per_second: budget of API calls for waits, per Region and process; default 5.
    :param connection: the connection, in the words of a message: ``"connection 'aws_default'"``.
    :param pending_notice_seconds: how long a run may stay PENDING before its wait logs the likely reason; default
        half an hour.
    :param read_costs: read what runs cost, where a task has a place for results; default off.
    :param prices_uri: USD per hour of instances and storage, as JSON in S3 or a file; None: those of the Price List.
    :param names: ``workflow_name``, ``workflow_version_name``, ``run_group_name`` and ``cache_name``, which are looked
        up for runs that name neither them nor their ids.
    :param approved_workflows: the only workflows that are started, each with some of ``workflow``, ``version`` and
        ``digest``; None: all.
    """

    default_run_setting: Mapping[str, Any] = field(default_factory=dict)
    require_settings: tuple[str, ...] = ()
    staging_s3_uri: str | None = None
    staging_kms_key_id: str | None = None
    results_s3_uri: str | None = None
    results_kms_key_id: str | None = None
    tag_with_airflow_context: bool = True
    mask_parameters: bool = False
    calls_per_second: float = 5.0
    pending_notice_seconds: float = 1800.0
    connection: str = "the connection"
    read_costs: bool = False
    prices_uri: str | None = None
    names: Mapping[str, str] = field(default_factory=dict)
    approved_workflows: tuple[Mapping[str, str], ...] | None = None

    @classmethod
    def from_service_config(cls, config: Mapping[str, Any], connection: str = "the connection") -> ConnectionDefaults:
        """Read the ``omics`` part of the connection's ``service_config``.

        :param config: the mapping, or the JSON text of its values; empty: all defaults.
        :param connection: the connection, in the words of a message. Default: "the connection".
        :return: the team defaults.
        :raises SettingsError: a key is unknown or a value has the wrong form; all problems at once.
        """
        if not isinstance(config, Mapping):
            where = "connection service_config['omics']"
            raise SettingsError([Problem(where, _shape(config), f"a JSON object with some of {', '.join(KINDS)}")])
        # Values of a connection are no parameters: as plain text they are shown even where parameters are masked. Not
        # those of unknown or misplaced keys, which may be secrets.
        problems: list[Problem] = []
        values: dict[str, Any] = {}
        for key, given in config.items():
            value = json_value(given) if isinstance(given, str) else given
            where = f"connection service_config['omics']['{key}']"
            if key in _OF_THE_AMAZON_PROVIDER:
                continue
            if key not in KINDS:
                near = nearest_name(str(key), KINDS)
                hint = f"did you mean {near}?" if near else f"known keys are {', '.join(KINDS)}"
                problems.append(Problem(where, _shape(value), f"unknown key; {hint}"))
                continue
            kind, allowed = KINDS[key]
            wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
            wrong = wrong or (key.endswith("_s3_uri") and not is_s3_uri(str(value)))
            wrong = wrong or (kind == (int, float) and not 0 < value < math.inf)
            wrong = wrong or (key == "require_settings" and not all(isinstance(name, str) for name in value))
            wrong = wrong or (key == "approved_workflows" and not is_approval_list(value))
            wrong = wrong or (key in NAMES and not value)
            if wrong:
                problems.append(Problem(where, str(show_value(value)), allowed))
                continue
            values[key] = tuple(value) if isinstance(value, list) else value
        if problems:
            raise SettingsError(problems)
        names = {name: values.pop(name) for name in NAMES if name in values}
        return cls(**values, connection=connection, names=names)


def _shape(value: Any) -> str:
    """Name the type and the size of a value, and never the value: what stands in a wrong place may be a secret."""
    shown = show_value(value)
    return type(value).__name__ if isinstance(shown, GivenValue) else shown


def parsed_extra(extra: Mapping[str, Any], conn_id: str) -> dict[str, Any]:
    """Parse the objects that a connection URI, or a form, has left as JSON text.

    :param extra: the connection's; not changed.
    :param conn_id: id of the connection, for the message.
    :return: the extra with objects.
    :raises SettingsError: a key is neither an object nor the JSON text of one; all problems at once.
    """
    parsed, problems = dict(extra), []

    def parse(holder: dict[str, Any], key: str, where: str) -> None:
        value = json_value(holder[key])
        if value is None or (isinstance(value, str) and not value.strip()):
            del holder[key]
        elif isinstance(value, Mapping):
            holder[key] = dict(value)
        else:
            shown = "text" if isinstance(value, str) else type(value).__name__
            allowed = "a JSON object, or its text; a connection URI carries objects in ?__extra__=..."
            problems.append(Problem(f"connection {conn_id!r} {where}[{key!r}]", shown, allowed))

    for key in OBJECTS:
        if key in parsed:
            parse(parsed, key, "extra")
    services: Any = parsed.get("service_config")
    for key in list(services) if isinstance(services, dict) else ():
        if not isinstance(services[key], Mapping):
            parse(services, key, "extra['service_config']")
    if problems:
        raise SettingsError(problems)
    return parsed


def json_value(value: Any) -> Any:
    """Parse the JSON text of an object or a list; everything else stays as it is.

    :param value: a value of the extra.
    """
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value


def misplaced_keys(extra: Mapping[str, Any], known: Collection[str], conn_id: str) -> str | None:
    """Find keys of ours where nobody reads them: settings such as ``mask_parameters`` would be lost silently.

    :param extra: the connection's, parsed.
    :param known: the keys of the ``omics`` block.
    :param conn_id: id of the connection.
    :return: one sentence that names them and their place; None: there are none.
    """
    services = extra.get("service_config") or {}
    found = [
        *(f"extra[{key!r}]" for key in extra if key in known or _OURS.fullmatch(str(key))),
        *(f"extra[{key!r}]" for key in extra if key != "service_config" and _SERVICES.fullmatch(str(key))),
        *(
            f"extra['service_config'][{key!r}]"
            for key in services
            if key != "omics" and (key in known or _OURS.fullmatch(str(key))) and key != "endpoint_url"
        ),
        # `airflow connections get` and `export` print a connection as an object with its extra inside.
        *(["extra['extra'], as extra is a whole connection"] if "extra" in extra else ()),
        *(
            f"extra[{key!r}], which is a whole connection"
            for key, value in extra.items()
            if isinstance(value, Mapping) and "extra" in value and _OF_A_CONNECTION & value.keys()
        ),
    ]
    if not found:
        return None
    return (
        f"Nothing reads {', '.join(found)} of connection {conn_id!r}: defaults of HealthOmics stand in its extra as "
        '{"service_config": {"omics": {...}}}'
    )
