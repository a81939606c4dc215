from __future__ import annotations

import math
from datetime import timedelta
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.settings.arguments import (
    ACTION_ARGUMENTS,
    START_ARGUMENTS,
    TRIGGER_ARGUMENTS,
    ArgumentKind,
    read_arguments,
)

FLAGS = [name for name, argument in START_ARGUMENTS.items() if argument.kind is ArgumentKind.FLAG]
TIMES = [name for name, argument in START_ARGUMENTS.items() if argument.kind is ArgumentKind.SECONDS]
IDS = [name for name, argument in ACTION_ARGUMENTS.items() if argument.kind is ArgumentKind.ID]


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        *[(90, 90.0), (0.25, 0.25), ("90", 90.0), (" 1.5 ", 1.5), (timedelta(minutes=2), 120.0)],
        *[(Fraction(1, 2), 0.5)],
    ],
    ids=repr,
)
def test_times(name: str, value: Any, seconds: float) -> None:
    """A time is a timedelta, a number of seconds, or its text."""
    assert read_arguments({name: value}, START_ARGUMENTS) == ({name: seconds}, ())


@pytest.mark.parametrize("name", TIMES)
@pytest.mark.parametrize(
    "value",
    [
        *[-1, -0.5, "-1", timedelta(seconds=-1), math.nan, math.inf, "nan", "inf", "-inf", 1e300, timedelta.max],
        *["PT1H", "1_000", "soon", True, [30], {"seconds": 30}, "0x1F"],
    ],
    ids=repr,
)
def test_no_times(name: str, value: Any) -> None:
    """Everything else is refused, and leaves a time that a task which starts nothing can end with."""
    read, (problem,) = read_arguments({name: value}, START_ARGUMENTS)

    assert problem.argument == name
    assert "seconds" in problem.allowed
    assert read[name] is None or read[name] > 0


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        ("poll_interval", None, True),
        ("poll_interval", 0, False),
        ("patience", None, True),
        ("patience", 0, False),
        ("run_timeout", None, False),
        ("run_timeout", "None", False),
        ("run_timeout", 0, True),
    ],
    ids=repr,
)
def test_what_may_be_nothing(name: str, value: Any, refused: bool) -> None:
    """No patience is patience, no limit no limit; without an interval the rate of calls limits the looks."""
    assert bool(read_arguments({name: value}, START_ARGUMENTS)[1]) is refused


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize(
    ("value", "read"),
    [
        *[(True, True), ("true", True), ("True", True), ("1", True), (1, True), (" yes ", True), ("on", True)],
        *[(False, False), ("false", False), ("False", False), ("0", False), (0, False), ("no", False), ("off", False)],
    ],
    ids=repr,
)
def test_flags(name: str, value: Any, read: bool) -> None:
    """Text of an environment variable or a template means the same in every flag."""
    assert read_arguments({name: value}, START_ARGUMENTS) == ({name: read}, ())


@pytest.mark.parametrize("name", FLAGS)
@pytest.mark.parametrize("value", ["perhaps", 2, 1.0, math.nan, [], {}, [True]], ids=repr)
def test_no_flags(name: str, value: Any) -> None:
    """What is neither true nor false is refused."""
    _, (problem,) = read_arguments({name: value}, START_ARGUMENTS)

    assert (problem.argument, problem.allowed.partition(",")[0]) == (name, "true or false")


@pytest.mark.parametrize("value", [None, "", "None"], ids=repr)
def test_unset_flags(value: str | None) -> None:
    """A param that is not given leaves the connection's flag, and means "off" where there is no other."""
    names = ["mask_parameters", "tag_with_airflow_context", "cancel_on_kill", "dry_run"]

    assert read_arguments(dict.fromkeys(names, value), START_ARGUMENTS) == (
        dict(zip(names, [None, None, False, False], strict=True)),
        (),
    )


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("value", ["10000001", 10000001], ids=repr)
def test_ids(name: str, value: Any) -> None:
    """An id of which native rendering has made a number is the id."""
    assert read_arguments({name: value}, ACTION_ARGUMENTS) == ({name: "10000001"}, ())


@pytest.mark.parametrize("name", IDS)
@pytest.mark.parametrize("value", [1e5, 1.0, True, -1, None, "", "None", "1 2", "abc", "١٢", "1" * 19, ["1"]], ids=repr)
def test_no_ids(name: str, value: Any) -> None:
    """What is no id, or has lost its spelling, is refused; for the latter the message has the remedy."""
    _, (problem,) = read_arguments({name: value}, ACTION_ARGUMENTS)

    assert problem.argument == name
    assert "digits" in problem.allowed
    assert ("render_template_as_native_obj" in problem.allowed) is isinstance(value, (bool, int, float))


def test_all_problems_at_once() -> None:
    """Every argument that cannot be read is told, none twice, and what is not known is passed through."""
    given = {"poll_interval": -1, "patience": "long", "check_workflow": "maybe", "failure_log_lines": 2.5, "other": []}

    read, problems = read_arguments(given, START_ARGUMENTS)

    assert sorted(problem.argument for problem in problems) == sorted(given.keys() - {"other"})
    assert read["other"] == []


@given(
    st.sampled_from(sorted(TRIGGER_ARGUMENTS)),
    st.none() | st.booleans() | st.floats() | st.integers() | st.text() | st.timedeltas() | st.binary(),
)
def test_whatever_is_given_is_read_or_told(name: str, value: Any) -> None:
    """Nothing raises; what was read is read the same again, as it is when a trigger is stored."""
    read, problems = read_arguments({name: value}, TRIGGER_ARGUMENTS)

    if not problems:
        assert read_arguments(read, TRIGGER_ARGUMENTS) == (read, ())
