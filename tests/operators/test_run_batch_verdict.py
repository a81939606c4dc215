from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException
from botocore import handlers
from botocore.awsrequest import AWSResponse

from airflow_provider_omics.core.errors import AccessDenied, BatchVerdictError, SettingsError, Unavailable
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, perform, samples
from tests.diagnosis.answers import JSON, Raw
from tests.operators.reruns import put_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Meanwhile, SteppedTime

deferrable = pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])

FAILS = {"outcome": "FAILED", "failure_reason": "OUT_OF_MEMORY_ERROR", "status_message": "ALIGN ran out of memory"}
NOT_SUBMITTED = {"submission_failure": {"reason": "AccessDeniedException", "message": "The role cannot read it."}}
FOUR = samples("S1", "S2", "BAD1", "BAD2")


def start_batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {
        "task_id": "align_all",
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": samples("S1", "S2", "S3"),
    }
    return OmicsStartRunBatchOperator(**{**defaults, **arguments})


def bad(rule: dict[str, Any], pattern: str = "BAD*") -> dict[str, Any]:
    return {"match": {"run_setting_id": pattern}, **rule}


@deferrable
@pytest.mark.parametrize(
    ("rule", "tolerance", "succeeds"),
    [
        (FAILS, {}, False),
        (FAILS, {"max_failed_runs": 1}, False),
        (FAILS, {"max_failed_runs": 2}, True),
        (FAILS, {"max_failed_runs": "{{ 1 + 1 }}"}, True),
        (FAILS, {"max_failed_percent": 49.9}, False),
        (FAILS, {"max_failed_percent": 50}, True),
        (FAILS, {"max_failed_percent": "50", "max_failed_runs": "0"}, True),
        (FAILS, {"max_failed_runs": 4, "must_succeed": ["S1", "S2"]}, True),
        (FAILS, {"max_failed_runs": 4, "must_succeed": ["BAD2"]}, False),
        (FAILS, {"max_failed_runs": 4, "must_succeed": "B*"}, False),
        (NOT_SUBMITTED, {"max_failed_runs": 1}, False),
        (NOT_SUBMITTED, {"max_failed_runs": 2}, True),
        (NOT_SUBMITTED, {"max_failed_percent": 100, "must_succeed": ["BAD?"]}, False),
    ],
)
def test_verdict(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    *,
    rule: dict[str, Any],
    tolerance: dict[str, Any],
    succeeds: bool,
    deferrable: bool,
) -> None:
    """PROCESSED is a success when no more runs failed than tolerated, and none that must succeed."""
    emulator.set_scenario({"runs": [bad(rule)]})

    ended = perform(start_batch(run_settings=FOUR, deferrable=deferrable, **tolerance))

    result = ended.result if succeeds else ended.xcoms["return_value"]
    assert isinstance(ended.error, BatchVerdictError) is not succeeds
    assert result["succeeded"] is succeeds
    assert result["completed_runs"] == 2
    assert result["failed_runs"] + result["failed_submissions"] == 2
    assert sorted(result["failed_run_setting_ids"]) == ["BAD1", "BAD2"]


@deferrable
def test_verdict_names_the_failed_runs_with_reasons(
    emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool
) -> None:
    """The verdict's error gives the counts, and for each failed run its own id and AWS's reason."""
    emulator.set_scenario({"runs": [bad(FAILS, "BAD1"), bad(NOT_SUBMITTED, "BAD2")]})

    ended = perform(start_batch(run_settings=FOUR, deferrable=deferrable))

    error = ended.error
    assert isinstance(error, BatchVerdictError)
    assert isinstance(error, AirflowFailException)  # too little memory, and a missing permission: both come back
    assert error.failed_run_settings == {
        "BAD1": "OUT_OF_MEMORY_ERROR: ALIGN ran out of memory",
        "BAD2": "AccessDeniedException: The role cannot read it.",
    }
    assert error.counts == {
        "total_runs": 4,
        "completed_runs": 2,
        "failed_runs": 1,
        "cancelled_runs": 0,
        "unknown_runs": 0,
        "failed_submissions": 1,
        "incomplete_runs": 0,
    }
    assert all(text in str(error) for text in ("BAD1", "BAD2", "ALIGN ran out of memory", "cannot read it", "#/runs"))


