"""What holds whatever is asked and whenever somebody looks."""

from __future__ import annotations

import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Callable

SCENARIO = {
    "limits": {"concurrent_dynamic_runs": 3, "concurrent_static_runs": 2, "submissions_per_second": 1},
    "runs": [
        {"match": {"run_setting_id": "S1"}, "outcome": "FAILED"},
        {"match": {"run_setting_id": "S2"}, "submission_failure": {"reason": "ThrottlingException"}},
        {"match": {"run_setting_id": "S3"}, "vanish_after": 100},
        {"match": {"run_setting_id": "S4"}, "outcome": "FAILED", "fails_in": "STARTING"},
    ],
}
#: Seconds at which something is asked, and what.
ACTIONS = st.lists(
    st.tuples(
        st.integers(0, 1500),
        st.sampled_from(["run", "static run", "batch", "cancel run", "cancel batch", "delete runs"]),
    ),
    max_size=12,
).map(lambda actions: sorted(actions, key=lambda action: action[0]))


def look_around(omics: Any) -> None:
    omics.pages("ListRuns")
    omics.service.flush_logs("123456789012", "us-east-1")
    omics.service.flush_events()


def play(
    omics: Any, actions: list[tuple[int, str]], looks: list[int], look: Callable[[Any], None] = look_around
) -> tuple[Any, Any, Any]:
    """Carry out actions at their times, look at other times, and tell the end."""
    batches: list[str] = []
    now = 0
    steps = [(second, -1, "look") for second in looks]
    steps += [(second, number, action) for number, (second, action) in enumerate(actions)]
    for second, number, action in sorted(steps):
        omics.advance(second - now)
        now = second
        if action == "run":
            omics.start_run(requestId=f"r{number}", priority=number % 3)
        elif action == "static run":
            omics.start_run(requestId=f"r{number}", storageType="STATIC")
        elif action == "batch":
            batches.append(omics.start_batch(6, requestId=f"r{number}"))
        elif action == "cancel run":
            for run in omics.pages("ListRuns")[-1:]:
                omics.refuses("CancelRun", id=run["id"])
        elif action == "cancel batch":
            for batch_id in batches[-1:]:
                omics.refuses("CancelRunBatch", batchId=batch_id)
        elif action == "delete runs":
            for batch_id in batches[:1]:
                omics.refuses("DeleteRunBatch", batchId=batch_id)
        else:
            look(omics)
    omics.advance(50_000 - now)
    told = [{key: run[key] for key in run if key != "requestId"} for run in omics.service.started_runs()]
    return told, [omics.batch(batch_id) for batch_id in batches], omics.pages("ListRuns")


@settings(max_examples=settings().max_examples * 60 // 100, deadline=None)
@given(actions=ACTIONS, looks=st.lists(st.integers(0, 3000), max_size=20))
def test_looking_changes_nothing(
    make_omics: Callable[..., Any], actions: list[tuple[int, str]], looks: list[int]
) -> None:
    """The same calls at the same times end the same, however often somebody looks between them."""
    assert play(make_omics(SCENARIO), actions, []) == play(make_omics(SCENARIO), actions, looks)


@settings(max_examples=settings().max_examples * 60 // 100, deadline=None)
@given(actions=ACTIONS)
def test_counts_of_ended_batches_add_up(make_omics: Callable[..., Any], actions: list[tuple[int, str]]) -> None:
    """Of an ended batch each run is in one count, each entry in one submission count, and all places are free."""
    omics = make_omics(SCENARIO)
    _, batches, _ = play(omics, actions, [])
    for batch in batches:
        assert batch["status"] in ("PROCESSED", "CANCELLED", "RUNS_DELETED")
        submitted, runs = batch["submissionSummary"], batch["runSummary"]
        assert sum(runs.values()) == submitted["successfulStartSubmissionCount"]
        starts = [count for key, count in submitted.items() if key.endswith("StartSubmissionCount")]
        assert sum(starts) == batch["totalRuns"] == 6
        assert runs["pendingRunCount"] == runs["startingRunCount"] == runs["runningRunCount"] == 0
    region = omics.service._regions.get(("123456789012", "us-east-1"))
    assert region is None or (set(region.occupied.values()), region.timeline) == ({0}, [])


@settings(max_examples=settings().max_examples * 40 // 100, deadline=None)
@given(actions=ACTIONS, looks=st.lists(st.integers(0, 3000), min_size=5, max_size=30))
def test_quota_is_never_exceeded(
    make_omics: Callable[..., Any], actions: list[tuple[int, str]], looks: list[int]
) -> None:
    """At no moment are more runs active than the concurrency quotas allow."""
    seen: list[int] = []

    def look(omics: Any) -> None:
        for storage, quota in (("DYNAMIC", 3), ("STATIC", 2)):
            active = [
                run
                for run in omics.pages("ListRuns")
                if run["status"] in ("STARTING", "RUNNING") and run["storageType"] == storage
            ]
            seen.append(len(active))
            assert len(active) <= quota

    play(make_omics(SCENARIO), actions, looks, look)
    assert len(seen) == 2 * len(looks)


def test_seed_decides_the_uuids(make_omics: Callable[..., Any]) -> None:
    """The same seed gives the same uuids, another one others."""
    first, same, other = (make_omics(seed=seed).start_run()["uuid"] for seed in (1, 1, 2))
    assert first == same != other


def test_threads_do_not_disturb_each_other(omics: Any) -> None:
    """Calls from many threads at once are all carried out, each once."""
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                omics.start_run(requestId=f"{number}/{turn}", name=f"{number}")
                omics.advance(1)
                omics.pages("ListRuns", name=f"{number}")
        except BaseException as error:  # noqa: BLE001  # told by the main thread
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert len({run["id"] for run in omics.pages("ListRuns")}) == 160


@pytest.mark.timeout(120)
def test_batch_of_100_000_runs(omics: Any) -> None:
    """A batch of 100,000 runs goes through in seconds of CPU, and looking at it stays fast."""
    batch_id = omics.start_batch(
        omics.put_settings([{"runSettingId": f"S{number}"} for number in range(100_000)]), {"parameters": {"a": 1}}
    )
    # Measuring coverage line by line makes Python some five times slower.
    patience = 1 if sys.gettrace() is None else 6
    before = time.process_time()
    while omics.batch(batch_id)["status"] != "PROCESSED":
        omics.advance(100_000)
    # About 4 s on two shared cores; the margin is for slower machines.
    assert time.process_time() - before < 15 * patience
    batch = omics.batch(batch_id)
    assert batch["runSummary"]["completedRunCount"] == 100_000
    call = omics.service.call
    for operation, parameters in (
        ("GetBatch", {"batchId": batch_id}),
        ("ListRuns", {}),
        ("ListRuns", {"status": "COMPLETED", "batchId": batch_id}),
        ("ListRuns", {"status": "FAILED"}),
        ("ListRunsInBatch", {"batchId": batch_id}),
        ("ListRunsInBatch", {"batchId": batch_id, "runId": "10099999"}),
        ("GetRun", {"id": "10099999"}),
    ):
        before = time.process_time()
        for _ in range(10):
            call(operation, parameters)
        assert (time.process_time() - before) / 10 < 0.005 * patience, operation
