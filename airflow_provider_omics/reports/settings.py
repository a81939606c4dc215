"""The effective settings of a start, each with the place that it comes from."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.settings.fields import MERGED_BY_KEY
from airflow_provider_omics.core.settings.requests import merge_settings

_COUNTED = "parameters"
_HIDDEN = "sessionPolicy"


@dataclass(frozen=True)
class EffectiveSetting:
    """A setting as it takes effect.

    :param name: as AWS spells it.
    :param value: what is shown of it.
    :param origin: where it comes from: ``"connection"``, ``"task: default_run_setting"``; several where they merge.
    """

    name: str
    value: str
    origin: str


def effective_settings(layers: Sequence[tuple[str, Mapping[str, Any]]]) -> tuple[EffectiveSetting, ...]:
    """Merge layers of settings, and keep where each setting comes from.

    Parameters are counted, and a session policy is only said to be there: a page is read by more people than they are
    meant for.

    :param layers: origin and settings as AWS spells them, weakest first.
    :return: the settings that are set, by name.
    """
    merged = merge_settings(*(settings for _, settings in layers))
    return tuple(
        EffectiveSetting(name, _shown(name, value), ", ".join(_origins(name, layers)))
        for name, value in sorted(merged.items())
    )


def _origins(name: str, layers: Sequence[tuple[str, Mapping[str, Any]]]) -> list[str]:
    given = [(origin, settings[name]) for origin, settings in layers if settings.get(name) is not None]
    merging = [origin for origin, value in given if isinstance(value, Mapping) and value]
    return merging if name in MERGED_BY_KEY and merging else [given[-1][0]]


def _shown(name: str, value: Any) -> str:
    if name == _COUNTED and isinstance(value, Mapping):
        return f"{len(value)} parameters" if len(value) != 1 else "1 parameter"
    if name in (_COUNTED, _HIDDEN):
        return "set"
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
