"""The page as a file: it needs nothing, loads nothing, and shows every text as text."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from itertools import pairwise
from typing import Any

import pytest

from airflow_provider_omics.core.text import visible
from airflow_provider_omics.reports.html import render
from tests.reports.cohorts import failed, page_of, record
from tests.reports.markup import packed_rows, parsed

NASTY = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "'; DROP TABLE samples; --",
    "{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "S1\u202egnp.exe",
    "S1\u0000\x1b[31mred\x07",
    "S\u200b1\ufeff\u00ad",
    "line\nfeed\ttab\r",
    "lone \ud800 surrogate",
    "&lt;b&gt; &amp;",
    "שלום ضعيف",
]
TEXTS = ("run_setting_id", "cause", "message", "run_id", "output_uri", "batch_id", "role_arn", "dag_run_id")


def script_free(page: Any) -> None:
    """Hold a page to what it may consist of."""
    elements = list(page.all("*"))
    names = {element.name for element in elements}
    assert not names & {"img", "link", "iframe", "object", "embed", "base", "video", "audio", "picture", "use"}
    for element in elements:
        for name, value in element.attributes.items():
            assert not name.startswith("on"), (element.name, name)
            assert name not in ("style", "src", "srcset", "action", "formaction", "ping"), (element.name, name)
            if name == "href":
                assert re.match(r"https://(s3\.)?console\.aws\.amazon\.com/", str(value)), value
                assert element.attributes["rel"] == "noopener noreferrer"
    assert [element.attributes.get("type") for element in page.all("script")].count(None) == 1


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("place", [*TEXTS, "row", "column"])
def test_text_stays_text(text: str, place: str) -> None:
    """Whatever a name, a message or a cell has, it becomes text: no element, no attribute, nothing hidden."""
    values: dict[str, Any] = {"row": {"sex": text}} if place == "row" else {place: text}
    if place == "column":
        values = {"row": {text: "F"}}

    html = render(page_of([failed(1, **values), record(2)]))
    page = parsed(html)

    script_free(page)
    html.encode()  # no lone surrogate
    hidden = [letter for letter in html if not letter.isprintable() and letter != "\n"]
    assert hidden == []
    if place == "run_setting_id":
        cells = [row.one("th").children for row in page.one("table", id="table").one("tbody").all("tr")]
        assert [visible(text)] in cells
        assert visible(text) in [row["sample"] for row in packed_rows(page)]


@pytest.mark.parametrize("member", ["title", "region", "results_uri"])
def test_text_of_the_facts_stays_text(member: str) -> None:
    """Names of DAGs and places are no more trusted than those of samples."""
    value = "s3://bucket/<b>\u202e/x.jsonl" if member == "results_uri" else "<b>\u202e\"'"

    page = parsed(render(page_of([failed(1)], **{member: value})))

    script_free(page)
    assert not list(page.all("b"))


def test_content_security_policy() -> None:
    """The page's own policy allows its one style and its one script, and nothing from anywhere."""
    html = render(page_of([record(1)]))
    page = parsed(html)

    (policy,) = [
        str(meta.attributes["content"])
        for meta in page.all("meta")
        if meta.attributes.get("http-equiv") == "Content-Security-Policy"
    ]
    directives = dict(part.split(" ", 1) for part in policy.split("; "))

    def source(name: str) -> str:
        (text,) = re.findall(rf"<{name}>(.*?)</{name}>", html, re.DOTALL)
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    assert directives == {
        "default-src": "'none'",
        "style-src": source("style"),
        "script-src": source("script"),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    # What stands before the policy is not bound by it.
    assert unescape(html).index("Content-Security-Policy") < html.index("<style>")


def test_readable_by_machines_that_read_aloud() -> None:
    """Language, headings in order, headers of rows and columns, names of pictures and controls."""
    page = parsed(render(page_of([record(number) for number in range(1, 9)] + [failed(9)])))

    assert page.one("html").attributes["lang"] == "en"
    levels = [int(element.name[1]) for element in page.all("*") if re.fullmatch("h[1-6]", element.name)]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))
    for table in page.all("table"):
        assert {head.attributes.get("scope") for head in table.one("thead").all("th")} == {"col"}
        assert {head.attributes.get("scope") for head in table.one("tbody").all("th")} == {"row"}
    pictures = list(page.all("svg"))
    assert len(pictures) == 3
    assert all(picture.attributes["role"] == "img" and picture.attributes["aria-label"] for picture in pictures)
    ids = [element.attributes["id"] for element in page.all("*") if "id" in element.attributes]
    assert len(ids) == len(set(ids))
    for name in ("aria-labelledby",):
        assert {element.attributes[name] for element in page.all("*") if name in element.attributes} <= set(ids)
    assert {label.text.split()[0] for label in page.all("label")} == {"Filter", "Status"}


def test_same_facts_same_page() -> None:
    """A page has no time and no chance of its own, so that one who compares two sees what has changed."""
    records = [record(number) for number in range(30)]

    assert render(page_of(records)) == render(page_of(records))
