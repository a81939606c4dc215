"""Who may import whom: the rules that keep the package a house."""

from __future__ import annotations

import ast
import functools
import importlib.util
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.airflow_process import run_with_airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

PACKAGE = "airflow_provider_omics"
ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))

# The first name below the package -> the first names it may import. One way: operators, sensors -> jobs -> waiting,
# triggers, results, sheets -> hooks -> core. The operators reach the hook for their type, and jobs through one door.
BELOW_HOOKS = {"core", "exceptions", "hooks"}
ALLOWED = {
    "__init__": set[str](),
    "get_provider_info": set(),
    "core": {"core"},
    "exceptions": {"core"},
    "retry_policy": {"core", "exceptions"},
    "hooks": BELOW_HOOKS,
    "sheets": {*BELOW_HOOKS, "sheets"},
    "results": {*BELOW_HOOKS, "results", "sheets"},
    "links": {"core", "links"},
    "plugin": {*BELOW_HOOKS, "links", "plugin", "reports", "results"},
    "reports": {"core", "reports"},
    "waiting": {*BELOW_HOOKS, "waiting"},
    "triggers": {*BELOW_HOOKS, "triggers", "waiting"},
    "jobs": {*BELOW_HOOKS, "jobs", "links", "reports", "results", "sheets", "triggers", "waiting"},
    "sensors": {*BELOW_HOOKS, "links", "sensors", "triggers", "waiting"},
    "operators": {"core", "hooks", "jobs", "links", "operators"},
    "commands": {*BELOW_HOOKS, "commands", "emulator", "jobs", "reports", "results", "sheets"},
    "__main__": {"commands"},
    "decorators": {"core", "decorators", "operators"},
    "emulator": {"emulator"},
}
AWS_SDK = {"boto3", "botocore"}
# What every process that knows of us imports: Airflow's provider list, and every pytest run.
STANDARD_LIBRARY_ONLY = {
    "__init__.py": set[str](),
    "get_provider_info.py": set(),
    "plugin/__init__.py": {"airflow"},
    "emulator/__init__.py": set(),
    "emulator/pytest_plugin.py": {"pytest"},
}


class Import(NamedTuple):
    """One imported module: its dotted name, and whether the import runs when the importing module is loaded."""

    name: str
    at_load: bool


@functools.cache  # several tests ask about each module
def imports_of(path: Path) -> tuple[Import, ...]:
    """Find what a module imports, leaving out what only type checkers see."""
    return tuple(_imports(ast.parse(path.read_text(encoding="utf-8")), path, at_load=True))


def _imports(node: ast.AST, path: Path, *, at_load: bool) -> Iterator[Import]:
    if isinstance(node, ast.If) and ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}:
        children: list[ast.AST] = list(node.orelse)
    else:
        children = list(ast.iter_child_nodes(node))
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, at_load) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"{path.relative_to(ROOT)}:{node.lineno}: write imports in full"
        # `from package import module` imports the module as well.
        yield from (Import(f"{node.module}.{alias.name}", at_load) for alias in node.names)
    inside = at_load and not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    for child in children:
        if not isinstance(child, ast.expr):  # an import is a statement, and expressions, most of a tree, hold none
            yield from _imports(child, path, at_load=inside)


def top(name: str) -> str:
    return name.partition(".")[0]


def part(path: Path) -> str:
    """Name the part of the package that a file belongs to, such as ``core`` or ``exceptions``."""
    return path.relative_to(ROOT / PACKAGE).parts[0].removesuffix(".py")


each_module = pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT / PACKAGE)))


@each_module
def test_imports_point_one_way(path: Path) -> None:
    """A module imports only the parts of the package that lie below its own."""
    ours = {i.name.split(".")[1] for i in imports_of(path) if i.name.startswith(f"{PACKAGE}.")}

    assert ours - {"__version__"} <= ALLOWED[part(path)]


@each_module
def test_only_hooks_and_emulator_know_the_aws_sdk(path: Path) -> None:
    """Whatever speaks to AWS goes through a hook; the emulator plays AWS. Nothing needs aiobotocore."""
    found = {top(i.name) for i in imports_of(path)} & (AWS_SDK | {"aiobotocore", "moto"})

    assert found <= {"hooks": AWS_SDK, "emulator": AWS_SDK | {"moto"}}.get(part(path), set())


@pytest.mark.parametrize(
    "path", [p for p in MODULES if part(p) == "core"], ids=lambda path: str(path.relative_to(ROOT / PACKAGE))
)
def test_core_is_pure(path: Path) -> None:
    """Decisions depend on the standard library alone: no Airflow, no SDK, no third party."""
    foreign = {top(i.name) for i in imports_of(path)} - sys.stdlib_module_names - {PACKAGE}

    assert not foreign


