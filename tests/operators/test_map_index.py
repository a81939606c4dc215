"""Mapped tasks: the name by which Airflow's page shows each."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
import pytest

from airflow_provider_omics.operators.base import NAMES_MAPPED_TASKS
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, TaskInstanceRecord

BATCH = {"default_run_setting": DEFAULT_RUN_SETTING}


def shown(operator: Any, map_index: int = 0, **context: Any) -> str | None:
    """Open a task, and render its template from the context as Airflow does afterwards."""
    context = {"ti": TaskInstanceRecord(map_index=map_index), "map_index_template": None, "task": operator, **context}
    operator._open(context)
    template = context["map_index_template"]
    return None if template is None else jinja2.Environment(autoescape=False).from_string(template).render(context)  # noqa: S701  # Airflow's own does not escape


@pytest.mark.parametrize(
    ("cls", "arguments", "name"),
    [
        (OmicsStartRunOperator, {**RUN, "run_name": "NA12878"}, "NA12878"),
        (OmicsStartRunOperator, {**RUN, "run_name": "{{ 7 * 7 }}"}, "{{ 7 * 7 }}"),
        (OmicsStartRunOperator, RUN, None),
        (OmicsStartRunBatchOperator, {**BATCH, "batch_name": "cohort", "sample_sheet": "a.csv"}, "cohort"),
        (OmicsStartRunBatchOperator, {**BATCH, "sample_sheet": "s3://inputs/flowcells/FC1.csv"}, "FC1.csv"),
        (OmicsStartRunBatchOperator, {**BATCH, "sample_sheet": {"path": "/data/FC2.csv", "id": "sample"}}, "FC2.csv"),
        (OmicsStartRunBatchOperator, {**BATCH, "sample_sheet": Path("/data/FC3.csv")}, "FC3.csv"),
        (OmicsStartRunBatchOperator, {**BATCH, "run_settings_s3_uri": "s3://inputs/FC4.json"}, "FC4.json"),
        (OmicsStartRunBatchOperator, {**BATCH, "run_settings": [{"runSettingId": "a"}]}, None),
    ],
)
@pytest.mark.usefixtures("stepped")
def test_names(cls: Any, arguments: Mapping[str, Any], name: str | None) -> None:
    """The run's or the batch's, else the sheet's; it is not rendered itself. Without one, Airflow's index stays.

    So does it on Airflow 2.
    """
    assert shown(cls(task_id="mapped", **arguments)) == (name if NAMES_MAPPED_TASKS else None)


@pytest.mark.usefixtures("stepped")
def test_the_authors_template_stays() -> None:
    """So does a task that is not mapped."""
    operator = OmicsStartRunOperator(task_id="mapped", **RUN, run_name="NA12878")

    assert shown(operator, map_index_template="{{ task.run_name }} of ours") == "NA12878 of ours"
    assert shown(operator, map_index=-1) is None
