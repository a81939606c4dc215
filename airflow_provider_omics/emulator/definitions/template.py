"""Parameter templates: the parameters that a run of a workflow may and must have."""

from __future__ import annotations

from typing import Any

#: Name of a parameter -> ``description`` and ``optional``, as ``parameterTemplate`` of the API.
Template = dict[str, dict[str, Any]]

# WorkflowParameterDescription of the model.
_LONGEST_DESCRIPTION = 256


def parameter(*, optional: bool, description: object = None) -> dict[str, Any]:
    """Make the entry of a parameter.

    :param optional: whether a run may leave it out.
    :param description: its text; anything else counts as none.
    :return: the entry. The service leaves the description empty where the definition has none (User Guide, "Parameter
        template files").
    """
    text = description if isinstance(description, str) else ""
    return {"description": " ".join(text.split())[:_LONGEST_DESCRIPTION], "optional": optional}
