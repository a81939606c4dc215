"""What of the extra ``emulator`` is not installed.

Loaded before anything of it may be, so it imports the standard library only.
"""

from __future__ import annotations

import importlib.util

#: What the emulator needs beside the standard library, by import name.
_MODULES = ("boto3", "flask", "flask_cors", "moto", "werkzeug", "yaml")


def missing_extra() -> str | None:
    """Tell what is missing of the extra ``emulator``.

    :return: one sentence that names the missing modules and how to install them; None: nothing is missing.
    """
    missing = [name for name in _MODULES if importlib.util.find_spec(name) is None]
    if not missing:
        return None
    return f"The local HealthOmics needs {', '.join(missing)}: pip install 'airflow-provider-omics[emulator]'"
