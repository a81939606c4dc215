"""README is true of results as well: its line is one, its code runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

import pytest

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord

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
