"""The parameters of a WDL workflow: the inputs of its main file, read by miniwdl."""

from __future__ import annotations

import asyncio
import importlib.util
import posixpath
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.emulator.definitions.archive import Archive, DefinitionError
from airflow_provider_omics.emulator.definitions.template import Template, parameter

if TYPE_CHECKING:
    from collections.abc import Iterator


def can_read() -> bool:
    """Return whether miniwdl is installed (extra ``wdl``)."""
    return importlib.util.find_spec("WDL") is not None


def template(archive: Archive, main: str, *, strict: bool) -> Template:
    """Find the parameters of a workflow.

    Inputs that are optional by type or have a default are optional (User Guide, "Parameter template files"). Inputs of
    calls that the workflow leaves open are none of its parameters.

    :param archive: the definition.
    :param main: path of the main file.
    :param strict: whether an optional value where one is needed is an error: engine WDL, and not WDL_LENIENT.
    :return: the parameters.
    :raises DefinitionError: the main file, or one that it imports, is no valid WDL, or is missing.
    """
    import WDL  # the extra is optional, and takes 0.1 s to load

    async def read_source(uri: str, _path: list[str], importer: Any) -> Any:
        folder = posixpath.dirname(importer.pos.abspath) if importer is not None else ""
        name = posixpath.normpath(posixpath.join(folder, uri))
        if name not in archive:
            # Of the network, too, nothing is read: runs have none (User Guide, "Workflow definition requirements").
            raise DefinitionError(f"{uri} is imported, but not in the workflow definition")
        # miniwdl documents the name, and does not list it.
        return WDL.ReadSourceResult(archive.read_text(name), name)  # type: ignore[attr-defined]

    # WDL.load() of miniwdl 1.12 takes the event loop of its thread, and the server's threads have none.
    loop = asyncio.new_event_loop()
    try:
        document = loop.run_until_complete(WDL.load_async(main, read_source=read_source, check_quant=strict))
    except (
        WDL.Error.SyntaxError,
        WDL.Error.ImportError,
        WDL.Error.ValidationError,
        WDL.Error.MultipleValidationErrors,
    ) as error:
        raise DefinitionError("; ".join(_problems(error, main))) from None
    finally:
        loop.close()
    if document.workflow is None:
        raise DefinitionError(f"{main} has no workflow")
    described = document.workflow.parameter_meta
    return {
        declared.name: parameter(
            optional=declared.type.optional or declared.expr is not None,
            description=_description(described.get(declared.name)),
        )
        for declared in document.workflow.inputs or ()
    }


def _description(meta: Any) -> Any:
    return meta.get("description", meta.get("help")) if isinstance(meta, dict) else meta


def _problems(error: BaseException, main: str) -> Iterator[str]:
    """Go through the problems of one error of miniwdl: it may hold others, or stand for the file of an import."""
    inner = list(getattr(error, "exceptions", ())) or ([error.__cause__] if error.__cause__ is not None else [])
    if inner:
        for cause in inner:
            yield from _problems(cause, main)
        return
    position = getattr(error, "pos", None)
    place = f"{position.abspath or main} line {position.line}: " if position is not None else ""
    yield f"{place}{' '.join(str(error).split())}"
