"""The definition of a workflow, read: a folder, a zip archive here or in S3, or a repository at a commit."""

from __future__ import annotations

import asyncio
import importlib.util
import io
import os
import posixpath
import re
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from pathspec import GitIgnoreSpec

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.release.definition import archive, check_size, digest_of, digest_of_files
from airflow_provider_omics.core.uris import is_s3_uri, s3_address
from airflow_provider_omics.hooks.s3 import S3Store

LONGEST_URI = 256
"""API reference, CreateWorkflow ``definitionUri``."""

_FORMS = "a folder, a .zip file, s3://bucket/key.zip, or a dict as AWS spells definitionRepository"
_REPOSITORY = ("connectionArn", "fullRepositoryId", "sourceReference", "excludeFilePatterns")


@dataclass(frozen=True)
class Definition:
    """A definition that has been read.

    :param digest: of its files, or of the repository and its commit.
    :param files: path -> content; None: they lie in a repository, which is not read here.
    :param source: the member of CreateWorkflow for a definition that HealthOmics reads by itself; None: its files have
        to be sent.
    :param commit: of the repository; None: it is none.
    """

    digest: str
    files: Mapping[str, bytes] | None = None
    source: Mapping[str, Any] | None = None
    commit: str | None = None

    def archive(self) -> bytes:
        """Pack the files: the same bytes for the same files."""
        return archive(self.files or {})


def read_definition(given: Any, store: Callable[[], S3Store]) -> Definition:
    """Read a definition.

    :param given: a folder, a zip archive, an S3 URI of one, or ``definitionRepository`` as AWS spells it.
    :param store: returns the store that reads from S3.
    :return: the definition.
    :raises SettingsError: it is none of these, has no files, or leads out of its folder.
    :raises ServiceError: S3 refused, or did not get through.
    """
    if isinstance(given, Mapping):
        return _repository(given)
    if isinstance(given, str) and is_s3_uri(given):
        return _object(given, store())
    if not isinstance(given, (str, os.PathLike)) or not str(given):
        raise SettingsError([Problem("definition", repr(given)[:80], _FORMS)])
    path = Path(given)
    try:
        if path.is_dir():
            files = _folder(path)
        else:
            with path.open("rb") as packed:
                files = _unpacked(packed.read(), str(path))
    except OSError as error:
        raise SettingsError([Problem("definition", str(given), f"{_FORMS}: {error.strerror}")]) from error
    return Definition(digest_of_files(files), files)


def _repository(given: Mapping[str, Any]) -> Definition:
    problems = [
        Problem(f"definition[{name!r}]", "given", f"one of {', '.join(_REPOSITORY)}")
        for name in given
        if name not in _REPOSITORY
    ]
    problems += [
        Problem(f"definition[{name!r}]", repr(given.get(name)), "text, as AWS spells definitionRepository")
        for name in _REPOSITORY[:2]
        if not isinstance(given.get(name), str) or not given[name]
    ]
    reference = given.get("sourceReference")
    reference = reference if isinstance(reference, Mapping) else {}
    commit = reference.get("value")
    if reference.get("type") != "COMMIT" or not re.fullmatch("[0-9a-f]{7,64}", str(commit)):
        allowed = "{'type': 'COMMIT', 'value': the commit's hash}: a branch or a tag may be another definition tomorrow"
        problems.append(Problem("definition['sourceReference']", repr(given.get("sourceReference")), allowed))
    if problems:
        raise SettingsError(problems)
    return Definition(digest_of({**given}), source={"definitionRepository": {**given}}, commit=str(commit))


def _object(uri: str, store: S3Store) -> Definition:
    if not all(s3_address(uri)) or len(uri) > LONGEST_URI:
        allowed = f"s3://bucket/key.zip, at most {LONGEST_URI} characters"
        raise SettingsError([Problem("definition", repr(uri), allowed)])
    with store.get(uri) as found:
        check_size({uri: found.size}, uri)
        files = _unpacked(found.stream.read(), uri)
    return Definition(digest_of_files(files), files, {"definitionUri": uri})


def _unpacked(body: bytes, source: str) -> dict[str, bytes]:
    """Read the files of an archive, so that a folder and its archive have the same digest."""
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as packed:
            # What macOS adds to an archive is no part of the definition.
            infos = [each for each in packed.infolist() if not each.is_dir() and "__MACOSX" not in each.filename]
            outside = [each.filename for each in infos if _leads_out(each)]
            if outside:
                raise SettingsError([Problem("definition", outside[0], "a path inside of the archive, and no link")])
            check_size({each.filename: each.file_size for each in infos}, source)
            return {str(PurePosixPath(each.filename)): packed.read(each) for each in infos}
    except (zipfile.BadZipFile, zlib.error, NotImplementedError, RuntimeError, EOFError) as error:
        # RuntimeError: a password is wanted; NotImplementedError: an unusual compression.
        raise SettingsError([Problem("definition", source, f"a folder or a zip archive: {error}")]) from error


def _leads_out(info: zipfile.ZipInfo) -> bool:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    return path.is_absolute() or ".." in path.parts or stat.S_ISLNK(info.external_attr >> 16)


