"""The command ``python -m airflow_provider_omics.sheets``: check a sheet where there is no AWS."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from airflow_provider_omics.core.errors import OmicsError, Problem, SettingsError
from airflow_provider_omics.core.settings.checks import run_setting_rules
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.sheets.read import open_runs

_STAGED = "s3://staging-s3-uri/{}.csv"
"""Stands for the URI of a run's own sheet, which exists only once a batch is started."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the run settings of a sheet as JSON, or everything that is wrong with it.

    :param arguments: of the command line. Default: this process's.
    :return: 0, or 1 if something is wrong; argparse ends a wrong command line with 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_omics.sheets",
        description="Print the run settings of a sample sheet as a JSON array, or everything that is wrong "
        "with it. Nothing is looked up in AWS.",
    )
    parser.add_argument("file", help="the sheet: CSV, TSV, JSON Lines or Parquet, also gzip")
    parser.add_argument(
        "--mapping", help="JSON file with the fields of SampleSheet (default: the first column is the id)"
    )
    parser.add_argument(
        "--workflow", help="JSON file with the workflow's parameterTemplate, or the answer of GetWorkflow"
    )
    parser.add_argument("--default-run-setting", help="JSON file with what the runs share, as AWS spells it")
    options = parser.parse_args(arguments)
    try:
        _print_settings(options)
    except OmicsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
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


if __name__ == "__main__":
    sys.exit(main())
