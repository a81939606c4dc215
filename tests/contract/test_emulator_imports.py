"""Who may import whom inside the emulator: its rooms point one way, and no modules stand in a circle."""

from __future__ import annotations

import ast
import functools
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

PACKAGE = "airflow_provider_omics"
EMULATOR = f"{PACKAGE}.emulator"
ROOT = Path(__file__).parents[2]

# Room -> the rooms that it may import. What stands outside of the rooms: the service's facts below all of them, the
# entrances above.
ROOMS = {
    "script": {"script", "facts"},
    "definitions": {"definitions"},
    "life": {"life", "definitions", "script", "facts"},
    "api": {"api", "life", "definitions", "script", "facts"},
    "http": {"http", "api", "life", "script", "facts"},
    "compare": {"compare", "http", "script", "facts", "entrances"},
    "facts": {"facts"},
    "entrances": {"entrances", "http", "script"},
}
OUTSIDE = {
    "errors": "facts",
    "model": "facts",
    "request_check": "facts",
    "statuses": "facts",
    "__init__": "entrances",
    "__main__": "entrances",
    "pytest_plugin": "entrances",
}


def modules_of(root: Path) -> dict[str, Path]:
    """Dotted names of the emulator's modules below a root folder; a package is named by itself."""
    paths = sorted((root / PACKAGE / "emulator").rglob("*.py"))
    return {".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__"): path for path in paths}


@functools.cache  # a test a module asks for the graph of all of them
def imports_of(path: Path) -> frozenset[str]:
    """Dotted names that a module imports anywhere: at the top, inside functions, and for type checkers only."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return frozenset(names)


def graph_of(root: Path) -> dict[str, set[str]]:
    """Module -> the modules of the emulator that it imports, or takes names from."""
    modules = modules_of(root)
    graph: dict[str, set[str]] = {}
    for name, path in modules.items():
        found = {i if i in modules else i.rpartition(".")[0] for i in imports_of(path)}
        graph[name] = {i for i in found if i in modules}
    return graph


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules of one circle, in order; none: empty."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def room_of(name: str) -> str:
    first = name.removeprefix(EMULATOR).removeprefix(".").partition(".")[0] or "__init__"
    return first if first in ROOMS else OUTSIDE[first]


MODULES = modules_of(ROOT)
each_module = pytest.mark.parametrize("name", MODULES, ids=lambda name: name.removeprefix(f"{PACKAGE}."))


def test_no_circles() -> None:
    """No module of the emulator imports itself by way of others, not even for type checkers."""
    assert circle_in(graph_of(ROOT)) == []


@pytest.mark.parametrize(
    "closing",
    [
        f"from {EMULATOR}.api.one import x",
        f"from {EMULATOR}.api import one",
        f"import {EMULATOR}.api.one",
        f"if TYPE_CHECKING:\n    from {EMULATOR}.api.one import x",
        f"def late():\n    from {EMULATOR}.api.one import x",
    ],
    ids=["name", "module", "plain", "type checking", "inside a function"],
)
def test_circles_are_found(tmp_path: Path, closing: str) -> None:
    """Each way to write the import that closes a circle counts."""
    folder = tmp_path / PACKAGE / "emulator" / "api"
    folder.mkdir(parents=True)
    (folder / "one.py").write_text(f"from {EMULATOR}.api.two import y\n")
    (folder / "two.py").write_text(closing)

    assert set(circle_in(graph_of(tmp_path))) == {f"{EMULATOR}.api.one", f"{EMULATOR}.api.two"}


@each_module
def test_rooms_point_one_way(name: str) -> None:
    """Who answers knows the operations, these know life, and life knows the script; never the other way."""
    assert {room_of(i) for i in graph_of(ROOT)[name]} <= ROOMS[room_of(name)]


@each_module
def test_emulator_shares_nothing_with_the_rest(name: str) -> None:
    """An independent witness takes nothing from what it is a witness of, type checkers' imports included."""
    ours = {i for i in imports_of(MODULES[name]) if i.split(".")[0] == PACKAGE}

    assert {i for i in ours if i != EMULATOR and not i.startswith(f"{EMULATOR}.")} == set()
