"""Collections of a batch that is going: what another writer, an earlier attempt or a lost roster change."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import RecordStatus, RunRecord, Submission
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results import read_batch_results
from airflow_provider_omics.results.collect import Between, Collection
from airflow_provider_omics.results.file import JsonLinesFile, write_changes, write_merged
from airflow_provider_omics.results.read import cohort_records
from airflow_provider_omics.results.roster import Roster, key_of
from airflow_provider_omics.results.store import ResultsStore
from tests.airflow_support import BUCKET, TASK_LOG
from tests.results.batches import DENIED, URI, calls, collect, delete_manifests, details, records, rule, start, statuses

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator

pytestmark = pytest.mark.usefixtures("stepped")

WAVES = [rule("A*", running=3000), rule("B*", running=9000), rule("C*", running=15000)]
NAMES = [f"{wave}{number}" for wave in "ABC" for number in range(4)]


def between(batch_id: str, uri: str = URI, **more: Any) -> Between:
    collection = Collection(OmicsHook(), batch_id, uri, TASK_LOG, **more)
    try:
        return collection.collect_between(600.0, lambda _: {})
    finally:
        collection.close()


@pytest.fixture
def batch_id(emulator: OmicsEmulator) -> str:
    """A batch of three waves, the first of which has ended."""
    emulator.set_scenario({"runs": WAVES, "limits": {"submissions_per_second": 100}})
    started = start(emulator, *NAMES)
    emulator.advance(6000)
    emulator.calls.clear()
    return started


def names(found: Between) -> list[str]:
    return [record.run_setting_id for record in found.new]


@details
def test_each_wave_once(emulator: OmicsEmulator, batch_id: str, detail: ResultsDetail) -> None:
    """Each collection adds what has ended since; the submissions are listed once, and each run is read once."""
    found = []
    for _ in range(2):
        found.append(names(between(batch_id, detail=detail)))
        emulator.advance(6000)
    emulator.advance(100_000)

    last = collect(batch_id, detail=detail)

    assert found == [NAMES[:4], NAMES[4:8]]
    assert (last.new, list(records())) == (4, NAMES)
    assert calls(emulator).get("GetRun", 0) == (12 if detail is ResultsDetail.FULL else 0)
    assert calls(emulator)["ListRunsInBatch"] <= 4


def test_one_list_where_the_counts_agree(emulator: OmicsEmulator, batch_id: str) -> None:
    """A run that computed at the last stretch, and does not now, has ended: no other list is needed to tell it."""
    between(batch_id)
    emulator.advance(6000)
    emulator.calls.clear()

    found = between(batch_id)

    assert names(found) == NAMES[4:8]
    assert calls(emulator) == {"GetBatch": 1, "ListRuns": 1, "GetRun": 4}


@pytest.mark.parametrize("lag", [0, 4000])
@pytest.mark.parametrize("at_a_time", [1, 3, 6])
def test_runs_shorter_than_a_stretch(emulator: OmicsEmulator, at_a_time: int, lag: int) -> None:
    """A run that starts and ends between two stretches is in the file after the second one, if the counts tell of it.

    Where they lag it comes later, and none is read twice.
    """
    runs = [rule("A*", running=300), rule("B*", running=2500), rule("C*", running=900)]
    limits = {"submissions_per_second": 100, "concurrent_dynamic_runs": at_a_time}
    emulator.set_scenario({"runs": runs, "batches": [{"count_lag": lag}], "limits": limits})
    batch_id, client = start(emulator, *sorted(NAMES, key=lambda name: name[1])), emulator.client()
    emulator.calls.clear()
    found: set[str | None] = set()
    emulator.advance(1500)
    while client.get_batch(batchId=batch_id)["status"] != "PROCESSED":
        ended = {run["id"] for run in client.list_runs(batchId=batch_id, status="COMPLETED")["items"]}

        found |= {record.run_id for record in between(batch_id).new}

        assert lag or found >= ended
        emulator.advance(1500)
    assert found or lag

    collect(batch_id)

    assert statuses() == dict.fromkeys(NAMES, "COMPLETED")
    assert calls(emulator)["GetRun"] == len(NAMES)


@pytest.mark.parametrize("uri", [URI, URI.removesuffix(".gz")], ids=["gzip", "plain"])
def test_another_writer(emulator: OmicsEmulator, batch_id: str, uri: str) -> None:
    """What somebody else has added meanwhile stays, and what they have read is not read again."""
    between(batch_id, uri)
    emulator.advance(4000)
    collect(batch_id, uri)

    found = between(batch_id, uri)
    emulator.advance(100_000)
    collect(batch_id, uri)

    assert names(found) == []
    assert list(records(uri)) == NAMES
    assert calls(emulator)["GetRun"] == 12


def test_a_writer_in_the_midst(emulator: OmicsEmulator, batch_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is never replaced by one that lacks what another task has just written: the two are merged."""
    between(batch_id)
    emulator.advance(6000)
    append = JsonLinesFile.append

    def late(self: JsonLinesFile, lines: Any) -> None:
        monkeypatch.setattr(JsonLinesFile, "append", append)
        other = JsonLinesFile(OmicsHook(), URI, None)
        other.look()
        other.append([RunRecord("X", "1", "u", RecordStatus.COMPLETED, batch_id="1", workflow_id="7").to_json()])
        append(self, lines)

    monkeypatch.setattr(JsonLinesFile, "append", late)

    between(batch_id)

    assert sorted(records()) == sorted([*NAMES[:8], "X"])


