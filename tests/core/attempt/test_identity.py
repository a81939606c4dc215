from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any

import botocore.session
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.attempt.identity import (
    REQUEST_ID_TAG,
    TAG_LIMIT,
    TaskIdentity,
    fingerprint,
    generated_name,
    identified_request,
    name_hash,
)
from airflow_provider_omics.core.attempt.record import AttemptRecord

MODEL = botocore.session.get_session().get_service_model("omics")
REQUEST_ID = "0b0f0c9e-7f3b-4a52-9d51-0c8a5d5b2f11"
RECORD = AttemptRecord(REQUEST_ID, "fingerprint", 3, 4, 5, 0.0)
UNTAGGED = AttemptRecord(REQUEST_ID, "fingerprint", 3, 4, 5, 0.0, tagged=False)
WHO = TaskIdentity("variants", "align.sample", "scheduled__2026-11-22T00:00:00+00:00", 7)
WHO_TAGS = {
    "airflow:dag_id": "variants",
    "airflow:task_id": "align.sample",
    "airflow:run_id": "scheduled__2026-11-22T00:00:00+00:00",
    "airflow:map_index": "7",
}
RUN: dict[str, Any] = {"workflowId": "1", "roleArn": "role", "requestId": "of the check"}
BATCH: dict[str, Any] = {
    "defaultRunSetting": {"workflowId": "1", "roleArn": "role"},
    "batchRunSettings": {"inlineSettings": [{"runSettingId": "a"}, {"runSettingId": "b"}]},
    "requestId": "of the check",
}
kinds = pytest.mark.parametrize(("kind", "request_"), [("run", RUN), ("batch", BATCH)], ids=["run", "batch"])

TEXT = st.text(max_size=300)
IDENTITIES = st.builds(TaskIdentity, TEXT, TEXT, TEXT, st.integers(-1, 2000))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=8,
)
TAGS = st.dictionaries(st.text(min_size=1, max_size=20), st.text(max_size=20), max_size=4)
RUNS = st.fixed_dictionaries(
    {"workflowId": st.just("1"), "requestId": st.uuids().map(str)},
    optional={"name": st.text(min_size=1, max_size=128), "tags": TAGS, "parameters": JSON},
)
BATCHES = st.fixed_dictionaries(
    {
        "requestId": st.uuids().map(str),
        "defaultRunSetting": st.fixed_dictionaries({"workflowId": st.just("1")}, optional={"runTags": TAGS}),
        "batchRunSettings": st.just({"s3UriSettings": "s3://b/k"})
        | st.fixed_dictionaries(
            {"inlineSettings": st.lists(st.fixed_dictionaries({}, optional={"runTags": TAGS, "parameters": JSON}))}
        ),
    },
    optional={"batchName": st.text(min_size=1, max_size=64), "tags": TAGS},
)
REQUESTS = st.tuples(st.just("run"), RUNS) | st.tuples(st.just("batch"), BATCHES)


def tags(count: int) -> dict[str, str]:
    return {f"theirs-{number}": "x" for number in range(count)}


@pytest.mark.parametrize(("kind", "shape"), [("run", "RunName"), ("batch", "BatchName")])
@given(identity=IDENTITIES, request_id=st.uuids().map(str))
def test_generated_name_fits_and_ends_in_the_request_id(
    kind: str, shape: str, identity: TaskIdentity, request_id: str
) -> None:
    """However long the ids of DAG and task, the name keeps to AWS's length, and the request id stays whole."""
    name = generated_name(kind, identity, request_id)

    assert 1 <= len(name) <= MODEL.shape_for(shape).metadata["max"]
    assert re.fullmatch(r"[A-Za-z0-9_.\-]+", name)
    assert name.endswith(f".{request_id}")


def test_generated_name_begins_with_dag_and_task() -> None:
    """Somebody who reads the console's list sees who started what."""
    assert generated_name("run", WHO, REQUEST_ID) == f"variants.align.sample.{REQUEST_ID}"
    assert generated_name("batch", WHO, REQUEST_ID) == f"variants.align.sample.{REQUEST_ID}"


@given(identity=IDENTITIES)
def test_tag_values_are_cleaned_and_cut(identity: TaskIdentity) -> None:
    """Tag values hold what every AWS service takes, at most 256 characters."""
    for key, value in identity.tags().items():
        assert len(key) <= MODEL.shape_for("TagKey").metadata["max"]
        assert len(value) <= MODEL.shape_for("TagValue").metadata["max"]
        assert all(character.isalnum() or character in " _.:/=+-@" for character in value), value


