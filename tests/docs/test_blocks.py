"""What the documentation shows beside DAGs: commands, scripts, tests, scenarios, connections, outputs."""

from __future__ import annotations

import argparse
import json
import re
import runpy
import shlex
import sys
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from botocore.session import get_session

from airflow_provider_omics.__main__ import main as command_line
from airflow_provider_omics.core.settings.connection import ConnectionDefaults
from airflow_provider_omics.emulator.__main__ import add_arguments
from airflow_provider_omics.emulator.compare.__main__ import _parser as compare_parser
from airflow_provider_omics.retry_policy import HAS_POLICIES
from tests.docs.blocks import BLOCKS, ROOT, Block, files_of, of_kind

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator

EXTRAS = re.findall(r"^(\w+) = \[$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
TARGETS = re.findall(r"^([a-z0-9.-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE)
TEXTS = "".join(path.read_text() for path in (ROOT / "tests" / "diagnosis").glob("*/*.txt"))
README = (ROOT / "README.md").read_text()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder of a reader; what is shown runs in this process, which has loaded Airflow already."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def put_files(folder: Path, page: str) -> None:
    """Write the files of a page."""
    for found in files_of(page):
        (folder / found.title).write_text(found.text)


def check_command(line: str, folder: Path, page: str) -> None:
    """Check a line of a shell: what is ours is run or parsed, what is not has a subject that exists."""
    command, *rest = shlex.split(line)
    if command == "make":
        assert rest[0] in TARGETS
    elif command == "pip":
        assert [extra in EXTRAS for extra in re.findall(r"\[(\w+)\]", line)] == [True]
    elif command == "healthomics-emulator":
        parser = argparse.ArgumentParser()
        add_arguments(parser)
        options = parser.parse_args(rest)
        files = [found.title for found in files_of(page)]
        assert options.scenario is None or str(options.scenario) in files or (ROOT / options.scenario).is_file()
    elif rest[:2] == ["-m", "airflow_provider_omics.emulator.compare"]:
        compare_parser().parse_args(rest[2:])  # it would ask a real account
    elif rest[:3] == ["-m", "airflow_provider_omics", "emulator"]:
        check_command(shlex.join(["healthomics-emulator", *rest[3:]]), folder, page)
    elif command == "python":
        assert rest[:2] == ["-m", "airflow_provider_omics"]
        put_files(folder, page)
        assert command_line(rest[2:]) == 0
    elif command == "airflow":
        check_airflow(rest)
    elif command == "aws":
        known = get_session().get_service_model("omics").operation_names
        camel = "".join(word.title() for word in rest[1].split("-"))
        assert rest[0] == "s3" or camel in known
    else:
        assert command in ("export", "curl", "pytest"), line


def check_airflow(arguments: list[str]) -> None:
    """Check a command of Airflow by its own parser."""
    from airflow.cli.cli_parser import get_parser

    parser: argparse.ArgumentParser = get_parser()
    parser.parse_args(arguments)


def test_every_block_is_tested() -> None:
    """No block is of a kind that no test takes."""
    assert [block.name for block in BLOCKS if block.kind == "none"] == []


@pytest.mark.parametrize("block", of_kind("commands"), ids=lambda block: block.name)
def test_commands(block: Block, folder: Path, omics_connection: dict[str, Any]) -> None:
    """Each line is a command that there is; what asks HealthOmics asks the local one."""
    for line in block.text.splitlines():
        if line.strip():
            check_command(line, folder, block.page)


def test_curl(omics_emulator: OmicsEmulator) -> None:
    """Each call of the control API that is shown is answered."""
    lines = [line for block in of_kind("commands") for line in block.text.splitlines() if line.startswith("curl ")]
    for line in lines:
        words = shlex.split(line)
        url = next(word for word in words if word.startswith("http")).replace(
            "http://127.0.0.1:4568", omics_emulator.url
        )
        data = words[words.index("-d") + 1].encode() if "-d" in words else None
        method = words[words.index("-X") + 1] if "-X" in words else "GET"
        headers = dict([words[words.index("-H") + 1].split(": ", 1)]) if "-H" in words else {}
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - loopback
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - loopback
            assert answer.status == 200
    assert lines


@pytest.mark.parametrize("block", of_kind("scenario"), ids=lambda block: block.name)
def test_scenarios(block: Block, omics_emulator: OmicsEmulator) -> None:
    """The emulator takes each scenario."""
    omics_emulator.set_scenario(yaml.safe_load(block.text))


@pytest.mark.parametrize("block", of_kind("connection"), ids=lambda block: block.name)
def test_connections(block: Block) -> None:
    """Airflow and the hook take each connection."""
    shown = json.loads(block.text)

    read = ConnectionDefaults.from_service_config(shown["extra"]["service_config"]["omics"])

    assert shown["conn_type"] == "aws"
    assert read != ConnectionDefaults()


def test_scripts(folder: Path, omics_connection: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    """Each script runs, and prints what the block after it shows."""
    seen = 0
    for block, following in zip(BLOCKS, [*BLOCKS[1:], None], strict=True):
        if block.kind != "script":
            continue
        seen += 1
        put_files(folder, block.page)
        (folder / "script.py").write_text(block.text)
        if "OmicsRetryPolicy" in block.text and not HAS_POLICIES:
            with pytest.raises(RuntimeError, match=r"OmicsRetryPolicy needs Airflow 3\.3 or newer"):
                runpy.run_path("script.py", run_name="__main__")
            continue
        capsys.readouterr()
        runpy.run_path("script.py", run_name="__main__")
        if following is not None and following.kind == "output" and following.page == block.page:
            assert capsys.readouterr().out.endswith(following.text), block.name
    assert seen


def test_tests(folder: Path, airflow_home: Path, airflow_db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The tests that are shown pass in a project of their own, by the fixtures that the package brings."""
    blocks = of_kind("test")
    for number, block in enumerate(blocks):
        (folder / f"test_shown_{number}.py").write_text(block.text)
    dags = {found.title: found for block in blocks for found in files_of(block.page) if found.kind == "dag"}
    for title, found in dags.items():
        (airflow_home / "dags" / title).write_text(found.text)
    (folder / "pytest.ini").write_text(f"[pytest]\npythonpath = {airflow_home / 'dags'}\n")
    count = sum(len(re.findall(r"^def test_", block.text, re.MULTILINE)) for block in blocks)
    without = [f"-pno:{plugin}" for plugin in ("asyncio", "cacheprovider", "faulthandler")]

    status = pytest.main(["-q", "--import-mode=importlib", *without])
    for title in dags:
        (airflow_home / "dags" / title).unlink()
    for title in (*dags, *(path.name for path in folder.glob("test_*.py"))):
        sys.modules.pop(title.removesuffix(".py"), None)

    printed = capsys.readouterr().out
    assert status == pytest.ExitCode.OK, printed[-3000:]
    assert f"{count} passed" in printed


def test_outputs_are_held_by_a_test() -> None:
    """What is shown as printed is what a script of the same page prints, or a text that another test holds."""
    scripts = [block.page for block in of_kind("script")]
    loose = [
        block.name
        for block in of_kind("output")
        if block.page not in scripts and block.text not in TEXTS and block.text not in README
    ]

    # Held by test_architecture, test_readme, test_first_log and test_younger_fields.
    assert loose == ["architecture.md:1", "getting-started.md:6", "how-to/run.md:2", "how-to/run.md:3"]
