"""The blocks of code of the documentation, told apart by what a test does with them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
_FENCE = re.compile(r"^```(\w*)(?: title=\"([^\"]+)\")?\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code.

    :param page: path of its page below ``docs``.
    :param language: as the page names it.
    :param title: name of the file that it is, if it is one.
    :param text: its lines.
    :param number: its place on the page.
    """

    page: str
    language: str
    title: str
    text: str
    number: int = 0

    @property
    def kind(self) -> str:
        """What is done with it: dag, test, script, policy, connection, scenario, commands, output, file or none."""
        if self.language == "python":
            return "dag" if "with DAG(" in self.text else "test" if "def test_" in self.text else "script"
        if self.language == "json":
            if '"Statement"' in self.text:
                return "policy"
            return "connection" if '"service_config"' in self.text else "file" if self.title else "none"
        kinds = {"yaml": "scenario", "sh": "commands", "text": "output", "csv": "file"}
        return kinds.get(self.language, "none")

    @property
    def dag_id(self) -> str:
        """The id of its DAG; "" if it has none."""
        found = re.search(r'with DAG\(\s*"(\w+)"', self.text)
        return found[1] if found else ""

    @property
    def name(self) -> str:
        """How a test calls it."""
        return f"{self.page}:{self.dag_id or self.title or self.number}"


def read_blocks() -> list[Block]:
    """Read the blocks of all pages, in their order."""
    pages = sorted(DOCS.rglob("*.md"))
    return [
        Block(page.relative_to(DOCS).as_posix(), language, title, text, number)
        for page in pages
        for number, (language, title, text) in enumerate(_FENCE.findall(page.read_text(encoding="utf-8")), 1)
    ]


BLOCKS = read_blocks()


def of_kind(kind: str) -> list[Block]:
    """Give the blocks of a kind."""
    return [block for block in BLOCKS if block.kind == kind]


def files_of(page: str) -> list[Block]:
    """Give the files that a page shows: sheets, scenarios, documents."""
    return [block for block in BLOCKS if block.page == page and block.title]
