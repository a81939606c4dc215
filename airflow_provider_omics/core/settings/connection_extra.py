"""The extra of an AWS connection as people type it: objects that are text, and keys of ours in the wrong place."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError

OBJECTS = ("service_config", "config_kwargs", "assume_role_kwargs")
"""Keys that the Amazon provider takes for objects, without a look."""

_OURS = re.compile(r"((aws|amazon)[\W_]*)?(health[\W_]*)?omics", re.IGNORECASE)
_SERVICES = re.compile(r"services?[\W_]*config", re.IGNORECASE)
_OF_A_CONNECTION = frozenset({"conn_type", "conn_id", "login", "password"})


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
