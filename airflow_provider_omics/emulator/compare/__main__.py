"""``python -m airflow_provider_omics.emulator.compare``: ask a real account what the emulator assumes."""

from __future__ import annotations

import argparse
import functools
import sys
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

from airflow_provider_omics.emulator import missing_extra

_CANNOT_START = 2
_LOCAL_BUCKET = "healthomics-compare-local"
_COST = """This creates in {region}, in the caller's account, and removes again at the end:
  1 workflow (one task of a second), about 20 runs, 11 batches of one or two runs, 2 run groups,
  a run cache and a VPC configuration if AWS takes what the emulator refuses, and objects below {place}.
About ten minutes, and less than a dollar: a run costs a minute of omics.c.large and its storage.
"""


def main(
    arguments: list[str] | None = None,
    *,
    client: Callable[[str], Any] | None = None,
    sleep: Callable[[float], None] | None = None,
    confirm: Callable[[str], str] = input,
) -> int:
    """Compare an account with the emulator.

    :param arguments: command line without the program's name; default: that of the process.
    :param client: makes a boto3 client of the account; default: boto3's own, with the caller's credentials.
    :param sleep: waits some seconds; default: really.
    :param confirm: asks whether to begin.
    :return: exit code: 0 all the same or not asked, 1 something is different or was left behind, 2 it was not begun.
    """
    options = _parser().parse_args(arguments)
    missing = missing_extra()
    if missing is not None:
        sys.stderr.write(f"{missing}\n")
        return _CANNOT_START
    # Not before the extra is known to be there.
    from airflow_provider_omics.emulator.compare.account import Account
    from airflow_provider_omics.emulator.compare.questions import QUESTIONS
    from airflow_provider_omics.emulator.compare.report import compare, report
    from airflow_provider_omics.emulator.http.server import OmicsEmulator
    from airflow_provider_omics.emulator.script.clock import SteppedClock

    theirs = Account(
        client or _own_clients(options.region), options.role_arn, options.output_uri, container=options.container
    )
    if sleep is not None:
        theirs.sleep = sleep
    sys.stderr.write(_COST.format(region=options.region, place=theirs.place))
    if not options.yes and confirm("Begin? [y/N] ").strip().lower() not in ("y", "yes"):
        return _CANNOT_START
    chosen = [question for question in QUESTIONS if not options.only or question.name in options.only]
    with OmicsEmulator(clock=SteppedClock(), buckets=[_LOCAL_BUCKET], region=options.region) as emulator:

        def say(line: str) -> None:
            sys.stderr.write(f"{line}\n")

        local = functools.cache(emulator.client)
        ours = Account(
            local, options.role_arn, f"s3://{_LOCAL_BUCKET}/", sleep=emulator.advance, container=options.container
        )
        compared, left = [], []
        try:
            compared = compare(theirs, ours, chosen, say)
        finally:
            # However it ends: nothing may stay in the account unseen.
            left = theirs.remove()
            sys.stderr.writelines(f"left behind: {line}\n" for line in left)
    text = report(
        compared, left, f"airflow-provider-omics {version('airflow-provider-omics')}, boto3 {version('boto3')}"
    )
    if options.report:
        options.report.write_text(text)
    else:
        sys.stdout.write(text)
    return int(bool(left) or any(each.is_same is False for each in compared))


def _own_clients(region: str) -> Callable[[str], Any]:
    import boto3  # not before the extra is known to be there

    session = boto3.session.Session(region_name=region)
    return functools.cache(session.client)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_omics.emulator.compare",
        description="Ask an AWS account what the local HealthOmics assumes, and report what differs.",
        epilog="The report has no ids, accounts, names or places: attach it to an issue of the project.",
    )
    parser.add_argument("--region", required=True, help="AWS Region")
    parser.add_argument("--role-arn", required=True, help="service role of the runs")
    parser.add_argument("--output-uri", required=True, help="where outputs go: s3://bucket/prefix/")
    parser.add_argument("--container", default="", help="image of the task, in ECR; default: none is named")
    parser.add_argument("--only", action="append", metavar="QUESTION", help="ask this question alone; may be repeated")
    parser.add_argument(
        "--report", type=Path, metavar="FILE.md", help="where the report goes; default: standard output"
    )
    parser.add_argument("--yes", action="store_true", help="begin without asking")
    return parser


if __name__ == "__main__":
    sys.exit(main())
