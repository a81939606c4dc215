"""Asks a task for its lineage as OpenLineage's provider does, also where the task has waited in a triggerer."""

from __future__ import annotations

import json
from typing import Any

from airflow.providers.common.compat.sdk import TaskDeferred
from openlineage.client.serde import Serde

from tests.airflow_support import TaskInstanceRecord, execute, fire, rebuilt, rendered, stored


def asked(task: Any) -> Any:
    """Run a task, and ask by the methods that the provider's extractor looks for, in the process that ends it."""
    record = TaskInstanceRecord(task_id=task.task_id)
    context = {"ti": record, "task_instance": record}
    done = rendered(task, context)
    try:
        try:
            execute(done, context)
        except TaskDeferred as deferral:
            done = rendered(task, context)
            event = fire(rebuilt(stored(deferral.trigger)))
            done.resume_execution(deferral.method_name, {**(deferral.kwargs or {}), "event": event}, context)
    except Exception:  # noqa: BLE001  # a failed task is asked as well
        return done.get_openlineage_facets_on_failure(record)
    return done.get_openlineage_facets_on_complete(record)


def names(datasets: Any) -> list[tuple[str, str]]:
    return [(dataset.namespace, dataset.name) for dataset in datasets]


def emitted(lineage: Any) -> dict[str, Any]:
    """Give the run facets as they are sent."""
    return {name: json.loads(Serde.to_json(facet)) for name, facet in lineage.run_facets.items()}
