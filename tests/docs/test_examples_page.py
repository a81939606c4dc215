"""The page of example DAGs lists those that there are."""

from __future__ import annotations

import re

from tests.docs.blocks import DOCS, ROOT


def test_examples() -> None:
    """Every example has its row, and every row its example."""
    rows = re.findall(r"^\| (`example_.*?) \|", (DOCS / "examples.md").read_text(encoding="utf-8"), re.MULTILINE)
    listed = {name for row in rows for name in re.findall(r"`(\w+\.py)`", row)}

    assert listed == {path.name for path in (ROOT / "example_dags").glob("example_*.py")}
