"""A hook of mkdocs: the project's README as a page of the site; what it says of files of the repository is no link."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files


def on_files(files: Files, *, config: Any) -> Files:
    """Add the page; called by mkdocs."""
    text = (Path(config.config_file_path).parent / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"\[([^\]]+)\]\((?!https:|#)[^)]+\)", r"`\1`", text)
    files.append(File.generated(config, "readme.md", content=text))
    return files
