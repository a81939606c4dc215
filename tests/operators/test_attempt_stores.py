from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.errors import AccessDenied, AttemptError, NotOwner, Unavailable
from airflow_provider_omics.core.uris import s3_address
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.stores import (
    KEY,
    AttemptStore,
    S3AttemptStore,
    TaskStateAttemptStore,
    TryAttemptStore,
    attempt_store,
)
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from tests.airflow_support import BUCKET, TaskInstanceRecord, quick_hook
from tests.operators.task_state_store import TaskStateStore

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

WHO = TaskIdentity("dag", "group.task", "manual__2026-11-22T00:00:00+00:00")
RECORD = AttemptRecord("request", "fingerprint", 1, 1, 0, 1_750_000_000.0)
STAGING = f"s3://{BUCKET}/staging"


def s3_store(identity: TaskIdentity = WHO, uri: str = STAGING) -> S3AttemptStore:
    return S3AttemptStore(quick_hook(), S3Place(uri, None), identity)


def keys(emulator: OmicsEmulator) -> list[str]:
    listed = emulator.client("s3").list_objects_v2(Bucket=BUCKET)
    return [item["Key"] for item in listed.get("Contents", ())]


Opened = Callable[[], AttemptStore]


@pytest.fixture(params=["task state store", "S3"])
def opened(request: pytest.FixtureRequest, connect: Connect) -> Opened:
    """Open the store of one task instance, as each of its tries does."""
    accessor = TaskStateStore()
    return (lambda: TaskStateAttemptStore(accessor)) if request.param == "task state store" else s3_store


def test_record_outlives_its_try(opened: Opened) -> None:
    """What a try saves, the next one loads; nothing saved is nothing."""
    assert opened().load() is None

    opened().save(RECORD)
    assert opened().load() == RECORD

    second = opened()
    second.load()
    ended = replace(RECORD, owner_try=2, resource_id="7", ended=Ended.WELL)
    second.save(replace(RECORD, owner_try=2))
    second.save(ended)
    assert opened().load() == ended


def test_task_state_never_expires() -> None:
    """A run may wait in a queue for longer than Airflow's 30 days: the record is kept for ever."""
    accessor = TaskStateStore()

    TaskStateAttemptStore(accessor).save(RECORD)

    assert accessor.retentions == {KEY: timedelta.max}


@pytest.mark.parametrize("connected", [True, False, None])
def test_task_state_tells_whose_identity_it_was(*, connected: bool | None) -> None:
    """Whether Airflow had found the connection outlives the try; the record is read as ever, by older versions too."""
    accessor = TaskStateStore()
    assert TaskStateAttemptStore(accessor).was_connected() is None

    TaskStateAttemptStore(accessor, connected=connected).save(RECORD)

    assert TaskStateAttemptStore(accessor).was_connected() is connected
    assert TaskStateAttemptStore(accessor).load() == RECORD


@pytest.mark.parametrize("value", [[], "text", 5, {}, {"request_id": "r"}, {**RECORD.to_json(), "ended": "sideways"}])
def test_unreadable_task_state_stops_the_try(value: Any) -> None:
    """What is no record is never taken for "nothing was started"."""
    accessor = TaskStateStore()
    accessor.set(KEY, value, retention=timedelta.max)

    with pytest.raises(AttemptError, match=KEY):
        TaskStateAttemptStore(accessor).load()


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"{}", b"\xff\xfe\xfa", b'{"request_id": "r"}'])
def test_unreadable_object_stops_the_try(emulator: OmicsEmulator, connect: Connect, body: bytes) -> None:
    """The same for the object: cut short, emptied, or of somebody else."""
    s3_store().save(RECORD)
    (key,) = keys(emulator)
    emulator.client("s3").put_object(Bucket=BUCKET, Key=key, Body=body)

    with pytest.raises(AttemptError, match="S3 object"):
        s3_store().load()


@pytest.mark.parametrize("saved_before", [False, True], ids=["first record", "later record"])
def test_of_two_tries_that_overlap_one_writes(connect: Connect, *, saved_before: bool) -> None:
    """Both have read the same; the second to write is told who was faster, and the record is the first one's."""
    if saved_before:
        s3_store().save(RECORD)
    old, new = s3_store(), s3_store()
    assert old.load() == new.load()

    new.save(replace(RECORD, owner_try=2))
    with pytest.raises(NotOwner) as caught:
        old.save(replace(RECORD, resource_id="7"))

    assert caught.value.owner_try == 2
    assert s3_store().load() == replace(RECORD, owner_try=2)


def test_own_write_whose_answer_was_lost_is_no_conflict(connect: Connect) -> None:
    """Botocore repeats a PutObject without an answer; the repetition meets what the first one wrote."""
    first, again = s3_store(), s3_store()
    first.load()
    again.load()
    first.save(RECORD)

    again.save(RECORD)
    again.save(replace(RECORD, resource_id="7"))

    assert s3_store().load() == replace(RECORD, resource_id="7")


def test_object_is_read_by_the_connection_of_today(connect: Connect) -> None:
    """Once the hook has read its connection anew, the record is reached with that as well."""
    connect(endpoint_url="http://127.0.0.1:9")
    hook = quick_hook()
    store = S3AttemptStore(hook, S3Place(STAGING, None), WHO)
    with pytest.raises(Unavailable):
        store.load()
    connect()

    hook.renew()

    assert store.load() is None


