"""A hook of mkdocs: the README as a page of the site; of its links those to other pages stay, those to files do not."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files


def on_files(files: Files, *, config: Any) -> Files:
    """Add the page; called by mkdocs."""
    text = (Path(config.config_file_path).parent / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\[([^\]]+)\]\((?!https:|#|docs/)[^)]+\)", r"`\1`", text)
    text = text.replace("](docs/", "](")
    files.append(File.generated(config, "readme.md", content=text))
    return files
