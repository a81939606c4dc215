"""What deferred waits cost: ours, against a trigger in the standard pattern of the Amazon provider.

::

    python benchmarks/waits.py [--points NAME ...] [--json FILE] [--profile FILE]

Each point starts the local HealthOmics in a process of its own, runs in it, and a fresh process that waits for them all
in one event loop, as a triggerer does (``waiting_process.py``). Linux only. The exit code is 1 when a limit is broken.
The stock pattern needs aiobotocore: ``make bench`` has an environment with it.

A run takes 60 s unless said otherwise, a wait looks every 10 s, and the budget is the default one: 5 calls a second. So
the ends of 500 runs that stop together are seen over 100 s: each is confirmed by a GetRun. The stock pattern knows no
budget; for ours the emulator refuses more than 10 calls a second of each operation, as the service does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import boto3
import yaml
from botocore.config import Config

ROLE = "arn:aws:iam::123456789012:role/omics"
BUCKET = "benchmark"
LOOKS = ("GetRun", "ListRuns")

INTERVAL = 10
"""Seconds between two looks of a wait."""


@dataclass(frozen=True)
class Point:
    """One measurement.

    :param name: for the command line.
    :param pattern: ``"ours"`` or ``"stock"``.
    :param waits: how many.
    :param others: active runs of others in the account.
    :param running: seconds that a run takes, about.
    :param speed: emulated seconds per second.
    :param renewed: whether the connection assumes a role whose credentials are renewed each minute.
    :param comings: seconds over which waits come and go, amid throttling and errors; 0: all at once, undisturbed.
    """

    name: str
    pattern: str
    waits: int
    others: int = 0
    running: int = 60
    speed: float = 1.0
    renewed: bool = False
    comings: float = 0.0


POINTS = (
    Point("stock-1", "stock", 1),
    Point("ours-1", "ours", 1),
    Point("stock-50", "stock", 50),
    Point("ours-50", "ours", 50),
    Point("stock-500", "stock", 500),
    Point("ours-500", "ours", 500),
    Point("ours-500-role", "ours", 500, renewed=True),
    Point("ours-2000", "ours", 2000),
    # The ends of 10,000 runs are confirmed over 2,000 s: ten times as fast, they are over in minutes.
    Point("ours-10000", "ours", 10_000, running=1200, speed=10),
    Point("ours-1-among-20000", "ours", 1, others=20_000),
    Point("ours-500-among-20000", "ours", 500, others=20_000),
    Point("stock-50-hour", "stock", 50, running=3600, speed=30),
    Point("ours-500-hour", "ours", 500, running=3600, speed=30),
    Point("soak", "ours", 2000, running=60, renewed=True, comings=300.0),
)


@dataclass
class Result:
    """What a point has brought.

    :param point: which.
    :param told: by the waiting process: see ``waiting_process.Measurement``.
    :param calls: by operation, per wait.
    :param throttled: refused calls.
    :param delays: median and 99th percentile of the seconds between the end of a run and its event.
    :param wrong: events that are missing, doubled or do not tell how the run ended.
    """

    point: Point
    told: dict[str, Any]
    calls: dict[str, float]
    throttled: int
    delays: tuple[float, float]
    wrong: list[str] = field(default_factory=list)

    @property
    def looks(self) -> float:
        """GetRun and ListRuns calls per wait."""
        return sum(self.calls.get(name, 0.0) for name in LOOKS)


class Service:
    """A local HealthOmics in a process of its own.

    :param folder: for its files.
    :param point: what it has to be like.
    """

    def __init__(self, folder: Path, point: Point) -> None:
        scenario = {
            "limits": {
                "concurrent_dynamic_runs": 200_000,
                "submissions_per_second": 200_000,
                "inline_runs_per_batch": 200_000,
            },
            "runs": [
                {"match": {"batch": "others"}, "starting": 5, "running": 100_000},
                {"match": {"name": "fail"}, "outcome": "FAILED", **_life(point.running)},
                *({"match": {"name": f"long-{n}"}, **_life(point.running * n)} for n in range(2, 6)),
                _life(point.running),
            ],
            "batches": [{"creating": 0, "pending": 0}],
        }
        (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
        file = folder / "connection.json"
        command = [sys.executable, "-m", "airflow_provider_omics.emulator", "--port", "0", "--speed", str(point.speed)]
        command += ["--scenario", str(folder / "scenario.yaml"), "--bucket", BUCKET, "--connection-file", str(file)]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        while not file.exists():
            if self._process.poll() is not None:
                raise RuntimeError(f"the emulator ended with code {self._process.returncode}")
            time.sleep(0.05)  # noqa: TID251  # another process's start, in wall time
        self.connection: dict[str, Any] = json.loads(file.read_text())["aws_default"]
        self._url = self.connection["extra"]["endpoint_url"]

    def close(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.wait(timeout=30)

    def ask(self, path: str, body: Any = None) -> Any:
        """Call the control API; with a body it is a PUT."""
        data = None if body is None else json.dumps(body).encode()
        url = f"{self._url}/_emulator/{path}"
        headers = {"Content-Type": "application/json"} if data else {}
        method = "PUT" if data else "GET"
        request = urllib.request.Request(url, data, headers, method=method)  # noqa: S310 - our own, http
        with urllib.request.urlopen(request) as answer:  # noqa: S310 - the same
            return json.load(answer)

    def client(self, service: str) -> Any:
        """Make a client."""
        return boto3.client(
            service,
            endpoint_url=self._url,
            region_name="us-east-1",
            aws_access_key_id=self.connection["login"],
            aws_secret_access_key=self.connection["password"],
            config=Config(inject_host_prefix=False, s3={"addressing_style": "path"}),
        )

    def start_others(self, count: int) -> None:
        """Have active runs of others."""
        body = json.dumps([{"runSettingId": f"o{number}"} for number in range(count)])
        self.client("s3").put_object(Bucket=BUCKET, Key="others.json", Body=body)
        omics = self.client("omics")
        omics.start_run_batch(
            requestId="others",
            batchName="others",
            defaultRunSetting={"workflowId": "1234567", "roleArn": ROLE, "outputUri": f"s3://{BUCKET}/o"},
            batchRunSettings={"s3UriSettings": f"s3://{BUCKET}/others.json"},
        )
        while not omics.list_runs(status="RUNNING")["items"]:
            time.sleep(0.5)  # noqa: TID251  # the emulator's clock is not stepped here

    def start(self, count: int, names: Sequence[str]) -> list[str]:
        """Start runs, whose names say how they go on."""
        omics = self.client("omics")
        return [
            omics.start_run(
                workflowId="1234567",
                roleArn=ROLE,
                outputUri=f"s3://{BUCKET}/r",
                storageType="DYNAMIC",
                name=names[number % len(names)],
                requestId=str(number),
            )["id"]
            for number in range(count)
        ]

    @property
    def counts(self) -> tuple[Counter[str], int]:
        """How often each operation was called, and how many calls were throttled."""
        told = self.ask("calls")
        throttled = sum(codes.get("ThrottlingException", 0) for codes in told["codes"].values())
        return Counter(told["calls"]), throttled


def _life(seconds: int) -> dict[str, int]:
    return {"pending": 0, "starting": 5, "running": seconds - 10, "stopping": 5}


FAULTS = (*({"operation": name, "calls_per_second": 10} for name in (*LOOKS, "GetBatch")),)
VARIETY = ("run", "fail", "long-2", "long-3", "long-4", "long-5")
DISTURBANCES = (
    # Each refusal halves the pace for minutes: more of them, and the soak is one of patience.
    {"error": "ThrottlingException", "probability": 0.02, "times": 10},
    {"error": "InternalServerException", "probability": 0.02},
    {"lost_request": True, "probability": 0.005},
)


@contextmanager
def service(point: Point) -> Iterator[tuple[Service, Path]]:
    """Run a service, with a folder for files."""
    with tempfile.TemporaryDirectory() as folder:
        it = Service(Path(folder), point)
        try:
            yield it, Path(folder)
        finally:
            it.close()


def measure(point: Point, profile: str | None = None) -> Result:
    """Measure one point.

    :param point: which.
    :param profile: file for a cProfile of the waiting process.
    """
    with service(point) as (it, folder):
        order = {"pattern": point.pattern, "interval": INTERVAL, "speed": point.speed, "comings": point.comings}
        environment = {**os.environ, "AIRFLOW_HOME": str(folder), "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, str(Path(__file__).with_name("waiting_process.py"))]
        command.append(json.dumps({**order, "profile": profile}))
        waiting = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        if waiting.stdin is None or waiting.stdout is None:
            raise RuntimeError("no pipes")
        _line(waiting.stdout, "ready")
        if point.others:
            it.start_others(point.others)
        runs = it.start(point.waits, VARIETY if point.comings else ("run",))
        if point.pattern == "ours":
            it.ask("faults", [*FAULTS, *(DISTURBANCES if point.comings else ())])
        before, _ = it.counts
        given = {"runs": runs, "now": _moment(it.ask("state")["now"]), "connection": json.dumps(_connection(it, point))}
        waiting.stdin.write(json.dumps(given) + "\n")
        waiting.stdin.flush()
        told = json.loads(_line(waiting.stdout, '{"waits"'))
        waiting.wait()
        after, throttled = it.counts
        ends = {run["id"]: run for run in it.ask("runs") if run["id"] in set(runs)}
    ended_at: dict[str, float] = told.pop("ended_at")
    outcomes: dict[str, list[str]] = told.pop("outcomes")
    left = set(told.pop("left"))
    delays = sorted(at - _moment(ends[run]["stopTime"]) for run, at in ended_at.items())
    success = "success" if point.pattern == "stock" else "COMPLETED"
    wrong = [
        f"{run}: {outcomes.get(run)}, not {ends[run]['status']}"
        for run in runs
        if not (run in left and run not in outcomes)
        and outcomes.get(run) != [success if ends[run]["status"] == "COMPLETED" else ends[run]["status"]]
    ]
    calls = {name: (after[name] - before[name]) / point.waits for name in LOOKS}
    p99 = delays[max(0, round(len(delays) * 0.99) - 1)]
    return Result(point, told, calls, throttled, (statistics.median(delays), p99), wrong)


def _connection(it: Service, point: Point) -> dict[str, Any]:
    connection = json.loads(json.dumps(it.connection))
    if point.renewed:
        # botocore renews credentials 15 minutes before their end: here after a minute.
        connection["extra"] |= {
            "role_arn": ROLE,
            "assume_role_kwargs": {"DurationSeconds": 960},
            "service_config": {"sts": {"endpoint_url": connection["extra"]["endpoint_url"]}},
        }
    if point.comings:
        # 1,400 ends are confirmed by a GetRun each: at 5 a second that alone takes five minutes.
        connection["extra"].setdefault("service_config", {})["omics"] = {"calls_per_second": 9}
    return dict(connection)


def _moment(text: str) -> float:
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()


def _line(lines: Iterable[str], start: str) -> str:
    for line in lines:
        if line.startswith(start):
            return line
    raise RuntimeError(f"the waiting process ended before it said {start}")


def broken(results: list[Result]) -> list[str]:
    """Tell which limits are broken, of those that were measured."""
    by_name = {result.point.name: result for result in results}
    lines = [f"{r.point.name}: {len(r.wrong)} wrong: {r.wrong[:3]}" for r in results if r.wrong]
    lines += [f"{r.point.name}: leaked {r.told['leaked'][:3]}" for r in results if r.told["leaked"]]
    for r in results:
        if r.point.pattern == "ours" and not r.point.comings and r.throttled:
            lines.append(f"{r.point.name}: {r.throttled} throttled calls")
        if r.point.pattern == "ours" and r.point.waits == 1:
            if r.delays[1] > INTERVAL + 2:
                lines.append(f"{r.point.name}: the end was seen after {r.delays[1]:.1f} s, not {INTERVAL + 2}")
            if r.calls["ListRuns"]:
                lines.append(f"{r.point.name}: {r.calls['ListRuns']:.0f} calls of ListRuns for one wait")
        if r.point.pattern == "ours" and r.point.waits >= 10_000 and r.told["memory_kb"] >= 20:
            lines.append(f"{r.point.name}: {r.told['memory_kb']:.1f} KB a wait, not 20")
        limit = {500: 0.1, 2000: 0.15, 10_000: 0.15}.get(r.point.waits)
        if r.point.pattern == "ours" and limit and r.told["longest_block"] > limit:
            lines.append(f"{r.point.name}: the loop was blocked for {r.told['longest_block']:.2f} s, not {limit}")
    for ours, stock, limits in (
        ("ours-1", "stock-1", {"looks": 1.0}),
        ("ours-500", "stock-500", {"cpu_ms_of_waits": 15.0, "memory_kb": 20.0, "looks": 2.5}),
        ("ours-500-hour", "stock-50-hour", {"looks": 20.0}),
    ):
        if ours in by_name and stock in by_name:
            for name, limit in limits.items():
                ratio = _figure(by_name[stock], name) / _figure(by_name[ours], name)
                print(f"{ours} against {stock}: {name} 1/{ratio:.1f} (wanted: 1/{limit:g})")
                if ratio < limit:
                    lines.append(f"{ours}: {name} is 1/{ratio:.1f} of {stock}, not 1/{limit:g}")
    return lines


def _figure(result: Result, name: str) -> float:
    return result.looks if name == "looks" else float(result.told[name])


def main() -> int:
    """Measure, print a table, and tell whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--points", nargs="+", choices=[point.name for point in POINTS])
    parser.add_argument("--json", type=Path, help="write the figures there")
    parser.add_argument("--profile", help="write a profile of the waiting process there (of the last point)")
    options = parser.parse_args()
    print(
        f"{'point':>22} {'CPU ms':>8} {'of waits':>9} {'memory KB':>10} {'all MB':>7} "
        f"{'GetRun':>8} {'ListRuns':>9} {'block s':>8} {'delay s':>8} {'99 %':>7} {'429s':>5} {'s':>5}",
        flush=True,
    )
    results = []
    for point in POINTS:
        if options.points and point.name not in options.points:
            continue
        result = measure(point, options.profile)
        results.append(result)
        told = result.told
        print(
            f"{point.name:>22} {told['cpu_ms']:>8.1f} {told['cpu_ms_of_waits']:>9.1f} "
            f"{told['memory_kb']:>10.1f} {told['resident_mb']:>7.0f} "
            f"{result.calls['GetRun']:>8.2f} "
            f"{result.calls['ListRuns']:>9.3f} {told['longest_block']:>8.3f} {result.delays[0]:>8.1f} "
            f"{result.delays[1]:>7.1f} {result.throttled:>5} {told['seconds']:>5.0f}",
            flush=True,
        )
        if options.json:
            figures = [
                {
                    "point": vars(r.point),
                    "calls": r.calls,
                    "throttled": r.throttled,
                    "delays": r.delays,
                    "wrong": r.wrong,
                    **r.told,
                }
                for r in results
            ]
            options.json.write_text(json.dumps(figures, indent=1) + "\n")
    lines = broken(results)
    print("\n".join(lines) or "all limits hold")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
