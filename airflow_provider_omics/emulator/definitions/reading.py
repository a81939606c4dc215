"""A definition, read as CreateWorkflow reads it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import PurePosixPath

from airflow_provider_omics.emulator.definitions import cwl, nextflow, wdl
from airflow_provider_omics.emulator.definitions.archive import Archive, DefinitionError
from airflow_provider_omics.emulator.definitions.template import Template

_ENGINES = {".wdl": "WDL", ".nf": "NEXTFLOW", ".cwl": "CWL"}
_SUFFIXES = {"WDL": ".wdl", "WDL_LENIENT": ".wdl", "NEXTFLOW": ".nf", "CWL": ".cwl"}
# API reference, CreateWorkflow.
_LONGEST_MAIN = 128


@dataclass(frozen=True)
class Definition:
    """What a definition says.

    :param engine: WDL, WDL_LENIENT, NEXTFLOW or CWL.
    :param main: path of the main file in the archive.
    :param template: its parameters; None: not known, so that a run may have any.
    :param unchecked: what was not checked, as a sentence; None: all that the emulator can check was.
    """

    engine: str
    main: str
    template: Template | None
    unchecked: str | None = None


def read(body: bytes, *, engine: str | None = None, main: str | None = None) -> Definition:
    """Read a definition.

    :param body: the zip archive.
    :param engine: engine that the request names; None: found by the files in the archive.
    :param main: path of the main file that the request names; None: found.
    :return: the definition.
    :raises DefinitionError: it cannot become a workflow.
    """
    archive = Archive(body)
    engine = engine or _engine_of(archive, main)
    main = _main_of(archive, engine, main)
    if engine == "CWL":
        return Definition(engine, main, cwl.template(archive, main))
    if engine == "NEXTFLOW":
        return Definition(engine, main, nextflow.template(archive, main))
    if not wdl.can_read():
        unchecked = f"Not checked: {main} was not read, because the emulator has no miniwdl"
        return Definition(engine, main, None, f"{unchecked} (pip install 'airflow-provider-omics[emulator,wdl]')")
    return Definition(engine, main, wdl.template(archive, main, strict=engine == "WDL"))


def main_of(engine: str) -> str:
    """Return the usual name of the main file: ``main.wdl``."""
    return f"main{_SUFFIXES[engine]}"


def digest(body: bytes) -> str:
    """Return the digest of a definition.

    :param body: the zip archive.
    :return: ``sha256:`` and 64 hexadecimal digits.
    """
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _engine_of(archive: Archive, main: str | None) -> str:
    if main is not None and PurePosixPath(main).suffix in _ENGINES:
        return _ENGINES[PurePosixPath(main).suffix]
    found = sorted({_ENGINES[suffix] for name in archive.names if (suffix := PurePosixPath(name).suffix) in _ENGINES})
    if len(found) == 1:
        return found[0]
    if found:
        raise DefinitionError(f"The workflow definition has files of {' and '.join(found)}: specify the engine")
    raise DefinitionError("The workflow definition has no .wdl, .nf or .cwl file")


def _main_of(archive: Archive, engine: str, asked: str | None) -> str:
    if asked is not None:
        name = str(PurePosixPath(asked))
        if name not in archive:
            raise DefinitionError(f"The main file {asked} is not in the workflow definition")
        return name
    suffix = _SUFFIXES[engine]
    candidates = [name for name in archive.names if PurePosixPath(name).suffix == suffix]
    if not candidates:
        raise DefinitionError(f"The workflow definition has no {suffix} file, which the engine {engine} needs")
    if len(candidates) > 1:
        mains = [name for name in candidates if PurePosixPath(name).stem == "main"]
        # A repository's archive has one folder at its top; modules may have a main file each, further down.
        depth = min((name.count("/") for name in mains), default=0)
        candidates = [name for name in mains if name.count("/") == depth]
    if len(candidates) != 1 or len(candidates[0]) > _LONGEST_MAIN:
        raise DefinitionError(
            f"The workflow definition has several {suffix} files, and not one that is called main{suffix}: specify main"
        )
    return candidates[0]