def test_plain_ids_are_tagged_as_they_are() -> None:
    """What needs no cleaning is not changed: cost reports are keyed by it."""
    assert WHO.tags() == WHO_TAGS


@kinds
def test_request_gets_id_name_and_tags(kind: str, request_: dict[str, Any]) -> None:
    """The attempt's request id, a name, the identity; runs of a batch get what cost reports need."""
    identified = identified_request(kind, request_, WHO, RECORD)

    expected = {
        **request_,
        "requestId": REQUEST_ID,
        "name" if kind == "run" else "batchName": f"variants.align.sample.{REQUEST_ID}",
        "tags": {REQUEST_ID_TAG: REQUEST_ID, "airflow:try_number": "3", **WHO_TAGS},
    }
    if kind == "batch":
        expected["defaultRunSetting"] = {**BATCH["defaultRunSetting"], "runTags": WHO_TAGS}
    assert identified.request == expected
    assert identified.warnings == ()


@kinds
def test_without_tags_only_id_and_name_are_added(kind: str, request_: dict[str, Any]) -> None:
    """tag_with_airflow_context=False at the time of the first try: no tag, then or in a resend."""
    identified = identified_request(kind, request_, WHO, UNTAGGED)

    assert "tags" not in identified.request
    assert identified.request.get("defaultRunSetting") == request_.get("defaultRunSetting")
    assert identified.request["requestId"] == REQUEST_ID


@pytest.mark.parametrize("record", [RECORD, UNTAGGED], ids=["tagged", "untagged"])
@pytest.mark.parametrize(("kind", "field"), [("run", "name"), ("batch", "batchName")])
def test_names_and_tags_of_the_user_stay(kind: str, field: str, record: AttemptRecord) -> None:
    """Nothing that the user gave is replaced, not even a tag under a key of ours."""
    theirs = {"project": "p", "airflow:dag_id": "mine"}
    request = {**(RUN if kind == "run" else BATCH), field: "nightly", "tags": theirs}

    sent = identified_request(kind, request, WHO, record).request

    assert sent[field] == "nightly"
    assert theirs.items() <= sent["tags"].items()


@kinds
@pytest.mark.parametrize("count", [0, 43, 44, 45, 46, 49, 50])
def test_ours_give_way_to_theirs(kind: str, request_: dict[str, Any], count: int) -> None:
    """Over 50 tags ours are left out, the request id last, with one warning that names them."""
    identified = identified_request(kind, {**request_, "tags": tags(count)}, WHO, RECORD)

    sent = identified.request["tags"]
    assert tags(count).items() <= sent.items()
    assert len(sent) == min(count + 6, TAG_LIMIT)
    assert (REQUEST_ID_TAG in sent) is (count < TAG_LIMIT)
    assert len(identified.warnings) == (1 if count > 44 else 0)
    for warning in identified.warnings:
        assert "airflow:map_index" in warning
        assert (REQUEST_ID_TAG in warning) is (count == TAG_LIMIT)


@pytest.mark.parametrize("tagged", [True, False])
@pytest.mark.parametrize(
    ("mode", "source", "attempts", "first_try", "earlier"),
    [
        ("NONE_WITH_OVERWRITE", None, 1, 1, None),
        ("NONE_WITH_OVERWRITE", None, 2, 2, "an earlier attempt"),
        ("NONE_WITH_OVERWRITE", None, 1, 2, "an earlier attempt"),
        ("NONE_WITH_OVERWRITE", "10000001", 1, 1, "run 10000001"),
        ("SERVICE_DEFINED", "10000001", 2, 2, None),
        (None, "10000001", 2, 2, None),
    ],
)
def test_overwritten_outputs_are_warned_of(
    mode: str | None, source: str | None, attempts: int, first_try: int, earlier: str | None, *, tagged: bool
) -> None:
    """Another attempt, and a repeated run, write over what was there, where outputs lie right under outputUri."""
    optional = {"outputUriPrefixMode": mode, "runId": source}
    request = {**RUN, "outputUri": "s3://b/out", **{name: value for name, value in optional.items() if value}}
    record = replace(RECORD, tagged=tagged, attempts=attempts, first_try=first_try, owner_try=first_try)

    warnings = identified_request("run", request, WHO, record).warnings

    place = f"outputs that {earlier} has left under s3://b/out"
    told = f"This run overwrites {place}: output_uri_prefix_mode is NONE_WITH_OVERWRITE"
    assert warnings == ((told,) if earlier else ())


