"""The standard output of a command, which a script reads."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def logs_on_stderr() -> Iterator[None]:
    """Keep what Airflow logs out of what a script reads.

    Some of its loggers ask for the standard output when they write, others hold the one of their import.
    """
    sys.stdout.flush()
    saved = os.dup(1)
    os.dup2(2, 1)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        sys.stdout.flush()
        os.dup2(saved, 1)
        os.close(saved)
