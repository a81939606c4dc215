"""The options by which a command chooses its Airflow connection and AWS Region."""

from __future__ import annotations

import argparse


def add_connection(parser: argparse.ArgumentParser, region: str = "AWS Region (default: the connection's)") -> None:
    """Declare ``--conn-id`` and ``--region``.

    :param parser: of the command.
    :param region: what the Region is for. Default: where AWS is asked.
    """
    parser.add_argument(
        "--conn-id", default="aws_default", help="Airflow connection; '' for none (default: %(default)s)"
    )
    parser.add_argument("--region", help=region)
