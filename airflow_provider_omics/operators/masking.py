"""Template fields whose values Airflow must neither store nor show.

Airflow stores each rendered template field in its database and shows it in the UI. Parameters of a genomics run can
hold identifiers of patients; with ``mask_parameters`` they are wrapped after rendering, and Airflow then stores and
shows counts and keys only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any

# Outside of parameters only these keys are hidden: a role and an output place are worth seeing.
_HIDDEN_KEYS: Mapping[str, tuple[str, ...]] = {
    "default_run_setting": ("parameters", "sessionPolicy"),
    "sample_sheet": ("parameters", "where", "rows"),
}

# These may be a path alone, which says nothing of what is behind it.
_MAY_BE_PATHS = ("sample_sheet",)


class Masked:
    """A value that shows itself as counts and keys.

    :param value: the rendered value of a template field.
    :param field: name of the template field.
    """

    def __init__(self, value: Any, field: str) -> None:
        self.value = value
        self._hidden_keys = _HIDDEN_KEYS.get(field)

    def serialize(self) -> str:
        """Return the form that Airflow 3 stores and shows."""
        return repr(self)

    def __repr__(self) -> str:
        """Return the form that Airflow 2 stores and shows, and log lines too."""
        if self._hidden_keys is None or not isinstance(self.value, Mapping):
            return _shown(self.value)
        shown = {key: _shown(entry) if key in self._hidden_keys else entry for key, entry in self.value.items()}
        return f"masked: {shown}"


def masked(value: Any, field: str) -> Any:
    """Wrap the rendered value of a template field; a path alone, and an unset field, stay as they are.

    :param value: the value.
    :param field: name of the template field.
    """
    is_path = isinstance(value, str) and field in _MAY_BE_PATHS
    return value if value is None or is_path or isinstance(value, Masked) else Masked(value, field)


class Hidden:
    """A literal of a DAG file that Airflow must not store with the DAG; it is the value again when the task runs.

    :param value: text or a number.
    """

    def __init__(self, value: Any) -> None:
        self.value = value

    def serialize(self) -> str:
        """Give what Airflow stores and shows of the DAG."""
        return repr(self)

    def __repr__(self) -> str:
        """Show that there is something."""
        return "masked"


def hidden(value: Any, field: str) -> Any:
    """Hide the literals of a template field before it is rendered; outputs of other tasks stay, as Airflow needs them.

    :param value: as the DAG file gives it.
    :param field: name of the template field.
    """
    keys = _HIDDEN_KEYS.get(field)
    if keys is None:
        return _hidden(value)
    if not isinstance(value, dict) or not any(key in value for key in keys):
        return value
    copied = copy(value)
    copied.update({key: _hidden(value[key]) for key in keys if key in value})
    return copied


def revealed(value: Any) -> Any:
    """Put the literals back that :func:`hidden` has taken out.

    :param value: of a template field.
    """
    if isinstance(value, dict):
        return {key: revealed(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [revealed(entry) for entry in value]
    return value.value if isinstance(value, Hidden) else value


class MaskedPartial:
    """The arguments of a mapped task, whose literals stay out of the serialized DAG, those of ``expand()`` too.

    :param partial: Airflow's, whose own literals are hidden.
    :param fields: the masked template fields.
    """

    def __init__(self, partial: Any, fields: Sequence[str]) -> None:
        self._partial = partial
        self._fields = fields

    def expand(self, **mapped: Any) -> Any:
        """Map the task over lists of arguments.

        :param mapped: see ``OperatorPartial.expand``; the items of a masked field's list are hidden.
        """
        for name in self._fields:
            if isinstance(mapped.get(name), (list, tuple)):
                mapped[name] = [hidden(item, name) for item in mapped[name]]
        return self._partial.expand(**mapped)

    def expand_kwargs(self, kwargs: Any, **more: Any) -> Any:
        """Map the task over sets of arguments.

        :param kwargs: see ``OperatorPartial.expand_kwargs``; the masked fields of each dict in a list are hidden.
        :param more: see there.
        """
        if isinstance(kwargs, (list, tuple)):
            kwargs = [hidden_fields(item, self._fields) if isinstance(item, dict) else item for item in kwargs]
        return self._partial.expand_kwargs(kwargs, **more)


def hidden_fields(arguments: Mapping[str, Any], fields: Sequence[str]) -> dict[str, Any]:
    """Hide the literals of some of the arguments.

    :param arguments: name -> value, as the DAG file gives it.
    :param fields: the masked ones.
    """
    return {name: hidden(value, name) if name in fields else value for name, value in arguments.items()}


def _hidden(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _hidden(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hidden(entry) for entry in value]
    return Hidden(value) if isinstance(value, (str, int, float)) else value


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return f"masked: {len(value)} keys: {', '.join(map(str, value))}"
    if isinstance(value, str):
        return f"masked: text of {len(value)} characters"
    if isinstance(value, Sequence):
        keys = sorted({str(key) for item in value if isinstance(item, Mapping) for key in item})
        return f"masked: {len(value)} settings with keys {', '.join(keys)}"
    return f"masked: {type(value).__name__}"
