from __future__ import annotations

import copy
import inspect
import pickle
import re
from typing import Any

import pytest

from airflow_provider_omics.core import errors
from airflow_provider_omics.core.errors import (
    BatchVerdictError,
    CredentialsExpired,
    EventError,
    GivenValue,
    LostContact,
    OmicsError,
    Problem,
    RunFailed,
    ServiceError,
    SettingsError,
    Throttled,
    Unavailable,
)

# What the constructors take, by name.
FACTS: dict[str, Any] = {
    "problems": [Problem("output_uri", "'x'", "an S3 URI"), Problem("priority", "-1", "0 or more")],
    "operation": "GetRun",
    "code": "Code",
    "reason": "why",
    "http_status": 400,
    "request_id": "abc",
    "advice": "Do this.",
    "message": "It ended badly.",
    "run_id": "1234567",
    "run_uuid": "uuid-1",
    "batch_id": "7654321",
    "batch_uuid": "uuid-2",
    "status": "FAILED",
    "failure_reason": "RUN_TASK_FAILED",
    "status_message": "Task align failed",
    "log_streams": ("run/1234567", "run/1234567/engine"),
    "counts": {"total_runs": 8, "completed_runs": 6, "failed_runs": 2},
    "failed_run_settings": {"sample-3": "RUN_TASK_FAILED", "sample-5": "not submitted"},
    "console_url": "https://console.aws.amazon.com/omics/home",
    "kind": "run",
    "resource_id": "1234567",
    "resource_uuid": None,
    "seconds": 10_800.4,
    "cause": "GetRun: no connection",
    "owner_try": 2,
}


def test_masked_problems_show_no_value() -> None:
    """What the user gave is hidden, and nothing else: that a value is missing is worth seeing."""
    shown = Problem("a", GivenValue("'P-0042'"), "b")
    error = SettingsError([shown, Problem("c", "not set", "d")])

    masked = pickle.loads(pickle.dumps(error)).masked()

    assert [str(problem) for problem in masked.problems] == ["a = masked: b", "c = not set: d"]
    assert "P-0042" not in f"{masked}{masked!r}{vars(masked)}"
    assert error.problems[0] == shown


def facts(cls: type[OmicsError]) -> dict[str, Any]:
    """Give all that a class can carry."""
    return {name: FACTS[name] for name in inspect.signature(cls.__init__).parameters if name in FACTS}


def make(cls: type[OmicsError]) -> OmicsError:
    """Make an error of a class with all that it can carry."""
    kind: Any = cls
    return kind(**facts(cls))  # type: ignore[no-any-return]  # constructors differ


def family(cls: type[OmicsError]) -> list[type[OmicsError]]:
    """List a class and everything derived from it in core."""
    own = [child for child in cls.__subclasses__() if child.__module__ == errors.__name__]
    return [cls, *(each for child in own for each in family(child))]


CLASSES = family(OmicsError)


def test_the_tree_at_the_top_of_the_module_is_complete() -> None:
    """Each class stands in the drawing once, and the drawing names no other."""
    drawing = (errors.__doc__ or "").partition("::")[2].partition("\nEach carries")[0]
    words = re.findall(r"\w+", drawing)
    names = {cls.__name__ for cls in CLASSES}

    assert {name: words.count(name) for name in names} == dict.fromkeys(names, 1)
    assert set(re.findall(r"\b[A-Z][a-z]+[A-Z]\w+", drawing)) <= names | {"HealthOmics"}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("cls", CLASSES)
def test_errors_survive_pickling(cls: type[OmicsError], protocol: int) -> None:
    """Class, text and every attribute come back from every pickle protocol."""
    error = make(cls)

    again = pickle.loads(pickle.dumps(error, protocol))

    assert type(again) is cls
    assert (str(again), again.args, vars(again)) == (str(error), error.args, vars(error))


