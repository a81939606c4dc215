"""What importing our operators costs in a DAG file, beside the Amazon provider's operators for AWS Batch.

::

    python benchmarks/imports.py [--times 7]

Each import is made in a process of its own that has imported Airflow already, as the DAG processor has. The exit code
is 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

OURS = ("airflow_provider_omics.operators.run", "airflow_provider_omics.operators.run_batch")
STOCK = ("airflow.providers.amazon.aws.operators.batch",)

NOISE = 1.25
"""How much longer an import of ours may take: its own modules are compiled code that has to be read as well."""

CODE = """
import importlib, json, sys, time
import airflow.providers.common.compat.sdk
names = json.loads(sys.argv[1])
before = set(sys.modules)
wall, cpu = time.perf_counter(), time.process_time()
for name in names:
    importlib.import_module(name)
cpu = time.process_time() - cpu
print("\\n" + json.dumps({"cpu": cpu, "modules": sorted(set(sys.modules) - before)}))
"""


def measure(names: tuple[str, ...], times: int) -> tuple[float, set[str]]:
    """Import modules in fresh processes.

    :param names: what to import.
    :param times: how often.
    :return: the median of the CPU seconds, and the modules that were added.
    """
    found = []
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "AIRFLOW_HOME": folder, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        for _ in range(times):
            command = [sys.executable, "-c", CODE, json.dumps(names)]
            done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
            found.append(json.loads(done.stdout.splitlines()[-1]))
    return statistics.median(one["cpu"] for one in found), set(found[-1]["modules"])


def main() -> int:
    """Measure both, print them, and tell whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=7)
    options = parser.parse_args()
    measure(STOCK + OURS, 1)  # what is compiled now is not compiled in a measurement
    stock, theirs = measure(STOCK, options.times)
    ours, modules = measure(OURS, options.times)
    own = {name for name in modules if name.partition(".")[0] == "airflow_provider_omics"}
    beside = sorted(modules - theirs - own)
    print(f"{'CPU ms':>8} {'modules':>8}")
    print(f"{stock * 1000:>8.0f} {len(theirs):>8}  {', '.join(STOCK)}")
    print(f"{ours * 1000:>8.0f} {len(modules):>8}  {', '.join(OURS)}; {len(own)} are our own")
    if beside:
        print(f"{len(beside)} neither ours nor among theirs: {', '.join(beside)}")
    lines = [f"{name} is imported" for name in sorted(modules) if name.partition(".")[0] == "aiobotocore"]
    if ours > stock * NOISE:
        lines.append(f"ours takes {ours / stock:.2f} times as long, not {NOISE}")
    print("\n".join(lines) or "all limits hold")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
