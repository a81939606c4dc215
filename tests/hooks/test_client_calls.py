"""What is done before each call of a hook, or before each of its requests."""

from __future__ import annotations

import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import botocore.endpoint
import pytest

from airflow_provider_omics.core.errors import InvalidRequest, NotOwner, ServiceError, Throttled, Unavailable
from airflow_provider_omics.hooks.client import CALL, ONE_ATTEMPT, REQUEST, Requests, at_each
from airflow_provider_omics.hooks.omics import OmicsHook
from tests.airflow_support import DEFAULT_RUN_SETTING, ONE_TRY, ROLE, SteppedTime, samples

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

REQUESTS: dict[str, dict[str, Any]] = {
    "StartRun": {**DEFAULT_RUN_SETTING, "requestId": "one"},
    "StartRunBatch": {
        "requestId": "one",
        "defaultRunSetting": DEFAULT_RUN_SETTING,
        "batchRunSettings": {"inlineSettings": samples("S1")},
    },
}

starts = pytest.mark.parametrize("operation", REQUESTS)


@pytest.fixture
def hook(emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> OmicsHook:
    """Make a hook whose botocore sleeps by the emulator's clock."""
    monkeypatch.setattr(botocore.endpoint, "time", SteppedTime(emulator))
    connect()
    return OmicsHook()


def start(hook: OmicsHook, operation: str) -> None:
    send: Any = hook.start_run if operation == "StartRun" else hook.start_run_batch
    send(REQUESTS[operation])


@starts
def test_each_request_of_a_start(hook: OmicsHook, emulator: OmicsEmulator, operation: str) -> None:
    """It is done before the request, and before each one that botocore sends again."""
    emulator.faults.add(operation=operation, error="ThrottlingException", times=3)
    sent = []

    with at_each({f"{REQUEST}.{operation}": lambda **_: sent.append(emulator.calls[operation])}):
        start(hook, operation)

    assert sent == [0, 1, 2, 3]


@starts
@pytest.mark.parametrize("number", [1, 3])
def test_what_it_raises_ends_the_call(hook: OmicsHook, emulator: OmicsEmulator, operation: str, number: int) -> None:
    """Nothing more is sent, and the error is its own."""
    emulator.faults.add(operation=operation, error="ThrottlingException")
    acts = []

    def act(**_: Any) -> None:
        acts.append(1)
        if len(acts) == number:
            raise NotOwner(None, 2)

    with at_each({f"{REQUEST}.{operation}": act}), pytest.raises(NotOwner):
        start(hook, operation)

    assert emulator.calls[operation] == number - 1


def test_it_comes_after_the_signature(hook: OmicsHook) -> None:
    """Credentials may have to be renewed for it, which takes its time."""
    order: list[str] = []
    hook.conn.meta.events.register("before-sign.omics", lambda **_: order.append("signed"))

    with at_each({f"{REQUEST}.StartRun": lambda **_: order.append("asked")}):
        start(hook, "StartRun")

    assert order == ["signed", "asked"]


def test_other_calls_and_later_ones_are_let_be(hook: OmicsHook) -> None:
    """A look needs no leave, and neither does a start once it is over."""
    asked: list[int] = []
    with at_each({f"{REQUEST}.StartRun": lambda **_: asked.append(1)}):
        list(hook.list_runs())

    start(hook, "StartRun")

    assert asked == []


def test_another_thread_is_let_be(hook: OmicsHook) -> None:
    """A client may be shared: what other threads start with it is not asked about."""
    asked: list[int] = []

    with at_each({f"{REQUEST}.StartRun": lambda **_: asked.append(1)}):
        other = threading.Thread(target=start, args=(hook, "StartRun"))
        other.start()
        other.join()

    assert asked == []


def test_client_that_was_made_before(hook: OmicsHook) -> None:
    """Nothing is registered around a call: each client has its one handler from the beginning."""
    asked: list[str] = []
    list(hook.list_runs())
    count = len(hook.conn.meta.events._emitter._handlers.prefix_search("before-call.omics.ListRuns"))

    with at_each({CALL: lambda model, **_: asked.append(model.name)}):
        assert len(hook.conn.meta.events._emitter._handlers.prefix_search("before-call.omics.ListRuns")) == count
        list(hook.list_runs())
        hook.renew()
        list(hook.list_runs())

    assert asked == ["ListRuns", "ListRuns"]


@starts
@pytest.mark.parametrize("fault", [{"error": "ThrottlingException"}, {"lost_response": True}])
def test_one_attempt(hook: OmicsHook, emulator: OmicsEmulator, operation: str, fault: dict[str, Any]) -> None:
    """Who repeats a call himself leaves botocore's own resends out, for this call and no longer."""
    emulator.faults.add(operation=operation, **fault, times=2)

    with at_each(ONE_ATTEMPT), pytest.raises(Unavailable):
        start(hook, operation)
    assert emulator.calls[operation] == 1

    start(hook, operation)
    assert emulator.calls[operation] == 3


def test_no_client_can_be_made(connect: Connect, emulator: OmicsEmulator) -> None:
    """An error on the way to the client, which assumes a role, is typed as one of the call would be."""
    nowhere = {"sts": {"endpoint_url": "http://127.0.0.1:9"}}
    connect(role_arn=ROLE, service_config=nowhere, config_kwargs=ONE_TRY)

    with pytest.raises(Unavailable):
        OmicsHook().start_run(REQUESTS["StartRun"])


@starts
@pytest.mark.parametrize(
    ("fault", "then", "counted"),
    [
        (None, None, (1, 0)),
        ({"error": "ThrottlingException", "times": 2}, None, (3, 2)),
        ({"lost_response": True, "times": 1}, "ThrottlingException", (10, 9)),
        ({"error": "InternalServerException", "times": 1}, "ThrottlingException", (10, 9)),
        ({"lost_response": True, "times": 1}, "ValidationException", (2, 1)),
        ({"error": "ValidationException"}, None, (1, 1)),
        ({"error": "AccessDeniedException"}, None, (1, 0)),
    ],
    ids=["well", "throttled twice", "lost, throttled", "broken, throttled", "lost, refused", "refused", "other"],
)
def test_what_each_request_is_answered(
    hook: OmicsHook,
    emulator: OmicsEmulator,
    operation: str,
    fault: dict[str, Any] | None,
    then: str | None,
    counted: tuple[int, int],
) -> None:
    """Each request counts, not only the last one, whose answer botocore gives; the block's end ends the counting."""
    if fault is not None:
        emulator.faults.add(operation=operation, **fault)
    requests = Requests(operation, (Throttled, InvalidRequest))

    def second(**_: Any) -> None:
        if then is not None and requests.sent == 1:
            emulator.faults.add(operation=operation, error=then)

    with (
        suppress(ServiceError),
        at_each({f"{REQUEST}.{operation}": second}),
        requests.counted(),
    ):
        start(hook, operation)
    emulator.faults.clear()
    start(hook, operation)

    assert (requests.sent, requests.refused) == counted
