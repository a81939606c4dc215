"""What stands in the task log, to the letter. ``OMICS_WRITE_TEXTS=1`` writes the files anew: read the difference."""

from __future__ import annotations

import json
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchFailed, BatchVerdictError, InvalidRequest, RunFailed
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import DEFAULT_RUN_SETTING, RUN, TaskInstanceRecord, perform, samples
from tests.diagnosis.cases import BATCHES, RUNS

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Meanwhile, SteppedTime

TEXTS = Path(__file__).parent / "texts"
ENDS = TEXTS.parent / "ends"
FIRST_SCREEN = 25
"""Lines that a browser shows of a log without scrolling."""

SAMPLES = samples(
    *(
        f"{letter}{number}"
        for letter, count in (("M", 7), ("I", 2), ("T", 1), ("Q", 2), ("OK", 3))
        for number in range(1, count + 1)
    )
)


def batch_task(**arguments: Any) -> OmicsStartRunBatchOperator:
    defaults: dict[str, Any] = {"default_run_setting": DEFAULT_RUN_SETTING, "run_settings": SAMPLES}
    return OmicsStartRunBatchOperator(task_id="align", poll_interval=600, **{**defaults, **arguments})


def check(name: str, lines: list[str]) -> str:
    """Compare the one error of a log with the stored text."""
    (text,) = lines
    return stored(TEXTS / f"{name}.txt", text)


def check_end(name: str, error: BaseException | None) -> None:
    """Compare what Airflow prints at the end of the log with the stored text: one error, a verdict, ten short lines."""
    assert error is not None
    assert (error.__cause__, error.__suppress_context__) == (None, True)
    verdict, *lines = stored(ENDS / f"{name}.txt", str(error)).splitlines()
    assert "failed" in verdict
    assert verdict.endswith(f"({error.diagnosis['owner']})")  # type: ignore[attr-defined]
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 240
    assert [line.partition(":")[0].strip() for line in lines if line.startswith(("  cause:", "  action:"))] == [
        "cause",
        "action",
    ]


def stored(path: Path, text: str) -> str:
    if os.environ.get("OMICS_WRITE_TEXTS"):
        path.write_text(f"{text}\n")
    assert text == path.read_text().rstrip("\n")
    return text


@pytest.mark.parametrize("name", RUNS)
def test_failed_run(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], name: str
) -> None:
    """Each kind of failure is told with its cause, its owner, what to do, and where to look."""
    emulator.set_scenario({"runs": [RUNS[name]]})

    task = OmicsStartRunOperator(task_id="align", poll_interval=600, retries=2, **RUN)
    error = perform(task, ti=TaskInstanceRecord(max_tries=2)).error

    text = check(name, log_lines(logging.ERROR))
    check_end(name, error)
    assert isinstance(error, RunFailed)
    assert error.diagnosis is not None
    assert text.startswith(error.diagnosis["summary"])
    assert len(error.diagnosis["summary"].splitlines()) <= FIRST_SCREEN


@pytest.mark.parametrize(
    ("name", "arguments"), [("logs_off", {"log_level": "OFF"}), ("no_log_lines", {"failure_log_lines": 0})]
)
def test_no_log_lines(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    log_lines: Callable[..., list[str]],
    name: str,
    arguments: dict[str, Any],
) -> None:
    """Without logs, or when they are not wanted, the tasks are told all the same."""
    emulator.set_scenario({"runs": [RUNS["file_system_full"]]})

    perform(OmicsStartRunOperator(task_id="align", poll_interval=600, **RUN, **arguments))

    check(name, log_lines(logging.ERROR))


@pytest.mark.parametrize("name", ["out_of_memory", "engine"])
def test_record_that_is_gone(
    emulator: OmicsEmulator, meanwhile: Meanwhile, log_lines: Callable[..., list[str]], name: str
) -> None:
    """Of a run whose record is gone, the manifest tells the tasks, and the logs are still there."""
    emulator.set_scenario({"runs": [RUNS[name]]})
    meanwhile("FAILED", emulator.service.remove_run)

    perform(OmicsStartRunOperator(task_id="align", poll_interval=600, **RUN))

    check(f"{name}_from_manifest", log_lines(logging.ERROR))


