"""An account is held against the emulator. Here another emulator is the account."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.emulator import OmicsEmulator, SteppedClock
from airflow_provider_omics.emulator.compare.__main__ import main
from airflow_provider_omics.emulator.compare.questions import QUESTIONS
from airflow_provider_omics.emulator.compare.report import redacted
from tests.model_support import LATER_OPERATIONS, is_sendable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROLE = "arn:aws:iam::111122223333:role/secret-project"
PLACE = "s3://secret-project/out/"
QUICK = ("run-repeated", "run-cancelled-twice", "workflow-unknown")


@pytest.fixture
def account() -> Iterator[OmicsEmulator]:
    """Make an account with the bucket of the outputs."""
    clock = SteppedClock()
    with OmicsEmulator(clock=clock, buckets=["secret-project"], account="111122223333", region="eu-west-2") as emulator:
        yield emulator


@pytest.fixture
def compare(account: OmicsEmulator) -> Callable[..., int]:
    """Give the command, for the account."""

    def run(*arguments: str, **options: Any) -> int:
        given = ["--region", "eu-west-2", "--role-arn", ROLE, "--output-uri", PLACE, *arguments]
        return main(given, client=functools.cache(account.client), sleep=account.advance, **options)

    return run


def only(*names: str) -> list[str]:
    """Give the arguments that ask these questions alone."""
    return [argument for name in names for argument in ("--only", name)]


def left_in(account: OmicsEmulator) -> Mapping[str, list[str]]:
    """List what is in the account, beside what was there before."""
    omics, before = account.client(), {"anything", "germline-variants", "alignment", "rnaseq", "shared-qc"}
    return {
        "runs": [run["id"] for run in omics.list_runs()["items"]],
        "batches": [batch["id"] for batch in omics.list_batch()["items"]],
        "groups": [group["id"] for group in omics.list_run_groups()["items"]],
        "caches": [cache["id"] for cache in omics.list_run_caches()["items"]],
        "workflows": [flow["id"] for flow in omics.list_workflows()["items"] if flow["name"] not in before],
        "objects": [
            item["Key"] for item in account.client("s3").list_objects_v2(Bucket="secret-project").get("Contents", [])
        ],
    }


NOTHING: dict[str, list[str]] = {name: [] for name in ("runs", "batches", "groups", "caches", "workflows", "objects")}


def test_the_emulator_is_like_itself(
    account: OmicsEmulator, compare: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """All questions are asked, all answers are the same, and nothing stays."""
    assert compare("--yes") == 0

    report = capsys.readouterr().out
    # boto3 at the floor of the package knows neither scratch storage nor configurations, and the report says so.
    unasked = 2 * (not is_sendable(Place.START_RUN, "scratchStorageMode")) + ("CreateConfiguration" in LATER_OPERATIONS)
    same = len(QUESTIONS) - unasked
    assert f"Of {len(QUESTIONS)} questions: {same} same, 0 DIFFERENT, {unasked} not asked" in report
    assert report.count("the installed boto3 does not know") == 2 * unasked  # of both accounts
    assert left_in(account) == NOTHING


def test_a_difference_is_found(
    account: OmicsEmulator, compare: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """With the calls behind it; the account answers otherwise by its scenario."""
    account.set_scenario({"list_runs_refuses_batch_and_status": True})

    assert compare("--yes", *only("list-both-filters", "run-repeated")) == 1

    report = capsys.readouterr().out
    assert "1 same, 1 DIFFERENT" in report
    (section,) = re.findall(r"### (.*)", report)
    assert section == "list-both-filters"
    assert "- AWS: ListRuns ValidationException 400" in report
    assert "- local: ListRuns ok" in report


def test_the_report_names_nothing(
    account: OmicsEmulator, compare: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """No account, name, place, id or uuid, in messages of refusals neither."""
    account.faults.add(
        operation="StartRun", error="ValidationException", message=f"{ROLE} may not write to {PLACE} 1234567"
    )

    compare("--yes", *only(*QUICK))

    report = capsys.readouterr().out
    assert "not asked" in report
    assert not re.search(r"secret|111122223333|s3://[a-z]|\b\d{7}\b", report), report


@pytest.mark.parametrize(
    ("operation", "asked"),
    [("CreateWorkflow", 0), ("StartRun", 0), ("CancelRun", 2)],
    ids=["workflow", "run", "cancel"],
)
def test_denied_calls_are_told(
    account: OmicsEmulator, compare: Callable[..., int], capsys: pytest.CaptureFixture[str], operation: str, asked: int
) -> None:
    """What cannot be asked is no difference, and what was made goes again."""
    account.faults.add(operation=operation, error="AccessDeniedException", message="not authorized")

    compare("--yes", *only("run-repeated", "run-cancelled-twice"))

    report = capsys.readouterr().out
    assert f"{asked and 1} same" in report
    assert "AccessDeniedException" in report
    assert left_in(account) == NOTHING


def test_what_cannot_be_removed_is_named(
    account: OmicsEmulator, compare: Callable[..., int], capsys: pytest.CaptureFixture[str]
) -> None:
    """To whoever ran it, and not in the report."""
    account.faults.add(operation="DeleteWorkflow", error="AccessDeniedException", message="not authorized")

    assert compare("--yes", *only("run-repeated")) == 1

    told = capsys.readouterr()
    (workflow,) = left_in(account)["workflows"]
    assert f"left behind: workflow {workflow}: AccessDeniedException" in told.err
    assert "1 things could not be removed" in told.out
    assert workflow not in told.out


def test_an_interrupt_leaves_nothing(account: OmicsEmulator) -> None:
    """Whoever presses Ctrl-C in the midst pays for nothing further."""
    waits = iter(range(4))

    def sleep(seconds: float) -> None:
        if next(waits, None) == 2:
            raise KeyboardInterrupt
        account.advance(seconds)

    arguments = [
        "--region",
        "eu-west-2",
        "--role-arn",
        ROLE,
        "--output-uri",
        PLACE,
        "--yes",
        *only("batch-repeated", "run-gone"),
    ]
    with pytest.raises(KeyboardInterrupt):
        main(arguments, client=functools.cache(account.client), sleep=sleep)

    assert left_in(account) == NOTHING


@pytest.mark.parametrize(("answer", "begun"), [("y", True), ("YES ", True), ("", False), ("no", False)])
def test_nothing_begins_unasked(
    account: OmicsEmulator, compare: Callable[..., int], capsys: pytest.CaptureFixture[str], answer: str, *, begun: bool
) -> None:
    """It says first what it makes, and about what that costs."""
    code = compare(*only("workflow-unknown"), confirm=lambda _: answer)

    assert "less than a dollar" in capsys.readouterr().err
    assert (code == 0) is begun
    assert ("CreateWorkflow" in account.calls.by_operation()) is begun


def test_the_report_goes_to_a_file(
    compare: Callable[..., int], tmp_path: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where one is named."""
    assert compare("--yes", *only("workflow-unknown"), "--report", str(tmp_path / "report.md")) == 0

    assert "| `workflow-unknown`" in (tmp_path / "report.md").read_text()
    assert capsys.readouterr().out == ""


def test_questions_have_names_of_their_own() -> None:
    """Reports are compared by them."""
    names = [question.name for question in QUESTIONS]

    assert len(set(names)) == len(names)


def test_redaction() -> None:
    """Whatever a message of AWS's holds."""
    uuid = "d3b07384-d9a0-4c9b-8f0e-0123456789ab"
    message = f"User arn:aws:sts::111122223333:assumed-role/x may not read s3://b/k of run 1234567 {uuid} | 12"

    assert redacted(message) == "User arn:... may not read s3://... of run <id> <uuid> \\| 12"