def test_ids_cannot_leave_their_place(emulator: OmicsEmulator, connect: Connect) -> None:
    """Slashes, dots and other signs in ids make no other key, and ids that differ have objects that differ."""
    identities = [
        TaskIdentity("dag", "task", "a/b"),
        TaskIdentity("dag", "b", "a"),
        TaskIdentity("dag/a", "b", ""),
        TaskIdentity("dag", "task", "../../escape"),
        TaskIdentity("dag", "task", "a b%2Fc"),
        TaskIdentity("dag", "task", "a b/c"),
        TaskIdentity("dag", "task", "ä"),
        WHO,
        TaskIdentity(WHO.dag_id, WHO.task_id, WHO.run_id, 0),
        TaskIdentity(WHO.dag_id, WHO.task_id, WHO.run_id, 1),
    ]
    for number, identity in enumerate(identities):
        s3_store(identity).save(replace(RECORD, resource_id=str(number)))

    assert len(keys(emulator)) == len(identities)
    for number, identity in enumerate(identities):
        loaded = s3_store(identity).load()
        assert loaded is not None
        assert loaded.resource_id == str(number)
    for key in keys(emulator):
        place, deployment, *names = key.removeprefix("staging/").split("/")
        assert (place, len(deployment), len(names)) == ("airflow-attempts", 8, 4)


@pytest.mark.parametrize("uri", [f"s3://{BUCKET}", f"s3://{BUCKET}/", f"s3://{BUCKET}/deep/er/"])
def test_any_prefix_holds_records(emulator: OmicsEmulator, connect: Connect, uri: str) -> None:
    """With or without a prefix or a slash at its end: no empty part in the key."""
    s3_store(uri=uri).save(RECORD)

    (key,) = keys(emulator)
    assert "//" not in f"/{key}"
    assert s3_store(uri=uri).load() == RECORD


def test_two_deployments_keep_apart(emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two Airflows that share the place by mistake, with the same ids, do not read each other's record."""
    for place in ("one", "two"):
        for section in ("API", "WEBSERVER"):  # of Airflow 3, and of Airflow 2
            monkeypatch.setenv(f"AIRFLOW__{section}__BASE_URL", f"https://{place}.example.com")

        assert s3_store().load() is None
        s3_store().save(RECORD)

    assert len(keys(emulator)) == 2


def test_object_is_json_for_people(emulator: OmicsEmulator, connect: Connect) -> None:
    """Somebody who has to look finds JSON with the ids."""
    s3_store().save(replace(RECORD, resource_id="7"))

    (key,) = keys(emulator)
    got = emulator.client("s3").get_object(Bucket=BUCKET, Key=key)
    assert got["ContentType"] == "application/json"
    assert json.loads(got["Body"].read()) == replace(RECORD, resource_id="7").to_json()


def test_s3_out_of_reach_is_trouble_and_not_nothing(connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that does not answer is never taken for an empty one."""
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    connect(endpoint_url="http://127.0.0.1:1")

    with pytest.raises(Unavailable):
        s3_store().load()


def test_store_is_chosen_by_what_there_is(connect: Connect) -> None:
    """Airflow's own store first, else the S3 object, else the length of the try."""

    def chosen(uri: str | None, **context: Any) -> AttemptStore:
        place = None if uri is None else S3Place(uri, None)
        return attempt_store(Context(**context), quick_hook(), WHO, place)  # type: ignore[typeddict-item]

    assert isinstance(chosen(None), TryAttemptStore)
    assert isinstance(chosen(STAGING), S3AttemptStore)
    assert isinstance(chosen(STAGING, task_state_store=TaskStateStore()), TaskStateAttemptStore)


def test_store_that_may_not_be_read_says_what_is_needed(emulator: OmicsEmulator, connect: Connect) -> None:
    """AccessDenied names the object and the actions; without s3:ListBucket S3 says it of a record not there yet."""
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:PutObject"],
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    emulator.client("s3").put_bucket_policy(Bucket=BUCKET, Policy=policy)
    needed = rf"s3://{BUCKET}/staging/airflow-attempts/.*needs s3:GetObject and s3:PutObject there, and s3:ListBucket"

    with pytest.raises(AccessDenied, match=needed):
        s3_store().load()
    with pytest.raises(AccessDenied, match=needed):
        s3_store().save(RECORD)


def test_record_of_one_try_is_forgotten_after_it() -> None:
    """Without a store that lasts, a new try knows nothing."""
    store = TryAttemptStore()
    assert store.load() is None
    store.save(RECORD)
    assert store.load() == RECORD
    assert TryAttemptStore().load() is None


def test_batch_may_keep_its_record_where_it_stages_its_settings(connect: Connect) -> None:
    """The operator's own ``staging_s3_uri`` will do; the connection's comes first, as no template changes it."""
    batch = OmicsStartRunBatchOperator(task_id="batch", staging_s3_uri=STAGING)

    context: Any = {"ti": TaskInstanceRecord()}

    def place() -> tuple[str, str]:
        store = attempt_store(Context(), quick_hook(), WHO, batch._open(context).job.place)
        assert isinstance(store, S3AttemptStore)
        bucket, key = s3_address(store._place.uri)
        return bucket, key.partition("/airflow-attempts/")[0]

    assert place() == (BUCKET, "staging")
    connect({"staging_s3_uri": f"s3://{BUCKET}/of-the-team/"})
    assert place() == (BUCKET, "of-the-team")
