from __future__ import annotations

from tests.airflow_support import connect, emulator, log_lines, meanwhile, running_emulator, stepped

__all__ = ["connect", "emulator", "log_lines", "meanwhile", "running_emulator", "stepped"]
