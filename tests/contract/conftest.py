from __future__ import annotations

from tests.airflow_support import connect, emulator, running_emulator, stepped

__all__ = ["connect", "emulator", "running_emulator", "stepped"]
