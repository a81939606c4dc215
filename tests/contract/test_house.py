"""The counts that keep the package a house: few classes above an operator, no circles, short roads."""

from __future__ import annotations

import ast
import os
import sys
import threading
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import airflow_provider_omics
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, perform, samples

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

PACKAGE = "airflow_provider_omics"
ROOT = Path(airflow_provider_omics.__file__).parent
MODULES = {
    ".".join((PACKAGE, *path.relative_to(ROOT).with_suffix("").parts)).removesuffix(".__init__"): path
    for path in sorted(ROOT.rglob("*.py"))
}


def ours(cls: type) -> list[type]:
    return [base for base in cls.__mro__ if base.__module__.startswith(f"{PACKAGE}.operators")]


def imported(tree: ast.AST) -> Iterator[tuple[ast.ImportFrom, str]]:
    """Find each import of ours, whether it runs at load, in a function, or for type checkers only."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(PACKAGE):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                yield node, full if full in MODULES else str(node.module)


@pytest.mark.parametrize("operator", [OmicsStartRunOperator, OmicsStartRunBatchOperator], ids=lambda cls: cls.__name__)
def test_few_classes_stand_above_an_operator(operator: type) -> None:
    """A start operator is its own class, two bases, and Airflow's."""
    assert len(ours(operator)) <= 4


def test_few_names_on_an_operator() -> None:
    """What the batch operator has beside its arguments, which are instance attributes."""
    names = {
        name
        for cls in ours(OmicsStartRunBatchOperator)
        for name in vars(cls)
        if not (name.startswith("__") and name.endswith("__") and name != "__init__")
    }

    assert len(names) <= 40, sorted(names)


def test_few_imports_inside_functions_of_operators() -> None:
    """An operator opens one door: more would be work that has stayed behind."""
    found = [
        (path.stem, target)
        for path in (ROOT / "operators").glob("*.py")
        for function in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(function, ast.FunctionDef)
        for _, target in imported(function)
    ]

    assert len(found) <= 8, found


def test_no_circles() -> None:
    """No module leads back to itself, whatever kind of import is followed."""
    edges = {
        name: {target for _, target in imported(ast.parse(path.read_text(encoding="utf-8")))} - {name}
        for name, path in MODULES.items()
    }
    done: set[str] = set()

    def visit(name: str, road: tuple[str, ...]) -> None:
        assert name not in road, " -> ".join((*road[road.index(name) :], name))
        if name not in done:
            for target in sorted(edges.get(name, ())):
                visit(target, (*road, name))
            done.add(name)

    for name in edges:
        visit(name, ())


@pytest.mark.parametrize(("room", "most"), [("core", 9), ("operators", 12)])
def test_rooms_are_not_crowded(room: str, most: int) -> None:
    """A folder shows its modules at a glance; what belongs together lies in a room of its own."""
    assert len([path for path in (ROOT / room).glob("*.py") if path.stem != "__init__"]) <= most


def walked(task: Any) -> dict[str, list[str]]:
    """Run a task in this thread, and note the functions of ours that it calls: file -> names.

    The emulator, class bodies, and what a function consists of (comprehensions, lambdas) are not counted.
    """
    found: set[tuple[str, int, str]] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        if event != "call" or not code.co_filename.startswith(str(ROOT)):
            return
        file = os.path.relpath(code.co_filename, ROOT)
        is_function = code.co_flags & 0x02 and not code.co_name.startswith("<")  # CO_NEWLOCALS
        if is_function and not file.startswith("emulator"):
            found.add((file, code.co_firstlineno, code.co_name))

    threading.setprofile(note)
    sys.setprofile(note)
    try:
        ended = perform(task)
    finally:
        sys.setprofile(None)
        threading.setprofile(None)
    assert ended.error is None
    files = defaultdict(list)
    for file, _, name in sorted(found):
        files[file].append(name)
    return files


@pytest.mark.parametrize(("kind", "functions", "files"), [("run", 90, 20), ("batch", 160, 34)])
def test_roads_are_short(emulator: OmicsEmulator, stepped: SteppedTime, kind: str, functions: int, files: int) -> None:
    """What somebody steps through who debugs a run, or a batch of five, that is waited for in a worker."""
    # A process reads botocore's data files once, for all its clients.
    assert OmicsHook().conn.meta.service_model.service_name == "omics"
    tasks = {
        "run": OmicsStartRunOperator(task_id="align", **RUN, deferrable=False),
        "batch": OmicsStartRunBatchOperator(
            task_id="cohort",
            default_run_setting=DEFAULT_RUN_SETTING,
            run_settings=samples(*"abcde"),
            deferrable=False,
        ),
    }

    road = walked(tasks[kind])

    print(f"{kind}: {sum(map(len, road.values()))} functions in {len(road)} files")  # noqa: T201  # with pytest -s
    for file, names in road.items():
        print(f"  {file}: {' '.join(names)}")  # noqa: T201
    assert (sum(map(len, road.values())) <= functions, len(road) <= files) == (True, True)
