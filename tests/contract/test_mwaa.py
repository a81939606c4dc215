"""The images of Amazon MWAA: which can have the package is computed from pins and floors, and docs say the same."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "mwaa.md").read_text(encoding="utf-8")
(BLOCK,) = re.findall(r"^dependencies = \[\n(.*?)^\]", (ROOT / "pyproject.toml").read_text(), re.MULTILINE | re.DOTALL)
REQUIRED = re.findall(r'^    "(.*)",', BLOCK, re.MULTILINE)


@pytest.fixture(scope="module")
def mwaa() -> Any:
    """The script of the repository."""
    spec = importlib.util.spec_from_file_location("mwaa", ROOT / ".ci" / "mwaa.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_page(mwaa: Any) -> None:
    """Each image has its row, which names every pin that stands in the way."""
    rows = {
        image: (can, pins)
        for image, can, pins in re.findall(r"^\| ([\d.]+) \| (\w+) \| (.*?) ?\|$", PAGE, re.MULTILINE)
    }

    assert set(rows) == set(mwaa.IMAGES)
    for image, (can, told) in rows.items():
        lines = mwaa.obstacles(REQUIRED, mwaa.IMAGES[image])
        assert can == ("no" if lines else "yes"), (image, lines)
        names = [line.split()[0].removeprefix("apache-airflow-providers-") for line in lines]
        assert [name for name in names if name not in told] == []
        assert bool(told) == bool(lines)


def test_every_requirement_has_its_pin(mwaa: Any) -> None:
    """The table has what the package requires, for each image."""
    names = {re.split(r"[>=<]", text)[0] for text in REQUIRED}

    assert all(names <= set(pins) for pins in mwaa.IMAGES.values())


def test_files(mwaa: Any, tmp_path: Path) -> None:
    """A release has both files for each image that can have it, and the one names the other."""
    taken = mwaa.write_files("0.1.0", REQUIRED, tmp_path)

    assert taken == [image for image, pins in mwaa.IMAGES.items() if not mwaa.obstacles(REQUIRED, pins)]
    assert len(list(tmp_path.iterdir())) == 2 * len(taken) > 0
    for image in taken:
        requirements = (tmp_path / f"requirements-{image}.txt").read_text().splitlines()
        constraints = (tmp_path / f"omics-constraints-{image}.txt").read_text().splitlines()
        assert requirements[1].endswith(f'/omics-constraints-{image}.txt"')
        assert {"airflow-provider-omics==0.1.0", f"apache-airflow=={image}"} <= set(constraints)
        assert requirements[-1] == "airflow-provider-omics==0.1.0"


def test_a_pin_that_is_too_old(mwaa: Any) -> None:
    """An obstacle names the package, its pin and the floor."""
    assert mwaa.obstacles(["boto3>=1.42.74", "jinja2>=3.1.5"], {"boto3": "1.42.61", "jinja2": "3.1.6"}) == [
        "boto3 1.42.61, needs >=1.42.74"
    ]
