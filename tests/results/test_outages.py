"""Collecting through an outage: what may pass is borne, what was read is kept, and many write one file."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord
from airflow_provider_omics.core.errors import AccessDenied, Conflict, Throttled
from airflow_provider_omics.emulator.http.moto_services import MotoServices
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.results.collect import SAVE_PATIENCE
from airflow_provider_omics.results.file import JsonLinesFile, write_merged
from airflow_provider_omics.results.store import ResultsStore
from tests.airflow_support import TASK_LOG
from tests.operators.tries import at_sleep
from tests.results.batches import FAILS, URI, calls, collect, end, records, rule, statuses

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")

PASSING = [
    {"error": "ThrottlingException"},
    {"error": "InternalServerException"},
    {"error": "RequestTimeoutException"},
    {"lost_response": True},
]


def hook_with(patience: float) -> OmicsHook:
    hook = OmicsHook()
    hook.patience = patience
    return hook


@pytest.mark.parametrize("operation", ["GetBatch", "ListRunsInBatch", "GetRun"])
@pytest.mark.parametrize("fault", PASSING, ids=lambda fault: next(iter(fault.values())))
def test_trouble_that_passes(
    emulator: OmicsEmulator, stepped: SteppedTime, operation: str, fault: dict[str, Any]
) -> None:
    """A call that fails is made again after a pause of ours, and the collection is whole."""
    batch_id = end(emulator, "S1", "S2", "S3")
    emulator.faults.add(operation=operation, **fault, times=3)

    collect(batch_id)

    assert statuses() == dict.fromkeys(("S1", "S2", "S3"), "COMPLETED")
    once = {"GetBatch": 1, "ListRunsInBatch": 1, "GetRun": 3}
    assert calls(emulator) == {**once, operation: once[operation] + 3}
    assert sum(seconds for seconds in stepped.slept if seconds > 0.2) > 1


def test_list_goes_on_at_its_page(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A page that fails is asked for again, not the pages before it: a long list never ends otherwise."""
    emulator.set_scenario({"runs": [rule("F*", **FAILS)], "limits": {"submissions_per_second": 100}})
    batch_id = end(emulator, *[f"F{number}" for number in range(150)], *[f"S{number}" for number in range(150)])
    lists = ["ListRuns", "ListRunsInBatch"]

    def fail_after_first_page() -> None:  # a call is about to be made: each waits for its turn
        if lists and emulator.calls[lists[0]] == 1:
            emulator.faults.add(operation=lists.pop(0), error="InternalServerException", times=2)

    stepped.at_sleep = fail_after_first_page
    collected = collect(batch_id, detail=ResultsDetail.LISTED)

    assert collected.counts == {"COMPLETED": 150, "FAILED": 150}
    assert calls(emulator) == {"GetBatch": 1, "ListRuns": 2 + 2, "ListRunsInBatch": 3 + 2}


def test_trouble_that_stays(emulator: OmicsEmulator, stepped: SteppedTime, log_lines: Callable[..., list[str]]) -> None:
    """The patience bounds it, botocore's resends included; what was read is in the file, and the next one goes on."""
    batch_id = end(emulator, "S1", "S2", "S3")
    at_sleep(stepped, lambda: emulator.faults.add(operation="GetRun", error="ThrottlingException"), number=4)
    began = stepped.time()

    with pytest.raises(Throttled):
        collect(batch_id, hook=hook_with(300))

    assert 300 <= stepped.time() - began <= 300 + SAVE_PATIENCE
    assert list(records()) == ["S1", "S2"]
    assert [line for line in log_lines() if "trying again for up to 300 s" in line]
    emulator.faults.clear()
    emulator.calls.clear()
    assert collect(batch_id).new == 1
    assert calls(emulator)["GetRun"] == 1


@pytest.mark.parametrize("operation", ["GetBatch", "GetRun"])
def test_refusal_is_final(emulator: OmicsEmulator, stepped: SteppedTime, operation: str) -> None:
    """What does not pass by itself is no matter of patience."""
    batch_id = end(emulator, "S1")
    emulator.faults.add(operation=operation, error="AccessDeniedException")
    began = stepped.time()

    with pytest.raises(AccessDenied):
        collect(batch_id)

    assert stepped.time() - began < 5


def answers_of_s3(monkeypatch: pytest.MonkeyPatch, method: str, status: str, code: str, times: int) -> list[int]:
    """Let S3 answer some requests of a method with an error; returned is how many are left."""
    answer, left = MotoServices.__call__, [times]

    def refusing(self: MotoServices, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ["REQUEST_METHOD"] == method and left[0]:
            left[0] -= 1
            start_response(status, [("Content-Type", "application/xml")])
            return [f"<Error><Code>{code}</Code><Message>Not now.</Message></Error>".encode()]
        return answer(self, environ, start_response)

    monkeypatch.setattr(MotoServices, "__call__", refusing)
    return left


@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_s3_is_away(emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    """S3 answers 503 for a while, longer than botocore tries: the results are written all the same."""
    batch_id = end(emulator, "S1", "S2")
    left = answers_of_s3(monkeypatch, method, "503 Slow Down", "SlowDown", times=25)

    collect(batch_id, hook=OmicsHook(config={"retries": {"total_max_attempts": 1}}))

    assert left == [0]
    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}


# -- many writers ------------------------------------------------------------------------------------------------------

WRITERS = 16


def write(hook: OmicsHook, name: str, ready: Callable[[], object]) -> None:
    """Add a record to the file, as a task does that has read it together with all others."""
    file = JsonLinesFile(hook, URI, None)
    with closing(ResultsStore()) as store:
        store.take(file.read(RunRecord.from_json))
        store.put(RunRecord(name, f"run of {name}", None, RecordStatus.COMPLETED))
        ready()
        write_merged(file, store, TASK_LOG, Repeats(hook, TASK_LOG))


def test_many_write_one_file(emulator: OmicsEmulator) -> None:
    """All read the same file, and all write it at once: each has its records in it in the end."""
    hook, gate, errors = OmicsHook(), threading.Barrier(WRITERS, timeout=60), []

    def work(name: str) -> None:
        try:
            write(hook, name, gate.wait)
        except Exception as error:
            errors.append(error)
            raise

    threads = [threading.Thread(target=work, args=(f"S{number}",)) for number in range(WRITERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert not errors
    assert set(records()) == {f"S{number}" for number in range(WRITERS)}


def test_others_write_all_the_time(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Patience bounds this, too; what the others have written is left alone."""
    write(OmicsHook(), "other", lambda: None)
    answers_of_s3(monkeypatch, "PUT", "412 Precondition Failed", "PreconditionFailed", times=10_000)
    began = stepped.time()

    with pytest.raises(Conflict):
        write(hook_with(120), "S1", lambda: None)

    assert 120 <= stepped.time() - began < 125
    assert set(records()) == {"other"}
