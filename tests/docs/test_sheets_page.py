"""The page of sheets is true: its mappings map, its error is what is told."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.sheets import run_settings_from_sheet
from tests.conftest import _load
from tests.docs.blocks import BLOCKS, files_of

if TYPE_CHECKING:
    from pathlib import Path

PAGE = "sheets.md"
(TOLD,) = [block.text for block in BLOCKS if block.page == PAGE and "problems in the settings" in block.text]


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the page, its DAGs and sheets."""
    monkeypatch.chdir(tmp_path)
    for found in files_of(PAGE):
        (tmp_path / found.title).write_text(found.text)
    return tmp_path


def test_mappings(page: Path) -> None:
    """Lanes become lists, tumour and normal are told apart, and a workflow gets a sheet of its own."""

    def settings(name: str, task: str, **more: Any) -> dict[str, Any]:
        operator: Any = _load(page / f"{name}.py").get_task(task)
        return {found["runSettingId"]: found for found in run_settings_from_sheet(operator.sample_sheet, **more)}

    given: dict[str, str] = {}

    def uri(run_setting_id: str, text: str) -> str:
        given[run_setting_id] = text
        return f"s3://staging/{run_setting_id}.csv"

    lanes = settings("lanes", "align")
    somatic = {name: each["parameters"] for name, each in settings("somatic", "call").items()}
    nf_core = settings("nf_core", "rnaseq", input_sheet_uri=uri)

    assert [len(pair) for pair in lanes["NA12878"]["parameters"]["pairs"]] == [2, 2]
    assert lanes["NA12891"]["parameters"]["pairs"][0][1] is None
    assert somatic["P001"]["tumour"].endswith("P001_tumour.bam")
    assert [patient for patient, parameters in somatic.items() if "normal" not in parameters] == ["P002"]
    assert nf_core["WT_REP1"]["parameters"] == {"genome": "GRCh38", "input": "s3://staging/WT_REP1.csv"}
    assert given["WT_REP1"].splitlines()[0] == "sample,fastq_1,fastq_2,strandedness"


def test_error(tmp_path: Path) -> None:
    """The command tells what the page shows."""
    rows = ["NA12878,s3://reads/1.cram,30", "NA12891,s3://reads/2.cram,30", "NA12878,s3://reads/3.cram,thirty"]
    (tmp_path / "samples.csv").write_text("\n".join(["sample,reads,depth", *rows, ",s3://reads/4.cram,30"]))
    parameters = {"cram": "{reads}", "depth": "{depth}", "bed": "{panel}"}
    mapping = {"run_setting_id": "{sample}", "types": {"depth": "int"}, "parameters": parameters}
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    command, _, told = TOLD.partition("\n")

    done = subprocess.run(
        [sys.executable, *command.split()[2:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (1, told)
