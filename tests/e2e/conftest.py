"""A running Airflow over local emulators, for the session; it starts when the first test asks, and leaves nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.deployment import VERSION, Deployment, clean_environment
from tests.e2e.deployment_2 import Deployment2
from tests.e2e.emulators import BUCKET, WAVES, EmulatorProcess, SteppedEmulator
from tests.e2e.processes import MARK, kill_all, marked
from tests.e2e.stage import KINDS, Stage

pytest.register_assert_rewrite("tests.e2e.expectations")

HERE = Path(__file__).parent

OLDER = "test_older_airflow.py"
IS_OLDER = VERSION < (3, 3)

# What Airflow before 3.3 can show stands in a module of its own, but for the waves, which all can.
collect_ignore = [
    path.name
    for path in HERE.glob("test_*.py")
    if path.name != "test_waves.py" and (path.name == OLDER) is not IS_OLDER
]

DAG_IDS = {
    "workers",
    "users",
    "abandoned",
    "lost",
    "service",
    "throttled",
    "limits",
    "mapping",
    "deployments",
    "triggerers",
    "outage",
    "waves",
}

THROTTLED_STARTS = 6  # with pauses of 2, 4, ... 64 seconds: two minutes

FAULTS: dict[str, tuple[dict[str, Any], ...]] = {
    "calm": (),
    # For the mapped runs alone: their calls are counted.
    "shared": (),
    # Each start is carried out, and nobody hears of it, until the third time.
    "lossy": tuple({"operation": name, "lost_response": True, "times": 3} for name in ("StartRun", "StartRunBatch")),
    "throttling": tuple(
        {"operation": name, "error": "ThrottlingException", "times": THROTTLED_STARTS}
        for name in ("StartRun", "StartRunBatch")
    ),
    "erring": ({"error": "InternalServerException", "probability": 0.5},),
}
"""The emulators, by what they do wrong; the connection of each is named ``omics_{name}``."""


DIRECTED = (
    "test_mapping",
    "test_workers",
    "test_deployments",
    "test_service",
    "test_waves",
    "test_users",
    "test_lost_state",
    "test_limits",
)
"""Modules whose cases are played together, in the order in which their DAG runs start."""

LAST = ("test_triggerers", "test_throttling", "test_api_server", "test_examples")
"""Modules that disturb all of Airflow, one that takes long beside them, and one with an Airflow of its own: after the
others, in this order."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests of this folder an order, and time: the first one waits for all that the cases do together."""
    items.sort(key=lambda item: LAST.index(item.path.stem) if item.path.stem in LAST else -1)
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.timeout(1500))


@pytest.fixture(scope="session")
def session_mark() -> Iterator[str]:
    """The word that marks all processes of this session; at the end none of them may be left."""
    mark = f"omics-e2e-{os.getpid()}"
    # A CI job that is called off ends with SIGTERM: what was started must end as after Ctrl-C.
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield mark
    finally:
        left = marked(mark)
        names = [" ".join(process.cmdline())[:200] for process in left if process.is_running()]
        kill_all(left)
        signal.signal(signal.SIGTERM, before)
    assert not names, f"processes were left behind: {names}"


@pytest.fixture(scope="session")
def folder(session_mark: str) -> Iterator[Path]:
    """A folder for homes, databases and logs; kept when OMICS_E2E_KEEP is set."""
    path = Path(tempfile.mkdtemp(prefix=f"{session_mark}-"))
    yield path
    if "OMICS_E2E_KEEP" not in os.environ:
        shutil.rmtree(path)


@pytest.fixture(scope="session")
def emulators(session_mark: str, folder: Path) -> Iterator[dict[str, EmulatorProcess]]:
    """One local HealthOmics for each kind of trouble that it can make."""
    with ExitStack() as stack:
        found = {}
        for name, faults in FAULTS.items():
            found[name] = EmulatorProcess(name, folder, clean_environment(**{MARK: session_mark}), faults)
            stack.callback(found[name].stop)
        for emulator in found.values():
            emulator.wait_ready()
        yield found


@pytest.fixture(scope="session")
def stepped() -> Iterator[SteppedEmulator]:
    """A local HealthOmics whose clock the scripts step; these have its connection, too."""
    emulator = SteppedEmulator(WAVES)
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("AIRFLOW_CONN_OMICS_WAVES", json.dumps(emulator.connection))
        yield emulator
    emulator.stop()


@pytest.fixture(scope="session")
def environment(session_mark: str, emulators: dict[str, EmulatorProcess], stepped: SteppedEmulator) -> dict[str, str]:
    """What Airflow's processes need beside its settings: the mark, and a connection to each emulator."""
    connections = {name: emulator.connection for name, emulator in emulators.items()}
    connections["waves"] = stepped.connection
    calm = connections["calm"]
    staging = {"omics": {"staging_s3_uri": f"s3://{BUCKET}/staging/"}}
    connections["staging"] = {**calm, "extra": {**calm["extra"], "service_config": staging}}
    variables = {f"AIRFLOW_CONN_OMICS_{name.upper()}": json.dumps(value) for name, value in connections.items()}
    return clean_environment(AIRFLOW_CONN_AWS_DEFAULT=json.dumps(calm), **variables, **{MARK: session_mark})


@pytest.fixture(scope="session")
def deployment(folder: Path, environment: dict[str, str]) -> Iterator[Deployment]:
    """A running Airflow with all components healthy and all DAGs parsed."""
    home = folder / "airflow"
    home.mkdir()
    running = Deployment2(home, environment) if VERSION[0] == 2 else Deployment(home, environment)
    try:
        running.migrate()
        running.start_all()
        running.wait_healthy()
        running.wait_parsed({"older", "waves"} if IS_OLDER else DAG_IDS)
        yield running
    finally:
        running.stop()


@pytest.fixture(scope="session")
def throttled(deployment: Deployment, emulators: dict[str, EmulatorProcess]) -> Stage:
    """Tasks whose start is throttled for minutes, meanwhile the others are played."""
    waiting = Stage(deployment, {"throttling": emulators["throttling"]})
    waiting.trigger("throttled")
    for kind in KINDS:
        waiting.task("throttled", f"{kind}_throttled")
    waiting.trigger_next()
    return waiting


@pytest.fixture(scope="session")
def stage(
    request: pytest.FixtureRequest,
    deployment: Deployment,
    emulators: dict[str, EmulatorProcess],
    stepped: SteppedEmulator,
) -> Stage:
    """All cases that do not disturb each other, played together: those of the modules that were asked for."""
    modules: dict[str, Any] = {item.path.stem: getattr(item, "module", None) for item in request.session.items}
    if "test_throttling" in modules:
        request.getfixturevalue("throttled")  # it takes long, beside all that comes before it
    played = Stage(deployment, emulators, stepped)
    # Those with the longest cases first.
    for name in sorted(modules, key=lambda name: DIRECTED.index(name) if name in DIRECTED else len(DIRECTED)):
        if hasattr(modules[name], "direct"):
            modules[name].direct(played)
    played.play(900)  # 400 on a quiet machine
    return played
