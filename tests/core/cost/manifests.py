"""Manifests and rates of the tests of cost."""

from __future__ import annotations

import json
from typing import Any

from airflow_provider_omics.core.cost.rates import DYNAMIC_STORAGE, STATIC_STORAGE, Rates
from airflow_provider_omics.core.cost.usage import RunUsage, run_usage

REGION = "us-east-1"
RATES = Rates(
    {
        REGION: {
            "omics.c.large": 0.12,
            "omics.m.xlarge": 0.30,
            "omics.r.48xlarge": 20.0,
            STATIC_STORAGE: 0.0002,
            DYNAMIC_STORAGE: 0.0004,
            "READY2RUN 9500764": 10.0,
        }
    },
    "2026-11-01",
    "test",
)


def run_object(**members: Any) -> dict[str, Any]:
    """Make the object of a run of two hours on 1,200 GiB; None takes a member away."""
    members = {
        "arn": f"arn:aws:omics:{REGION}:123456789012:run/123",
        "uuid": "uuid-1",
        "status": "COMPLETED",
        "workflow": f"arn:aws:omics:{REGION}:123456789012:workflow/1234567",
        "workflowType": "PRIVATE",
        "engine": "NEXTFLOW",
        "engineVersion": "24.10.8",
        "storageType": "STATIC",
        "storageCapacity": 1200,
        "startTime": "2026-06-22T12:00:00Z",
        "stopTime": "2026-06-22T14:00:00Z",
        "metrics": {"storageMaximumGiB": 100.0},
        **members,
    }
    return {name: value for name, value in members.items() if value is not None}


def task_object(number: int = 1, **members: Any) -> dict[str, Any]:
    """Make the object of a task of an hour on a c.large; None takes a member away."""
    members = {
        "arn": f"arn:aws:omics:{REGION}:123456789012:task/{number}",
        "run": f"arn:aws:omics:{REGION}:123456789012:run/123",
        "name": "ALIGN (s1)",
        "status": "COMPLETED",
        "instanceType": "omics.c.large",
        "creationTime": "2026-06-22T11:59:00Z",
        "startTime": "2026-06-22T12:00:00Z",
        "stopTime": "2026-06-22T13:00:00Z",
        "metrics": {
            "cpusReserved": 2,
            "cpusMaximum": 1.5,
            "memoryReservedGiB": 4,
            "memoryMaximumGiB": 2.0,
        },
        **members,
    }
    return {name: value for name, value in members.items() if value is not None}


def usage(run: dict[str, Any], *tasks: dict[str, Any]) -> RunUsage:
    """Read the usage of a run from the messages of its manifest."""
    found = run_usage([json.dumps(entry) for entry in (run, *tasks)], "123", "uuid-1")
    assert found is not None
    return found
