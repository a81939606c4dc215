"""Sample sheets as plain data."""

from __future__ import annotations

import copy
import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.sheets import SampleSheet, each, one

FULL = SampleSheet(
    path="s3://bucket/{{ ds }}.csv",
    run_setting_id="{sample}",
    parameters={"pairs": each(["{fastq_1}", "{fastq_2}"]), "t": one("{bam}", {"status": "1"}, optional=True)},
    name="{sample}",
    output_uri="s3://bucket/{{ ds }}/{sample}/",
    priority=3,
    run_tags={"cohort": "{cohort}"},
    engine_settings={"profile": ["x"]},
    output_bucket_owner_id="123456789012",
    types={"lane": "int", "depth": "float"},
    where={"qc": ["pass", "warn"]},
    group_by_id=True,
    input_sheet="input",
    keep_columns=["patient"],
    delimiter=";",
)


def test_a_sheet_is_plain_data() -> None:
    """A sheet with everything in it survives JSON, so Airflow can render and store it."""
    mapping = json.loads(json.dumps(FULL))

    assert SampleSheet.from_mapping(mapping) == FULL


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy, lambda sheet: pickle.loads(pickle.dumps(sheet))])
def test_a_sheet_is_copied_whole(copied: Any) -> None:
    """Fields and dict come through pickle and both kinds of copies, as a DAG goes through them."""
    again = copied(FULL)

    assert type(again) is SampleSheet
    assert again == FULL
    assert vars(again) == vars(FULL)


def test_a_sheet_is_a_dict_of_what_is_given() -> None:
    """What stands at its default is not in the dict; a tuple is a list there."""
    assert SampleSheet("s.csv", keep_columns=("a",), where=None) == {"path": "s.csv", "keep_columns": ["a"]}


@pytest.mark.parametrize("kind", [str, int, float, bool])
def test_types_are_written_by_name(kind: type) -> None:
    """``types={"n": int}`` and ``types={"n": "int"}`` are the same mapping."""
    assert SampleSheet("s.csv", types={"n": kind})["types"] == {"n": kind.__name__}


@pytest.mark.parametrize("sheet", ["s.csv", Path("s.csv"), {"path": "s.csv"}, {"path": Path("s.csv"), "where": None}])
def test_a_path_alone_is_a_sheet(sheet: Any) -> None:
    """A plain path is a sheet with everything at its default."""
    assert SampleSheet.from_mapping(sheet) == SampleSheet("s.csv")
    assert SampleSheet.from_mapping(sheet) == {"path": "s.csv"}


@pytest.mark.parametrize(
    ("sheet", "told"),
    [
        ({"path": "s.csv", "run_seting_id": "{a}"}, "sample_sheet['run_seting_id']"),
        ({"path": "s.csv", "run_seting_id": "{a}"}, "did you mean 'run_setting_id'?"),
        ({"path": "s.csv", "zz": 1}, "known are path, run_setting_id"),
        ({}, "sample_sheet['path'] = not set"),
        ({"path": ""}, "sample_sheet['path'] = ''"),
        ({"path": 5}, "sample_sheet['path'] = 5"),
        (5, "sample_sheet = int: a path, a mapping"),
    ],
)
def test_what_is_no_sheet_is_refused(sheet: Any, told: str) -> None:
    """Unknown keys and a missing path are named, with what is meant."""
    with pytest.raises(SettingsError) as refused:
        SampleSheet.from_mapping(sheet)

    assert told in str(refused.value)


def test_markers_are_plain_data() -> None:
    """``each`` and ``one`` give dicts whose keys no workflow language uses."""
    assert each(["{a}"]) == {"$each": ["{a}"]}
    assert one("{a}", where={"b": "1"}) == {"$one": "{a}", "where": {"b": "1"}, "optional": False}
