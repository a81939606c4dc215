from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.failure.text import LONGEST_LINE, clean_line, clean_message, last_lines


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("\x1b[1;31mERROR\x1b[0m ~ no", "ERROR ~ no"),
        ("\x1b]0;title\x07done", "done"),
        ("10%\r50%\r100%", "100%"),
        ("ends with one\r\n", "ends with one"),
        ("a\tb", "a    b"),
        ("bell\x07 null\x00 del\x7f", "bell null del"),
        ("right\u202eleft zero\u200bwidth", "rightleft zerowidth"),
        ("line\u2028separator", "lineseparator"),
        ("x" * (LONGEST_LINE + 1), "x" * (LONGEST_LINE - 3) + "..."),
        ("\x1b", ""),
        ("größer 基因", "größer 基因"),
    ],
)
def test_clean_line(text: str, line: str) -> None:
    """Colours, progress bars and controls go, letters stay."""
    assert clean_line(text) == line


@given(st.text(alphabet=st.characters(codec=None)))
def test_any_text_becomes_one_printable_line(text: str) -> None:
    """Whatever a tool writes, the log gets one bounded line that every terminal and file can take."""
    line = clean_line(text)

    assert len(line) <= LONGEST_LINE
    assert len(line.splitlines()) <= 1
    assert not any(unicodedata.category(letter) in {"Cc", "Cs"} for letter in line)
    assert clean_line(line) == line


def test_last_lines() -> None:
    """Of many messages, some of several lines, the last lines are kept, empty ones not counted."""
    messages = ["one\ntwo", "", "three\n\n  four", "five\n"]

    assert last_lines(messages, 3) == ("three", "  four", "five")
    assert last_lines(messages, 99) == ("one", "two", "three", "  four", "five")
    assert last_lines(messages, 0) == ()


@pytest.mark.parametrize(("text", "message"), [(None, None), (" \n ", None), ("a\n  b\tc ", "a b c")])
def test_clean_message(text: str | None, message: str | None) -> None:
    """A service's sentence is one line, and an empty one is none."""
    assert clean_message(text) == message
