"""The page of example DAGs lists those that there are, and shows the connection that they need."""

from __future__ import annotations

import json
import re
from typing import Any

from tests.docs.blocks import DOCS, ROOT, of_kind

LEADS_THERE = ("endpoint_url", "config_kwargs")


def test_examples() -> None:
    """Every example has its row, and every row its example."""
    rows = re.findall(r"^\| (`example_.*?) \|", (DOCS / "examples.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}

    assert listed == {path.name for path in (ROOT / "example_dags").glob("example_*.py")}


def test_connection(omics_connection: dict[str, Any]) -> None:
    """The connection that is shown is the local HealthOmics', but for what leads there."""
    (shown,) = [json.loads(block.text) for block in of_kind("connection") if block.page == "examples.md"]
    extra = {key: value for key, value in omics_connection["extra"].items() if key not in LEADS_THERE}

    assert shown == {"conn_type": "aws", "extra": extra}