def test_tolerated_failures_are_warned_of(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """What is tolerated is not hidden: a warning names each failed run and the verdict."""
    emulator.set_scenario({"runs": [bad(FAILS)]})

    perform(start_batch(run_settings=FOUR, max_failed_runs=2))

    warnings = "\n".join(log_lines(logging.WARNING))
    assert all(text in warnings for text in ("BAD1", "BAD2", "ALIGN ran out of memory", "2 of 4 runs completed"))


@pytest.mark.parametrize("arguments", [{"max_failed_runs": 2}, {"must_succeed": "BAD*"}, {"max_failed_runs": 0}])
def test_names_that_would_end_a_line(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], arguments: dict[str, Any]
) -> None:
    """A runSettingId may have characters that end a line, or hide: the log shows their escapes."""
    emulator.set_scenario({"runs": [bad(FAILS)]})

    ended = perform(start_batch(run_settings=samples("S1", "BAD\u2028gone"), max_failed_percent=50, **arguments))

    told = [*log_lines(), *str(ended.error or "").splitlines()]
    assert "\u2028" not in "".join([*log_lines(), str(ended.error)])
    assert [line for line in told if "BAD" in line and "gone" in line]


def test_tolerated_sample_without_a_run(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """The id of a run is shown where there is a run: a sample that was never submitted has none."""
    emulator.set_scenario({"runs": [bad(FAILS, "BAD1"), bad(NOT_SUBMITTED, "BAD2")]})

    perform(start_batch(run_settings=FOUR, max_failed_runs=2))

    (failed,) = [run["id"] for run in emulator.service.started_runs() if run["name"] == "BAD1"]
    assert [line for line in log_lines(logging.WARNING) if line.startswith("Tolerated: ")] == [
        "Tolerated: BAD2 AccessDeniedException: The role cannot read it.",
        f"Tolerated: BAD1 (run {failed}) OUT_OF_MEMORY_ERROR: ALIGN ran out of memory",
    ]


def test_only_the_first_failures_are_explained(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Of a hundred failed runs the first 20 are named, and at most 50 are looked at: logs and XCom stay small."""
    emulator.set_scenario({"runs": [FAILS]})

    ended = perform(start_batch(run_settings=samples(*(f"S{number}" for number in range(100)))))

    assert isinstance(ended.error, BatchVerdictError)
    assert len(ended.error.failed_run_settings) == 20
    assert len(ended.xcoms["return_value"]["failed_run_setting_ids"]) == 20
    assert set(ended.error.failed_run_settings.values()) == {"OUT_OF_MEMORY_ERROR: ALIGN ran out of memory"}
    assert emulator.calls["GetRun"] == 50
    assert emulator.calls["ListRunsInBatch"] == 1


def test_tolerated_batch_needs_no_permission_to_list_runs(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]
) -> None:
    """Who may not list runs still gets the verdict of the counts, with a warning that nobody is named."""
    emulator.set_scenario({"runs": [bad(FAILS)]})
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    ended = perform(start_batch(run_settings=FOUR, max_failed_runs=2))

    assert ended.error is None
    assert ended.result["succeeded"] is True
    assert any("omics:ListRuns" in line for line in log_lines(logging.WARNING))


def test_verdict_stands_when_runs_cannot_be_listed(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Too many failures are too many, whether or not they can be named; the result is pushed all the same."""
    emulator.set_scenario({"runs": [bad(FAILS)]})
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    ended = perform(start_batch(run_settings=FOUR))

    assert isinstance(ended.error, BatchVerdictError)
    assert ended.xcoms["return_value"]["succeeded"] is False


def test_must_succeed_cannot_be_judged_blindly(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Where it matters who failed and nobody can be named, the task fails with that error, its result pushed."""
    emulator.set_scenario({"runs": [bad(FAILS)]})
    emulator.faults.add(operation="ListRuns", error="AccessDeniedException")

    ended = perform(start_batch(run_settings=FOUR, max_failed_runs=4, must_succeed=["S1"]))

    assert isinstance(ended.error, AccessDenied)
    assert ended.xcoms["return_value"]["succeeded"] is False


@pytest.fixture
def lists_lag(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Let ListRunsInBatch leave all runs out, so many times."""
    left = [0]

    def answer(request: Any, **_: Any) -> AWSResponse | None:
        if left[0] <= 0:
            return None
        left[0] -= 1
        return AWSResponse(request.url, 200, {"content-type": JSON}, Raw(b'{"runs": []}'))

    added = ("before-send.omics.ListRunsInBatch", answer)
    monkeypatch.setattr(handlers, "BUILTIN_HANDLERS", [*handlers.BUILTIN_HANDLERS, added])
    return lambda times: left.__setitem__(0, times)


@pytest.mark.parametrize("must_succeed", ["BAD1", "S1"])
@pytest.mark.parametrize(
    ("asked", "ends"), [(0, True), (1, True), (3, True), (1000, False)], ids=["none", "one look", "three", "for ever"]
)
def test_must_succeed_while_lists_lag(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    lists_lag: Callable[[int], None],
    must_succeed: str,
    asked: int,
    ends: bool,
) -> None:
    """A failed run that no list names yet is asked for again; a verdict is never better than what is known."""
    emulator.set_scenario({"runs": [bad(FAILS, "BAD1")]})
    lists_lag(asked)

    ended = perform(start_batch(run_settings=FOUR, max_failed_runs=1, must_succeed=[must_succeed]))

    if not ends:
        assert isinstance(ended.error, Unavailable)
        assert not isinstance(ended.error, AirflowFailException)
        assert "no list names them" in str(ended.error)
    elif must_succeed == "BAD1":
        assert isinstance(ended.error, BatchVerdictError)
        assert "must succeed but did not: BAD1" in str(ended.error)
    else:
        assert ended.error is None
        assert ended.result["failed_run_setting_ids"] == ["BAD1"]


def test_run_of_unknown_end_is_no_success(emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A run whose record somebody deleted may have completed, but must_succeed wants to know."""

    def delete_first(_: str) -> None:
        first = emulator.service.started_runs()[0]
        emulator.service.call("DeleteRun", {"id": first["id"]})

    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S2"}, "running": 7200}]})
    meanwhile("COMPLETED", delete_first)

    ended = perform(start_batch(max_failed_runs=3, must_succeed=["S1"]))

    assert isinstance(ended.error, BatchVerdictError)
    assert ended.error.counts["unknown_runs"] == 1
    assert ended.xcoms["return_value"]["failed_run_setting_ids"] == ["S1"]


def test_failures_are_named_at_the_pace_of_the_connection(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect
) -> None:
    """The lists of what failed and the looks at it keep the budget, as others share the account's quota."""
    connect({"calls_per_second": 2})
    emulator.set_scenario({"runs": [bad(FAILS)]})

    perform(start_batch(run_settings=FOUR, poll_interval=600))

    made = emulator.calls.by_operation()
    after = sum(made[name] for name in ("ListRuns", "ListRunsInBatch", "GetRun", "ListRunTasks", "GetRunTask"))
    assert [seconds for seconds in stepped.slept if seconds < 1] == pytest.approx([0.5] * (after - 1))


@pytest.mark.parametrize("source", ["list", "sheet", "S3"])
@pytest.mark.parametrize(("wrong", "near"), [("BAD3", "BAD1"), ("control-*", "S1")], ids=["id", "pattern"])
def test_must_succeed_that_names_no_sample_is_refused(
    emulator: OmicsEmulator, stepped: SteppedTime, tmp_path: Path, source: str, wrong: str, near: str
) -> None:
    """A typing error would let the failure of a control pass: nothing is started."""
    sheet = tmp_path / "samples.csv"
    sheet.write_text("sample\n" + "\n".join(setting["runSettingId"] for setting in FOUR))
    in_s3 = put_settings(emulator, *(setting["runSettingId"] for setting in FOUR))
    in_sheet: dict[str, Any] = {
        "run_settings": None,
        "sample_sheet": {"path": str(sheet), "run_setting_id": "{sample}"},
    }
    sources: dict[str, dict[str, Any]] = {"list": {"run_settings": FOUR}, "sheet": in_sheet, "S3": in_s3}
    given = sources[source]

    error = perform(start_batch(**given, max_failed_runs=4, must_succeed=["S*", wrong])).error

    assert isinstance(error, SettingsError)
    (problem,) = error.problems
    assert problem.argument == "must_succeed"
    assert wrong in problem.value
    assert near in problem.value
    assert emulator.calls.by_operation().get("StartRunBatch") is None


def test_must_succeed_of_settings_that_the_connection_may_not_read(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    monkeypatch: pytest.MonkeyPatch,
    log_lines: Callable[..., list[str]],
) -> None:
    """The service role reads them: the batch starts, and the log says what nobody could check."""
    given = put_settings(emulator, "S1", "S2")

    def denied(*_: Any) -> None:
        raise AccessDenied("GetObject", "AccessDenied", "not allowed")

    monkeypatch.setattr(S3Store, "get", denied)

    assert perform(start_batch(**given, must_succeed=["S1"], rerun="all")).error is None

    assert any("must_succeed" in line and "cannot be told" in line for line in log_lines(logging.WARNING))
