# PYTHON_ARGCOMPLETE_OK
"""``python -m airflow_provider_omics``: one command line of subcommands, each a module of ``commands``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib import import_module

import argcomplete

_COMMANDS = {
    "check": "look at connection, identity, places, workflow and sheet before the first run",
    "costs": "add up what runs cost, over all results files of a place",
    "emulator": "run a local HealthOmics, as healthomics-emulator does",
    "release": "create a workflow, or a version of it, unless it is there already",
    "report": "write the page of a batch from its results file",
    "results": "print the results of a batch: a table, TSV or JSON",
    "sheet": "check a sample sheet and print its run settings, without AWS",
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    :param arguments: of the command line. Default: this process's.
    :return: the exit status of the command; argparse ends a wrong command line with 2.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    # A shell that asks for completions has no arguments, but the line so far.
    words = os.environ.get("COMP_LINE", "").split() if "_ARGCOMPLETE" in os.environ else arguments[:1]
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_omics",
        description="AWS HealthOmics for Apache Airflow.",
        epilog="Each command explains itself: python -m airflow_provider_omics check --help",
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for name, text in _COMMANDS.items():
        subparser = commands.add_parser(name, help=text)
        # Most commands load Airflow and boto3, which takes seconds, and `sheet` does without: one is loaded once named.
        if name in words:
            command = import_module(f"airflow_provider_omics.commands.{name}")
            command.add_arguments(subparser)
            subparser.set_defaults(run=command.run)
    argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
