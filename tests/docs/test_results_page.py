"""The page of results is true of a record: its line is one, and its table has every status."""

from __future__ import annotations

import json
import re
from dataclasses import fields
from pathlib import Path

from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
(SHOWN,) = re.findall(r"^```json title=\"record.json\"\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def test_line() -> None:
    """The line shows keys that there are, and the table has every status."""
    shown = json.loads(SHOWN)

    assert shown.keys() <= {field.name for field in fields(RunRecord)}
    assert RunRecord.from_json(shown).status is RecordStatus.FAILED
    assert set(re.findall(r"^\| ([A-Z_]+) \|", PAGE, re.MULTILINE)) == {status.value for status in RecordStatus}