@pytest.mark.parametrize(
    ("shared", "own", "fitting"),
    [
        pytest.param(46, [{}, {}], 4, id="all fit"),
        pytest.param(47, [{}, {}], 3, id="shared tags leave room for three"),
        pytest.param(0, [tags(49), {}], 1, id="one run's own leave room for one"),
        pytest.param(30, [tags(48), {}], 2, id="own and shared of the same keys count once"),
        pytest.param(1, [{f"own-{n}": "x" for n in range(49)}, {}], 0, id="own and shared of other keys add up"),
    ],
)
def test_tags_of_a_batch_leave_room_for_those_of_each_run(shared: int, own: list[dict[str, str]], fitting: int) -> None:
    """The service merges shared and own run tags, and the result must not pass 50 in any run."""
    request = {
        **BATCH,
        "defaultRunSetting": {"workflowId": "1", "runTags": tags(shared)},
        "batchRunSettings": {"inlineSettings": [{"runSettingId": str(n), "runTags": o} for n, o in enumerate(own)]},
    }

    identified = identified_request("batch", request, WHO, RECORD)

    run_tags = identified.request["defaultRunSetting"]["runTags"]
    assert len(run_tags) == shared + fitting
    assert max(len({**run_tags, **o}) for o in own) <= TAG_LIMIT
    assert len(identified.warnings) == (fitting < 4)


@pytest.mark.parametrize(("shared", "staged", "fitting"), [(0, 46, 4), (2, 46, 2), (0, 50, 0), (20, 50, 0)])
def test_tags_of_staged_runs_leave_room_too(shared: int, staged: int, fitting: int) -> None:
    """Settings in S3 are merged like those in the request: what a run has at most of its own counts."""
    request = {
        **BATCH,
        "defaultRunSetting": {"workflowId": "1", "runTags": tags(shared)},
        "batchRunSettings": {"s3UriSettings": "s3://bucket/settings.json"},
    }

    identified = identified_request("batch", request, WHO, RECORD, staged_run_tags=staged)

    assert len(identified.request["defaultRunSetting"]["runTags"]) == shared + fitting
    assert len(identified.warnings) == (fitting < 4)


@given(kind_request=REQUESTS, identity=IDENTITIES, tagged=st.booleans(), tries=st.tuples(*[st.integers(1, 99)] * 2))
def test_resend_is_the_same_request_to_the_letter(
    kind_request: tuple[str, dict[str, Any]], identity: TaskIdentity, tries: tuple[int, int], *, tagged: bool
) -> None:
    """Whichever try sends it, checked under whatever request id: the same bytes, as a resend must be."""
    kind, request = kind_request
    sent = []
    for owner, checked_under in zip(tries, ("one", "two"), strict=True):
        record = AttemptRecord(REQUEST_ID, "f", min(tries), owner, owner, float(owner), tagged=tagged)
        before = json.dumps(request)
        identified = identified_request(kind, {**request, "requestId": checked_under}, identity, record)
        assert json.dumps(request) == before, "the request that was given has changed"
        sent.append(json.dumps(identified.request))

    assert sent[0] == sent[1]
    assert json.loads(sent[0])["requestId"] == REQUEST_ID


@given(kind_request=REQUESTS, request_id=st.uuids().map(str))
def test_fingerprint_ignores_request_id_and_order(kind_request: tuple[str, dict[str, Any]], request_id: str) -> None:
    """Two tries that would send the same have the same fingerprint."""
    _, request = kind_request
    shuffled = {"requestId": request_id, **dict(reversed(list(request.items())))}
    shuffled["requestId"] = request_id

    assert fingerprint(shuffled) == fingerprint(request)
    assert re.fullmatch(r"[0-9a-f]{64}", fingerprint(request))


@given(kind_request=REQUESTS, more=JSON.filter(bool))
def test_fingerprint_tells_other_settings(kind_request: tuple[str, dict[str, Any]], more: Any) -> None:
    """Any other field or value makes another fingerprint."""
    _, request = kind_request

    assert fingerprint({**request, "outputUri": more}) != fingerprint(request)


def test_hash_of_a_name() -> None:
    """A record holds no name, which may identify a patient, and still tells one from another."""
    assert name_hash(None) is None
    assert name_hash("nightly") == name_hash("nightly") != name_hash("weekly")
