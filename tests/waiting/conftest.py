from __future__ import annotations

from tests.airflow_support import airflow_timer, connect, emulator, log_lines, meanwhile, running_emulator, stepped

__all__ = ["airflow_timer", "connect", "emulator", "log_lines", "meanwhile", "running_emulator", "stepped"]
