"""The parameters of a Nextflow workflow: its ``nextflow_schema.json``, else the ``params`` of its source."""

from __future__ import annotations

import json
import posixpath
import re
from typing import Any

from airflow_provider_omics.emulator.definitions.archive import Archive, DefinitionError
from airflow_provider_omics.emulator.definitions.template import Template, parameter

_SCHEMA = "nextflow_schema.json"
_CONFIG = "nextflow.config"
# Comments, and strings, in which a // starts none. Groovy's slashy strings are left out: they look like divisions.
_COMMENT_OR_STRING = re.compile(
    r"(?P<comment>/\*.*?\*/|//[^\n]*)|'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\"", re.DOTALL
)
_USED = re.compile(r"\bparams\.(\w+)(\s*[({])?")
_ASSIGNED = re.compile(r"\bparams\.(\w+)\s*=(?![=~])")
_BLOCK = re.compile(r"\bparams\s*\{")
# `name = value` and, in the params block of Nextflow 25.10, `name: Type = value` and `name: Type`.
_LINE = re.compile(r"^\s*(\w+)\s*(?::\s*[\w<>?, ]+?\s*)?(=(?![=~])|$)", re.MULTILINE)


def template(archive: Archive, main: str) -> Template:
    """Find the parameters of a workflow.

    The schema beside the main file tells which are required. Without one, the parameters are those that main file and
    ``nextflow.config`` mention, and those with a default are optional (User Guide, "Parameter template files"). The
    rest of the source is not checked.

    :param archive: the definition.
    :param main: path of the main file.
    :return: the parameters.
    :raises DefinitionError: the schema cannot be understood.
    """
    folder = posixpath.dirname(main)
    schema = posixpath.join(folder, _SCHEMA)
    if schema in archive:
        return _of_schema(archive.read_text(schema), schema)
    config = posixpath.join(folder, _CONFIG)
    texts = [archive.read_text(name) for name in (main, config) if name in archive]
    return _of_source("\n".join(texts))


def _of_schema(text: str, name: str) -> Template:
    try:
        schema = json.loads(text)
    except ValueError as error:
        raise DefinitionError(f"{name} is not valid JSON: {error}") from None
    if not isinstance(schema, dict):
        raise DefinitionError(f"{name} must hold a JSON object")
    found: Template = {}
    # Groups of parameters: `$defs` of draft 2020-12, `definitions` of draft 07.
    for section in (schema, *_groups(schema, name, "$defs"), *_groups(schema, name, "definitions")):
        properties, required = section.get("properties", {}), section.get("required", [])
        if not isinstance(properties, dict) or not isinstance(required, list):
            raise DefinitionError(f"{name}: properties must be an object, and required a list")
        for parameter_name, entry in properties.items():
            description = entry.get("description") if isinstance(entry, dict) else None
            found[parameter_name] = parameter(optional=parameter_name not in required, description=description)
    for parameter_name in schema.get("required", []):
        if parameter_name in found:
            found[parameter_name]["optional"] = False
    return found


def _groups(schema: dict[str, Any], name: str, key: str) -> list[dict[str, Any]]:
    groups = schema.get(key, {})
    if not isinstance(groups, dict) or not all(isinstance(group, dict) for group in groups.values()):
        raise DefinitionError(f"{name}: {key} must hold objects")
    return list(groups.values())


def _of_source(text: str) -> Template:
    text = _COMMENT_OR_STRING.sub(lambda found: "" if found["comment"] else found[0], text)
    with_default = set(_ASSIGNED.findall(text))
    # A call, as in params.each { }, is no parameter.
    names = dict.fromkeys(name for name, call in _USED.findall(text) if not call)
    for block in _blocks(text):
        for name, value in _LINE.findall(block):
            names[name] = None
            if value:
                with_default.add(name)
    return {name: parameter(optional=name in with_default) for name in names}


def _blocks(text: str) -> list[str]:
    """Return the contents of each ``params { }``, without those of blocks inside it."""
    blocks = []
    for start in _BLOCK.finditer(text):
        depth, content = 1, []
        for character in text[start.end() :]:
            depth += (character == "{") - (character == "}")
            if depth == 0:
                break
            content.append(character if depth == 1 else "")
        blocks.append("".join(content))
    return blocks