@pytest.mark.parametrize(
    "body", [b"{", b'{"batch_uuid": "another"}\n', None], ids=["damaged", "another batch's", "gone"]
)
def test_a_lost_roster(emulator: OmicsEmulator, batch_id: str, body: bytes | None) -> None:
    """It is made anew from the results file: no run is read twice."""
    between(batch_id)
    s3, key = emulator.client("s3"), f"results/wgs/{batch_id}.roster.jsonl.gz"
    s3.delete_object(Bucket=BUCKET, Key=key)
    if body is not None:
        s3.put_object(Bucket=BUCKET, Key=key, Body=body)
    emulator.advance(6000)

    found = between(batch_id)

    assert names(found) == NAMES[4:8]
    assert (list(records()), calls(emulator)["GetRun"]) == (NAMES[:8], 8)


def test_records_of_an_earlier_batch(emulator: OmicsEmulator, batch_id: str) -> None:
    """Samples that have a record of an earlier batch get the new one in its place, and count their attempts."""
    emulator.advance(100_000)
    collect(batch_id)
    emulator.client().start_run_batch(
        requestId="two",
        defaultRunSetting={
            "workflowId": "1234567",
            "roleArn": "arn:aws:iam::123456789012:role/omics",
            "outputUri": f"s3://{BUCKET}/runs",
        },
        batchRunSettings={"inlineSettings": [{"runSettingId": name} for name in ("A0", "C1")]},
    )
    emulator.advance(6000)

    found = between("2000002")

    assert [(record.run_setting_id, record.attempt) for record in found.new] == [("A0", 2)]
    assert list(records()) == NAMES
    assert records()["A0"].batch_id == "2000002"


def test_refused_and_gone(emulator: OmicsEmulator, log_lines: Callable[..., list[str]]) -> None:
    """A refused sample is recorded at once; a run whose record is gone is left to the end."""
    emulator.set_scenario({"runs": [rule("D", **DENIED), *WAVES]})
    batch_id = start(emulator, "A0", "A1", "D", "C0")
    emulator.advance(6000)
    (gone,) = [run["id"] for run in emulator.service.started_runs() if run["runSettingId"] == "A1"]
    emulator.service.remove_run(gone)
    delete_manifests(emulator, gone)

    first, second = between(batch_id), between(batch_id)

    assert statuses() == {"A0": "COMPLETED", "D": "NOT_SUBMITTED"}
    assert (len(first.new), second.new) == (2, ())
    unfinished = [one for one in read_batch_results(URI, unfinished=True) if one.run_setting_id not in statuses()]
    assert {one.run_setting_id: one.status.value for one in unfinished} in (
        {"C0": "RUNNING"},
        {"C0": "RUNNING", "A1": "PENDING"},
    )


def test_each_sample_once_while_some_run_again(emulator: OmicsEmulator, batch_id: str) -> None:
    """A cohort of which a part runs again has one record of each sample: how it ended, or that it is going again."""
    earlier = [
        RunRecord("B0", "900", None, RecordStatus.FAILED, batch_id="1"),
        RunRecord("X0", "901", None, RecordStatus.COMPLETED, batch_id="1"),
    ]
    JsonLinesFile(OmicsHook(), URI, None).replace(record.to_json() for record in earlier)
    between(batch_id)

    found = [(record["run_setting_id"], record["status"]) for record in cohort_records(OmicsHook(), URI, batch_id)]

    ended = {"A": "COMPLETED", "B": "RUNNING", "C": "RUNNING"}
    assert sorted(found) == sorted([("X0", "COMPLETED"), *((name, ended[name[0]]) for name in NAMES)])


