"""The command ``sheet``: check a sample sheet where there is neither AWS nor Airflow."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from airflow_provider_omics.core.errors import OmicsError, Problem, SettingsError
from airflow_provider_omics.core.settings.checks import run_setting_rules
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.sheets.read import open_runs

_STAGED = "s3://staging-s3-uri/{}.csv"
"""Stands for the URI of a run's own sheet, which exists only once a batch is started."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = (
        "Print the run settings of a sample sheet as a JSON array, or everything that is wrong with it. Nothing is "
        "looked up in AWS, and neither Airflow nor boto3 is loaded: it runs where a repository is checked."
    )
    parser.epilog = "Exit status: 0, 1 if something is wrong with the sheet, 2 for a wrong command line."
    parser.add_argument("file", help="the sheet: CSV, TSV, JSON Lines or Parquet, also gzip")
    parser.add_argument(
        "--mapping", help="JSON file with the fields of SampleSheet (default: the first column is the id)"
    )
    parser.add_argument(
        "--workflow", help="JSON file with the workflow's parameterTemplate, or the answer of GetWorkflow"
    )
    parser.add_argument("--default-run-setting", help="JSON file with what the runs share, as AWS spells it")


def run(options: argparse.Namespace) -> int:
    """Print the run settings of a sheet, or its problems.

    :param options: the parsed arguments.
    :return: exit status: 1 if something is wrong, else 0.
    """
    try:
        _print_settings(options)
    except OmicsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    return 0


def _print_settings(options: argparse.Namespace) -> None:
    mapping = _json_object(options.mapping, "--mapping")
    workflow = _json_object(options.workflow, "--workflow")
    template = workflow and workflow.get("parameterTemplate", workflow)
    default = _json_object(options.default_run_setting, "--default-run-setting")
    sheet = SampleSheet.from_mapping({**(mapping or {}), "path": options.file})
    rules = None if default is None else run_setting_rules(default)
    # Printed only once everything is known to be right; a large sheet's settings wait in a file.
    with (
        tempfile.SpooledTemporaryFile(max_size=1 << 24, mode="w+", encoding="utf-8") as settings,
        open_runs(sheet, rules=rules, template=template, input_sheet_uri=_STAGED.format) as runs,
    ):
        for number, run in enumerate(runs):
            settings.write(",\n  " if number else "[\n  ")
            json.dump(run.setting, settings, ensure_ascii=False)
        settings.write("\n]\n")
        settings.seek(0)
        shutil.copyfileobj(settings, sys.stdout)
        sys.stdout.flush()
        for line in (*runs.warnings, runs.summary):
            print(line, file=sys.stderr)  # noqa: T201 - a command prints


def _json_object(path: str | None, option: str) -> Mapping[str, Any] | None:
    if path is None:
        return None
    try:
        document = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise SettingsError([Problem(option, repr(path), f"a JSON file: {error}")]) from error
    if not isinstance(document, dict):
        raise SettingsError([Problem(option, type(document).__name__, "a JSON object")])
    return document
