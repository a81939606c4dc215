# PYTHON_ARGCOMPLETE_OK
"""``python -m airflow_provider_omics``: one command line of subcommands, each a module of ``commands``."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

import argcomplete

from airflow_provider_omics.commands import check

_COMMANDS = (check,)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a subcommand.

    :param arguments: of the command line. Default: this process's.
    :return: the exit status of the command; argparse ends a wrong command line with 2.
    """
    parser = argparse.ArgumentParser(
        prog="python -m airflow_provider_omics", description="AWS HealthOmics for Apache Airflow."
    )
    commands = parser.add_subparsers(required=True, metavar="command")
    for command in _COMMANDS:
        subparser = commands.add_parser(command.NAME, help=command.HELP)
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    argcomplete.autocomplete(parser)
    options = parser.parse_args(arguments)
    try:
        status: int = options.run(options)
    except BrokenPipeError:  # whoever reads, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    return status


if __name__ == "__main__":
    sys.exit(main())
