"""The results file, into which several tasks may write."""

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.errors import NotFound, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import completed_chunks, read_batch_results
from airflow_provider_omics.results.file import JsonLinesFile, results_place, samples_place
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, quick_hook, samples
from tests.operators.tries import at_sleep
from tests.results.batches import FAILS, URI, collect, delete_manifests, details, end, records, statuses

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

pytestmark = pytest.mark.usefixtures("stepped")

ONE = TaskIdentity("wgs", "cohort.run", "manual__2026-01-01T00:00:00+00:00")
MAPPED = TaskIdentity("wgs", "run", "my run/1", 3)
S2_FAILS_FIRST = {"runs": [{**FAILS, "match": {"run_setting_id": "S2", "attempt": 1}}]}


def end_another(emulator: OmicsEmulator, request_id: str, *names: str) -> str:
    """Run one more batch to its end."""
    request = {"defaultRunSetting": DEFAULT_RUN_SETTING, "batchRunSettings": {"inlineSettings": samples(*names)}}
    started = emulator.client().start_run_batch(requestId=request_id, **request)
    emulator.advance(100_000)
    return str(started["id"])


def two_batches(emulator: OmicsEmulator) -> tuple[str, str]:
    """Give a batch in which S2 failed, and a later one in which it completed."""
    emulator.set_scenario(S2_FAILS_FIRST)
    first = end(emulator, "S1", "S2")
    second = end_another(emulator, "two", "S2")
    return first, second


