from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

PLUGIN = "airflow_provider_omics.emulator.pytest_plugin"

TESTS = """
import json
import os

import boto3


def test_stepped(omics_emulator):
    omics = omics_emulator.client()
    run = omics.start_run(workflowId="1234567", roleArn="arn:aws:iam::123456789012:role/omics", outputUri="s3://omics-results/o")
    assert omics.get_run(id=run["id"])["status"] == "PENDING"
    omics_emulator.advance(100_000)
    assert omics.get_run(id=run["id"])["status"] == "COMPLETED"
    omics_emulator.client("s3").create_bucket(Bucket="left-behind")


def test_every_test_starts_afresh(omics_emulator):
    assert omics_emulator.client().list_runs()["items"] == []
    assert [bucket["Name"] for bucket in omics_emulator.client("s3").list_buckets()["Buckets"]] == ["omics-results"]


def test_scaled(omics_emulator_scaled):
    before = omics_emulator_scaled.clock.now()
    omics_emulator_scaled.client().list_runs()
    assert (omics_emulator_scaled.clock.now() - before).total_seconds() > 1


def test_connection(omics_connection, omics_emulator):
    assert omics_connection["extra"]["endpoint_url"] == omics_emulator.url
    assert omics_connection["extra"]["service_config"]["omics"]["results_s3_uri"] == "s3://omics-results/results/"
    assert json.loads(os.environ["AIRFLOW_CONN_AWS_DEFAULT"]) == omics_connection
    assert [name for name in os.environ if name.startswith("AWS_")] == ["AWS_EC2_METADATA_DISABLED"]


def test_connection_scaled(omics_connection_scaled, omics_emulator_scaled):
    assert omics_connection_scaled["extra"]["endpoint_url"] == omics_emulator_scaled.url


def test_environment_is_given_back():
    assert "AIRFLOW_CONN_AWS_DEFAULT" not in os.environ
    assert os.environ["AWS_PROFILE"] == "somebody"
"""


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        check=False,
        # Loaded by -p alone, whether or not the package is installed with its entry point.
        env={
            **os.environ,
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "PYTHONPATH": os.pathsep.join(sys.path),
            **environment,
        },
    )


@pytest.mark.parametrize("module", [PLUGIN, "airflow_provider_omics.emulator", "airflow_provider_omics"])
def test_import_loads_the_standard_library_only(module: str) -> None:
    """The plugin is loaded in every pytest run of everyone who has the package: it loads nothing but pytest."""
    code = (
        "import sys, pytest\n"
        "before = set(sys.modules)\n"
        f"import {module}\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'airflow_provider_omics'}))\n"
    )
    assert run("-c", code).stdout.strip() == "[]"


def test_every_exported_name_loads() -> None:
    """The names that the package promises can be imported, and others are refused."""
    code = (
        "import airflow_provider_omics.emulator as emulator\n"
        "assert all(getattr(emulator, name) for name in emulator.__all__)\n"
        "assert sorted(emulator.__all__) == emulator.__all__\n"
        "try: emulator.Nonsense\n"
        "except AttributeError as error: print(error)\n"
    )
    assert run("-c", code).stdout.strip() == "module 'airflow_provider_omics.emulator' has no attribute 'Nonsense'"


def test_fixtures_serve_a_stranger(tmp_path: Path) -> None:
    """The fixtures work in somebody else's test run, under warnings as errors."""
    (tmp_path / "test_mine.py").write_text(TESTS)
    options = ["-p", PLUGIN, "-q", "-p", "no:cacheprovider", "-W", "error", "--rootdir", str(tmp_path), str(tmp_path)]
    result = run("-m", "pytest", *options, AWS_PROFILE="somebody", AWS_REGION="eu-west-1")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "6 passed" in result.stdout


def test_fixtures_are_named_omics() -> None:
    """No fixture of the plugin can meet one of the same name by accident."""
    code = f"import {PLUGIN} as plugin\nprint([name for name in vars(plugin) if 'omics_' in name])"
    names = run("-c", code).stdout
    assert names.count("omics_") == 4
