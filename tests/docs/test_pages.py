"""Each page answers one question, and begins with the answer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.docs.blocks import DOCS

if TYPE_CHECKING:
    from pathlib import Path

PAGES = sorted(path for path in DOCS.rglob("*.md") if "reference" not in path.parts)
BESIDE_TEXT = ("#", "|", "`" * 3, "!", "- ", "1. ", ":::")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_page_begins_with_the_answer(path: Path) -> None:
    """Below the title stands a paragraph, no heading, table or list."""
    _, _, below = path.read_text(encoding="utf-8").partition("\n")
    first = below.strip().partition("\n\n")[0]

    assert not first.startswith(BESIDE_TEXT), first
    assert len(first.split()) >= 8


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(DOCS).as_posix())
def test_a_page_has_one_title(path: Path) -> None:
    """The title is the first line, and the only one of its kind."""
    text = re.sub(r"^```.*?^```$", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)

    assert text.startswith("# ")
    assert len(re.findall(r"^# ", text, re.MULTILINE)) == 1
