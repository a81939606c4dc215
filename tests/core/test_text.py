from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.text import LONGEST_LINE, clean_line, clean_message, last_lines, visible


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


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[31mred\x1b[0m", r"\x1b[31mred\x1b[0m"),
        ("two\nlines\r\n\tof\x85it", r"two\nlines\r\n\tof\x85it"),
        ("right\u202eleft", r"right\u202eleft"),
        ("a\u2028b\u200bc\ufeff", r"a\u2028b\u200bc\ufeff"),
        ("\ud800", r"\ud800"),
        ("\U000e0041", r"\U000e0041"),
        ("größer 基因\xa0~ \\x1b", r"größer 基因\xa0~ \x1b"),
        (
            "at https://b.s3.amazonaws.com/k?X-Amz-Date=1&X-Amz-Signature=ab now",
            "at https://b.s3.amazonaws.com/k?... now",
        ),
        ("https://b/k?AWSAccessKeyId=AK&Signature=x&Expires=1", "https://b/k?..."),
        ("https://b/k?versionId=1", "https://b/k?versionId=1"),
        (None, None),
    ],
)
def test_visible(text: str | None, shown: str | None) -> None:
    """What a log would obey or hide is shown as an escape; letters and backslashes stay."""
    assert visible(text) == shown


@given(st.text())
def test_visible_text_is_one_line(text: str) -> None:
    """Nothing is left that moves the cursor, the line or the direction; twice is as good as once."""
    shown = visible(text)

    assert not {unicodedata.category(letter) for letter in shown} & {"Cc", "Cs", "Zl", "Zp"}
    assert not {unicodedata.bidirectional(letter) for letter in shown} & {
        "LRE",
        "RLE",
        "LRO",
        "RLO",
        "PDF",
        "LRI",
        "RLI",
    }
    assert len(shown.splitlines()) <= 1
    assert visible(shown) == shown
