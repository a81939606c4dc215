"""What the page on runs says of fields that are younger than the oldest boto3: the error, and the releases."""

from __future__ import annotations

import re

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.fields import FIELDS, YOUNGER_FIELDS, Place
from airflow_provider_omics.core.settings.requests import InstalledModel, build_start_run_request
from tests.docs.blocks import DOCS, of_kind

PAGE = "how-to/run.md"
RUN = {"workflowId": "1234567", "roleArn": "arn:aws:iam::123456789012:role/omics", "outputUri": "s3://bucket/out"}


def test_error_that_is_shown() -> None:
    """A refused setting is told as the page shows it."""
    (shown,) = [
        block.text.strip() for block in of_kind("output") if block.page == PAGE and " needs boto3 " in block.text
    ]
    fields = {place: set(FIELDS[place]) - {"scratchStorageMode"} for place in Place}

    with pytest.raises(SettingsError) as refused:
        build_start_run_request(
            {**RUN, "scratchStorageMode": "LOCAL"}, request_id="id", model=lambda: InstalledModel("1.42.84", fields)
        )

    assert shown in str(refused.value)


def test_releases() -> None:
    """The table has every younger field, with its argument and the releases of both operations."""
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| ([\d.]+) \| ([\d.]+|-) \|$", (DOCS / PAGE).read_text(), re.MULTILINE)
    run, batch = FIELDS[Place.START_RUN], FIELDS[Place.DEFAULT_RUN_SETTING]

    assert {name: (argument, since, of_batch) for argument, name, since, of_batch in rows} == {
        name: (
            run[name].argument,
            run[name].since(Place.START_RUN),
            batch[name].since(Place.DEFAULT_RUN_SETTING) if name in batch else "-",
        )
        for name in YOUNGER_FIELDS[Place.START_RUN]
    }
