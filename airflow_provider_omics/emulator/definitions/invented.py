"""Definitions for the workflows that a scenario declares without one."""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from airflow_provider_omics.emulator.definitions.archive import pack
from airflow_provider_omics.emulator.definitions.template import Template


def invent(engine: str, name: str, template: Template | None) -> bytes:
    """Make a definition with the parameters of a template: it has nothing else to it.

    :param engine: WDL, WDL_LENIENT, NEXTFLOW or CWL.
    :param name: name of the workflow, and of the version.
    :param template: the parameters; None: none.
    :return: the zip archive, the same each time.
    """
    return _invent(engine, name, json.dumps(template or {}))


@lru_cache(maxsize=256)
def _invent(engine: str, name: str, template: str) -> bytes:
    parameters: Template = json.loads(template)
    if engine == "CWL":
        inputs = {key: {"type": f"string{'?' * _optional(entry)}"} for key, entry in parameters.items()}
        document = {"cwlVersion": "v1.2", "class": "Workflow", "label": name, "inputs": inputs}
        return pack({"main.cwl": json.dumps({**document, "outputs": {}, "steps": {}}, indent=2)})
    if engine == "NEXTFLOW":
        schema = {
            "title": name,
            "type": "object",
            "properties": {
                key: {"type": "string", "description": entry.get("description", "")}
                for key, entry in parameters.items()
            },
            "required": [key for key, entry in parameters.items() if not _optional(entry)],
        }
        return pack(
            {
                "main.nf": "workflow {\n    log.info 'invented by the emulator'\n}\n",
                "nextflow_schema.json": json.dumps(schema, indent=2),
            }
        )
    inputs_of_wdl = "".join(
        f"    String{'?' * _optional(entry)} {key}\n" for key, entry in parameters.items() if key.isidentifier()
    )
    return pack({"main.wdl": f"version 1.0\n# {name}\nworkflow invented {{\n  input {{\n{inputs_of_wdl}  }}\n}}\n"})


def _optional(entry: dict[str, Any]) -> bool:
    return bool(entry.get("optional"))
