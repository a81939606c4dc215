"""The page that a task writes beside its results."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import BatchCancelled
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, perform, samples
from tests.reports.markup import Element, packed_rows, parsed

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, Ended, Meanwhile

pytestmark = pytest.mark.usefixtures("stepped")

RESULTS = f"s3://{BUCKET}/results/"
FILE = f"s3://{BUCKET}/wgs.jsonl.gz"
REPORT = f"s3://{BUCKET}/wgs/report.html"
S2_FAILS = {
    "runs": [
        {
            "match": {"run_setting_id": "S2"},
            "outcome": "FAILED",
            "failure_reason": "OUT_OF_MEMORY_ERROR",
            "status_message": "the input of <b>1950-01-01</b> was not found",
        }
    ]
}


def batch(**arguments: Any) -> OmicsStartRunBatchOperator:
    return OmicsStartRunBatchOperator(
        task_id="wgs",
        **{
            "default_run_setting": DEFAULT_RUN_SETTING,
            "run_settings": samples("S1", "S2", "S3"),
            "results_s3_uri": FILE,
            **arguments,
        },
    )


def page_at(emulator: OmicsEmulator, uri: str) -> Element:
    """Read a page from S3."""
    found = emulator.client("s3").get_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))
    assert found["ContentType"] == "text/html; charset=utf-8"
    return parsed(found["Body"].read().decode())


def keys(emulator: OmicsEmulator) -> list[str]:
    found = emulator.client("s3").list_objects_v2(Bucket=BUCKET).get("Contents", ())
    return [item["Key"] for item in found if item["Key"].endswith(".html")]


def result_of(ended: Ended) -> dict[str, Any]:
    """Return the result, which a task that fails has pushed."""
    result: dict[str, Any] = ended.result or ended.xcoms["return_value"]
    return result


@pytest.mark.parametrize("deferrable", [False, True])
@pytest.mark.parametrize("max_failed_runs", [0, 1])
def test_cohort(emulator: OmicsEmulator, deferrable: bool, max_failed_runs: int) -> None:
    """At the end, good or bad, the page lies beside the results, and says what the results say."""
    emulator.set_scenario(S2_FAILS)

    ended = perform(batch(max_failed_runs=max_failed_runs, deferrable=deferrable))

    assert (ended.error is None) is (max_failed_runs == 1)
    assert result_of(ended)["report_uri"] == REPORT
    page = page_at(emulator, REPORT)
    state = "succeeded" if max_failed_runs else "failed"
    assert page.one("h1").text == f"2 of 3 samples completed {state}"
    assert page.one("article").one("h3").text == "1 OUT_OF_MEMORY_ERROR in ALIGN"
    assert "the input of <b>1950-01-01</b> was not found" in page.one("article").text
    assert "log of ALIGN of S2" in page.one("article").text
    rows = packed_rows(page)
    assert [(row["sample"], row["status"]) for row in rows] == [
        ("S2", "FAILED"),
        ("S1", "COMPLETED"),
        ("S3", "COMPLETED"),
    ]
    assert rows[1]["output_uri"].endswith(rows[1]["run_id"])
    settings = page.one("section", **{"aria-labelledby": "settings"}).text
    assert f"workflowId {DEFAULT_RUN_SETTING['workflowId']} task: default_run_setting" in settings


def test_all_completed(emulator: OmicsEmulator) -> None:
    """A cohort without failures has its page, too."""
    ended = perform(batch())

    assert ended.result["report_uri"] == REPORT
    assert page_at(emulator, REPORT).one("h1").text == "3 of 3 samples completed succeeded"


def test_links(emulator: OmicsEmulator) -> None:
    """Airflow's links lead to the page and the results in the S3 console."""
    ended = perform(batch())

    stored = {key: value for key, value in ended.xcoms.items() if key.startswith("omics_")}
    links = {link.name: link for link in OmicsStartRunBatchOperator.operator_extra_links}
    urls = {name: link.format_link(**stored[link.key]) for name, link in links.items() if link.key in stored}
    place = f"https://s3.console.aws.amazon.com/s3/object/{BUCKET}?region=us-east-1&prefix="
    assert urls["Cohort report"] == f"{place}wgs/report.html"
    assert urls["Results file"] == f"{place}wgs.jsonl.gz"


