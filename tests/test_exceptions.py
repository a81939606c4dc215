from __future__ import annotations

import copy
import inspect
import json
import logging
import pickle
from typing import Any

import pytest
from airflow.providers.common.compat.sdk import AirflowException, AirflowFailException

from airflow_provider_omics.core import errors
from airflow_provider_omics.core.errors import (
    AccessDenied,
    BatchFailed,
    InvalidRequest,
    NotFound,
    NotOwner,
    OmicsError,
    Problem,
    RunError,
    RunFailed,
    RunVanished,
    ServiceError,
    SettingsError,
)
from airflow_provider_omics.core.failure.endings import LONGEST_LINE, SHOWN_LINES
from airflow_provider_omics.core.failure.reasons import FailureClass, Owner
from airflow_provider_omics.exceptions import FINAL, airflow_error, task_error


def family(cls: type[OmicsError]) -> list[type[OmicsError]]:
    """List a class and everything derived from it in core."""
    own = [child for child in cls.__subclasses__() if child.__module__ == errors.__name__]
    return [cls, *(each for child in own for each in family(child))]


FACTS: dict[str, Any] = {
    "problems": [Problem("output_uri", "'x'", "an S3 URI")],
    "operation": "GetRun",
    "code": "Code",
    "reason": "why",
    "advice": "Do this.",
    "request_id": "abc",
    "message": "It ended badly.",
    "run_id": "1234567",
    "batch_id": "7654321",
    "log_streams": ("run/1234567",),
    "counts": {"total_runs": 8},
    "kind": "run",
    "resource_id": "1234567",
    "resource_uuid": None,
    "seconds": 10.0,
    "cause": "GetRun: no connection",
    "owner_try": 2,
}


def make(cls: type[OmicsError]) -> OmicsError:
    """Make an error of a class, with what its constructor takes."""
    kind: Any = cls
    error: OmicsError = kind(
        **{name: FACTS[name] for name in inspect.signature(cls.__init__).parameters if name in FACTS}
    )
    return error


CLASSES = family(OmicsError)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("cls", CLASSES)
def test_airflow_errors_survive_pickling(cls: type[OmicsError], final: bool, protocol: int) -> None:
    """Class, text and every attribute come back; Airflow sends errors between processes."""
    error = airflow_error(make(cls), final=final)

    again = pickle.loads(pickle.dumps(error, protocol))

    assert type(again) is type(error)
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("cls", CLASSES)
def test_an_airflow_error_is_both(cls: type[OmicsError], final: bool) -> None:
    """It has the name, attributes and type of the plain one, and Airflow's type, which decides about retries."""
    plain = make(cls)

    error = airflow_error(plain, final=final)

    assert isinstance(error, cls)
    assert isinstance(error, AirflowException)
    assert isinstance(error, AirflowFailException) is final
    assert type(error).__name__ == cls.__name__
    assert type(error).__doc__ == cls.__doc__
    assert {name: value for name, value in vars(error).items() if name not in ("diagnosis", "is_final")} == vars(plain)
    assert error.is_final is final


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("cls", CLASSES)
def test_one_callback_serves_all(cls: type[OmicsError], final: bool) -> None:
    """Whatever ends a task: JSON values that say what happened, whose move it is and what to do; a short text."""
    error = airflow_error(make(cls), final=final)

    assert isinstance(error, OmicsError)
    diagnosis = error.diagnosis or {}
    assert diagnosis == json.loads(json.dumps(diagnosis))
    texts = [diagnosis[name] for name in ("headline", "summary", "cause", "explanation", "owner", "action")]
    assert all(isinstance(text, str) and text for text in texts)
    assert diagnosis["final"] is final
    assert diagnosis["owner"] in {owner.value for owner in Owner}
    assert FailureClass(diagnosis["failure_class"])
    assert diagnosis["cause"] == ("Code" if issubclass(cls, ServiceError) else cls.__name__)
    verdict, *lines = str(error).splitlines()
    assert verdict == diagnosis["headline"]
    assert verdict.endswith(f"({diagnosis['owner']})")
    assert 1 <= len(lines) <= SHOWN_LINES
    assert f"  action: {diagnosis['action']}" in lines


