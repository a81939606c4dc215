"""``python -m airflow_provider_omics.emulator`` and the console script ``healthomics-emulator``."""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.emulator import missing_extra

if TYPE_CHECKING:
    from airflow_provider_omics.emulator.http.server import OmicsEmulator

#: Exit code when the emulator cannot start: the one that argparse has for wrong arguments.
_CANNOT_START = 2


def main(arguments: list[str] | None = None) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    :param arguments: command line without the program's name; default: that of the process.
    :return: exit code: 0 after a signal, 2 when the emulator cannot start.
    """
    parser = argparse.ArgumentParser(prog="healthomics-emulator")
    add_arguments(parser)
    return run(parser.parse_args(arguments))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = "A local AWS HealthOmics with S3, CloudWatch Logs, EventBridge, SQS and STS, on 127.0.0.1."
    parser.add_argument("--port", type=int, default=4568, help="0 for a free one; default 4568")
    parser.add_argument(
        "--speed", type=float, default=1.0, help="emulated seconds per real second, e.g. 3600; default 1"
    )
    parser.add_argument(
        "--scenario", type=Path, metavar="FILE.yaml", help="script of outcomes; default: all runs succeed"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of ids and invented details; default 0")
    parser.add_argument(
        "--bucket", action="append", default=[], metavar="NAME", help="S3 bucket to create; may be repeated"
    )
    parser.add_argument(
        "--default-bucket",
        metavar="NAME",
        help="S3 bucket to create, and the connection's place for outputs, results and staged settings",
    )
    parser.add_argument(
        "--connection-file",
        type=Path,
        metavar="FILE.json",
        help="write the connection there, as `airflow connections import` reads it, once calls are answered",
    )


def run(options: argparse.Namespace) -> int:
    """Run the emulator until SIGTERM or SIGINT.

    :param options: the parsed arguments.
    :return: exit code: 0 after a signal, 2 when the emulator cannot start.
    """
    missing = missing_extra()
    if missing is not None:
        return _fail(missing)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        emulator = _emulator(options).start()
    except OSError as error:
        return _fail(f"Cannot start on port {options.port}: {error.strerror or error}")
    except ValueError as error:
        return _fail(f"Cannot start: {error}")
    try:
        _announce(emulator, options.connection_file)
        ended.wait()
    finally:
        emulator.stop()
    return 0


def _emulator(options: argparse.Namespace) -> OmicsEmulator:
    from airflow_provider_omics.emulator.script.clock import ScaledClock  # not before the extra is known to be there

    # What is wrong with the arguments is told before moto is loaded.
    clock, scenario = ScaledClock(options.speed), _scenario(options.scenario)
    from airflow_provider_omics.emulator.http.server import OmicsEmulator

    return OmicsEmulator(
        clock=clock,
        scenario=scenario,
        port=options.port,
        seed=options.seed,
        buckets=options.bucket,
        default_bucket=options.default_bucket,
    )


def _scenario(path: Path | None) -> dict[str, Any] | None:
    if path is None:
        return None
    import yaml  # not before the extra is known to be there

    try:
        mapping = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ValueError(f"--scenario {path}: {error.strerror}") from error
    except yaml.YAMLError as error:
        raise ValueError(f"--scenario {path} is not YAML: {error}") from error
    if not isinstance(mapping, dict):
        raise ValueError(f"--scenario {path} must hold a mapping, not {mapping!r}")  # noqa: TRY004  # main() takes it
    return mapping


def _announce(emulator: OmicsEmulator, connection_file: Path | None) -> None:
    if connection_file is not None:
        # Whoever waits for the file must never read half of it.
        unfinished = connection_file.with_name(f"{connection_file.name}.{os.getpid()}")
        unfinished.write_text(json.dumps({"aws_default": emulator.connection}, indent=2) + "\n")
        unfinished.replace(connection_file)
    sys.stdout.write(f"HealthOmics answers on {emulator.url}\nAIRFLOW_CONN_AWS_DEFAULT='{emulator.connection_json}'\n")
    sys.stdout.flush()


def _fail(reason: str) -> int:
    sys.stderr.write(f"{reason}\n")
    return _CANNOT_START


if __name__ == "__main__":
    sys.exit(main())
