"""Programs that nobody here wrote, on the local HealthOmics: ``make test-clients`` brings them.

Each is pinned (``pins``, ``javascript/package.json``), and has an environment of its own below ``.venv-clients``.
A newer release is tried by its number there: what breaks then is either ours, or a fault that belongs beside the test.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock

ROOT = Path(__file__).parents[2]
INSTALLED = ROOT / ".venv-clients"
BUCKET = "genomics-outputs"
ROLE = "arn:aws:iam::123456789012:role/omics"

# Of a plain `pytest`, before `make test-clients` has brought a client; JavaScript's needs npm.
collect_ignore_glob = [
    f"test_{path.stem.removesuffix('.txt').replace('-', '_')}.py"
    for path in [*(Path(__file__).parent / "pins").glob("*.txt"), Path("javascript")]
    if not (INSTALLED / path.stem / ".installed").exists()
]

Program = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def emulator() -> Iterator[OmicsEmulator]:
    """A running emulator with a stepped clock and one bucket; workflows are ready at once, as programs would sleep."""
    scenario = {"workflow_creation": {"seconds": 0}}
    with OmicsEmulator(clock=SteppedClock(), buckets=[BUCKET], scenario=scenario) as emulator:
        emulator.reset()
        yield emulator


@pytest.fixture
def program(emulator: OmicsEmulator, tmp_path: Path) -> Program:
    """Runs a program with what docs/testing.md says of other clients, and with nothing of this machine's."""
    environment = {
        "AWS_ENDPOINT_URL": emulator.url,
        "AWS_DISABLE_HOST_PREFIX_INJECTION": "true",
        "AWS_ACCESS_KEY_ID": "123456789012",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",  # the JavaScript SDK's name for it
        "AWS_EC2_METADATA_DISABLED": "true",
        "HOME": str(tmp_path),
        "PATH": "/usr/local/bin:/usr/bin:/bin",
    }

    def run(*words: str, status: int = 0, stdin: str = "") -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            words, env=environment, cwd=tmp_path, input=stdin, capture_output=True, text=True, timeout=100, check=False
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done

    return run


@pytest.fixture
def started(emulator: OmicsEmulator) -> Callable[..., str]:
    """Starts a run by boto3, and lets it end."""

    def start(**more: Any) -> str:
        settings = {"workflowId": "1234567", "roleArn": ROLE, "outputUri": f"s3://{BUCKET}/runs", **more}
        run_id = str(emulator.client().start_run(**settings)["id"])
        emulator.advance(100_000)
        return run_id

    return start


def answer(done: subprocess.CompletedProcess[str]) -> Any:
    """Read what a program has printed as JSON."""
    return json.loads(done.stdout)
