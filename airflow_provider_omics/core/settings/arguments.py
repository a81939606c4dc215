"""Arguments that are no settings of AWS: flags, times, numbers and ids, read as Airflow and its templates leave them.

A template makes text of a number and, with ``render_template_as_native_obj``, a number of an id; an environment
variable in ``default_args`` is text as well. What has one meaning is read; everything else is a problem, told with all
others before anything is sent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from numbers import Real
from typing import Any

from airflow_provider_omics.core.errors import Problem, show_value
from airflow_provider_omics.core.settings.rendering import lost_spelling

LONGEST = timedelta(days=3653).total_seconds()
"""Seconds, ten years: longer waits are mistakes, and no system call sleeps for 1e300 seconds."""

AUTO = "auto"
"""The ``collect_every`` that leaves it to the size of the batch."""

MAX_CAP = 100_000
"""Greatest value of each cap of a run group (CreateRunGroup API reference)."""

_FLAGS = {
    **dict.fromkeys(("true", "1", "yes", "on"), True),
    **dict.fromkeys(("false", "0", "no", "off", "none", ""), False),
}
# A flag that is None is off. One whose silence means something else may be left unset, which is seen first.
_UNSET = (None, "", "None")
"""What a template makes of a param that is not given."""


class ArgumentKind(str, Enum):
    """What an argument is made of."""

    FLAG = "true or false"
    SECONDS = "a timedelta, or a number of seconds"
    MOMENT = "seconds since the epoch"
    COUNT = "a whole number"
    USD = "a number of USD, more than 0"
    ID = "an id of 1 to 18 digits"
    NAME = "text"


@dataclass(frozen=True)
class Argument:
    """One argument.

    :param kind: what it is made of.
    :param minimum: the least value of a number.
    :param maximum: the greatest.
    :param above: whether a number lies above ``minimum``, not at it. Default False.
    :param unset: whether it may be left unset: None, empty text, or the text ``"None"``. Default False.
    :param words: texts that are taken as they are. Default: none.
    :param fallback: stands for a value that cannot be read, for a task that starts nothing any more. Default: None.
    """

    kind: ArgumentKind
    minimum: float = 0
    maximum: float = math.inf
    above: bool = False
    unset: bool = False
    words: tuple[str, ...] = ()
    fallback: Any = None

    @property
    def allowed(self) -> str:
        """The allowed values, in words."""
        words: str = self.kind.value
        if self.kind is ArgumentKind.SECONDS:
            words += f" (also as text), {'above' if self.above else 'from'} {self.minimum:.0f} to ten years"
        elif self.kind is ArgumentKind.COUNT:
            words += f", {self.minimum:.0f} or more" if self.maximum == math.inf else ""
            words += f" from {self.minimum:.0f} to {self.maximum:,.0f}" if self.maximum != math.inf else ""
        words = "".join(f"{word!r}, " for word in self.words) + words
        return f"{words}, or None" if self.unset else words


def _flag(fallback: bool | None) -> Argument:
    return Argument(ArgumentKind.FLAG, unset=fallback is None, fallback=fallback)


def _seconds(fallback: float | None, *, above: bool = True) -> Argument:
    return Argument(ArgumentKind.SECONDS, 0, LONGEST, above, unset=fallback is None, fallback=fallback)


_ID = Argument(ArgumentKind.ID)
_CAP = Argument(ArgumentKind.COUNT, 1, MAX_CAP, unset=True)

WAIT_ARGUMENTS: Mapping[str, Argument] = {
    "poll_interval": _seconds(30.0, above=False),  # 0: as often as calls_per_second allows
    "patience": _seconds(3 * 3600.0, above=False),
    "deferrable": _flag(False),
}
"""What every wait takes."""

START_ARGUMENTS: Mapping[str, Argument] = {
    **WAIT_ARGUMENTS,
    "run_timeout": _seconds(None),
    "collect_every": Argument(ArgumentKind.SECONDS, 0, LONGEST, above=True, unset=True, words=(AUTO,)),
    "wait_for_completion": _flag(True),
    "cancel_on_kill": _flag(True),
    "durable": _flag(True),
    "tag_with_airflow_context": _flag(None),
    "check_workflow": _flag(False),
    "check_inputs": _flag(False),
    "restore_margin": _seconds(7 * 86400.0, above=False),
    "dry_run": _flag(True),
    "mask_parameters": _flag(None),
    "failure_log_lines": Argument(ArgumentKind.COUNT, fallback=30),
    "retry_permanent_failures": _flag(False),
    "report": _flag(True),
    "read_costs": _flag(None),
    "keep_staging": _flag(False),
    "ledger": _flag(True),
    "read_outputs": _flag(False),
    "trust_foreign": _flag(False),
    "max_runs": Argument(ArgumentKind.COUNT, unset=True),
    "max_cost_usd": Argument(ArgumentKind.USD, above=True, unset=True),
    "require_estimate": _flag(False),
    "rerun_failed_of": Argument(ArgumentKind.ID, unset=True),
    "workflow_name": Argument(ArgumentKind.NAME, unset=True),
    "run_group_name": Argument(ArgumentKind.NAME, unset=True),
    "cache_name": Argument(ArgumentKind.NAME, unset=True),
    "workflow_digest": Argument(ArgumentKind.NAME, unset=True),
}
"""What the operators take that start a run or a batch."""

ACTION_ARGUMENTS: Mapping[str, Argument] = {
    **WAIT_ARGUMENTS,
    "run_id": _ID,
    "batch_id": _ID,
    "run_group_id": _ID,
    "cache_id": _ID,
    "wait_for_completion": _flag(True),
    "read_outputs": _flag(False),
    "ledger": _flag(True),
    "read_costs": _flag(None),
    "report": _flag(True),
    "chunk_size": Argument(ArgumentKind.COUNT, 1, unset=True),
    "partitions": _flag(False),
    "write": _flag(False),
    "name": Argument(ArgumentKind.NAME, unset=True),
    "max_runs": _CAP,
    "max_cpus": _CAP,
    "max_gpus": _CAP,
    "max_duration": _CAP,
}
"""What sensors take, and the operators of one call."""

TRIGGER_ARGUMENTS: Mapping[str, Argument] = {
    **WAIT_ARGUMENTS,
    "run_id": _ID,
    "batch_id": _ID,
    "deadline": Argument(ArgumentKind.MOMENT, unset=True),
    "run_timeout": _seconds(None),
    "cancel_on_kill": _flag(True),
    "grace": _seconds(60.0, above=False),
}
"""What triggers take."""


def read_arguments(
    given: Mapping[str, Any], known: Mapping[str, Argument]
) -> tuple[dict[str, Any], tuple[Problem, ...]]:
    """Read all arguments at once.

    :param given: name -> value, as rendered.
    :param known: what is to be read; the others are passed through.
    :return: the arguments, times in seconds, with a fallback for each that cannot be read; and the problems.
    """
    values, problems = dict(given), []
    for name, argument in known.items():
        if name not in given:
            continue
        value = given[name]
        if isinstance(value, str) and value in argument.words:
            continue
        if argument.unset and value in _UNSET:
            values[name] = None
            continue
        read = _read(value, argument)
        values[name] = argument.fallback if read is None else read
        if read is None:
            hint = lost_spelling(value) if argument.kind in (ArgumentKind.ID, ArgumentKind.NAME) else ""
            problems.append(Problem(name, show_value(value), f"{argument.allowed}{hint}"))
    return values, tuple(problems)


def _read(value: Any, argument: Argument) -> Any:
    """Read one value; None: it cannot be read."""
    kind = argument.kind
    if kind is ArgumentKind.FLAG:
        return _FLAGS.get(str(value).strip().lower())
    if kind in (ArgumentKind.ID, ArgumentKind.NAME):
        text = str(value) if type(value) is int and value >= 0 else value
        is_text = isinstance(text, str) and (kind is ArgumentKind.NAME or re.fullmatch("[0-9]{1,18}", text) is not None)
        return text if is_text else None
    if isinstance(value, timedelta) and kind is ArgumentKind.SECONDS:
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (str, Real)) or "_" in str(value):
        return None
    try:
        number = float(value)
    except ValueError:
        return None
    low, high = argument.minimum, argument.maximum
    if not math.isfinite(number) or not low <= number <= high or (argument.above and number == low):
        return None
    if kind is not ArgumentKind.COUNT:
        return number
    return int(number) if number == int(number) else None
