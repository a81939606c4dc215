from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.console import cohort_path
from airflow_provider_omics.links.omics import (
    HAS_TAB,
    OmicsCohortLink,
    OmicsCohortReportLink,
    OmicsFailedTaskLogsLink,
    OmicsResultsFileLink,
    OmicsRunBatchLink,
    OmicsRunLink,
    OmicsRunLogsLink,
    OmicsRunOutputsLink,
    OmicsRunReportLink,
)
from airflow_provider_omics.operators.run import OmicsStartRunOperator
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, RUN, TaskInstanceRecord, perform, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect, SteppedTime

CONSOLE = "https://console.aws.amazon.com"


def test_addresses() -> None:
    """The addresses are those of the AWS console, escaped as it does."""
    ids = {"region_name": "eu-west-1", "aws_domain": "aws.amazon.com"}

    assert OmicsRunLink().format_link(**ids, run_id="123") == f"{CONSOLE}/omics/home?region=eu-west-1#/runs/123"
    assert OmicsRunBatchLink().format_link(**ids, batch_id="7") == f"{CONSOLE}/omics/home?region=eu-west-1#/runs"
    assert OmicsRunLogsLink().format_link(**ids, run_id="123") == (
        f"{CONSOLE}/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/"
        "%2Faws%2Fomics%2FWorkflowLog/log-events/run%2F123"
    )
    assert OmicsFailedTaskLogsLink().format_link(**ids, run_id="123", task_id="456") == (
        f"{CONSOLE}/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/"
        "%2Faws%2Fomics%2FWorkflowLog/log-events/run%2F123%2Ftask%2F456"
    )
    assert OmicsRunOutputsLink().format_link(**ids, run_output_uri="s3://results/a b/run=1&2/#3") == (
        "https://s3.console.aws.amazon.com/s3/buckets/results?prefix=a%20b/run%3D1%262/%233/"
    )


@pytest.mark.parametrize(
    ("task", "links"),
    [
        (
            OmicsStartRunOperator(task_id="t", **RUN),
            (
                OmicsRunLink,
                OmicsRunLogsLink,
                OmicsFailedTaskLogsLink,
                OmicsRunOutputsLink,
                OmicsCohortLink,
                OmicsRunReportLink,
            ),
        ),
        (
            OmicsStartRunBatchOperator(
                task_id="t",
                default_run_setting=DEFAULT_RUN_SETTING,
                run_settings=samples("S1"),
            ),
            (OmicsRunBatchLink, OmicsCohortLink, OmicsCohortReportLink, OmicsResultsFileLink),
        ),
    ],
    ids=["run", "batch"],
)
def test_links_are_made_of_what_the_operator_stored(
    emulator: OmicsEmulator, stepped: SteppedTime, connect: Connect, task: Any, links: tuple[Any, ...]
) -> None:
    """Each link of an operator finds all it needs in the XCom that the operator has pushed."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED"}]})
    connect({"results_s3_uri": f"s3://{BUCKET}/results/"})

    ended = perform(task)

    assert tuple(type(link) for link in task.operator_extra_links) == links
    for link in links:
        if link is OmicsCohortLink:
            continue  # made of the task instance alone
        stored = json.loads(json.dumps(ended.xcoms[link.key]))
        address = link().format_link(**stored)
        assert address.startswith((CONSOLE, "https://s3.console.aws.amazon.com"))
        assert "us-east-1" in address or link is OmicsRunOutputsLink
        if "run_id" in stored:
            assert stored["run_id"] in address


@pytest.mark.parametrize(
    ("address", "path"),
    [
        ("", ""),
        ("http://localhost:8080", ""),
        ("https://company.org/air/flow/", "/air/flow"),
    ],
)
def test_page_in_airflow(address: str, path: str) -> None:
    """The address is that of the route that the plugin serves, behind a path too, and no id can change it."""
    task = TaskInstanceRecord(task_id="wgs", dag_id="d/../e", run_id="manual__1+00:00")

    assert cohort_path(address, task.dag_id, task.run_id, task.task_id, task.map_index) == (
        f"{path}/omics/tab/d%2F..%2Fe/manual__1%2B00%3A00/wgs/-1"
    )
    link = OmicsCohortLink().get_link(None, ti_key=task)
    assert link == (cohort_path("", "d/../e", "manual__1+00:00", "wgs", -1) if HAS_TAB else "")


LOGS = f"{CONSOLE}/cloudwatch/home?region=us-east-1#logsV2:log-groups/log-group/%2Faws%2Fomics%2FWorkflowLog/log-events"


@pytest.mark.parametrize("deferrable", [False, True], ids=["sync", "deferred"])
def test_exact_addresses_of_a_failed_run(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """From the operator's XCom to the address that a user opens, special characters of the output place encoded."""
    emulator.set_scenario({"runs": [{"outcome": "FAILED"}]})
    place = f"s3://{BUCKET}/lab a/caf\u00e9+&=?#%2F/"
    task = OmicsStartRunOperator(task_id="t", deferrable=deferrable, **{**RUN, "output_uri": place})

    stored = json.loads(json.dumps(perform(task).xcoms))

    own_pages = (OmicsCohortLink, OmicsRunReportLink)
    links = {link.key: link for link in task.operator_extra_links if not isinstance(link, own_pages)}
    assert {key: link.format_link(**stored[key]) for key, link in links.items()} == {
        "omics_run": f"{CONSOLE}/omics/home?region=us-east-1#/runs/10000001",
        "omics_run_logs": f"{LOGS}/run%2F10000001",
        "omics_failed_task_logs": f"{LOGS}/run%2F10000001%2Ftask%2F1000000002",
        "omics_run_outputs": (
            f"https://s3.console.aws.amazon.com/s3/buckets/{BUCKET}"
            "?prefix=lab%20a/caf%C3%A9%2B%26%3D%3F%23%252F/10000001/"
        ),
    }