@pytest.mark.parametrize(("name", "also"), STANDARD_LIBRARY_ONLY.items(), ids=STANDARD_LIBRARY_ONLY)
def test_what_everyone_loads_is_cheap(name: str, also: set[str]) -> None:
    """Modules loaded by every Airflow process or pytest run load the standard library only."""
    at_load = {i.name for i in imports_of(ROOT / PACKAGE / name) if i.at_load}

    assert {top(module) for module in at_load} <= sys.stdlib_module_names | also


@pytest.mark.parametrize(
    "path", [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))], ids=lambda path: str(path.relative_to(ROOT))
)
def test_nothing_is_mocked(path: Path) -> None:
    """A mock agrees with any mistake: code and tests use the emulator through real clients instead."""
    says_mock = "mock" in path.read_text(encoding="utf-8")  # few files do, and only they need be parsed

    assert not says_mock or not [i.name for i in imports_of(path) if i.name.startswith(("unittest.mock", "mock."))]


def test_dag_files_stay_cheap_to_parse() -> None:
    """Importing operators and sensors loads neither aiobotocore nor moto, and makes no AWS client."""
    modules = [
        f"{PACKAGE}.{kind}.{path.stem}"
        for kind in ("operators", "sensors", "links")
        for path in sorted((ROOT / PACKAGE / kind).glob("*.py"))
        if path.stem != "__init__"
    ]
    # A client is made from its service's model, so no client is made as long as no model is opened.
    program = """
import importlib, json, sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
for name in sys.argv[1:]:
    importlib.import_module(name)
heavy = {"aiobotocore", "moto", "flask_cors", "pytest", "airflow_provider_omics.emulator"} & set(sys.modules)
print("RESULT", json.dumps([sorted(heavy), [path for path in opened if "service-2.json" in path]]))
"""
    done = run_with_airflow(program, *modules)

    assert done.returncode == 0, done.stderr
    heavy, models = json.loads(done.stdout.rpartition("RESULT")[2])
    assert modules
    assert heavy == []
    assert models == []


# What a start operator needs when its task runs; the class bodies of the operators need none of it.
RUNNING_TASKS_ONLY = (
    f"{PACKAGE}.core.attempt",
    f"{PACKAGE}.core.batch",
    f"{PACKAGE}.core.commands",
    f"{PACKAGE}.core.failure",
    f"{PACKAGE}.core.settings.requests",
    f"{PACKAGE}.core.wait",
    f"{PACKAGE}.hooks.run_logs",
    f"{PACKAGE}.hooks.s3",
    f"{PACKAGE}.jobs",
    f"{PACKAGE}.reports",
    f"{PACKAGE}.results",
    f"{PACKAGE}.sheets.read",
    f"{PACKAGE}.triggers",
    f"{PACKAGE}.waiting",
)


def loaded_with(names: list[str]) -> set[str]:
    """Import modules in a process of its own, and name all that it has loaded then."""
    program = f"import sys, {', '.join(names)}; print('LOADED', *sys.modules)"
    done = run_with_airflow(program)
    assert done.returncode == 0, done.stderr
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert set(names) <= loaded
    return loaded


def test_operators_load_late_what_a_running_task_needs() -> None:
    """A DAG file that imports the operators loads no trigger, no results, nothing that starts, judges or explains."""
    operators = [f"{PACKAGE}.operators.{name}" for name in ("run", "run_batch", "run_group")]

    assert not set(RUNNING_TASKS_ONLY) & loaded_with(operators)


# What neither a wait nor a cancel needs. The reader of manifests is for runs that vanish.
NOT_FOR_WAITS = (
    "aiobotocore",
    f"{PACKAGE}.core.attempt",
    f"{PACKAGE}.core.batch",
    f"{PACKAGE}.core.cost",
    f"{PACKAGE}.core.failure",
    f"{PACKAGE}.core.findings",
    f"{PACKAGE}.core.settings.checks",
    f"{PACKAGE}.core.settings.fields",
    f"{PACKAGE}.core.settings.names",
    f"{PACKAGE}.core.settings.requests",
    f"{PACKAGE}.core.sheet",
    f"{PACKAGE}.emulator",
    f"{PACKAGE}.hooks.run_logs",
    f"{PACKAGE}.hooks.s3",
    f"{PACKAGE}.jobs",
    f"{PACKAGE}.reports",
    f"{PACKAGE}.results",
    f"{PACKAGE}.sheets",
)


def test_triggers_load_what_a_wait_needs() -> None:
    """A triggerer holds in memory what waits need: nothing that starts, judges, explains, collects or reports."""
    triggers = [f"{PACKAGE}.triggers.{name}" for name in ("run", "run_batch")]

    assert not set(NOT_FOR_WAITS) & loaded_with(triggers)


@pytest.mark.parametrize("name", sorted({*RUNNING_TASKS_ONLY, *NOT_FOR_WAITS} - {"aiobotocore"}))
def test_what_running_tasks_need_is_there(name: str) -> None:
    """A module that is renamed is renamed in the list as well, else nothing would be looked for."""
    assert importlib.util.find_spec(name) is not None
