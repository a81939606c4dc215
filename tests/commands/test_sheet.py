"""``python -m airflow_provider_omics sheet``: sheets checked where there is no AWS and no Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_omics.__main__ import main

DATA = Path(__file__).parents[1] / "data"
NANOSEQ = str(DATA / "nfcore_nanoseq_full_samplesheet.csv")
MAPPING = {"path": "ignored.csv", "run_setting_id": "{group}_{replicate}", "parameters": {"reads": "{input_file}"}}


def option(name: str, document: Any, folder: Path) -> list[str]:
    """Write a document to a file; give the option that names it."""
    path = folder / f"{name}.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
    return [f"--{name}", str(path)]


def test_settings_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good sheet gives its run settings as one JSON array, and a line of counts beside it."""
    code = main(["sheet", NANOSEQ, *option("mapping", MAPPING, tmp_path)])
    printed = capsys.readouterr()

    assert code == 0
    found = json.loads(printed.out)
    assert [setting["runSettingId"] for setting in found] == [f"{g}_{n}" for g in ("A549", "K562") for n in (1, 2, 3)]
    assert printed.out.count("\n") == 8
    assert printed.err == "nfcore_nanoseq_full_samplesheet.csv: 6 rows, 6 runs\n"


def test_own_sheets_are_named_after_the_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With input_sheet, an address stands in for the one that only a started batch has."""
    mapping = {**MAPPING, "parameters": {}, "input_sheet": "input"}

    assert main(["sheet", NANOSEQ, *option("mapping", mapping, tmp_path)]) == 0
    assert json.loads(capsys.readouterr().out)[0]["parameters"] == {"input": "s3://staging-s3-uri/A549_1.csv"}


@pytest.mark.parametrize(
    "document", [{"reads": {}, "ref": {}}, {"id": "1", "parameterTemplate": {"reads": {}, "ref": {}}}]
)
def test_parameters_are_compared_with_the_workflow(
    document: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The template may be a file of its own or the answer of GetWorkflow; the default counts if it is given."""
    arguments = ["sheet", NANOSEQ, *option("mapping", MAPPING, tmp_path), *option("workflow", document, tmp_path)]
    default = {"outputUri": "s3://out/x", "parameters": {"ref": "GRCh38"}}

    assert main(arguments) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "sample_sheet['parameters']['ref'] = not set: required by the workflow" in printed.err
    assert main([*arguments, *option("default-run-setting", default, tmp_path)]) == 0


def test_the_default_is_part_of_the_checks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the batch's default given, what neither it nor the sheet has is missed."""
    code = main(["sheet", NANOSEQ, *option("mapping", MAPPING, tmp_path), *option("default-run-setting", {}, tmp_path)])

    assert code == 1
    assert "sample_sheet['output_uri'] = not set: every run needs an output URI" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("document", "told"),
    [
        ("{", "--mapping = '"),
        ("[]", "--mapping = list: a JSON object"),
        ({"prameters": {}}, "sample_sheet['prameters'] = dict of 0: unknown; did you mean 'parameters'?"),
        ({}, "line 3 column group = 'A549': unique in the batch; line 2 has the same"),
    ],
)
def test_problems_are_printed(document: Any, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever is wrong goes to standard error, nothing to standard output, and the exit code is 1."""
    code = main(["sheet", NANOSEQ, *option("mapping", document, tmp_path)])
    printed = capsys.readouterr()

    assert (code, printed.out) == (1, "")
    assert told in printed.err


def test_a_missing_file_is_a_problem(capsys: pytest.CaptureFixture[str]) -> None:
    """No traceback for a path that does not exist, of the sheet or of an option."""
    assert main(["sheet", "no.csv"]) == 1
    assert main(["sheet", NANOSEQ, "--workflow", "no.json"]) == 1
    printed = capsys.readouterr().err
    assert "sheet path = 'no.csv': No such file or directory" in printed
    assert "--workflow = 'no.json': a JSON file" in printed


def test_the_command_needs_neither_airflow_nor_aws(tmp_path: Path) -> None:
    """As a command of its own it loads none of them, and ends with its code."""
    program = (
        "import runpy, sys; sys.argv[0] = 'sheets'\n"
        "try: runpy.run_module('airflow_provider_omics', run_name='__main__')\n"
        "finally: print(sorted({'airflow', 'boto3', 'botocore', 'pyarrow'} & set(sys.modules)), file=sys.stderr)"
    )
    arguments = ["sheet", NANOSEQ, *option("mapping", MAPPING, tmp_path)]
    done = subprocess.run([sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False)
    failed = subprocess.run(
        [sys.executable, "-m", "airflow_provider_omics", "sheet", NANOSEQ], capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr.splitlines()[-1]) == (0, "[]")
    assert len(json.loads(done.stdout)) == 6
    assert (failed.returncode, failed.stdout) == (1, "")


def test_a_reader_may_leave_early(tmp_path: Path) -> None:
    """``| head`` ends the command quietly."""
    command = [sys.executable, "-m", "airflow_provider_omics", "sheet", str(DATA / "igsr_30x_samples.tsv")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.read(1) == b"["
        process.stdout.close()
        told = process.stderr.read()

    assert process.returncode == 0
    assert b"Traceback" not in told