@pytest.mark.parametrize("name", BATCHES)
def test_failed_runs_of_a_batch(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], name: str
) -> None:
    """The failures of a batch are grouped by cause, each cause with its samples and an example."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": who}, **rule} for who, rule in BATCHES[name]]})

    error = perform(batch_task()).error

    check(name, log_lines(logging.ERROR))
    check_end(name, error)
    assert isinstance(error, BatchVerdictError)
    assert error.diagnosis is not None
    assert len(error.diagnosis["summary"].splitlines()) <= FIRST_SCREEN


@pytest.mark.parametrize("uri", [None, "s3://genomics-outputs/results/wgs.jsonl"], ids=["no place", "results"])
def test_many_failed_runs(
    emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]], uri: str | None
) -> None:
    """All failures are counted, fifty are looked at; a results file tells AWS's code of the others."""
    rules = BATCHES["batch_mixed"]
    emulator.set_scenario(
        {
            "limits": {"submissions_per_second": 100},
            "runs": [{"match": {"run_setting_id": who}, **rule} for who, rule in rules],
        }
    )
    letters = ["M", "M", "M", "I", "T", "Q", "OK"]
    task = batch_task(
        run_settings=samples(*(f"{letters[number % 7]}{number:02}" for number in range(98))),
        results_s3_uri=uri,
        failure_log_lines=0,
    )

    perform(task)

    check("batch_many_with_results" if uri else "batch_many", log_lines(logging.ERROR))


def test_failed_batch(emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]) -> None:
    """A batch that fails as a whole is told with AWS's sentence and the runs that were refused."""
    emulator.set_scenario(
        {
            "batches": [{"failure": {"reason": "The settings file changed.", "after_runs": 1}}],
            "runs": [{"match": {"run_setting_id": who}, **rule} for who, rule in BATCHES["batch_denied"]],
        }
    )

    error = perform(batch_task()).error

    check("batch_failed", log_lines(logging.ERROR))
    check_end("batch_failed", error)
    assert isinstance(error, BatchFailed)


EVIL = "\x1b[2Jred\u202e\r\ngone\u2028"
SEEN = r"\x1b[2Jred\u202e\r\ngone\u2028"


@pytest.mark.parametrize(
    ("rule", "what"),
    [
        ({"outcome": "FAILED", "failure_reason": "IMPORT_FAILED", "status_message": EVIL}, "message"),
        ({"outcome": "FAILED", "failure_reason": EVIL}, "code"),
        ({"submission_failure": {"reason": "ValidationException", "message": EVIL}}, "refused submission"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_text_of_aws_is_shown(
    emulator: OmicsEmulator,
    stepped: SteppedTime,
    log_lines: Callable[..., list[str]],
    rule: dict[str, Any],
    what: str,
) -> None:
    """What AWS says cannot clear a screen, turn the writing or add a line: in log, error and XCom."""
    emulator.set_scenario({"runs": [{"match": {"run_setting_id": "S1"}, **rule}]})

    ended = perform(batch_task(run_settings=samples("S1", "S2")))

    told = [*log_lines(logging.INFO), str(ended.error), repr(vars(ended.error)), json.dumps(ended.xcoms)]
    assert not any(mark in text for text in told for mark in "\x1b\u202e\u2028\r")
    assert SEEN in str(ended.error)
    assert SEEN in "".join(log_lines(logging.ERROR))


def test_message_about_a_request_is_shown(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """So it is with a request that AWS refuses, whose message repeats what it was sent."""
    emulator.faults.add(operation="StartRun", error="ValidationException", message=EVIL)

    error = perform(OmicsStartRunOperator(task_id="align", **RUN)).error

    assert isinstance(error, InvalidRequest)
    assert SEEN in error.reason
    assert SEEN in str(error)


def test_every_text_has_its_test() -> None:
    """No text is left behind when its test goes."""
    others = {"logs_off", "no_log_lines", "out_of_memory_from_manifest", "engine_from_manifest"}
    of_batches = {"batch_failed", "batch_many", "batch_many_with_results"}

    assert {path.stem for path in TEXTS.iterdir()} == {*RUNS, *BATCHES, *others, *of_batches}
    assert {path.stem for path in ENDS.iterdir()} == {*RUNS, *BATCHES, "batch_failed"}
