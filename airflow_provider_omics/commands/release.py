"""The command ``release``: brings a workflow to HealthOmics, from a pipeline of continuous integration."""

from __future__ import annotations

import argparse
import json
import logging
import sys
import uuid
from pathlib import Path
from typing import Any

from airflow_provider_omics.commands.connection import add_connection
from airflow_provider_omics.commands.output import logs_on_stderr
from airflow_provider_omics.core.errors import OmicsError
from airflow_provider_omics.hooks.driver import pause
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.release import Releaser

_TEXTS = {
    "description": "what it is",
    "engine": "WDL, WDL_LENIENT, NEXTFLOW or CWL (default: AWS finds out)",
    "main": "path of the main file in the definition (default: AWS finds out)",
    "parameter_template_path": "path of the parameter template in a repository",
    "storage_type": "STATIC or DYNAMIC",
    "storage_capacity": "GiB of STATIC storage",
    "accelerators": "GPU",
    "container_registry_map_uri": "S3 object with the container registry map",
    "readme_path": "path of the README in a repository",
    "readme_uri": "S3 object with the README",
    "workflow_bucket_owner_id": "account that owns the bucket of the definition",
    "staging_s3_uri": "where an archive of more than 4.4 MB is put (default: the connection's)",
}
_JSON = {
    "parameter_template": "JSON file with the parameters: name -> description, optional",
    "container_registry_map": "JSON file as AWS spells containerRegistryMap",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments.

    :param parser: of this command.
    """
    parser.description = (
        "Make sure that a workflow of this name has a version with this definition, which is ACTIVE, and print it as "
        "one JSON object. The same definition is never created twice, and no version is overwritten or deleted."
    )
    parser.epilog = "Exit status: 0 if the version is ACTIVE, 1 if it is not, 2 for a wrong command line."
    parser.add_argument("name", help="name of the workflow")
    parser.add_argument(
        "definition",
        help="a folder, without what .gitignore excludes; a zip archive; an S3 URI of one; or, as a JSON object, "
        "definitionRepository as AWS spells it, at a COMMIT",
    )
    parser.add_argument("--version", help="name of the version (default: made of commit and digest)")
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="tag; may be given again")
    parser.add_argument("--readme-markdown", metavar="FILE", help="file with the README, in Markdown")
    for argument, text in _JSON.items():
        parser.add_argument(_flag(argument), metavar="FILE", help=text)
    for argument, text in _TEXTS.items():
        parser.add_argument(_flag(argument), help=text)
    add_connection(parser)
    parser.add_argument("--poll-interval", type=float, default=10.0, help="seconds between two looks (default: 10)")


def run(options: argparse.Namespace) -> int:
    """Release, and print the version.

    :param options: the parsed arguments.
    :return: exit status: 0 if the version is ACTIVE, else 1.
    """
    log = logging.getLogger(__name__)
    handler = logging.StreamHandler(sys.stderr)
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    arguments: dict[str, Any] = {argument: getattr(options, argument) for argument in _TEXTS}
    arguments |= {argument: _json_file(argument, getattr(options, argument)) for argument in _JSON}
    arguments["readme_markdown"] = _text("readme_markdown", options.readme_markdown)
    arguments["tags"] = _tags(options.tag)
    staging_s3_uri = arguments.pop("staging_s3_uri")
    definition = options.definition
    if definition.lstrip().startswith("{"):
        definition = _parsed("definition", definition)
    try:
        with logs_on_stderr():
            hook = OmicsHook(aws_conn_id=options.conn_id or None, region_name=options.region)
            releaser = Releaser(hook, log, lambda *_: pause(options.poll_interval), uuid.uuid4().hex)
            released = releaser.release(options.name, definition, options.version, arguments, staging_s3_uri)
    except OmicsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command prints
        return 1
    finally:
        log.removeHandler(handler)
    print(json.dumps(released, indent=2))  # noqa: T201 - a command prints
    return 0


def _flag(argument: str) -> str:
    return f"--{argument.replace('_', '-')}"


def _text(argument: str, path: str | None) -> str | None:
    try:
        return None if path is None else Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SystemExit(f"{_flag(argument)} {path}: a text file: {error}") from error


def _json_file(argument: str, path: str | None) -> Any:
    text = _text(argument, path)
    return None if text is None else _parsed(argument, text)


def _parsed(argument: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise SystemExit(f"{_flag(argument)}: JSON: {error}") from error


def _tags(pairs: list[str]) -> dict[str, str] | None:
    wrong = [pair for pair in pairs if "=" not in pair]
    if wrong:
        raise SystemExit(f"--tag {wrong[0]}: KEY=VALUE")
    return dict(pair.split("=", 1) for pair in pairs) or None
