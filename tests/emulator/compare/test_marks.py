"""What the emulator assumes is asked of a real account, or says why it cannot be asked."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from airflow_provider_omics import emulator
from airflow_provider_omics.emulator.compare.questions import QUESTIONS

FOLDER = Path(emulator.__file__).parent
SOURCES = sorted(path for path in FOLDER.rglob("*.py") if path.parent.name != "compare")
ASSUMES = re.compile(
    r"stricter than AWS is known to be|\bis an assumption|\bassume[sd]?\b|not\s+documented|undocumented"
    r"|AWS (?:does not say|documents (?:neither|no)|is silent)",
    re.IGNORECASE,
)
# Directly behind the words; an "either" or a colon may come between them.
MARK = re.compile(r"(?:, either)? \((?:asked: (?P<names>[a-z, -]+)|not asked: [^)]{10,})\)")


def assumptions() -> list[tuple[str, str]]:
    """Place of each assumption in the sources, and the text behind its words, comment signs and line ends apart."""
    found = []
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for match in ASSUMES.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            behind = re.sub(r"\s+(?:# )?\s*", " ", text[match.end() : match.end() + 400])
            found.append((f"{path.relative_to(FOLDER)}:{line}", behind))
    return found


@pytest.mark.parametrize(("place", "behind"), [pytest.param(*each, id=each[0]) for each in assumptions()])
def test_each_assumption_is_asked(place: str, behind: str) -> None:
    """``(asked: names of questions)`` stands behind it, or ``(not asked: why)``."""
    mark = MARK.match(behind)

    assert mark, f"{place} assumes something: name the question of emulator/compare behind it, or why there is none"
    if mark["names"]:
        assert set(mark["names"].split(", ")) <= {question.name for question in QUESTIONS}


def test_assumptions_are_found() -> None:
    """As many as there are, so that other words for them do not go unseen unnoticed."""
    assert len(assumptions()) == 14
