"""The page of the architecture is true: the tree, who may import whom, and each file and function that it names."""

from __future__ import annotations

import ast
import re

from tests.contract.test_imports import ALLOWED, PACKAGE
from tests.docs.blocks import DOCS, ROOT, of_kind

TEXT = (DOCS / "architecture.md").read_text(encoding="utf-8")
ROADS = TEXT.partition("\n## The road of a run")[2].partition("\n## Facts of the service")[0]
LEFT_OUT = {"__init__", "get_provider_info"}
"""Parts of the package that the page leaves out."""


def test_tree() -> None:
    """The tree has every room of the package, and each file and folder in it exists."""
    ((first, *lines),) = [block.text.splitlines() for block in of_kind("output") if block.page == "architecture.md"]
    named = set()
    folder = ""
    for line in lines:
        depth = (len(line) - len(line.lstrip())) // 2
        folder = folder if depth > 1 else ""
        for name in re.findall(r"(?<= )\w+(?:/|\.py)(?= |$)", line[:46]):
            named.add(folder + name)
            folder = name if depth == 1 else folder

    assert first == f"{PACKAGE}/"
    assert [name for name in sorted(named) if not (ROOT / PACKAGE / name).exists()] == []
    assert {name.partition("/")[0].removesuffix(".py") for name in named} == set(ALLOWED) - LEFT_OUT
    assert {path.stem for path in (ROOT / PACKAGE / "jobs").glob("*.py")} - {"__init__"} == {
        name.removeprefix("jobs/").removesuffix(".py") for name in named if re.fullmatch(r"jobs/\w+\.py", name)
    }


def test_who_may_import_whom() -> None:
    """The table is the one that the contract test walks; a room may import itself."""
    table = TEXT.partition("\n## Who may import whom")[2].partition("\n## ")[0]
    told = {}
    for rooms, imports in re.findall(r"^\| (`.*?) \| (.*?) \|$", table, re.MULTILINE):
        for room in re.findall(r"`(\w+)`", rooms):
            told[room] = set(re.findall(r"`(\w+)`", imports))

    assert told == {room: allowed - {room} for room, allowed in ALLOWED.items() if room not in LEFT_OUT}


def test_files_and_functions() -> None:
    """Each file that the roads name exists, and has the class or function that is named behind it."""
    named = re.findall(r"`((?:\w+/)*\w+\.py)`(?:\s+`([\w.]+)`)?", ROADS)
    missing = []
    for file, name in named:
        path = ROOT / file if file.startswith("tests/") else ROOT / PACKAGE / file
        defined = {
            node.name
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        }
        if name and not set(name.split(".")) <= defined:
            missing.append((file, name))

    assert len(named) > 50
    assert missing == []
