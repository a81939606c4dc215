from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.emulator.life.records import RunIndex
from airflow_provider_omics.emulator.model import YOUNGER_MEMBERS, service_model
from airflow_provider_omics.emulator.statuses import RUN_STATUSES

if TYPE_CHECKING:
    from collections.abc import Callable


def ids(items: list[dict[str, Any]]) -> list[str]:
    return [item["id"] for item in items]


def test_list_tells_what_the_model_says_and_no_more(omics: Any) -> None:
    """Items of ListRuns carry neither uuid nor output nor tags."""
    omics.start_run(name="a", priority=3, tags={"x": "y"}, workflowId="4567890", parameters={"input": "i"})
    omics.advance(700)
    (item,) = omics("ListRuns")["items"]
    members = service_model().shape_for("RunListItem").members
    younger = YOUNGER_MEMBERS["RunListItem"]
    assert set(item) == {*members, *younger} - {"batchId", "workflowVersionName"}


@pytest.mark.parametrize("page", [1, 2, 3, 7, 8, 100])
def test_pages_tell_each_run_once(omics: Any, page: int) -> None:
    """Whatever the page size: every run once, oldest first, and no token after the last."""
    started = [omics.start_run()["id"] for _ in range(7)]
    assert ids(omics.pages("ListRuns", maxResults=page)) == started
    assert ("nextToken" in omics("ListRuns", maxResults=page)) is (page < 7)


def test_page_size_may_be_capped(make_omics: Callable[..., Any]) -> None:
    """With page_size a page has so many items at most, whatever was asked for."""
    omics = make_omics({"limits": {"page_size": 2}})
    for _ in range(3):
        omics.start_run()
    assert len(omics("ListRuns", maxResults=100)["items"]) == len(omics("ListRuns")["items"]) == 2


def test_runs_that_come_and_go_between_pages_do_not_disturb(omics: Any) -> None:
    """A run deleted between two pages is not told, a new one is, none is told twice."""
    started = [omics.start_run()["id"] for _ in range(6)]
    omics.advance(700)
    first = omics("ListRuns", maxResults=3)
    omics("DeleteRun", id=started[2])
    omics("DeleteRun", id=started[3])
    new = omics.start_run()["id"]
    assert ids(omics.pages("ListRuns", startingToken=first["nextToken"])) == [*started[4:], new]


@pytest.mark.parametrize("token", ["nonsense", "cnVuczp4", "eHg6MQ==", "é"])
def test_token_must_be_one_of_this_list(omics: Any, token: str) -> None:
    """A token that no page of this list has given is a ValidationException."""
    assert omics.refuses("ListRuns", startingToken=token) == "ValidationException"


def test_filters(omics: Any) -> None:
    """Name, group, batch and status select, alone and together."""
    group = omics("CreateRunGroup", requestId="g")["id"]
    in_group = omics.start_run(name="a", runGroupId=group)["id"]
    alone = omics.start_run(name="a")["id"]
    batch_id = omics.start_batch([{"runSettingId": "S", "name": "a"}, {"runSettingId": "T", "name": "b"}])
    omics.advance(9)
    batched = [entry["runId"] for entry in omics.entries(batch_id)]
    assert ids(omics.pages("ListRuns", name="a")) == [in_group, alone, batched[0]]
    assert ids(omics.pages("ListRuns", name="A")) == []
    assert ids(omics.pages("ListRuns", runGroupId=group)) == [in_group]
    assert ids(omics.pages("ListRuns", runGroupId="1")) == []
    assert ids(omics.pages("ListRuns", batchId=batch_id)) == batched
    assert ids(omics.pages("ListRuns", batchId="1")) == []
    assert ids(omics.pages("ListRuns", status="STARTING")) == [in_group, alone]
    assert ids(omics.pages("ListRuns", status="PENDING", batchId=batch_id)) == batched
    assert ids(omics.pages("ListRuns", status="RUNNING", batchId=batch_id)) == []
    assert ids(omics.pages("ListRuns", name="a", batchId=batch_id)) == [batched[0]]
    assert ids(omics.pages("ListRuns", name="a", runGroupId=group, status="STARTING")) == [in_group]
    assert {run["batchId"] for run in omics.pages("ListRuns", batchId=batch_id)} == {batch_id}


def test_batch_and_status_together_may_be_refused(make_omics: Callable[..., Any]) -> None:
    """With list_runs_refuses_batch_and_status the two filters exclude each other."""
    omics = make_omics({"list_runs_refuses_batch_and_status": True})
    batch_id = omics.start_batch(1)
    assert omics.refuses("ListRuns", batchId=batch_id, status="FAILED") == "ValidationException"
    assert omics.refuses("ListRuns", batchId=batch_id) == omics.refuses("ListRuns", status="FAILED") == ""


def test_lists_may_lag(make_omics: Callable[..., Any]) -> None:
    """With list_lag a run appears in lists only later; GetRun knows it at once."""
    omics = make_omics({"list_lag": 10})
    run = omics.start_run(name="a")
    omics.advance(9)
    assert omics.pages("ListRuns") == omics.pages("ListRuns", name="a") == []
    assert omics.run(run["id"])["id"] == run["id"]
    omics.advance(1)
    assert ids(omics.pages("ListRuns")) == [run["id"]]


class FakeRun:
    """As much of a run as an index looks at."""

    def __init__(self, sequence: int) -> None:
        self.sequence = sequence
        self.status = "PENDING"


STEPS = st.lists(
    st.one_of(
        st.just(("add", 0, "")),
        st.tuples(st.just("move"), st.integers(0, 2000), st.sampled_from(RUN_STATUSES)),
        st.tuples(st.just("remove"), st.integers(0, 2000), st.just("")),
    ),
    max_size=60,
)


@given(steps=STEPS, gap=st.sampled_from([1, 100, 600]), after=st.integers(-1, 20_000))
def test_index_agrees_with_a_plain_list(steps: list[tuple[str, int, str]], gap: int, after: int) -> None:
    """Whatever is added, moved and removed: the index tells what looking at each run would tell."""
    index = RunIndex()
    plain: list[Any] = []
    sequence = 0
    for kind, which, status in steps:
        if kind == "add":
            sequence += gap
            plain.append(FakeRun(sequence))
            index.add(plain[-1])
        elif plain:
            run = plain[which % len(plain)]
            if kind == "move":
                before, run.status = run.status, status
                index.moved(run, before)
            else:
                plain.remove(run)
                index.remove(run)
    assert len(index) == len(plain)
    for wanted in (None, *RUN_STATUSES):
        expected = [run for run in plain if run.sequence > after and wanted in (None, run.status)]
        assert list(index.after(after, wanted)) == expected
        assert wanted is None or index.counts[wanted] == sum(run.status == wanted for run in plain)
