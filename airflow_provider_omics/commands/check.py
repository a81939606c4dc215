"""The command ``check``: a look before the first run, line by line."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from airflow_provider_omics.commands.connection import add_connection
from airflow_provider_omics.commands.output import logs_on_stderr
from airflow_provider_omics.core.findings import Finding, Level, worst
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.readiness import Readiness, Wanted


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = (
        "Look at all that a first run needs, as the identity of the connection, and print a line for each subject: ok, "
        "warning or error, with the mend. Nothing is started, and nothing is written unless --write is given."
    )
    parser.epilog = "Exit status: 0 if nothing is an error, 1 if something is, 2 for a wrong command line."
    add_connection(parser)
    parser.add_argument("--workflow-id", help="the workflow to look up")
    parser.add_argument("--workflow-type", choices=("PRIVATE", "READY2RUN"), help="READY2RUN for a Ready2Run workflow")
    parser.add_argument("--workflow-owner-id", help="account of the owner of a shared workflow")
    parser.add_argument("--workflow-version-name", help="version of the workflow")
    parser.add_argument("--role-arn", help="service role of the runs (default: the connection's)")
    parser.add_argument("--output-uri", help="place of the outputs (default: the connection's)")
    parser.add_argument("--staging-s3-uri", help="place of staged settings (default: the connection's)")
    parser.add_argument("--results-s3-uri", help="place of results (default: the connection's)")
    parser.add_argument("--sheet", help="sample sheet to check against the workflow: a file or s3:// URI")
    parser.add_argument(
        "--mapping", help="JSON file with the fields of SampleSheet (default: the first column is the id)"
    )
    parser.add_argument(
        "--write", action="store_true", help="write an object to each place of the caller, and delete it"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object with all findings")


def run(options: argparse.Namespace) -> int:
    """Look, and print the findings.

    :param options: the parsed arguments.
    :return: exit status: 1 if a finding is an error, else 0.
    """
    found: list[Finding] = []
    look = Readiness(OmicsHook(aws_conn_id=options.conn_id or None, region_name=options.region), _wanted(options))
    findings = look.findings()
    while True:
        with logs_on_stderr():
            finding = next(findings, None)
        if finding is None:
            break
        found.append(finding)
        if not options.json:
            print(finding, flush=True)  # noqa: T201 - a command prints
    if options.json:
        document = {"level": worst(found).value, "findings": [finding.to_json() for finding in found]}
        print(json.dumps(document, indent=2))  # noqa: T201 - a command prints
    return int(worst(found) is Level.ERROR)


def _wanted(options: argparse.Namespace) -> Wanted:
    sheet: Any = options.sheet
    if options.mapping is not None:
        try:
            mapping = json.loads(Path(options.mapping).read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise SystemExit(f"--mapping {options.mapping}: a JSON file: {error}") from error
        if not isinstance(mapping, dict):
            raise SystemExit(f"--mapping {options.mapping}: a JSON object, not {type(mapping).__name__}")
        sheet = {**mapping, **({"path": options.sheet} if options.sheet else {})}
    return Wanted(
        workflow_id=options.workflow_id,
        workflow_type=options.workflow_type,
        workflow_owner_id=options.workflow_owner_id,
        workflow_version_name=options.workflow_version_name,
        role_arn=options.role_arn,
        output_uri=options.output_uri,
        staging_s3_uri=options.staging_s3_uri,
        results_s3_uri=options.results_s3_uri,
        sample_sheet=sheet,
        write=options.write,
    )
