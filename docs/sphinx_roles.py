"""A griffe extension: what docstrings say in Sphinx's markup, said in Markdown, of which the site is made.

Roles become links (``:class:`~a.b.C``` -> ``[C][a.b.C]``), literal blocks and ``code-block`` become fenced code, tables
drawn with equals signs become Markdown's, and ``:return:`` of a class is what its task returns. A role that names
nothing fails the build; one that names what the reference leaves out is no link.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from griffe import Alias, Extension, Module, Object

PACKAGE = "airflow_provider_omics"
_ROLE = re.compile(r":(?:class|func|meth|mod|data|attr|exc):`(~?)([\w.]+)`")
_DIRECTIVE = re.compile(r"^\.\. code-block:: (\w+)$")
_SEVERAL = re.compile(r"^:raises \(([\w, ]+)\): (.*)$")
_RETURN = re.compile(r"^:return: (.*(?:\n    .*)*)\n?", re.MULTILINE)


class SphinxRoles(Extension):
    """Rewrites the docstrings that the reference shows, once the package is loaded."""

    def on_package(self, *, pkg: Module, **_: Any) -> None:
        """Rewrite the docstrings of a package; called by griffe."""
        if pkg.name != PACKAGE:
            return
        pages = (Path(__file__).parent / "reference").glob("*.md")
        documented = [name for page in pages for name in re.findall(r"^::: (\S+)$", page.read_text(), re.MULTILINE)]
        for found in _objects(pkg):
            if found.docstring is not None and _is_shown(found.path, documented):
                found.docstring.value = _markdown(found.docstring.value, found, documented)


def _objects(parent: Object) -> Iterator[Object]:
    yield parent
    for member in parent.members.values():
        if isinstance(member, Object):  # an alias, which an import makes, has its docstring elsewhere
            yield from _objects(member)


def _markdown(text: str, place: Object, documented: list[str]) -> str:
    text = _ROLE.sub(lambda role: _link(role, place, documented), text)
    text = "\n".join(_tables(list(_blocks(text.splitlines()))))
    returned = _RETURN.search(text) if place.is_class else None
    if returned:
        body, fields, rest = _RETURN.sub("", text).partition("\n:param ")
        text = f"{body.rstrip()}\n\nThe task returns {' '.join(returned[1].split())}\n{fields}{rest}"
    return text


def _blocks(lines: list[str]) -> Iterator[str]:
    inside = False
    blank = 0
    for line in lines:
        if inside and not line.strip():
            blank += 1
            continue
        if inside and not line.startswith(" "):
            inside = False
            yield from ("```", "")
        elif inside:
            yield from [""] * blank
            yield line.removeprefix("    ")
            blank = 0
            continue
        blank = 0
        directive = _DIRECTIVE.match(line)
        if directive or (line.endswith("::") and not line.startswith(":")):
            if line != "::" and not directive:
                yield line[:-1]
            yield from ("", f"```{directive[1] if directive else 'python' if line != '::' else 'text'}")
            inside, blank = True, -1  # the blank line after the directive is no part of the block
        elif several := _SEVERAL.match(line):
            yield from (f":raises {name.strip()}: {several[2]}" for name in several[1].split(","))
        else:
            yield line
    if inside:
        yield "```"


def _link(role: re.Match[str], place: Object, documented: list[str]) -> str:
    short, target = role[1], role[2]
    shown = f"`{target.rpartition('.')[2] if short else target}`"
    full = _full_name(target, place)
    if not _is_shown(full, documented) or not place.package[full.removeprefix(f"{PACKAGE}.")].has_docstring:
        return shown
    return f"[{shown}][{full}]"


def _is_shown(path: str, documented: list[str]) -> bool:
    return any(path == name or path.startswith(f"{name}.") for name in documented)


def _full_name(target: str, place: Object) -> str:
    """Find what a name means where it stands: in the object, around it, or by its full name.

    :raises ValueError: it means nothing.
    """
    around: Object | None = place
    first, _, rest = target.partition(".")
    while around is not None:
        if first in around.members:
            member = around.members[first]
            base = member.target_path if isinstance(member, Alias) else member.path
            return f"{base}.{rest}" if rest else str(base)
        around = around.parent
    if target.startswith(f"{PACKAGE}."):
        place.package[target.removeprefix(f"{PACKAGE}.")]  # KeyError: there is no such thing
        return target
    if target in sys.stdlib_module_names:
        return target
    raise ValueError(f"{place.path}: {target} names nothing")


def _tables(lines: list[str]) -> list[str]:
    rulers = [number for number, line in enumerate(lines) if re.fullmatch(r"=+( +=+)+", line)]
    if not rulers:
        return lines
    head, body, end = rulers
    columns = [found.start() for found in re.finditer("=+", lines[head])]
    header, *rows = [_row(line, columns) for line in (*lines[head + 1 : body], *lines[body + 1 : end])]
    return [*lines[:head], header, "| --- " * len(columns) + "|", *rows, *lines[end + 1 :]]


def _row(line: str, columns: list[int]) -> str:
    cells = [line[start:stop].strip() for start, stop in zip(columns, [*columns[1:], None], strict=True)]
    return f"| {' | '.join(cells)} |"
