"""The built distribution, in the hands of a stranger.

Our pytest plugin is loaded in every pytest run of everyone who has the package installed, most of whom have come for
the operators: it must cost them nothing, need nothing, and break nothing.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

import airflow_provider_omics
from airflow_provider_omics.get_provider_info import get_provider_info

ROOT = Path(__file__).parents[2]
UV = [sys.executable, "-m", "uv"]

pytestmark = pytest.mark.xdist_group("wheel")  # built once, on one worker

STRANGER = """
import sys

def test_something_else():
    heavy = {"aiobotocore", "airflow", "boto3", "botocore", "moto", "yaml"}
    assert not heavy & set(sys.modules)
    assert "airflow_provider_omics.emulator.pytest_plugin" in sys.modules
"""
ASKS = """
def test_asks(omics_emulator):
    raise AssertionError("must not be reached")
"""


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a command as a user would, untouched by this test run's own pytest settings."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
    return subprocess.run(command, cwd=cwd, env=environment, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source distribution and the wheel that was built from it."""
    folder = tmp_path_factory.mktemp("dist")
    done = run(*UV, "build", "--quiet", "--out-dir", folder, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def wheel(dist: Path) -> Path:
    """The wheel."""
    (found,) = dist.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def bare_python(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An interpreter with pytest and the wheel, but with none of the wheel's dependencies."""
    folder = tmp_path_factory.mktemp("bare") / "venv"
    python = folder / "bin" / "python"
    install = [*UV, "pip", "install", "--quiet", "--python", str(python)]
    for command in (
        [*UV, "venv", "--quiet", "--python", sys.executable, str(folder)],
        [*install, "pytest"],
        [*install, "--no-deps", str(wheel)],
    ):
        done = run(*command, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    return python


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment with the wheel, what it requires, and nothing else."""
    folder = tmp_path_factory.mktemp("installed") / "venv"
    airflow = f"apache-airflow=={version('apache-airflow')}"
    install = [*UV, "pip", "install", "--quiet", "--python", str(folder / "bin" / "python"), str(wheel), airflow]
    for command in ([*UV, "venv", "--quiet", "--python", sys.executable, str(folder)], install):
        done = run(*command, cwd=ROOT)
        assert done.returncode == 0, done.stderr
    (packages,) = folder.glob("lib/python*/site-packages")
    share_bytecode(Path(sysconfig.get_path("purelib")), packages)
    return folder / "bin"


def share_bytecode(packages: Path, others: Path) -> None:
    """Link to the bytecode of the packages here: to compile Airflow takes twice as long as to ask it.

    Python compares time and size of a source with what its bytecode was made of, and compiles what differs.
    """
    for folder in others.iterdir():
        if folder.is_dir() and (packages / folder.name).is_dir():
            share_bytecode(packages / folder.name, folder)
    bytecode = packages / "__pycache__"
    if bytecode.is_dir():
        (others / bytecode.name).mkdir(exist_ok=True)
        for path in bytecode.iterdir():
            with suppress(FileExistsError):  # some wheels bring bytecode
                (others / bytecode.name / path.name).symlink_to(path)  # written anew, it is no link any more


# Airflow takes seconds to load, so that one process tells all that is asked of an environment.
TELLS = """
import contextlib, importlib, importlib.util, io, json, runpy, sys

program, *modules = sys.argv[1:]
told = {"has_moto": importlib.util.find_spec("moto") is not None}
told["modules"] = [importlib.import_module(name).__name__ for name in modules]
for what in ("list", "links", "hooks"):
    sys.argv = [program, "providers", what, "--output", "json"]
    code, printed = 0, io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            runpy.run_path(program, run_name="__main__")
        except SystemExit as end:
            code = end.code
    assert not code, (what, code, printed.getvalue())
    told[what] = json.loads(printed.getvalue().splitlines()[-1])  # Airflow 3.0 on Python 3.10 logs before
print("TOLD", json.dumps(told))
"""


def told_modules() -> list[str]:
    """All modules that Airflow is told of."""
    info = get_provider_info()
    groups = [group for kind in ("hooks", "operators", "sensors", "triggers") for group in info[kind]]
    return sorted({name for group in groups for name in group["python-modules"]})


@pytest.fixture(scope="module")
def told(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the environment of the wheel tells: our modules are imported first, then Airflow's command runs thrice."""
    home = tmp_path_factory.mktemp("home")
    program: list[str | Path] = [installed / "python", "-c", TELLS, installed / "airflow"]
    done = run("env", f"AIRFLOW_HOME={home}", *program, *told_modules(), cwd=home)
    assert done.returncode == 0, done.stderr
    answers: dict[str, Any] = json.loads(done.stdout.rpartition("TOLD")[2])
    return answers


def test_child_processes_import_what_this_process_imports() -> None:
    """Be it an installed wheel or the tree: ``python -c`` and ``-m`` look into the current folder first."""
    program = "import airflow_provider_omics; print(airflow_provider_omics.__file__)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == airflow_provider_omics.__file__


def test_wheel_is_complete(wheel: Path) -> None:
    """The wheel has every module and data file of the package, its licence, and nothing else."""
    package = ROOT / "airflow_provider_omics"
    expected = {
        path.relative_to(ROOT).as_posix() for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc"
    }
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())

    assert {name for name in names if ".dist-info/" not in name} == expected
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_source_distribution_has_what_tests_read(dist: Path) -> None:
    """The source distribution has the tests, and every file that they read, hidden ones included."""
    folders = (".ci", ".github", "airflow_provider_omics", "benchmarks", "docs", "example_dags", "tests")
    files = [
        ROOT / name for name in (".pre-commit-config.yaml", "Makefile", "mkdocs.yml", "pyproject.toml", "README.md")
    ]
    files += [path for name in folders for path in (ROOT / name).rglob("*") if path.is_file()]
    (found,) = dist.glob("*.tar.gz")
    with tarfile.open(found) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}

    assert {path.relative_to(ROOT).as_posix() for path in files if path.suffix != ".pyc"} <= names


def test_strangers_tests_pass_without_our_dependencies(bare_python: Path, tmp_path: Path) -> None:
    """Without any dependency of ours, a stranger's tests run, with the plugin loaded."""
    (tmp_path / "test_stranger.py").write_text(STRANGER)

    done = run(bare_python, "-W", "error", "-m", "pytest", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_strangers_tests_stay_light_with_everything_installed(tmp_path: Path) -> None:
    """With everything installed, our plugin still loads none of it."""
    (tmp_path / "test_stranger.py").write_text(STRANGER)

    done = run(sys.executable, "-m", "pytest", cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


@pytest.mark.parametrize("present", [(), ("boto3", "flask", "moto", "yaml")], ids=["all", "one"])
def test_missing_extra_is_one_clear_sentence(bare_python: Path, tmp_path: Path, present: tuple[str, ...]) -> None:
    """A fixture that is asked for without the extra, or with a part of it, says what to install, and nothing more."""
    (tmp_path / "test_asks.py").write_text(ASKS)
    for name in present:
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("")

    done = run(bare_python, "-m", "pytest", "-rE", cwd=tmp_path)

    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    assert "pip install 'airflow-provider-omics[emulator]'" in done.stdout
    assert "Traceback" not in done.stdout
    assert "1 error" in done.stdout


def test_airflow_finds_an_installed_wheel(told: dict[str, Any]) -> None:
    """Airflow lists the provider and its links, and all connection forms load beside it."""
    providers = {row["package_name"]: row for row in told["list"]}
    links = {row["extra_link_class_name"] for row in told["links"]}
    hooks = {row["connection_type"]: row for row in told["hooks"]}

    assert "AWS HealthOmics" in providers["airflow-provider-omics"]["description"]
    assert set(get_provider_info()["extra-links"]) <= links
    assert hooks["aws"]["package_name"] == "apache-airflow-providers-amazon"
    assert "omics" not in " ".join(hooks)


def test_everything_imports_from_an_installed_wheel(told: dict[str, Any]) -> None:
    """All modules that Airflow is told of import without the extra, which brings moto and is not there."""
    assert told["has_moto"] is False
    assert told["modules"] == told_modules() != []
