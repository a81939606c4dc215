from __future__ import annotations

from tests.airflow_support import connect, emulator, log_lines, meanwhile, running_emulator, stepped
from tests.operators.tries import looks_seldom, new_task

__all__ = ["connect", "emulator", "log_lines", "looks_seldom", "meanwhile", "new_task", "running_emulator", "stepped"]