@pytest.mark.parametrize("cls", CLASSES)
def test_errors_survive_copying(cls: type[OmicsError]) -> None:
    """A deep copy is the same error."""
    error = make(cls)

    again = copy.deepcopy(error)

    assert type(again) is cls
    assert (str(again), vars(again)) == (str(error), vars(error))


@pytest.mark.parametrize("cls", [cls for cls in CLASSES if cls is not EventError])
def test_attributes_are_what_was_given(cls: type[OmicsError]) -> None:
    """Each argument but the sentence itself is an attribute of the same name."""
    given = {**facts(cls), **({"problems": tuple(FACTS["problems"])} if cls is SettingsError else {})}
    assert vars(make(cls)) == {name: value for name, value in given.items() if name != "message"}


def test_a_note_survives_pickling() -> None:
    """What was put on an error later goes with it."""
    error = make(RunFailed)
    error.__dict__["seen_by"] = "callback"

    assert pickle.loads(pickle.dumps(error)).seen_by == "callback"


def test_settings_error_lists_every_problem() -> None:
    """All problems are in the text, one a line, and it is a ValueError as well."""
    error = make(SettingsError)

    assert isinstance(error, ValueError)
    assert str(error) == (
        "2 problems in the settings; nothing was started:\n"
        "  - output_uri = 'x': an S3 URI\n"
        "  - priority = -1: 0 or more"
    )
    assert str(SettingsError([Problem("a", "1", "b")])).startswith("1 problem in the settings;")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({}, "GetRun: Code: why"),
        ({"advice": "Do this."}, "GetRun: Code: why Do this."),
        ({"request_id": "abc", "advice": "Do this."}, "GetRun: Code: why Do this. (AWS request abc)"),
    ],
)
def test_service_error_says_what_there_is(more: dict[str, Any], text: str) -> None:
    """Operation, code and message always; advice and AWS's request id where there are any."""
    assert str(ServiceError("GetRun", "Code", "why", **more)) == text


@pytest.mark.parametrize("cls", [Throttled, CredentialsExpired])
def test_what_may_pass_by_itself_is_unavailable(cls: type[ServiceError]) -> None:
    """A caller that bears an outage bears these too."""
    assert issubclass(cls, Unavailable)


def test_run_error_tells_all_it_knows() -> None:
    """Id, status, reason, log streams and console page are in the text and in attributes."""
    error = make(RunFailed)

    assert str(error) == (
        "It ended badly.\n"
        "  run: 1234567 (uuid uuid-1)\n"
        "  status: FAILED\n"
        "  reason: RUN_TASK_FAILED\n"
        "  message: Task align failed\n"
        "  logs: run/1234567, run/1234567/engine\n"
        "  console: https://console.aws.amazon.com/omics/home"
    )


def test_run_error_leaves_out_what_it_does_not_know() -> None:
    """Nothing is shown as None."""
    assert str(RunFailed("The run failed.", run_id="1")) == "The run failed.\n  run: 1"


def test_batch_error_tells_all_it_knows() -> None:
    """Counts and the first runs that did not complete are in the text and in attributes."""
    assert str(make(BatchVerdictError)) == (
        "It ended badly.\n"
        "  batch: 7654321 (uuid uuid-2)\n"
        "  status: FAILED\n"
        "  reason: RUN_TASK_FAILED\n"
        "  counts: total_runs 8, completed_runs 6, failed_runs 2\n"
        "  not completed: sample-3: RUN_TASK_FAILED; sample-5: not submitted\n"
        "  console: https://console.aws.amazon.com/omics/home"
    )
    assert str(BatchVerdictError("Too few.", batch_id="2")) == "Too few.\n  batch: 2"


def test_lost_contact_says_that_nothing_was_cancelled() -> None:
    """The run may be going, so the id, the seconds and the last error are told."""
    assert str(make(LostContact)) == (
        "Lost contact with run 1234567: no look at it succeeded for 10800 s. "
        "It may still be going; nothing was cancelled. Last error: GetRun: no connection"
    )