ODD = ["S", 'S"', '["PENDING",', 'RECORDED","LEFT"', "Ö\\"]


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.lists(st.sampled_from(ODD), max_size=9), st.lists(st.sets(st.integers(0, 8)), max_size=3))
def test_lines_that_pass_as_they_are(
    emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, parts: Any, ends: Any
) -> None:
    """Whatever names are, and wherever what has ended stands: rows keep their places, and each is counted once."""
    monkeypatch.setattr("airflow_provider_omics.results.roster.ROWS", 2)
    roster = Roster(OmicsHook(), S3Place(URI, None), BatchSnapshot("1", "INPROGRESS"))
    runs = [f"{number}" if number % 3 else None for number in range(len(parts))]
    names_ = [f"{name}{number}" for number, name in enumerate(parts)]
    roster.add(Submission(name, run_id, None, "FAILED") for name, run_id in zip(names_, runs, strict=True))
    expected = dict.fromkeys(names_, "PENDING")

    for some in ends:
        new = {names_[number]: ("RECORDED", "LEFT")[number % 2] for number in some if number < len(parts)}
        expected.update({name: state for name, state in new.items() if expected[name] not in ("RECORDED", "LEFT")})
        keys = {key_of(row): new[row[1]] for row in roster.rows() if row[1] in new}
        roster.settle(keys, lambda row: row[0])

        assert [(row[1], row[0]) for row in roster.rows()] == list(expected.items())
        assert [row[1] for row in roster.open_rows()] == [
            name for name, state in expected.items() if state == "PENDING"
        ]
        assert roster.done == sum(state != "PENDING" for state in expected.values())
    assert (roster.started, roster.refused) == (sum(map(bool, runs)), sum(run_id is None for run_id in runs))
    roster.close()


OTHERS = [
    '{"run_setting_id":"O1","run_id":"1","run_uuid":"u","status":"COMPLETED","batch_id":"1","workflow_id":"7"}',
    '{ "status": "FAILED",  "run_setting_id": "\\u00d6 \\"2\\"", "batch_id": "1", "workflow_id": "7", "later": [1] }',
    '{"run_setting_id":"B0","run_id":"2","run_uuid":"v","status":"FAILED","batch_id":"1","workflow_id":"1234567"}',
]
"""Lines of a shared file: one as this package writes it, one of another program, and one of a sample of the batch."""


def lines_of(emulator: OmicsEmulator) -> list[str]:
    body = emulator.client("s3").get_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")["Body"].read()
    return gzip.decompress(body).decode().splitlines()


@pytest.mark.parametrize("ending", ["\n", ""], ids=["closed", "open"])
def test_a_shared_file(emulator: OmicsEmulator, batch_id: str, monkeypatch: pytest.MonkeyPatch, ending: str) -> None:
    """Records of others stay to the letter, and are not read; one of a sample of the batch is replaced in its line."""
    packed = gzip.compress(("\n".join(OTHERS) + ending).encode())
    emulator.client("s3").put_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz", Body=packed)
    parsed: list[str] = []
    from_json = RunRecord.from_json

    def counted(value: Any) -> RunRecord:
        parsed.append(value["run_setting_id"])
        return from_json(value)

    monkeypatch.setattr(RunRecord, "from_json", counted)

    first = between(batch_id)
    after_first = lines_of(emulator)
    emulator.advance(6000)
    second = between(batch_id)
    after_second = lines_of(emulator)
    monkeypatch.undo()

    assert (names(first), names(second)) == (NAMES[:4], NAMES[4:8])
    assert [record.attempt for record in second.new] == [2, 1, 1, 1]
    assert after_first[:3] == OTHERS
    assert [line == before for line, before in zip(after_second, OTHERS, strict=False)] == [True, True, False]
    assert [json.loads(line)["run_setting_id"] for line in after_second[2:]] == ["B0", *NAMES[:4], *NAMES[5:8]]
    assert set(parsed) <= set(NAMES)
    assert (second.tally.shared, dict(second.tally.ends)) == (True, {"COMPLETED": 8})


