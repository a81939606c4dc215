"""What importing our operators costs in a DAG file, beside the Amazon provider's operators for AWS Batch.

::

    python benchmarks/imports.py [--times 15]

Each import is made in a process of its own that has imported Airflow already, as the DAG processor has. Both are
measured in turn, and of each the process that took the least CPU time counts: what else runs on the machine can only
make an import slower. The exit code is 1 when a limit is broken.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile

OURS = ("airflow_provider_omics.operators.run", "airflow_provider_omics.operators.run_batch")
STOCK = ("airflow.providers.amazon.aws.operators.batch",)

LIMIT = 1.0
"""Ours is to be no slower. Measured: 0.86, three times over with six processes on two cores (Python 3.11, Airflow 3.3).
The Amazon provider's operators load their triggers, and with them Airflow's; ours do so when a task defers."""

CODE = """
import importlib, json, sys, time
import airflow.providers.common.compat.sdk
names = json.loads(sys.argv[1])
before = set(sys.modules)
cpu = time.process_time()
for name in names:
    importlib.import_module(name)
cpu = time.process_time() - cpu
print("\\n" + json.dumps({"cpu": cpu, "modules": sorted(set(sys.modules) - before)}))
"""


def measure(names: tuple[str, ...]) -> tuple[float, set[str]]:
    """Import modules in a fresh process.

    :param names: what to import.
    :return: the CPU seconds, and the modules that were added.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "AIRFLOW_HOME": folder, "AIRFLOW__CORE__LOAD_EXAMPLES": "False"}
        command = [sys.executable, "-c", CODE, json.dumps(names)]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    found = json.loads(done.stdout.splitlines()[-1])
    return found["cpu"], set(found["modules"])


def main() -> int:
    """Measure both, print them, and tell whether the limits hold."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--times", type=int, default=15)
    options = parser.parse_args()
    # What is compiled now is not compiled in a measurement.
    theirs, modules = measure(STOCK)[1], measure(OURS)[1]
    in_turn = [(measure(STOCK)[0], measure(OURS)[0]) for _ in range(options.times)]
    stock, ours = (min(seconds) for seconds in zip(*in_turn, strict=True))
    own = {name for name in modules if name.partition(".")[0] == "airflow_provider_omics"}
    beside = sorted(modules - theirs - own)
    print(f"{'CPU ms':>8} {'modules':>8}")
    print(f"{stock * 1000:>8.0f} {len(theirs):>8}  {', '.join(STOCK)}")
    print(f"{ours * 1000:>8.0f} {len(modules):>8}  {', '.join(OURS)}; {len(own)} are our own")
    if beside:
        print(f"{len(beside)} neither ours nor among theirs: {', '.join(beside)}")
    lines = [f"{name} is imported" for name in sorted(modules) if name.partition(".")[0] == "aiobotocore"]
    if ours > stock * LIMIT:
        lines.append(f"ours takes {ours / stock:.2f} times as long, not {LIMIT}")
    print("\n".join(lines) or f"all limits hold: ours takes {ours / stock:.2f} times as long, {LIMIT} are allowed")
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
