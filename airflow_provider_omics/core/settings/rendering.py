"""Hints about values that a template has left in another type than they had."""

from __future__ import annotations

from typing import Any


def still_text(value: Any) -> str:
    """Say how a template hands over a list or a dict.

    :param value: what stands in its place.
    :return: the end of a sentence; empty where it is no text.
    """
    if not isinstance(value, str):
        return ""
    return "; this is text: use task.output, render_template_as_native_obj=True in the DAG, or json.loads(text)"


def lost_spelling(value: Any) -> str:
    """Say how a template keeps the spelling of text that reads like a number.

    :param value: what stands in the place of the text.
    :return: the end of a sentence; empty where Jinja's native rendering has not made it.
    """
    if not isinstance(value, (bool, int, float)):
        return ""
    made = f"; if render_template_as_native_obj made {value.__class__.__name__} of a text, its spelling is lost"
    return f"{made}: put quotes into the template, \"'{{{{ ... }}}}'\""