@pytest.mark.parametrize(
    ("shared", "writes"), [(0, "append"), (2, "append"), (3, "change")], ids=["own file", "shared", "replaced"]
)
def test_others_write_in_the_midst(
    emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch, shared: int, writes: str
) -> None:
    """Whatever others write between two calls stays, of a sample of the batch too: each has one record."""
    emulator.set_scenario({"runs": [*WAVES, rule("D", running=90_000)], "limits": {"submissions_per_second": 100}})
    batch_id = start(emulator, *NAMES, "D")
    emulator.advance(6000)
    body = gzip.compress("".join(f"{line}\n" for line in OTHERS[:shared]).encode())
    emulator.client("s3").put_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz", Body=body)
    between(batch_id)
    emulator.advance(6000)
    write = getattr(JsonLinesFile, writes)

    def late(self: JsonLinesFile, *lines: Any) -> None:
        monkeypatch.setattr(JsonLinesFile, writes, write)
        other = JsonLinesFile(OmicsHook(), URI, None)
        other.look()
        theirs = [
            RunRecord(name, "7", "w", RecordStatus.FAILED, batch_id="1", workflow_id="1234567").to_json()
            for name in ("B1", "C0", "X")
        ]
        other.append(theirs)
        write(self, *lines)

    monkeypatch.setattr(JsonLinesFile, writes, late)

    found = between(batch_id)
    emulator.advance(6000)
    last = between(batch_id)

    assert (names(found), names(last)) == (NAMES[4:8], NAMES[8:])
    assert [record.attempt for record in last.new] == [2, 1, 1, 1]
    known = records()
    assert {known[name].batch_id for name in NAMES} == {batch_id}
    assert known["X"].batch_id == "1"
    assert dict(last.tally.ends) == {"COMPLETED": 12}


def test_no_results_file(emulator: OmicsEmulator, batch_id: str) -> None:
    """Nothing is added to what is something else."""
    body = gzip.compress(b'{"sample": "S1"}\n')
    emulator.client("s3").put_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz", Body=body)

    with pytest.raises(SettingsError, match="a results file"):
        between(batch_id)

    assert lines_of(emulator) == ['{"sample": "S1"}']


@pytest.fixture
def bucket(emulator: OmicsEmulator) -> tuple[OmicsHook, Any]:
    """One hook and one client for all examples: each would open connections of its own."""
    return OmicsHook(), emulator.client("s3")


SOME = st.lists(st.sampled_from(["S1", "S2", 'S"3', "S\\4", "Ö"]), unique=True)


def a_record(name: str, batch_id: str, number: int) -> RunRecord:
    created = f"2026-01-0{batch_id}T00:00:00.000+00:00"
    status = RecordStatus.COMPLETED if number % 2 else RecordStatus.FAILED
    return RunRecord(
        name,
        str(number),
        f"u{number}",
        status,
        fingerprint=name,
        dag_id=batch_id,
        batch_id=batch_id,
        batch_created_at=created,
        workflow_id="7",
    )


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(SOME, SOME, SOME, st.sampled_from("123"))
def test_changes_make_the_file_that_merging_makes(
    bucket: tuple[OmicsHook, Any], there: list[str], mine: list[str], theirs: list[str], their_batch: str
) -> None:
    """Whatever is in the file, whatever is new, and whatever others write at the same time: the result is the same."""
    (hook, s3), made = bucket, []
    for place, writes in (("changes", write_changes), ("merged", write_merged)):
        uri = f"s3://{BUCKET}/{place}.jsonl"
        s3.delete_object(Bucket=BUCKET, Key=f"{place}.jsonl")
        JsonLinesFile(hook, uri, None).replace(a_record(name, "1", n).to_json() for n, name in enumerate(there))
        file, store = JsonLinesFile(hook, uri, None), ResultsStore()
        store.set_batch("2", "/7")
        file.look()
        if writes is write_changes:
            store.take_some(file.read_some(RunRecord.from_json, mine))
        else:
            store.take(file.read(RunRecord.from_json))
        for number, name in enumerate(mine):
            store.put(a_record(name, "2", 10 + number))
        if theirs:
            other, others = JsonLinesFile(hook, uri, None), ResultsStore()
            others.take(other.read(RunRecord.from_json))
            for number, name in enumerate(theirs):
                others.put(a_record(name, their_batch, 20 + number))
            write_merged(other, others, TASK_LOG, Repeats(hook, TASK_LOG))
            others.close()
        writes(file, store, TASK_LOG, Repeats(hook, TASK_LOG))
        store.close()
        made.append(s3.get_object(Bucket=BUCKET, Key=f"{place}.jsonl")["Body"].read())

    assert made[0] == made[1]
