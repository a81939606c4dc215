"""The page of dependencies names those that there are, with their ranges."""

from __future__ import annotations

import re

from tests.docs.blocks import DOCS, ROOT


def test_dependencies() -> None:
    """Every requirement of pyproject.toml has its place on the page, and the page has no other."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    lists = re.findall(
        r"^(?!requires|license|keywords|classifiers)[\w-]+ = \[\n(.*?)^\]", project, re.MULTILINE | re.DOTALL
    )
    requirements = {
        found for text in lists for found in re.findall(r'^    "([\w\[\],-]+[<>=]=?[^"]+)",', text, re.MULTILINE)
    }
    requirements |= set(re.findall(r'^parquet = \["([^"]+)"\]', project, re.MULTILINE))

    page = (DOCS / "dependencies.md").read_text(encoding="utf-8")

    assert set(re.findall(r"`([\w\[\],-]+>=[^`]+)`", page)) == requirements
    assert len(requirements) > 20


def test_installation() -> None:
    """README tells the floor of every requirement of the package, as old constraint files pin older releases."""
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    requirements = project.partition("\ndependencies = [\n")[2].partition("\n]\n")[0]
    install = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Install")[2].partition("\n## ")[0]

    floors = dict(re.findall(r'"([\w-]+)>=([\d.]+)"', requirements))
    assert len(floors) == 6
    for name, floor in floors.items():
        assert name.removeprefix("apache-airflow-providers-").removeprefix("apache-").casefold() in install.casefold()
        assert floor.removesuffix(".0") in install