def test_error_of_aws_stays_as_data() -> None:
    """The call that AWS refused is told by the error that ends the task, though the log shows one error alone."""
    refused = AccessDenied("GetRun", "AccessDeniedException", "No.", http_status=403, request_id="abc")
    facts = {"operation": "GetRun", "code": "AccessDeniedException", "reason": "No."}
    expected = {**facts, "http_status": 403, "request_id": "abc"}
    lost = make(NotOwner)
    lost.__cause__ = refused

    told = [airflow_error(error).diagnosis["aws_error"] for error in (refused, lost, make(RunFailed))]  # type: ignore[attr-defined]

    assert told == [expected, expected, None]


def test_a_hundred_problems() -> None:
    """A log's last lines have the first problems, how many more there are, and what to do; the log has all."""
    problems = [Problem(f"run_settings[{number}]['name']", repr("x" * 300), "shorter") for number in range(100)]
    log = logging.getLogger("tests.task_log")
    written: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: written.append(record.getMessage())  # type: ignore[method-assign]
    log.addHandler(handler)

    with pytest.raises(SettingsError) as raised:
        raise task_error(SettingsError(problems), log)
    log.removeHandler(handler)

    verdict, *lines = str(raised.value).splitlines()
    assert verdict == "100 problems in the settings; nothing was started (pipeline author)"
    assert len(lines) == SHOWN_LINES
    assert max(map(len, lines)) <= LONGEST_LINE
    assert lines[-2:] == [
        "  - ... and 92 more, in the log above",
        "  action: Correct what is listed, and clear the task.",
    ]
    assert raised.value.__cause__ is None
    assert raised.value.problems == tuple(problems)
    (text,) = written
    assert all(str(problem) in text for problem in problems)


@pytest.mark.parametrize("cls", CLASSES)
def test_what_another_try_cannot_help_is_final(cls: type[OmicsError]) -> None:
    """Bad input, and what may have completed unseen, spend no retry; everything else may be tried again."""
    unseen = {"RunVanished", "RunDeleted", "BatchVanished", "BatchDeleted"}
    expected = {"SettingsError", "InvalidRequest", "AttemptError", *unseen}
    lineage = {parent.__name__ for parent in cls.__mro__}

    assert isinstance(airflow_error(make(cls)), AirflowFailException) is bool(expected & lineage)


def test_final_names_classes_of_core() -> None:
    """The table holds errors of this package only."""
    assert set(FINAL) <= set(CLASSES)


def test_relations_of_the_tree_hold() -> None:
    """A callback that asks for a base class, or for the exact one, is answered as by the plain error."""
    error = airflow_error(make(RunFailed))

    assert isinstance(error, RunError)
    assert not isinstance(error, (BatchFailed, RunVanished, NotFound))
    assert isinstance(airflow_error(make(SettingsError)), ValueError)


def test_a_class_is_made_once() -> None:
    """Two errors of a kind are of the same class, so that ``except type(error)`` works."""
    assert type(airflow_error(make(RunFailed))) is type(airflow_error(make(RunFailed)))
    assert type(airflow_error(make(RunFailed))) is not type(airflow_error(make(RunFailed), final=True))


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("second", [True, False, None])
def test_going_through_twice_changes_only_what_is_asked(first: bool, second: bool | None) -> None:
    """An Airflow error is an OmicsError too; taken for one, it stays picklable, and final unless told otherwise."""
    once = airflow_error(make(RunFailed), final=first)
    assert isinstance(once, OmicsError)

    twice = airflow_error(once, final=second)

    assert isinstance(twice, AirflowFailException) is (first if second is None else second)
    assert type(pickle.loads(pickle.dumps(twice))) is type(twice)
    told = {**(once.diagnosis or {}), "final": isinstance(twice, AirflowFailException)}
    assert vars(twice) == {**vars(once), "diagnosis": told, "is_final": told["final"]}
    assert str(twice) == str(once)


def test_attributes_are_its_own() -> None:
    """What is set on the Airflow error does not show on the plain one."""
    plain = make(InvalidRequest)
    error = airflow_error(plain)

    error.__dict__["code"] = "Other"

    assert vars(plain)["code"] == "Code"
    assert vars(copy.copy(error)) == vars(error)
