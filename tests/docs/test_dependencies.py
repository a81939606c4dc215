"""The page of dependencies names those that there are, with their ranges."""

from __future__ import annotations

import re

from tests.docs.blocks import DOCS, ROOT


def test_dependencies() -> None:
    """Every requirement of pyproject.toml has its place on the page, and the page has no other."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(
        r"^(?!requires|license|keywords|classifiers)[\w-]+ = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL
    )
    requirements = {
        found for text in lists for found in re.findall(r'^    "([\w\[\],-]+[<>=]=?[^"]+)",', text, re.MULTILINE)
    }
    requirements |= set(re.findall(r'^parquet = \["([^"]+)"\]', project, re.MULTILINE))

    page = (DOCS / "dependencies.md").read_text(encoding="utf-8")

    assert set(re.findall(r"`([\w\[\],-]+>=[^`]+)`", page)) == requirements
    assert len(requirements) > 20
