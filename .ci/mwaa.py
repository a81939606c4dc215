"""The wheel in the images of Amazon Managed Workflows for Apache Airflow (MWAA).

::

    python .ci/mwaa.py files WHEEL FOLDER   # requirements and constraints for each image that can have it
    python .ci/mwaa.py test WHEEL           # installed beside the pins of each such image, and the demo run

``mwaa.json`` has the pins that touch us. An image that pins less than the wheel requires cannot have it, and is named.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from email.parser import Parser
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).parent
EXAMPLE_DAGS = HERE.parent / "example_dags"
IMAGES: dict[str, dict[str, str]] = json.loads((HERE / "mwaa.json").read_text(encoding="utf-8"))["images"]
PLUGINS, DAGS = "/usr/local/airflow/plugins", "/usr/local/airflow/dags"
"""Where MWAA unpacks plugins.zip and has the DAGs (its user guide, "Managing Python dependencies")."""

IMPORTED = (
    "operators.run",
    "operators.run_batch",
    "sensors.run",
    "triggers.run_batch",
    "jobs.task",
    "get_provider_info",
)


def metadata_of(wheel: Path) -> tuple[str, list[str]]:
    """Read the version of a wheel, and what it requires without extras."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        metadata = Parser().parsestr(archive.read(name).decode())
    required = metadata.get_all("Requires-Dist") or []
    return str(metadata["Version"]), [text for text in required if "extra ==" not in text]


def obstacles(required: Sequence[str], pins: Mapping[str, str]) -> list[str]:
    """Name the pins of an image that our requirements do not take.

    :param required: requirements, as a wheel has them.
    :param pins: package -> version.
    :return: a line for each, such as ``boto3 1.42.61, needs >=1.42.74``.
    """
    wanted = [Requirement(text) for text in required]
    return [
        f"{each.name} {pins[each.name]}, needs {each.specifier}"
        for each in wanted
        if not each.specifier.contains(pins[each.name], prereleases=True)
    ]


def write_files(version: str, required: Sequence[str], folder: Path) -> list[str]:
    """Write the files of a release.

    :param version: of the wheel.
    :param required: what it requires.
    :param folder: made if it is not there.
    :return: the images that have files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    taken = [image for image, pins in IMAGES.items() if not obstacles(required, pins)]
    for image in taken:
        constraints = f"omics-constraints-{image}.txt"
        pins = "".join(f"{name}=={pinned}\n" for name, pinned in IMAGES[image].items())
        (folder / constraints).write_text(f"airflow-provider-omics=={version}\n{pins}", encoding="utf-8")
        lines = (
            f"--find-links {PLUGINS}",
            f'--constraint "{DAGS}/{constraints}"',
            f"airflow-provider-omics=={version}",
        )
        (folder / f"requirements-{image}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    return taken


def installs(image: str, wheel: Path, folder: Path) -> bool:
    """Install the wheel beside the pins of an image, in an environment of its own, and import it."""
    constraints = folder / f"{image}.txt"
    constraints.write_text("".join(f"{name}=={pinned}\n" for name, pinned in IMAGES[image].items()), encoding="utf-8")
    python = folder / image / "bin" / "python"
    uv = [str(Path(sys.executable).with_name("uv"))]
    program = "import importlib\n" + "".join(
        f"importlib.import_module('airflow_provider_omics.{name}')\n" for name in IMPORTED
    )
    for command in (
        [*uv, "venv", "--quiet", "--python", sys.executable, str(folder / image)],
        [*uv, "pip", "install", "--quiet", "--python", str(python), "--constraint", str(constraints), str(wheel)],
        [str(python), "-W", "ignore", "-c", program],
    ):
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
        if done.returncode:
            print(f"{image}: FAILED: {' '.join(command[:3])}\n{done.stderr[-2000:]}")
            return False
    return True


def runs_demo(image: str, folder: Path) -> bool:
    """Run the demo's DAG in the environment of an image, on a local HealthOmics that this interpreter runs."""
    home = folder / f"home-{image}"
    home.mkdir()
    scenario = EXAMPLE_DAGS / "scenario.yaml"
    options = ["--port", "0", "--speed", "900", "--scenario", str(scenario), "--default-bucket", "omics-results"]
    command = [sys.executable, "-m", "airflow_provider_omics.emulator", *options]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        try:
            announced = (line.partition("=") for line in emulator.stdout or ())
            connection = next(value for name, _, value in announced if name == "AIRFLOW_CONN_AWS_DEFAULT")
            environment = {
                **{
                    name: value
                    for name, value in os.environ.items()
                    if not name.startswith(("AIRFLOW", "AWS_", "PYTHON"))
                },
                "AIRFLOW_HOME": str(home),
                "AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLE_DAGS),
                "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
                "AIRFLOW_CONN_AWS_DEFAULT": connection.strip().strip("'"),
                "NO_PROXY": "127.0.0.1",
                "OMICS_POLL_INTERVAL": "1",
            }
            for arguments in (["db", "migrate"], ["dags", "test", "example_omics_run_batch"]):
                done = subprocess.run(
                    [str(folder / image / "bin" / "airflow"), *arguments],
                    env=environment, cwd=home, capture_output=True, text=True, check=False,
                )  # fmt: skip
                if done.returncode or "Traceback" in done.stderr:
                    print(f"{image}: FAILED: airflow {' '.join(arguments)}\n{done.stdout[-1500:]}{done.stderr[-1500:]}")
                    return False
        finally:
            emulator.terminate()
    return "7 of 8 samples completed" in done.stdout + done.stderr


def main(arguments: Sequence[str]) -> int:
    """Write the files, or test the images.

    :return: exit status: 1 if an image that is to have the wheel cannot.
    """
    command, wheel, *rest = arguments
    version, required = metadata_of(Path(wheel))
    for image, pins in IMAGES.items():
        if lines := obstacles(required, pins):
            print(f"{image}: cannot have it: {'; '.join(lines)}")
    if command == "files":
        print("files for", ", ".join(write_files(version, required, Path(rest[0]))))
        return 0
    failed = False
    with tempfile.TemporaryDirectory(prefix="omics-mwaa-") as folder:
        for image, pins in IMAGES.items():
            if not obstacles(required, pins):
                if installs(image, Path(wheel).resolve(), Path(folder)) and runs_demo(image, Path(folder)):
                    print(f"{image}: installed, imported, and the demo's DAG has run")
                else:
                    print(f"{image}: FAILED")
                    failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