@pytest.mark.parametrize(("arguments", "report"), [({"report": False}, None), ({"results_s3_uri": None}, None)])
def test_no_report(emulator: OmicsEmulator, arguments: dict[str, Any], report: None) -> None:
    """Without a place for results, or when it is switched off, there is none."""
    ended = perform(batch(**arguments))

    assert ended.result["report_uri"] is report
    assert keys(emulator) == []


def test_place_and_key_of_the_connection(emulator: OmicsEmulator, connect: Connect) -> None:
    """The connection's place and its KMS key are the page's as well."""
    connect({"results_s3_uri": RESULTS, "results_kms_key_id": "alias/results"})

    ended = perform(batch(results_s3_uri=None))

    uri = ended.result["report_uri"]
    assert uri == ended.result["results_uri"].removesuffix(".jsonl.gz") + "/report.html"
    head = emulator.client("s3").head_object(Bucket=BUCKET, Key=uri.removeprefix(f"s3://{BUCKET}/"))
    assert head["SSEKMSKeyId"] == "alias/results"


def test_masked(emulator: OmicsEmulator) -> None:
    """Where parameters are masked no message of AWS's is on the page."""
    emulator.set_scenario(S2_FAILS)

    perform(batch(mask_parameters=True))

    page = page_at(emulator, REPORT)
    assert "1950-01-01" not in page.text
    assert "OUT_OF_MEMORY_ERROR" in page.one("article").text


def test_cancelled_batch(emulator: OmicsEmulator, meanwhile: Meanwhile) -> None:
    """A batch that somebody else cancelled has a page of what became of its samples, and says so."""
    meanwhile("INPROGRESS", lambda id_: emulator.service.call("CancelRunBatch", {"batchId": id_}))

    ended = perform(batch())

    assert isinstance(ended.error, BatchCancelled)
    assert result_of(ended)["report_uri"] == REPORT
    page = page_at(emulator, REPORT)
    assert page.one("h1").text == "0 of 3 samples completed failed"
    assert page.one("p", class_="verdict").text == "The batch ended CANCELLED."


def test_page_that_s3_refuses(emulator: OmicsEmulator) -> None:
    """A page that cannot be written is a warning: the task's result is what it was, and names none."""
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObject",
        "Resource": f"arn:aws:s3:::{BUCKET}/wgs/report.html",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    emulator.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)

    ended = perform(batch())

    assert ended.error is None
    assert (ended.result["results_uri"], ended.result["report_uri"]) == (FILE, None)
    assert keys(emulator) == []


@pytest.mark.parametrize("outcome", ["COMPLETED", "FAILED"])
def test_run(emulator: OmicsEmulator, connect: Connect, outcome: str) -> None:
    """A single run has a page with its tasks, where the connection has a place for results."""
    connect({"results_s3_uri": RESULTS})
    emulator.set_scenario({"runs": [{"outcome": outcome}]})

    ended = perform(OmicsStartRunOperator(task_id="align", **RUN))

    assert (ended.error is None) is (outcome == "COMPLETED")
    (key,) = keys(emulator)
    page = page_at(emulator, f"s3://{BUCKET}/{key}")
    assert page.one("h1").text.endswith("succeeded" if outcome == "COMPLETED" else "failed failed")
    assert len(list(page.all("article"))) == (outcome == "FAILED")
    tasks = page.one("section", **{"aria-labelledby": "tasks"})
    assert len(list(tasks.one("tbody").all("tr"))) >= 1
    assert ended.xcoms["omics_run_report"]["uri"] == f"s3://{BUCKET}/{key}"
    if outcome == "COMPLETED":
        assert ended.result["report_uri"] == f"s3://{BUCKET}/{key}"


def test_run_without_a_place(emulator: OmicsEmulator) -> None:
    """Without a place for results a run writes nothing, and its result is as it was."""
    ended = perform(OmicsStartRunOperator(task_id="align", **RUN))

    assert "report_uri" not in ended.result
    assert keys(emulator) == []
