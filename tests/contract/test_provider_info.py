"""What Airflow is told of this provider."""

from __future__ import annotations

import importlib
import json
from importlib.metadata import distribution
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest

from airflow_provider_omics.get_provider_info import get_provider_info

if TYPE_CHECKING:
    from pathlib import Path

INFO = get_provider_info()
KINDS = ("hooks", "operators", "sensors", "triggers")
MODULES = [name for kind in KINDS for entry in INFO[kind] for name in entry["python-modules"]]


def schema() -> dict[str, Any]:
    """Read the schema that the installed Airflow holds providers to."""
    document: dict[str, Any] = json.loads(files("airflow").joinpath("provider_info.schema.json").read_text())
    return document


def test_valid_for_airflow() -> None:
    """Airflow's own schema accepts the description."""
    jsonschema.validate(INFO, schema())


def test_known_to_airflow() -> None:
    """Every key means something to Airflow, whose schema lets unknown ones pass in silence."""
    known_since_airflow_3 = {"integrations", "hooks", "operators", "sensors"}

    assert INFO.keys() <= schema()["properties"].keys() | known_since_airflow_3


def test_description_is_plain() -> None:
    """Airflow's page of providers drops the markup of a description and keeps what is left, addresses included."""
    assert not set(INFO["description"]) & set("`_<>")


@pytest.mark.parametrize("name", MODULES)
def test_modules_import(name: str) -> None:
    """Every module that is named exists."""
    assert importlib.import_module(name).__doc__


def test_no_module_is_forgotten() -> None:
    """Every module of a listed kind is named, but for those of base classes, from which users import nothing."""
    package = files("airflow_provider_omics")
    found = {
        f"airflow_provider_omics.{kind}.{module.name.removesuffix('.py')}"
        for kind in KINDS
        for module in package.joinpath(kind).iterdir()
        if module.name.endswith(".py")
        and module.name not in {"base.py", "checking.py", "client.py", "masking.py", "reporting.py", "start.py"}
        and _defines_public_class(kind, module.name)
    }

    assert found == set(MODULES)


def _defines_public_class(kind: str, file: str) -> bool:
    module = importlib.import_module(f"airflow_provider_omics.{kind}.{file.removesuffix('.py')}")
    suffix = kind.removesuffix("s").capitalize()
    return any(
        name.startswith("Omics") and name.endswith(suffix) and getattr(value, "__module__", "") == module.__name__
        for name, value in vars(module).items()
    )


@pytest.mark.parametrize("path", INFO["extra-links"])
def test_links_import(path: str) -> None:
    """Every extra link class that is named exists."""
    module, _, name = path.rpartition(".")

    assert isinstance(getattr(importlib.import_module(module), name), type)


def test_entry_point() -> None:
    """The installed distribution leads Airflow to the description."""
    (entry,) = distribution("airflow-provider-omics").entry_points.select(group="apache_airflow_provider")

    assert entry.name == "provider_info"
    assert entry.load() is get_provider_info


def test_airflow_lists_the_provider(airflow_home: Path) -> None:
    """Airflow finds the provider and its links by itself."""
    from airflow.providers_manager import ProvidersManager

    manager = ProvidersManager()

    assert "airflow-provider-omics" in manager.providers
    assert set(INFO["extra-links"]) <= set(manager.extra_links_class_names)
