"""Template fields whose values Airflow must neither store nor show.

Airflow stores each rendered template field in its database and shows it in the UI. Parameters of a genomics run can
hold identifiers of patients; with ``mask_parameters`` they are wrapped after rendering, and Airflow then stores and
shows counts and keys only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

_MASKED_KEYS = ("parameters", "sessionPolicy")


class Masked:
    """A value that shows itself as counts and keys.

    :param value: the rendered value of a template field.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def serialize(self) -> str:
        """Give what Airflow 3 stores and shows."""
        return _shown(self.value)

    def __repr__(self) -> str:
        """Give what Airflow 2 stores and shows, and what a log line shows."""
        return _shown(self.value)


def unmasked(value: Any) -> Any:
    """Give the value behind a template field, masked or not."""
    return value.value if isinstance(value, Masked) else value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        if any(key in value for key in _MASKED_KEYS):
            shown = {key: _shown(entry) if key in _MASKED_KEYS else entry for key, entry in value.items()}
            return f"masked: {shown}"
        return f"masked: {len(value)} keys: {', '.join(map(str, value))}"
    if isinstance(value, str):
        return f"masked: text of {len(value)} characters"
    if isinstance(value, Sequence):
        keys = sorted({str(key) for item in value if isinstance(item, Mapping) for key in item})
        return f"masked: {len(value)} settings with keys {', '.join(keys)}"
    return f"masked: {type(value).__name__}"