def _folder(root: Path) -> dict[str, bytes]:
    """Read the files of a folder that its ``.gitignore``s do not exclude; ``.git`` is none of them."""
    found = dict(_walk(root, root.resolve(), ()))
    check_size({name: path.stat().st_size for name, path in found.items()}, str(root))
    return {name: path.read_bytes() for name, path in found.items()}


def _walk(
    folder: Path, root: Path, above: tuple[tuple[str, GitIgnoreSpec], ...], at: str = ""
) -> Iterator[tuple[str, Path]]:
    ignored = folder / ".gitignore"
    rules = above
    if ignored.is_file():
        lines = ignored.read_text(encoding="utf-8", errors="replace").splitlines()
        rules = (*above, (at, GitIgnoreSpec.from_lines(lines)))
    for path in sorted(folder.iterdir()):
        name = f"{at}{path.name}"
        is_folder = path.is_dir()
        if path.name == ".git" or _is_ignored(f"{name}/" if is_folder else name, rules):
            continue
        if path.is_symlink() and (is_folder or not path.resolve().is_relative_to(root)):
            allowed = "files of the folder itself: a link to a folder, or out of it, is not followed"
            raise SettingsError([Problem("definition", f"{name} -> {path.readlink()}", allowed)])
        if is_folder:
            yield from _walk(path, root, rules, f"{name}/")
        elif path.is_file():
            yield name, path
        elif path.is_symlink():
            raise SettingsError([Problem("definition", f"{name} -> {path.readlink()}", "a link to a file that exists")])


def _is_ignored(name: str, rules: tuple[tuple[str, GitIgnoreSpec], ...]) -> bool:
    """Look whether a file is excluded: the deepest ``.gitignore`` that says anything of it decides (gitignore(5))."""
    for at, spec in reversed(rules):
        said = spec.check_file(name.removeprefix(at)).include
        if said is not None:
            return said
    return False


def check_wdl(definition: Definition, engine: str | None, main: str | None) -> str | None:
    """Check a WDL definition as its authors do, before HealthOmics does.

    :param definition: the definition.
    :param engine: ``WDL``, ``WDL_LENIENT``, another, or None: the main file says.
    :param main: path of the main file; None: ``main.wdl``, or the only WDL file at the top.
    :return: what was not checked, and why; None: the definition was checked.
    :raises SettingsError: the workflow is not valid.
    """
    if definition.files is None:
        return "the definition: HealthOmics alone reads the repository"
    top = [name for name in definition.files if name.endswith(".wdl") and "/" not in name]
    main = main or ("main.wdl" if "main.wdl" in top else top[0] if len(top) == 1 else None)
    if engine not in ("WDL", "WDL_LENIENT", None) or (engine is None and not (main or "").endswith(".wdl")):
        return f"the definition: {engine or 'its engine'} has no check here"
    if main is None or main not in definition.files:
        raise SettingsError([Problem("main", repr(main), f"a WDL file of the definition: {', '.join(top) or 'none'}")])
    if importlib.util.find_spec("WDL") is None:
        return "the WDL: miniwdl is not installed (extra wdl)"
    _load_wdl(definition.files, main, strict=engine != "WDL_LENIENT")
    return None


def _load_wdl(files: Mapping[str, bytes], main: str, *, strict: bool) -> None:
    import WDL  # the extra is optional, and takes 0.1 s to load

    async def read_source(uri: str, _: list[str], importer: Any) -> Any:
        folder = posixpath.dirname(importer.pos.abspath) if importer is not None else ""
        name = posixpath.normpath(posixpath.join(folder, uri))
        if name not in files:
            # Nor from the network: runs have none (user guide, "Workflow definition requirements").
            raise FileNotFoundError(f"{uri} is imported, but not in the definition")
        return WDL.ReadSourceResult(files[name].decode(errors="replace"), name)  # type: ignore[attr-defined]  # not in __all__

    # WDL.load() of older releases takes the event loop of its thread, which may have none.
    loop = asyncio.new_event_loop()
    try:
        document = loop.run_until_complete(WDL.load_async(main, read_source=read_source, check_quant=strict))
    except (
        WDL.Error.SyntaxError,
        WDL.Error.ImportError,
        WDL.Error.ValidationError,
        WDL.Error.MultipleValidationErrors,
    ) as error:
        raise SettingsError([Problem(place, "WDL", text) for place, text in _faults(error, main)]) from error
    finally:
        loop.close()
    if document.workflow is None:
        raise SettingsError([Problem("main", repr(main), "a WDL file with a workflow")])


def _faults(error: BaseException, main: str) -> Iterator[tuple[str, str]]:
    """Go through the faults of one error of miniwdl: it may hold others, or stand for the file of an import."""
    inner = list(getattr(error, "exceptions", ())) or ([error.__cause__] if error.__cause__ is not None else [])
    for cause in inner:
        yield from _faults(cause, main)
    if not inner:
        position = getattr(error, "pos", None)
        place = main if position is None else f"{position.abspath or main} line {position.line}"
        yield place, " ".join(str(error).split())
