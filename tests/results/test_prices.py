"""Where rates come from: a team's own file, or the Price List, kept for a week."""

from __future__ import annotations

import json
import logging
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.cost.rates import DYNAMIC_STORAGE, STATIC_STORAGE
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.results import prices
from airflow_provider_omics.results.prices import own_rates, rates_place, read_rates
from tests.airflow_support import BUCKET, ONE_TRY, TASK_LOG, quick_hook

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

pytestmark = pytest.mark.usefixtures("connect")
PLACE = f"s3://{BUCKET}/results/"
KEPT = "results/healthomics-prices-us-east-1.json"
OWN = {"as_of": "2026-11-01", "us-east-1": {"omics.c.large": 0.1, STATIC_STORAGE: 0.0002}}


def kept(emulator: OmicsEmulator, age: timedelta = timedelta(0), **rates: Any) -> None:
    """Keep rates of some time ago."""
    as_of = (datetime.now(timezone.utc) - age).date().isoformat()
    body = json.dumps({"as_of": as_of, "us-east-1": {"omics.c.large": 9.0, **rates}})
    emulator.client("s3").put_object(Bucket=BUCKET, Key=KEPT, Body=body)


def test_price_list_is_asked_once_and_kept(emulator: OmicsEmulator) -> None:
    """Instances and both kinds of storage; the next task takes what the first one has kept."""
    first = read_rates(quick_hook(), TASK_LOG, PLACE)
    again = read_rates(quick_hook(), TASK_LOG, PLACE)

    assert first is not None
    assert first.rate("us-east-1", "omics.c.large") == pytest.approx(0.1)
    assert first.rate("us-east-1", STATIC_STORAGE) == pytest.approx(0.0002)
    assert first.rate("us-east-1", DYNAMIC_STORAGE) == pytest.approx(0.0004)
    assert first.rate("us-east-1", "omics.m.metal") is None
    assert again == first
    assert json.loads(emulator.client("s3").get_object(Bucket=BUCKET, Key=KEPT)["Body"].read())["as_of"] == first.as_of


@pytest.mark.parametrize(("days", "rate"), [(6, 9.0), (7, 0.1)], ids=["of this week", "older"])
def test_kept_rates_last_a_week(emulator: OmicsEmulator, days: int, rate: float) -> None:
    """From the seventh day on they are asked for anew."""
    kept(emulator, timedelta(days=days))

    found = read_rates(quick_hook(), TASK_LOG, PLACE)

    assert found is not None
    assert found.rate("us-east-1", "omics.c.large") == pytest.approx(rate)


@pytest.mark.parametrize("body", [b"{", b"[]", b"\xff\xfe"])
def test_kept_rates_that_cannot_be_read_are_asked_for_anew(emulator: OmicsEmulator, body: bytes) -> None:
    """Whatever lies in their place."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key=KEPT, Body=body)

    found = read_rates(quick_hook(), TASK_LOG, PLACE)

    assert found is not None
    assert found.source == "AWS Price List"


@pytest.mark.parametrize("old", [False, True], ids=["nothing kept", "old ones kept"])
def test_price_list_out_of_reach(
    emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]], *, old: bool
) -> None:
    """One warning: old rates count with their date, else no cost is known."""
    if old:
        kept(emulator, timedelta(days=30))
    connect(service_config={"pricing": {"endpoint_url": "http://127.0.0.1:1"}}, config_kwargs=ONE_TRY)

    found = read_rates(quick_hook(), TASK_LOG, PLACE)

    assert (found is not None) is old
    (told,) = log_lines(logging.WARNING)
    assert ("Prices are those of" if old else "What runs cost is not known") in told


def test_nothing_is_kept_without_a_place(emulator: OmicsEmulator) -> None:
    """A run without results asks each time."""
    assert read_rates(quick_hook(), TASK_LOG, None) is not None
    assert "Contents" not in emulator.client("s3").list_objects_v2(Bucket=BUCKET)


@pytest.mark.parametrize("is_local", [True, False], ids=["a file", "S3"])
def test_own_rates(emulator: OmicsEmulator, connect: Connect, tmp_path: Path, *, is_local: bool) -> None:
    """``prices_uri`` counts before the Price List, which is not asked."""
    path = tmp_path / "prices.json"
    path.write_text(json.dumps(OWN), encoding="utf-8")
    emulator.client("s3").put_object(Bucket=BUCKET, Key="prices.json", Body=path.read_bytes())
    uri = str(path) if is_local else f"s3://{BUCKET}/prices.json"
    connect({"prices_uri": uri})

    found = read_rates(quick_hook(), TASK_LOG, PLACE)

    assert found is not None
    assert (found.rate("us-east-1", "omics.c.large"), found.as_of, found.source) == (0.1, "2026-11-01", uri)


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"us-east-1": {"omics.c.large": "dear"}}', None])
def test_own_rates_that_cannot_be_read(
    emulator: OmicsEmulator, connect: Connect, log_lines: Callable[..., list[str]], body: bytes | None
) -> None:
    """They are named; a task that has run does not fail for them."""
    uri = f"s3://{BUCKET}/prices.json"
    if body is not None:
        emulator.client("s3").put_object(Bucket=BUCKET, Key="prices.json", Body=body)
    connect({"prices_uri": uri})

    with pytest.raises(SettingsError, match="prices"):
        own_rates(quick_hook(), uri)
    assert read_rates(quick_hook(), TASK_LOG, PLACE) is None
    assert len(log_lines(logging.WARNING)) == 1


@pytest.mark.parametrize(
    ("results", "default", "place"),
    [
        ("s3://b/r/dag/run/task.jsonl.gz", "s3://b/r", "s3://b/r/"),
        ("s3://b/r/dag/run/task.jsonl.gz", None, "s3://b/r/dag/run/"),
    ],
)
def test_place_of_rates(results: str, default: str | None, place: str) -> None:
    """All tasks of a connection share them."""
    assert rates_place(results, default) == place


def test_a_week() -> None:
    """The documentation says so."""
    assert prices.KEPT.days == 7
