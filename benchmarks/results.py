"""What it costs to collect the results of a batch: calls, memory and CPU, for 10,000 and 100,000 runs, 5 % failed.

::

    python benchmarks/results.py [--runs 10000 100000] [--detail full listed] [--stretches 0 96] [--others 0]

With stretches, the batch is collected up to so often while it goes, as a task would, over two days of the service's
clock, and at its end.
With others, the file has so many records of another batch before: first of the same samples, as of a cohort that is run
again, then of more.
Told are the sums over all collections, the minutes that are left for the last one, and the CPU time as a multiple of
that of one collection at the end. The batch runs on the local HealthOmics, in a process of its own, whose clock is
stepped to the batch's end; collections are processes as well, and what is counted begins after their imports (Linux
only). The pace of the calls is measured apart (the tests do, with a stepped clock): here it is off. The exit code is 1
when a limit is broken.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any

MEMORY_MB = 150.0
FLAT_MB = 30.0
"""How much more the largest batch may take than the smallest."""
CALLS = 1.1
"""Calls made, as a multiple of the least possible."""
PAGE = 100
CPU = 1.5
"""CPU time of all stretches, as a multiple of that of one collection at the end: of full results. Listed ones need the
lists of what has ended at each stretch, where one collection reads those of failures only: their multiple is told."""
LAST_MINUTES = 3.0
"""Between the end of a batch that was collected in stretches and the end of its collection."""
CALLS_PER_SECOND = 5.0
DAYS = 2
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
    :param stretches: collections while the batch went.
    :param get_runs: calls of GetRun, as a multiple of the number of runs.
    :param last_minutes: that the calls of the last collection take, at five a second.
    """

    runs: int
    detail: str
    seconds: float
    memory_mb: float
    calls: int
    least: int
    file_mb: float
    stretches: int = 0
    get_runs: float = 0.0
    last_minutes: float = 0.0


def _hook(url: str) -> Any:
    from airflow_provider_omics.hooks.omics import OmicsHook

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
    return OmicsHook()


def collect_in_stretches(url: str, batch_id: str, runs: int, detail: str) -> dict[str, Any]:
    """Collect a batch once for each line of the input, and at last when it has ended, in this process.

    :param url: of the local HealthOmics.
    :param batch_id: the batch.
    :param runs: how many it has.
    :param detail: ``"full"`` or ``"listed"``.
    """
    import logging
    from contextlib import closing

    from airflow_provider_omics.core.batch.collect import ResultsDetail
    from airflow_provider_omics.core.wait.stretch import COLLECTION_LIMIT
    from airflow_provider_omics.results.collect import Collection

    hook = _hook(url)
    hook.get_batch(batch_id)
    before, seconds, uri = _peak_mb(), 0.0, f"s3://{BUCKET}/{runs}-{detail}-stretches.jsonl.gz"
    for line in sys.stdin:
        started = time.process_time()
        with closing(
            Collection(hook, batch_id, uri, logging.getLogger("benchmark"), detail=ResultsDetail(detail))
        ) as collection:
            done = 0
            if line.strip() == "end":
                collected = collection.collect()
                assert sum(collected.counts.values()) == runs, collected.counts  # noqa: S101
            else:
                done = collection.collect_between(COLLECTION_LIMIT, lambda _: {}).done
        seconds += time.process_time() - started
        print(json.dumps({"seconds": seconds, "memory_mb": _peak_mb() - before, "done": done}), flush=True)
    return {"seconds": seconds, "memory_mb": _peak_mb() - before}


def put_others(emulator: Any, runs: int, detail: str, others: int) -> None:
    """Write the results file as another batch of the cohort has left it.

    :param emulator: the local HealthOmics, with its S3.
    :param runs: of the batch that comes.
    :param detail: of its results.
    :param others: records of the other batch.
    """
    from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord

    names = chain(_names(runs), (f"O{number:06d}" for number in range(others)))
    records = (
        RunRecord(
            name,
            f"9{number:07d}",
            f"48a1c96e-c534-44e6-ac7a-{number:012d}",
            RecordStatus.FAILED,
            cause="OUT_OF_MEMORY_ERROR in ALIGN",
            output_uri=f"s3://{BUCKET}/runs/9{number:07d}",
            fingerprint=hashlib.sha256(name.encode()).hexdigest(),
            batch_id="1999999",
            batch_created_at="2025-01-01T00:00:00.000+00:00",
            workflow_id="1234567",
            workflow_digest=f"sha256:{hashlib.sha256(b'workflow').hexdigest()}",
            role_arn="arn:aws:iam::123456789012:role/omics",
        )
        for number, name in enumerate(islice(names, others))
    )
    body = gzip.compress(b"".join(json.dumps(one.to_json()).encode() + b"\n" for one in records))
    emulator.client("s3").put_object(Bucket=BUCKET, Key=f"{runs}-{detail}-stretches.jsonl.gz", Body=body)