def test_two_collections_into_one_file(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Who finds the file written by another one meanwhile adds to it, and loses nothing of either."""
    first = end(emulator, "A1", "A2")
    second_id = end_another(emulator, "two", "B1", "B2")

    at_sleep(stepped, lambda: collect(second_id))
    collect(first)

    assert set(records()) == {"A1", "A2", "B1", "B2"}


def test_later_batch_replaces(emulator: OmicsEmulator) -> None:
    """A sample that ran again in another batch has the record of that one; the others keep theirs."""
    emulator.set_scenario(S2_FAILS_FIRST)
    collect(end(emulator, "S1", "S2"))

    collected = collect(end_another(emulator, "two", "S2"))

    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
    assert {name: record.attempt for name, record in records().items()} == {"S1": 1, "S2": 2}
    assert collected.counts == {"COMPLETED": 1}


@pytest.mark.parametrize("uri", [URI, f"s3://{BUCKET}/plain.jsonl"])
def test_form_of_the_file(emulator: OmicsEmulator, uri: str) -> None:
    """The file is JSON Lines, the id first; packed when its name ends in .gz."""
    collect(end(emulator, "S1", "S2"), uri)

    bucket, _, key = uri.removeprefix("s3://").partition("/")
    body = emulator.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    text = gzip.decompress(body) if uri.endswith(".gz") else body
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["run_setting_id"] for line in lines] == ["S1", "S2"]
    assert {next(iter(line)) for line in lines} == {"run_setting_id"}


def test_another_file_is_not_overwritten(emulator: OmicsEmulator) -> None:
    """A file that holds no results is left alone."""
    emulator.client("s3").put_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz", Body=b'{"sample": "S1"}\n')

    with pytest.raises(SettingsError, match=r"line 1: a results file.*KeyError"):
        collect(end(emulator, "S1"))

    body = emulator.client("s3").get_object(Bucket=BUCKET, Key="results/wgs.jsonl.gz")["Body"].read()
    assert body == b'{"sample": "S1"}\n'


def test_bucket_that_does_not_exist(emulator: OmicsEmulator) -> None:
    """Where nothing can be written, S3's error is told."""
    with pytest.raises(NotFound, match="PutObject: NoSuchBucket"):
        collect(end(emulator, "S1"), "s3://no-such-bucket/wgs.jsonl")


@details
def test_collection_of_an_earlier_batch(emulator: OmicsEmulator, detail: ResultsDetail) -> None:
    """Whoever collects an earlier batch once more leaves the records of later ones alone."""
    first, second = two_batches(emulator)
    collect(second)

    collected = collect(first, detail=detail)
    again = collect(first, detail=detail)

    assert statuses() == {"S2": "COMPLETED", "S1": "COMPLETED"}
    assert records()["S2"].batch_id == second
    assert (collected.new, again.new) == (1, 0)


@pytest.mark.parametrize("late", ["first", "second"])
def test_collections_of_two_batches_at_once(emulator: OmicsEmulator, stepped: SteppedTime, late: str) -> None:
    """Whoever writes last, the record of the later batch is what the file has in the end."""
    first, second = two_batches(emulator)
    slow, quick = (first, second) if late == "first" else (second, first)
    at_sleep(stepped, lambda: collect(quick), number=2)
    collect(slow)

    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED"}
    assert records()["S2"].batch_id == second


def test_what_was_read_earlier_is_not_written_back(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A collector that has nothing to say of a sample leaves what others have said of it since it read the file."""
    first, second = two_batches(emulator)
    collect(first)
    third = end_another(emulator, "three", "S3")

    at_sleep(stepped, lambda: collect(second))
    collect(third)

    assert statuses() == {"S1": "COMPLETED", "S2": "COMPLETED", "S3": "COMPLETED"}


@pytest.mark.parametrize("name", ["S1", "S2"])
def test_chunks_keep_their_samples(emulator: OmicsEmulator, stepped: SteppedTime, name: str) -> None:
    """Who writes after another one adds at the end: a chunk that was handed out meanwhile reads the same samples."""
    first, second = two_batches(emulator)
    third = end_another(emulator, "three", "A1", "A2", name)
    handed: list[dict[str, Any]] = []

    def write_and_hand_out() -> None:
        collect(third)
        handed.extend(completed_chunks(URI, size=2))

    at_sleep(stepped, write_and_hand_out)
    collect(first)
    before = [[record.run_setting_id for record in read_batch_results(**chunk)] for chunk in handed]
    collect(second)
    collect(first)

    assert before == [["A1", "A2"], [name]]
    assert [[record.run_setting_id for record in read_batch_results(**chunk)] for chunk in handed] == before
    assert list(records())[:3] == ["A1", "A2", name]


def test_less_detail_beside_more(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A collector that knows how a run ended replaces no record that says where its outputs are."""
    batch_id = end(emulator, "S1", "S2")

    at_sleep(stepped, lambda: collect(batch_id))
    collect(batch_id, detail=ResultsDetail.LISTED)

    assert all(record.output_uri for record in records().values())


def test_row_that_is_gone_stays_gone(emulator: OmicsEmulator) -> None:
    """A collector does not bring back what the start operator has called REMOVED."""
    batch_id = end(emulator, "S1", "S2")
    emulator.faults.add(operation="GetRun", error="ResourceNotFoundException", times=1)
    delete_manifests(emulator)
    collect(batch_id, hook=quick_hook())
    file = JsonLinesFile(OmicsHook(), URI, None)
    file.replace([record.removed().to_json() for record in file.read(RunRecord.from_json)])

    collect(batch_id)

    assert statuses() == {"S1": "REMOVED", "S2": "REMOVED"}
    assert {name: record.end.value for name, record in records().items()} == {"S1": "UNKNOWN", "S2": "COMPLETED"}


@pytest.mark.parametrize(
    ("argument", "default", "identity", "expected"),
    [
        pytest.param(None, None, ONE, None, id="nowhere"),
        pytest.param("", None, ONE, None, id="a template that gave nothing"),
        pytest.param(
            None,
            "s3://r/results",
            ONE,
            "s3://r/results/wgs/manual__2026-01-01T00:00:00+00:00/cohort.run.jsonl.gz",
            id="of the connection",
        ),
        pytest.param(None, "s3://r/", MAPPED, "s3://r/wgs/my%20run%2F1/run/3.jsonl.gz", id="mapped"),
        pytest.param("s3://r/my.jsonl", "s3://other/", ONE, "s3://r/my.jsonl", id="a file"),
        pytest.param("s3://r/x/my.jsonl.gz", None, MAPPED, "s3://r/x/my.jsonl.gz", id="a packed file"),
        pytest.param("s3://r/x/", None, MAPPED, "s3://r/x/wgs/my%20run%2F1/run/3.jsonl.gz", id="a prefix"),
    ],
)
def test_place_of_results(argument: str | None, default: str | None, identity: TaskIdentity, expected: str) -> None:
    """An argument names a file, or as the connection does a prefix under which each task instance has its own."""
    assert results_place(argument, default, identity) == expected


@pytest.mark.parametrize(
    "argument", ["s3://bucket", "s3://bucket/results", "results/wgs.jsonl", "s3://b/x.csv", "s3:///x/"]
)
def test_place_that_is_none(argument: str) -> None:
    """What is neither a file nor a prefix is refused with what is allowed."""
    with pytest.raises(SettingsError, match="results_s3_uri"):
        results_place(argument, None, ONE)


@pytest.mark.parametrize("name", ["x/wgs.jsonl", "x/wgs.jsonl.gz"])
def test_place_of_samples(name: str) -> None:
    """The samples of an attempt lie beside the results, under the attempt's request id."""
    assert samples_place(f"s3://r/{name}", "abc") == "s3://r/x/wgs/abc.samples.jsonl.gz"
