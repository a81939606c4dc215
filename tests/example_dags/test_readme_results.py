"""README is true of results as well: its line is one, its code runs, its sheet is one."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from airflow_provider_omics.core.run_record import RecordStatus, RunRecord
from airflow_provider_omics.core.sample_sheet import SampleSheet
from airflow_provider_omics.sheets import open_runs

README = (Path(__file__).parents[2] / "README.md").read_text()
(SECTION,) = re.findall(r"^## Results\n(.*?)^## ", README, re.MULTILINE | re.DOTALL)
(SHOWN,) = re.findall(r"^```json\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A results file: the line of README, and three samples that completed."""
    shown = RunRecord.from_json(json.loads(SHOWN))
    completed = {**shown.to_json(), "status": "COMPLETED"}
    lines = [shown.to_json(), *({**completed, "run_setting_id": name} for name in ("NA12878", "NA12892", "HG002"))]
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path


def test_line() -> None:
    """The line shows keys that there are, and the text names every status."""
    assert json.loads(SHOWN).keys() <= {field.name for field in fields(RunRecord)}
    assert all(re.search(rf"\b{status.value}\b", SECTION) for status in RecordStatus)


def test_code(results: Path) -> None:
    """The code prints what failed, and how many tasks the others make."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)

    done = subprocess.run([sys.executable, "-c", code], cwd=results, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == ["NA12891 OUT_OF_MEMORY_ERROR P7", "2 mapped tasks"]


def test_sheet(results: Path) -> None:
    """The mapping makes a run of each completed sample."""
    (mapping,) = re.findall(r"`sample_sheet=(\{.*?\}\})`", SECTION, re.DOTALL)
    sheet = json.loads(re.sub(r"\{\{.*?results_uri'\] \}\}", str(results / "results.jsonl"), mapping))

    with open_runs(SampleSheet.from_mapping(sheet)) as runs:
        settings = {run.setting["runSettingId"]: run.setting["parameters"] for run in runs}

    assert settings["HG002"] == {"gvcf_dir": "s3://omics-results/10000001", "patient": "P7"}
    assert set(settings) == {"NA12878", "NA12892", "HG002"}