def measure_stretches(runs: int, detail: str, stretches: int, others: int = 0) -> Measurement:
    """Run a batch for two days on a local HealthOmics in this process, and let another one collect it meanwhile.

    :param runs: of the batch.
    :param detail: how much is collected.
    :param stretches: collections while it goes.
    :param others: records of another batch that its results file has. Default: none.
    """
    from airflow_provider_omics.core.snapshots import BatchSnapshot
    from airflow_provider_omics.core.wait.stretch import Stretch

    seconds = DAYS * 86400.0
    length = seconds / 49  # of a run
    scenario = {
        "limits": {"submissions_per_second": 1_000, "concurrent_dynamic_runs": max(1, runs // 48)},
        "runs": [
            {"match": {"run_setting_id": "F*"}, "outcome": "FAILED", "running": length},
            {"running": length},
        ],
    }
    with _batch(runs, scenario) as (emulator, batch_id):
        if others:
            put_others(emulator, runs, detail, others)
        emulator.calls.clear()
        command = [sys.executable, __file__, "--stretch", emulator.url, batch_id, str(runs), detail]
        client = emulator.client()
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdin is not None  # noqa: S101
            assert child.stdout is not None  # noqa: S101
            made, least, last = 0, runs if detail == "full" else 0, 0.0
            stretch = Stretch(seconds / stretches, began=0.0, until=0.0)
            looks = 0
            while True:
                emulator.advance(seconds / stretches)
                seen, looks = client.get_batch(batchId=batch_id), looks + 1
                if seen["status"] == "PROCESSED":
                    break
                now = emulator.clock.now().timestamp()
                if not stretch.is_over(BatchSnapshot.from_response(seen), now, None):
                    continue
                summary = seen["runSummary"]
                pages = [_pages(summary[f"{name}RunCount"]) for name in ("pending", "starting", "running", "stopping")]
                ended = sum(_pages(summary[f"{name}RunCount"]) for name in ("completed", "failed", "cancelled"))
                # What computed at the last stretch, and does not now, has ended. Only where others have started and
                # ended in between, those that wait or have ended have to be listed as well.
                told_by_others = min(pages[0], ended) if not made or now - last > length else 0
                last = now
                least += 1 + sum(pages[1:]) + (told_by_others if detail == "full" else ended)
                child.stdin.write("stretch\n")
                child.stdin.flush()
                told = _told(child.stdout)
                stretch = stretch.after(now, collected=told["done"], median=None, has_more=False)
                stretch = replace(stretch, until=now)  # by the next step of the clock
                made += 1
            before = _ours(emulator)
            child.stdin.write("end\n")
            child.stdin.close()
            told = _told(child.stdout)
            child.wait()
        calls = _ours(emulator) - looks - 1  # with that by which the child has loaded its client
        get_runs = emulator.calls.by_operation().get("GetRun", 0)
        head = emulator.client("s3").head_object(Bucket=BUCKET, Key=f"{runs}-{detail}-stretches.jsonl.gz")
        return Measurement(
            runs=runs,
            detail=detail,
            seconds=told["seconds"],
            memory_mb=told["memory_mb"],
            calls=calls,
            least=least + 1 + _pages(runs),
            file_mb=head["ContentLength"] / 1e6,
            stretches=made,
            get_runs=get_runs / runs,
            last_minutes=(_ours(emulator) - before) / CALLS_PER_SECOND / 60,
        )


def _told(output: IO[str]) -> dict[str, Any]:
    """Read the next measurement; log lines go to the same place."""
    told: dict[str, Any] = json.loads(next(line for line in output if line.startswith('{"seconds"')))
    return told


def _ours(emulator: Any) -> int:
    made = emulator.calls.by_operation()
    return sum(made.get(name, 0) for name in ("GetBatch", "GetRun", "ListRuns", "ListRunsInBatch"))


def _names(runs: int) -> list[str]:
    return [f"{'F' if number % 20 == 0 else 'S'}{number:06d}" for number in range(runs)]


def _pages(items: int) -> int:
    return -(-items // PAGE)


@contextmanager
def _batch(runs: int, scenario: dict[str, Any]) -> Iterator[tuple[Any, str]]:
    from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock

    names = _names(runs)
    with OmicsEmulator(clock=SteppedClock(), scenario=scenario, buckets=[BUCKET]) as emulator:
        body = json.dumps([{"runSettingId": name, "parameters": {"sample": name}} for name in names])
        emulator.client("s3").put_object(Bucket=BUCKET, Key="settings.json", Body=body)
        role = "arn:aws:iam::123456789012:role/omics"
        batch_id = emulator.client().start_run_batch(
            requestId="benchmark",
            defaultRunSetting={"workflowId": "1234567", "roleArn": role, "outputUri": f"s3://{BUCKET}/runs"},
            batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/settings.json"},
        )["id"]
        yield emulator, batch_id


def collect(url: str, batch_id: str, runs: int, detail: str) -> dict[str, Any]:
    """Collect a batch, in this process.

    :param url: of the local HealthOmics.
    :param batch_id: the batch.
    :param runs: how many it has.
    :param detail: ``"full"`` or ``"listed"``.
    """
    import logging

    from airflow_provider_omics.core.batch.collect import ResultsDetail
    from airflow_provider_omics.results.collect import collect_results

    hook = _hook(url)
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
    scenario = {
        "limits": {"submissions_per_second": 100_000, "concurrent_dynamic_runs": 1_000_000},
        "runs": [{"match": {"run_setting_id": "F*"}, "outcome": "FAILED"}],
    }
    with _batch(runs, scenario) as (emulator, batch_id):
        while emulator.client().get_batch(batchId=batch_id)["status"] != "PROCESSED":
            emulator.advance(3600)
        for detail in details:
            emulator.calls.clear()
            command = [sys.executable, __file__, "--one", emulator.url, batch_id, str(runs), detail]
            told = json.loads(
                subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1]
            )
            calls = _ours(emulator) - 1
            get_runs = emulator.calls.by_operation().get("GetRun", 0) / runs
            least = 1 + _pages(runs) + (runs if detail == "full" else _pages(runs // 20))
            head = emulator.client("s3").head_object(Bucket=BUCKET, Key=f"{runs}-{detail}.jsonl.gz")
            size = head["ContentLength"] / 1e6
            last = calls / CALLS_PER_SECOND / 60
            yield Measurement(
                runs,
                detail,
                told["seconds"],
                told["memory_mb"],
                calls,
                least,
                size,
                get_runs=get_runs,
                last_minutes=last,
            )


def _peak_mb() -> float:
    # Not getrusage: its peak is that of the process before the exec, too, which here is the service with its batch.
    status = Path("/proc/self/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024


def main() -> int:
    """Measure, print, and tell whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[10_000, 100_000])
    parser.add_argument("--detail", nargs="+", choices=["full", "listed"], default=["listed", "full"])
    parser.add_argument("--stretches", type=int, nargs="+", default=[0, 96])
    parser.add_argument("--others", type=int, default=0)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--stretch", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        url, batch_id, runs, detail = options.one
        print(json.dumps(collect(url, batch_id, int(runs), detail)))
        return 0
    if options.stretch:
        url, batch_id, runs, detail = options.stretch
        collect_in_stretches(url, batch_id, int(runs), detail)
        return 0
    heads = ("runs", "detail", "stretches", "CPU s", "memory MB", "calls", "least", "GetRun x", "last min", "file MB")
    print(" ".join(f"{head:>9}" for head in heads), flush=True)
    row = (
        "{runs:>9} {detail:>9} {stretches:>9} {seconds:>9.1f} {memory_mb:>9.1f} {calls:>9} {least:>9} {get_runs:>9.3f} "
        "{last_minutes:>9.1f} {file_mb:>9.1f}"
    )
    found = []
    broken: list[Measurement] = []
    for runs in options.runs:
        at_end = {one.detail: one for one in measure(runs, options.detail)} if 0 in options.stretches else {}
        several = [number for number in options.stretches if number]
        in_stretches = (
            measure_stretches(runs, detail, number, options.others) for detail in options.detail for number in several
        )
        for one in chain(at_end.values(), in_stretches):
            found.append(one)
            print(row.format(**asdict(one)), flush=True)
            if one.stretches and one.detail in at_end:
                print(f"  CPU: {one.seconds / at_end[one.detail].seconds:.2f} times that of one collection", flush=True)
                is_over = one.detail == "full" and one.seconds > CPU * at_end[one.detail].seconds
                broken += [one] if is_over else []
            broken += [one] if one.stretches and one.last_minutes > LAST_MINUTES else []
    broken += [one for one in found if one.memory_mb > MEMORY_MB or one.calls > one.least * CALLS]
    for detail in options.detail:
        for number in options.stretches:
            memory = [one.memory_mb for one in found if (one.detail, bool(one.stretches)) == (detail, bool(number))]
            broken += [found[-1]] if max(memory) - min(memory) > FLAT_MB else []
    print("limits broken" if broken else "all limits hold")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
