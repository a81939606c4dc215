"""Record what run_analyzer of aws-healthomics-tools makes of runs of the local HealthOmics.

``python -m tests.core.cost.record_run_analyzer /path/to/aws-healthomics-tools`` writes ``run_analyzer.json`` anew: of
each run its manifest and the rows of the tool, which reads the same logs and prices.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock

RECORDED = Path(__file__).parent / "run_analyzer.json"
HOUR = 3600
REQUEST = {
    "workflowId": "1234567",
    "roleArn": "arn:aws:iam::123456789012:role/omics",
    "outputUri": "s3://genomics-outputs/runs",
}
ALIGN = {"name": "ALIGN", "duration": 3 * HOUR, "cpus": 8, "memory": 32}
QC = {"name": "FASTQC", "duration": 20, "cpus": 1, "memory": 2}
CACHED = {"name": "INDEX", "duration": 600, "cpus": 2, "memory": 4, "cache_hit": True}
GPU = {"name": "CALL", "duration": 1800, "cpus": 8, "memory": 32, "gpus": 1}
FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR"}

RUNS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "static": ({"tasks": [QC, ALIGN, GPU]}, {"storageType": "STATIC", "storageCapacity": 1500}),
    "static without a capacity": ({"tasks": [QC, ALIGN]}, {"storageType": "STATIC"}),
    "dynamic": ({"tasks": [ALIGN]}, {"storageType": "DYNAMIC"}),
    "failed": ({**FAILS, "tasks": [QC, {**ALIGN, **FAILS}]}, {"storageType": "STATIC"}),
    "dynamic and short": ({"tasks": [QC]}, {"storageType": "DYNAMIC"}),
    "with a cache hit": ({"tasks": [QC, CACHED]}, {"storageType": "STATIC"}),
    "extended support": ({"tasks": [ALIGN]}, {"storageType": "STATIC", "engineSettings": {"engineVersion": "22.04"}}),
}
"""Name -> rule and settings of a run."""


def record(tool: str) -> dict[str, Any]:
    """Run each, and ask the tool.

    :param tool: path of ``aws-healthomics-tools``, 0.14.
    """
    recorded: dict[str, Any] = {}
    clock = SteppedClock(datetime(2027, 1, 4, tzinfo=timezone.utc))
    with OmicsEmulator(clock=clock, buckets=["genomics-outputs"]) as emulator, tempfile.TemporaryDirectory() as folder:
        for name, (rule, settings) in RUNS.items():
            emulator.set_scenario({"runs": [rule]})
            run = emulator.client().start_run(**REQUEST, **settings, requestId=name, name=name)
            emulator.advance(6 * HOUR)
            stream = f"manifest/run/{run['id']}/{run['uuid']}"
            events = emulator.client("logs").get_log_events(
                logGroupName="/aws/omics/WorkflowLog", logStreamName=stream, startFromHead=True
            )["events"]
            out = Path(folder) / "rows.csv"
            environment = {
                **{name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
                "AWS_ENDPOINT_URL": emulator.url,
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
            }
            subprocess.run([tool, "run_analyzer", run["id"], f"--out={out}"], check=True, env=environment)
            with out.open(encoding="utf-8") as file:
                rows = [
                    {key: row[key] for key in ("type", "name", "runningSeconds", "estimatedUSD")}
                    for row in csv.DictReader(file)
                ]
            recorded[name] = {
                "run_id": run["id"],
                "run_uuid": run["uuid"],
                "manifest": [json.loads(event["message"]) for event in events],
                "rows": rows,
            }
    return recorded


if __name__ == "__main__":
    RECORDED.write_text(json.dumps(record(sys.argv[1]), indent=1) + "\n", encoding="utf-8")
