"""A hook of mkdocs: a page that would fetch something from another host, when it is read, fails the build."""

from __future__ import annotations

import re
from typing import Any

from mkdocs.exceptions import PluginError

_FETCHED = re.compile(
    r'<(?:script|img|iframe|source)[^>]+src="(https?:)?//[^"]+"|<link[^>]+stylesheet[^>]+(https?:)?//'
)


def on_post_page(output: str, *, page: Any, **_: Any) -> str:
    """Look at a page before it is written; called by mkdocs.

    :raises PluginError: it fetches something.
    """
    found = _FETCHED.search(output)
    if found:
        raise PluginError(f"{page.file.src_uri} would fetch {found[0]}")
    return output
