"""The search for what a start has made whose answer was lost."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.attempt.identity import REQUEST_ID_TAG, TaskIdentity, generated_name, name_hash
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.errors import AccessDenied, InvalidRequest
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs.search import CLOCK_SKEW, find_started
from tests.airflow_support import DEFAULT_RUN_SETTING, samples
from tests.operators.tries import GET, START, kinds

if TYPE_CHECKING:
    from airflow_provider_omics.core.snapshots import Snapshot
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

IDENTITY = TaskIdentity("a_dag", "a_task", "a_run")
NAME_FIELD = {"run": "name", "batch": "batchName"}
OURS, ANOTHER = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"


class Account:
    """The service, and what the search finds there for one attempt.

    :param kind: ``"run"`` or ``"batch"``.
    """

    def __init__(self, emulator: OmicsEmulator, kind: str) -> None:
        self.emulator = emulator
        self.kind = kind
        now = emulator.clock.now().timestamp()
        self.record = AttemptRecord(OURS, "fingerprint", first_try=1, owner_try=1, max_tries=2, requested_at=now)

    def start(self, request_id: str, name: str, *, is_tagged: bool = True) -> str:
        """Start a run or batch, and give its id."""
        tags = {"tags": {REQUEST_ID_TAG: request_id}} if is_tagged else {}
        of_a_batch = {
            "defaultRunSetting": DEFAULT_RUN_SETTING,
            "batchRunSettings": {"inlineSettings": samples("S1")},
        }
        settings: dict[str, Any] = DEFAULT_RUN_SETTING if self.kind == "run" else of_a_batch
        request = {**settings, "requestId": request_id, NAME_FIELD[self.kind]: name, **tags}
        return str(self.emulator.service.call(START[self.kind], request)["id"])

    def find(self, name: str | None = None, *, is_tagged: bool = True) -> Snapshot | Exception | None:
        """Search as a try that would now give the name."""
        request = {} if name is None else {NAME_FIELD[self.kind]: name}
        return find_started(OmicsHook(), self.kind, self.record, IDENTITY, request, is_tagged=is_tagged)

    def found(self, name: str | None = None, *, is_tagged: bool = True) -> str | None:
        """Give the id of what is found; None: nothing."""
        seen = self.find(name, is_tagged=is_tagged)
        assert not isinstance(seen, Exception)
        return None if seen is None else seen.id

    def named(self, name: str) -> None:
        """Let the user have named what the attempt started."""
        self.record = replace(self.record, name_hash=name_hash(name))


@pytest.fixture
def account(emulator: OmicsEmulator, connect: Connect, kind: str) -> Account:
    """The account of ``aws_default``."""
    return Account(emulator, kind)


@kinds
@pytest.mark.parametrize("is_tagged", [True, False])
def test_own_name(account: Account, *, is_tagged: bool) -> None:
    """What has no name of the user's is found by the one that is made of the request id, tags or not."""
    ours = account.start(OURS, generated_name(account.kind, IDENTITY, OURS), is_tagged=is_tagged)
    account.start(ANOTHER, generated_name(account.kind, IDENTITY, ANOTHER), is_tagged=is_tagged)

    assert account.found(is_tagged=is_tagged) == ours


@kinds
@pytest.mark.parametrize("name", ["cohort 7", "cohort 8", None], ids=["the same", "changed", "taken away"])
def test_users_name(account: Account, name: str | None) -> None:
    """What the user has named is told by its tag from others of that name, also when the name has changed since."""
    account.named("cohort 7")
    account.start(ANOTHER, "cohort 7")
    account.start(ANOTHER[:-1] + "3", "cohort 8")
    ours = account.start(OURS, "cohort 7")

    assert account.found(name) == ours
    assert account.emulator.calls.by_operation()[GET[account.kind]] == 2, "one of another name costs no call"


@kinds
def test_users_name_without_a_tag(account: Account) -> None:
    """Without a tag nothing tells what the user has named from others of that name: none of them is taken for ours."""
    account.named("cohort 7")
    account.start(OURS, "cohort 7", is_tagged=False)

    assert isinstance(account.find("cohort 7", is_tagged=False), InvalidRequest)
    assert account.found("cohort 7") is None


@kinds
@pytest.mark.parametrize(("seconds", "is_found"), [(CLOCK_SKEW - 60, True), (CLOCK_SKEW + 60, False)])
def test_what_is_older_than_the_request(account: Account, *, seconds: float, is_found: bool) -> None:
    """What was there before the request was sent is not looked at, the difference of two clocks allowed for."""
    ours = account.start(OURS, generated_name(account.kind, IDENTITY, OURS))
    account.record = replace(account.record, requested_at=account.record.requested_at + seconds)

    assert account.found() == (ours if is_found else None)
    assert account.emulator.calls.by_operation().get(GET[account.kind], 0) == is_found


@kinds
def test_what_is_removed_since_it_was_listed(account: Account) -> None:
    """What a list names and GetRun or GetBatch does not know is not there."""
    account.start(OURS, generated_name(account.kind, IDENTITY, OURS))
    account.emulator.faults.add(operation=GET[account.kind], error="ResourceNotFoundException")

    assert account.found() is None


@kinds
@pytest.mark.parametrize("refused", ["list", "look"])
def test_search_that_is_refused(account: Account, refused: str) -> None:
    """A search that is refused is no sign that nothing was started: the error is given."""
    account.start(OURS, generated_name(account.kind, IDENTITY, OURS))
    lists = {"run": "ListRuns", "batch": "ListBatch"}
    operation = (lists if refused == "list" else GET)[account.kind]
    account.emulator.faults.add(operation=operation, error="AccessDeniedException")

    assert isinstance(account.find(), AccessDenied)