def test_exact_address_of_a_batch(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A batch links to the list of runs, as no console page of a batch is documented."""
    task = OmicsStartRunBatchOperator(
        task_id="t", default_run_setting=DEFAULT_RUN_SETTING, run_settings=samples("S1"), wait_for_completion=False
    )

    stored = perform(task).xcoms["omics_run_batch"]

    assert stored["batch_id"] == "2000001"
    assert OmicsRunBatchLink().format_link(**stored) == f"{CONSOLE}/omics/home?region=us-east-1#/runs"


@pytest.mark.parametrize(
    ("link", "ids", "end"),
    [
        (OmicsRunLink(), {"run_id": "1/2?a=b#c"}, "/omics/home?region=x%20%26y#/runs/1%2F2%3Fa%3Db%23c"),
        (OmicsRunBatchLink(), {"batch_id": "7"}, "/omics/home?region=x%20%26y#/runs"),
        (OmicsRunLogsLink(), {"run_id": "1 2"}, "%2Faws%2Fomics%2FWorkflowLog/log-events/run%2F1%202"),
        (
            OmicsFailedTaskLogsLink(),
            {"run_id": "1", "task_id": "3#4"},
            "%2Faws%2Fomics%2FWorkflowLog/log-events/run%2F1%2Ftask%2F3%234",
        ),
    ],
    ids=lambda value: type(value).__name__ if hasattr(value, "format_link") else "",
)
def test_what_does_not_belong_into_an_address(link: Any, ids: dict[str, str], end: str) -> None:
    """Nothing that a template or an environment puts into a Region or an id can change the rest of an address."""
    address = link.format_link(region_name="x &y", aws_domain="aws.amazon.com", **ids)

    assert address.startswith(CONSOLE)
    assert address.endswith(end)
    assert "region=x%20%26y#" in address


def test_nothing_is_stored_without_xcom(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A task that pushes no XCom pushes no links either."""
    task = OmicsStartRunOperator(task_id="t", wait_for_completion=False, do_xcom_push=False, **RUN)

    assert perform(task).xcoms == {}


def test_names_and_keys_differ() -> None:
    """Airflow tells links of a task apart by name, and finds their XCom by key."""
    links = (OmicsRunLink, OmicsRunLogsLink, OmicsFailedTaskLogsLink, OmicsRunOutputsLink, OmicsRunBatchLink)

    assert len({link.name for link in links}) == len({link.key for link in links}) == 5


def test_a_link_that_cannot_be_stored_does_not_fail_the_task(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run is started: that its link is lost must not lose the run as well."""

    def broken(self: TaskInstanceRecord, key: str, value: Any, **_: Any) -> None:
        raise RuntimeError(key)

    monkeypatch.setattr(TaskInstanceRecord, "xcom_push", broken)

    ended = perform(OmicsStartRunOperator(task_id="t", **RUN))

    assert ended.error is None
    assert ended.result["status"] == "COMPLETED"
