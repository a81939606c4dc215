"""A page as HTML: one file that needs nothing else, and may load nothing else."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from datetime import datetime, timezone
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from airflow_provider_omics.core.console import log_stream_url, run_url, s3_url
from airflow_provider_omics.core.failure.diagnosis import duration
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.reports.cohort import CohortPage
from airflow_provider_omics.reports.run import RunPage
from airflow_provider_omics.reports.samples import PACKED_FIELDS

HERE = Path(__file__).parent


def render(page: CohortPage | RunPage) -> str:
    """Render a page.

    Every text is escaped, and characters without a shape are written out. The page carries its own
    Content-Security-Policy: its one style and its one script are allowed by their hashes, and nothing is fetched.

    :param page: all that it shows.
    :return: the HTML.
    """
    values = {"page": page, "policy": policy(), "style": _text("page.css"), "script": _text("page.js")}
    return _environment().get_template(page.template).render(values)


def render_sentence(title: str, sentence: str, reload_after: int | None = None) -> str:
    """Render a page that has one sentence, in the place of one that cannot be shown.

    :param title: of the page.
    :param sentence: any text.
    :param reload_after: seconds after which it loads itself anew. Default: never.
    """
    values = {"title": title, "sentence": sentence, "reload_after": reload_after}
    frame = {"policy": policy(), "style": _text("page.css")}
    return _environment().get_template("sentence.html").render({**values, **frame})


def render_tab(task: Mapping[str, str], page: str) -> str:
    """Render the frame of a page in Airflow, with the buttons that its user may use.

    The page stands in a frame of its own: what lies in S3 has no part in the document whose script may change a task.

    :param task: ``dag_id``, ``run_id``, ``task_id`` and ``map_index`` (``"-1"``: not mapped).
    :param page: address of the page, on the same server.
    """
    values = {"task": task, "page": page, "policy": tab_policy(), "style": _text("page.css"), "script": _text("tab.js")}
    return _environment().get_template("tab.html").render(values)


def tab_policy() -> Markup:
    """Write the Content-Security-Policy of :func:`render_tab`: its script may ask its own server."""
    style, script = _source(_text("page.css")), _source(_text("tab.js"))
    return Markup(  # noqa: S704 - base64
        f"default-src 'none'; style-src {style}; script-src {script}; connect-src 'self'; frame-src 'self'; "
        "base-uri 'none'; form-action 'none'"
    )


def policy() -> Markup:
    """Write the Content-Security-Policy of every page: what a server that hands pages out sends with them."""
    style, script = _source(_text("page.css")), _source(_text("page.js"))
    return Markup(  # noqa: S704 - base64
        f"default-src 'none'; style-src {style}; script-src {script}; base-uri 'none'; form-action 'none'"
    )


@cache
def _text(name: str) -> Markup:
    return Markup((HERE / name).read_text(encoding="utf-8"))  # noqa: S704 - a file of ours


def _source(text: str) -> Markup:
    """Write the source expression of an inline style or script (Content Security Policy Level 3, "hash-source")."""
    digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode("ascii")
    return Markup(f"'sha256-{digest}'")  # noqa: S704 - base64


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(HERE),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals.update(
        duration=duration,
        log_url=lambda region, run_id: log_stream_url(region, f"run/{run_id}"),
        packed_fields=PACKED_FIELDS,
        run_url=run_url,
        s3_url=s3_url,
        status_words=status_words,
        utc=utc,
    )
    return environment


def status_words(status: str) -> str:
    """Write a status as words: ``"not submitted"``."""
    return status.replace("_", " ").lower()


def utc(moment: datetime | None) -> str:
    """Write a moment in UTC; None: empty."""
    return "" if moment is None else moment.astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S UTC")


def _shown(value: Any) -> Any:
    """Prepare the value of an expression: all but markup of ours is text that must be seen as it is."""
    if isinstance(value, Markup):
        return value
    return "" if value is None else visible(str(value))
