"""The parameters of a CWL workflow: the inputs of its main file, which is YAML."""

from __future__ import annotations

import posixpath
import re
from typing import Any

from airflow_provider_omics.emulator.definitions.archive import Archive, DefinitionError
from airflow_provider_omics.emulator.definitions.template import Template, parameter

# User Guide, "Version support": 1.0, 1.1 and 1.2.
_VERSIONS = ("v1.0", "v1.1", "v1.2")
_OPTIONAL_TYPE = re.compile(r"(?<=[\w\]])\?(?=\s*[,\]}])")
# Of Unicode's area for private use.
_STAND_IN = "\ue000"
_CLASSES = ("Workflow", "CommandLineTool", "ExpressionTool")


def template(archive: Archive, main: str) -> Template:
    """Find the parameters of a workflow.

    Inputs that may be null or have a default are optional; an input's label is its description (User Guide, "Parameter
    template files").

    :param archive: the definition.
    :param main: path of the main file; where it holds a ``$graph``, the process ``#main`` of it.
    :return: the parameters.
    :raises DefinitionError: the main file is no CWL, or a file that it runs is missing.
    """
    document = _load(archive, main)
    if document.get("cwlVersion") not in _VERSIONS:
        raise DefinitionError(f"{main}: cwlVersion is {document.get('cwlVersion')!r}, not {', '.join(_VERSIONS)}")
    process = _main_process(document, main)
    if process.get("class") not in _CLASSES:
        raise DefinitionError(f"{main}: class is {process.get('class')!r}, not one of {', '.join(_CLASSES)}")
    _check_steps(archive, main, process)
    return {name: _entry(main, name, given) for name, given in _by_id(process.get("inputs"), f"{main}: inputs").items()}


def _load(archive: Archive, name: str) -> dict[str, Any]:
    import yaml  # of the extra, as all that answers

    try:
        # PyYAML, which reads YAML 1.1, takes no question mark inside [] and {}: `{reads: File?}`.
        document = _restored(yaml.safe_load(_OPTIONAL_TYPE.sub(_STAND_IN, archive.read_text(name))))
    except yaml.YAMLError as error:
        raise DefinitionError(f"{name} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(document, dict):
        raise DefinitionError(f"{name} is no CWL document: it must hold a mapping")
    return document


def _restored(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace(_STAND_IN, "?")
    if isinstance(value, dict):
        return {_restored(key): _restored(item) for key, item in value.items()}
    return [_restored(item) for item in value] if isinstance(value, list) else value


def _main_process(document: dict[str, Any], main: str) -> dict[str, Any]:
    if "$graph" not in document:
        return document
    for process in document["$graph"] if isinstance(document["$graph"], list) else ():
        if isinstance(process, dict) and str(process.get("id", "")).removeprefix("#") == "main":
            return process
    raise DefinitionError(f"{main}: the $graph has no process #main")


def _check_steps(archive: Archive, main: str, process: dict[str, Any]) -> None:
    if process["class"] != "Workflow":
        return
    for step, given in _by_id(process.get("steps"), f"{main}: steps").items():
        run = given.get("run") if isinstance(given, dict) else None
        if run is None:
            raise DefinitionError(f"{main}: step {step} runs nothing")
        if not isinstance(run, str) or run.startswith("#"):
            continue
        name = posixpath.normpath(posixpath.join(posixpath.dirname(main), run.partition("#")[0]))
        if name not in archive:
            raise DefinitionError(f"{main}: step {step} runs {run}, which is not in the workflow definition")
        _load(archive, name)


def _by_id(given: Any, where: str) -> dict[str, Any]:
    """Turn a list of mappings with ``id`` into a mapping, which CWL takes as well."""
    if given is None:
        return {}
    if isinstance(given, list) and all(isinstance(item, dict) and "id" in item for item in given):
        return {str(item["id"]).rpartition("#")[2].rpartition("/")[2]: item for item in given}
    if isinstance(given, dict):
        return {str(name): value for name, value in given.items()}
    raise DefinitionError(f"{where} must be a mapping, or a list of mappings with an id")


def _entry(main: str, name: str, given: Any) -> dict[str, Any]:
    # `x: int?` and `x: [null, int]` stand for `x: {type: ...}`.
    full = given if isinstance(given, dict) and "type" in given else {"type": given}
    if full["type"] is None:
        raise DefinitionError(f"{main}: input {name} has no type")
    return parameter(optional=_may_be_null(full["type"]) or "default" in full, description=full.get("label"))


def _may_be_null(kind: Any) -> bool:
    if isinstance(kind, list):
        return any(_may_be_null(member) for member in kind)
    if isinstance(kind, dict):
        # The User Guide's `type: array?`.
        return _may_be_null(kind.get("type"))
    return kind is None or (isinstance(kind, str) and (kind == "null" or kind.endswith("?")))
