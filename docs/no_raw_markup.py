"""A hook of mkdocs: a page that shows Sphinx's markup as it stands in a docstring fails the build."""

from __future__ import annotations

from typing import Any

from mkdocs.exceptions import PluginError


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Look at a page before it is written; called by mkdocs.

    :raises PluginError: it shows double backticks, which Sphinx sets code in.
    """
    found = output.find("``")
    if found >= 0:
        raise PluginError(f"{page.file.src_uri} shows markup: {output[found : found + 80]}")
    return output
