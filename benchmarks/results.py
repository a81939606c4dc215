"""What it costs to collect the results of a batch: calls, memory and CPU, for 10,000 and 100,000 runs, 5 % failed.

::

    python benchmarks/results.py [--runs 10000 100000] [--detail full listed]

The batch runs on the local HealthOmics, in a process of its own, whose clock is stepped to the batch's end; each
collection is a process as well, and what is counted begins after its imports (Linux only). The pace of the calls is
measured apart (the tests do, with a stepped clock): here it is off. The exit code is 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

MEMORY_MB = 150.0
FLAT_MB = 30.0
"""How much more the largest batch may take than the smallest."""
CALLS = 1.1
"""Calls made, as a multiple of the least possible."""
PAGE = 100
BUCKET = "omics-results"


@dataclass
class Measurement:
    """What one collection cost.

    :param runs: of the batch, 5 % of which failed.
    :param detail: ``"full"`` or ``"listed"``.
    :param seconds: of the process's own CPU time.
    :param memory_mb: how far the peak of the resident memory rose.
    :param calls: made to HealthOmics.
    :param least: calls that are needed at least.
    :param file_mb: size of the results file.
    """

    runs: int
    detail: str
    seconds: float
    memory_mb: float
    calls: int
    least: int
    file_mb: float


def collect(url: str, batch_id: str, runs: int, detail: str) -> dict[str, Any]:
    """Collect a batch, in this process.

    :param url: of the local HealthOmics.
    :param batch_id: the batch.
    :param runs: how many it has.
    :param detail: ``"full"`` or ``"listed"``.
    """
    import logging

    from airflow_provider_omics.core.batch.collect import ResultsDetail
    from airflow_provider_omics.hooks.omics import OmicsHook
    from airflow_provider_omics.results.collect import collect_results

    connection = {
        "conn_type": "aws",
        "login": "123456789012",
        "password": "none",
        "extra": {
            "endpoint_url": url,
            "region_name": "us-east-1",
            "service_config": {"omics": {"calls_per_second": 1e6}},
        },
    }
    os.environ["AIRFLOW_CONN_AWS_DEFAULT"] = json.dumps(connection)
    hook = OmicsHook()
    hook.get_batch(batch_id)  # the client and what it loads count as imports
    before, started = _peak_mb(), time.process_time()
    uri = f"s3://{BUCKET}/{runs}-{detail}.jsonl.gz"
    collected = collect_results(hook, batch_id, uri, logging.getLogger("benchmark"), detail=ResultsDetail(detail))
    assert collected.counts == {"COMPLETED": runs - runs // 20, "FAILED": runs // 20}, collected.counts  # noqa: S101
    return {"seconds": time.process_time() - started, "memory_mb": _peak_mb() - before}


def measure(runs: int, details: list[str]) -> Iterator[Measurement]:
    """Run a batch to its end on a local HealthOmics in this process, and let others collect it.

    :param runs: of the batch.
    :param details: how much is collected, one after the other.
    """
    from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock

    scenario = {
        "limits": {"submissions_per_second": 100_000, "concurrent_dynamic_runs": 1_000_000},
        "runs": [{"match": {"run_setting_id": "F*"}, "outcome": "FAILED"}],
    }
    names = [f"{'F' if number % 20 == 0 else 'S'}{number:06d}" for number in range(runs)]
    with OmicsEmulator(clock=SteppedClock(), scenario=scenario, buckets=[BUCKET]) as emulator:
        body = json.dumps([{"runSettingId": name, "parameters": {"sample": name}} for name in names])
        emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)
        role = "arn:aws:iam::123456789012:role/omics"
        batch_id = emulator.client().start_run_batch(
            requestId="benchmark",
            defaultRunSetting={"workflowId": "1234567", "roleArn": role, "outputUri": f"s3://{BUCKET}/runs"},
            batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/settings.json"},
        )["id"]
        while emulator.client().get_batch(batchId=batch_id)["status"] != "PROCESSED":
            emulator.advance(3600)
        for detail in details:
            emulator.calls.clear()
            command = [sys.executable, __file__, "--one", emulator.url, batch_id, str(runs), detail]
            told = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            made = emulator.calls.by_operation()
            calls = sum(made.get(name, 0) for name in ("GetBatch", "GetRun", "ListRuns", "ListRunsInBatch")) - 1
            pages = -(-runs // PAGE)
            least = 1 + pages + (runs if detail == "full" else -(-(runs // 20) // PAGE))
            head = emulator.client("s3").head_object(Bucket=BUCKET, Key=f"{runs}-{detail}.jsonl.gz")
            size = head["ContentLength"] / 1e6
            yield Measurement(runs, detail, told["seconds"], told["memory_mb"], calls, least, size)


def _peak_mb() -> float:
    # Not getrusage: its peak is that of the process before the exec, too, which here is the service with its batch.
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> int:
    """Measure, print, and tell whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--detail", nargs="+", choices=["full", "listed"], default=["listed", "full"])
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        url, batch_id, runs, detail = options.one
        print(json.dumps(collect(url, batch_id, int(runs), detail)))
        return 0
    print(
        f"{'runs':>8} {'detail':>7} {'CPU s':>7} {'memory MB':>10} {'calls':>8} {'least':>8} {'file MB':>8}", flush=True
    )
    row = "{runs:>8} {detail:>7} {seconds:>7.1f} {memory_mb:>10.1f} {calls:>8} {least:>8} {file_mb:>8.1f}"
    found = []
    for runs in options.runs:
        for one in measure(runs, options.detail):
            found.append(one)
            print(row.format(**asdict(one)), flush=True)
    broken = [one for one in found if one.memory_mb > MEMORY_MB or one.calls > one.least * CALLS]
    for detail in options.detail:
        memory = [one.memory_mb for one in found if one.detail == detail]
        broken += [found[-1]] if max(memory) - min(memory) > FLAT_MB else []
    print("limits broken" if broken else "all limits hold")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
