from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import NotFound, QuotaExceeded, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.operators.run_cache import (
    OmicsCreateRunCacheOperator,
    OmicsDeleteRunCacheOperator,
    OmicsUpdateRunCacheOperator,
)
from tests.airflow_support import perform

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

PLACE = "s3://omics-results/cache/"


@pytest.fixture(autouse=True)
def bucket(emulator: OmicsEmulator) -> None:
    """Make the bucket of the caches."""
    emulator.client("s3").create_bucket(Bucket="omics-results")


def create(**changed: Any) -> OmicsCreateRunCacheOperator:
    """Make the task that creates the cache of the tests."""
    arguments = {"name": "{{ team }}", "cache_s3_location": PLACE, **changed}
    return OmicsCreateRunCacheOperator(task_id="create", **arguments)


def test_a_cache_is_created_once(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """With all that was given; the next task of the same name gets the same id."""
    given = {"cache_behavior": "CACHE_ALWAYS", "description": "of the team", "tags": {"team": "{{ team }}"}}

    first = perform(create(**given, cache_bucket_owner_id="123456789012"), team="germline")
    second = perform(create(), team="germline")

    cache = emulator.client().get_run_cache(id=first.result)
    expected = {"name": "germline", "cacheBehavior": "CACHE_ALWAYS", "description": "of the team"}
    assert expected.items() <= cache.items()
    assert cache["cacheS3Uri"].startswith(PLACE.rstrip("/"))
    assert cache["tags"] == {"team": "germline"}
    assert second.result == first.result
    assert len(emulator.client().list_run_caches()["items"]) == 1


def test_of_two_that_create_at_once_the_older_stays(
    emulator: OmicsEmulator, stepped: SteppedTime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The younger cache goes before anybody has used it."""
    omics = emulator.client()
    create_run_cache, theirs = OmicsHook.create_run_cache, []

    def after_another_task(hook: OmicsHook, request: dict[str, Any]) -> Any:
        theirs.append(omics.create_run_cache(name="germline", cacheS3Location=PLACE, requestId="theirs")["id"])
        return create_run_cache(hook, request)

    monkeypatch.setattr(OmicsHook, "create_run_cache", after_another_task)

    assert perform(create(name="germline")).result == theirs[0]
    assert [cache["id"] for cache in omics.list_run_caches()["items"]] == theirs


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"cache_s3_location": "s3://omics-results/other/"}, "cache_s3_location"),
        ({"cache_behavior": "CACHE_ALWAYS"}, "cache_behavior"),
        ({"name": ""}, "name"),
    ],
)
def test_another_cache_of_the_name_is_left(
    emulator: OmicsEmulator, stepped: SteppedTime, changed: dict[str, str], named: str
) -> None:
    """The error names what differs."""
    assert perform(create(name="germline")).error is None

    error = perform(create(**{"name": "germline", **changed})).error

    assert isinstance(error, SettingsError)
    assert [problem.argument for problem in error.problems] == [named]
    assert emulator.calls.by_operation()["CreateRunCache"] == 1


def test_over_the_quota(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A refused create is the typed error."""
    emulator.set_scenario({"limits": {"run_caches": 0}})

    assert isinstance(perform(create(name="one too many")).error, QuotaExceeded)


def test_update(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """What is given changes, the rest stays."""
    cache_id = perform(create(name="germline", description="old")).result

    perform(OmicsUpdateRunCacheOperator(task_id="update", cache_id=cache_id, cache_behavior="CACHE_ALWAYS"))

    cache = emulator.client().get_run_cache(id=cache_id)
    assert (cache["name"], cache["description"], cache["cacheBehavior"]) == ("germline", "old", "CACHE_ALWAYS")


def test_an_update_of_nothing_is_refused(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Before any call."""
    error = perform(OmicsUpdateRunCacheOperator(task_id="update", cache_id="1234567")).error

    assert isinstance(error, SettingsError)
    assert emulator.calls.by_operation() == {}


def test_delete(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """A cache is deleted, and a second time there is nothing to do; an update of it fails."""
    cache_id = perform(create(name="germline")).result
    delete = OmicsDeleteRunCacheOperator(task_id="delete", cache_id="{{ cache }}")

    assert perform(delete, cache=cache_id).error is None
    assert emulator.client().list_run_caches()["items"] == []
    assert perform(delete, cache=cache_id).error is None
    update = OmicsUpdateRunCacheOperator(task_id="update", cache_id=cache_id, name="gone")
    assert isinstance(perform(update).error, NotFound)
