"""Every member of the inputs of StartRun and StartRunBatch, one wrong value after the other."""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from botocore.model import ListShape, MapShape, Shape, StructureShape
from botocore.session import Session
from botocore.validate import validate_parameters

from airflow_provider_omics.core.settings.fields import YOUNGER_FIELDS, Place
from airflow_provider_omics.emulator.errors import ServiceError
from airflow_provider_omics.emulator.request_check import MAX_PROBLEMS, RequestCheck
from tests.model_support import is_sendable, sendable

if TYPE_CHECKING:
    from collections.abc import Iterator

MODEL = Session().get_service_model("omics")
Path = tuple["str | int", ...]

SETTING = {
    "workflowId": "1234567",
    "workflowType": "PRIVATE",
    "roleArn": "arn:aws:iam::123456789012:role/omics",
    "name": "sample 1",
    "cacheId": "1234567",
    "cacheBehavior": "CACHE_ALWAYS",
    "runGroupId": "1234567",
    "priority": 5,
    "parameters": {"input": "s3://bucket/a", "list": [1, {"deep": None}]},
    "storageCapacity": 1200,
    "storageType": "STATIC",
    "outputUri": "s3://bucket/out",
    "logLevel": "ALL",
    "retentionMode": "RETAIN",
    "workflowOwnerId": "111122223333",
    "workflowVersionName": "1.0",
    "networkingMode": "VPC",
    "configurationName": "vpc",
    "sessionPolicy": '{\n\t"Version": "2012-10-17"\n}',
    "engineSettings": {"nextflow": {"version": "25.10"}},
    "scratchStorageMode": "LOCAL",
    "requesterPaysEnabled": True,
}
RUN_SETTING = {
    **SETTING,
    "requestId": "request-1",
    "runId": "7654321",
    "tags": {"team": "genomics"},
    "outputUriPrefixMode": "NONE_WITH_OVERWRITE",
    "parametersUri": "s3://bucket/a.json",
}
START_RUN = sendable(Place.START_RUN, RUN_SETTING)
START_RUN_BATCH = {
    "requestId": "request-1",
    "batchName": "batch",
    "tags": {"team": "genomics"},
    "defaultRunSetting": sendable(
        Place.DEFAULT_RUN_SETTING,
        {**SETTING, "runTags": {"team": "genomics"}, "outputBucketOwnerId": "111122223333"},
    ),
    "batchRunSettings": {
        "inlineSettings": [
            sendable(
                Place.PER_RUN,
                {
                    "runSettingId": "S1",
                    "name": "sample 1",
                    "outputUri": "s3://bucket/out",
                    "priority": 1,
                    "parameters": {"sample": "S1"},
                    "outputBucketOwnerId": "111122223333",
                    "runTags": {"team": "genomics"},
                    "engineSettings": {},
                },
            )
        ]
    },
}
REQUESTS: dict[str, dict[str, Any]] = {"StartRun": START_RUN, "StartRunBatch": START_RUN_BATCH}


class Case(NamedTuple):
    """A value put into an otherwise correct request, and what the message must say."""

    operation: str
    path: Path
    value: Any
    message: str


def input_shape(operation: str) -> StructureShape:
    return MODEL.operation_model(operation).input_shape


def check(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
    return RequestCheck(input_shape(operation))(parameters)


def members(shape: Shape, value: Any, path: Path = ()) -> Iterator[tuple[Path, Shape, Any]]:
    """Walk shape and sample together: every member that the model has must be in the sample."""
    yield path, shape, value
    if isinstance(shape, StructureShape) and not shape.is_document_type:
        names = list(shape.members) if not shape.is_tagged_union else list(value)
        for name in names:
            yield from members(shape.members[name], value[name], (*path, name))
    elif isinstance(shape, ListShape):
        yield from members(shape.member, value[0], (*path, 0))
    elif isinstance(shape, MapShape):
        key = next(iter(value))
        yield from members(shape.value, value[key], (*path, key))


def wrong_values(shape: Shape, value: Any) -> Iterator[tuple[Any, str]]:
    """Everything that the model forbids for one member."""
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    if shape.type_name == "string":
        yield 7, "be a string"
        yield ["a"], "be a string"
        if low:
            yield "", f"length greater than or equal to {low}"
        if high is not None:
            yield "x" * (high + 1), f"length less than or equal to {high}"
        if shape.metadata.get("enum"):
            yield "NONSENSE", "satisfy enum value set"
            yield value.lower(), "satisfy enum value set"
        if shape.metadata.get("pattern"):
            yield "\x00", "satisfy regular expression pattern"
            yield f"\x00{value}", "satisfy regular expression pattern"
    elif shape.type_name == "integer":
        yield "7", "be an integer"
        yield 1.0, "be an integer"
        yield True, "be an integer"
        yield low - 1, f"value greater than or equal to {low}"
        yield high + 1, f"value less than or equal to {high}"
    elif shape.type_name == "boolean":
        yield "true", "be a boolean"
        yield 1, "be a boolean"
    elif shape.type_name == "list":
        yield {}, "be a list"
        yield [None], "be"
        if high is not None:
            yield [*value] * (high + 1), f"length less than or equal to {high}"
    elif shape.type_name == "map":
        yield [], "be a map"
        yield {"": "x"}, "length greater than or equal to"
    else:
        yield "text", "JSON object"
        yield [], "JSON object"
        if not shape.is_document_type:
            yield {**value, "noSuchMember": 1}, "Unknown member"


def cases() -> Iterator[Case]:
    for operation, request in REQUESTS.items():
        for path, shape, value in members(input_shape(operation), request):
            if path:
                yield from (Case(operation, path, wrong, message) for wrong, message in wrong_values(shape, value))


def label(path: Path) -> str:
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}"
    return text.lstrip(".")


def with_value(operation: str, path: Path, value: Any) -> dict[str, Any]:
    request = copy.deepcopy(REQUESTS[operation])
    holder: Any = request
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = value
    return request


@pytest.mark.parametrize("operation", REQUESTS)
def test_complete_request_passes(operation: str) -> None:
    """A request with every member of the model passes unchanged, here and in botocore's own check."""
    request = REQUESTS[operation]
    validate_parameters(request, input_shape(operation))
    assert check(operation, copy.deepcopy(request)) == request


@pytest.mark.parametrize("name", YOUNGER_FIELDS[Place.START_RUN])
def test_younger_field_is_known_as_the_installed_model_knows_it(name: str) -> None:
    """A field that came after the floor passes with a model that has it, and is refused by name with an older one."""
    request = {**START_RUN, name: RUN_SETTING[name]}

    if is_sendable(Place.START_RUN, name):
        assert check("StartRun", request) == request
    else:
        with pytest.raises(ServiceError, match=f"Unknown member at '{name}'"):
            check("StartRun", request)


@pytest.mark.parametrize("operation", REQUESTS)
def test_samples_have_every_member(operation: str) -> None:
    """The sweep below misses no member of the model."""
    shape = input_shape(operation)
    walked = {path[0] for path, _, _ in members(shape, REQUESTS[operation]) if path}
    assert walked == set(shape.members)


@pytest.mark.parametrize(
    "case", list(cases()), ids=lambda case: f"{case.operation}-{label(case.path)}={case.value!r:.40}"
)
def test_wrong_value_is_refused_by_name(case: Case) -> None:
    """Each wrong value of each member is a ValidationException that names the member and the constraint."""
    with pytest.raises(ServiceError) as caught:
        check(case.operation, with_value(case.operation, case.path, case.value))
    assert caught.value.code == "ValidationException"
    assert label(case.path) in caught.value.message
    assert case.message in caught.value.message


@pytest.mark.parametrize(
    ("operation", "path"),
    [
        (operation, (*path, name))
        for operation, request in REQUESTS.items()
        for path, shape, _ in members(input_shape(operation), request)
        if isinstance(shape, StructureShape)
        for name in shape.required_members
    ],
    ids=str,
)
@pytest.mark.parametrize("absent", [True, False], ids=["absent", "null"])
def test_required_member_must_be_there(operation: str, path: Path, absent: bool) -> None:
    """A required member that is absent or null is refused by name."""
    request = with_value(operation, path, None)
    if absent:
        holder: Any = request
        for part in path[:-1]:
            holder = holder[part]
        del holder[path[-1]]
    with pytest.raises(ServiceError, match="not be null") as caught:
        check(operation, request)
    assert f"'{label(path)}'" in caught.value.message


def test_null_stands_for_absent() -> None:
    """An optional member that is null is left out."""
    assert "name" not in check("StartRun", {**START_RUN, "name": None})


@pytest.mark.parametrize(
    ("settings", "given"),
    [({}, "[]"), ({"inlineSettings": [{"runSettingId": "a"}], "s3UriSettings": "s3://b/k"}, "['inlineSettings'")],
)
def test_union_has_exactly_one_member(settings: dict[str, Any], given: str) -> None:
    """None or both of the kinds of per-run settings are refused."""
    with pytest.raises(ServiceError, match="exactly one of inlineSettings, s3UriSettings") as caught:
        check("StartRunBatch", {**START_RUN_BATCH, "batchRunSettings": settings})
    assert given in caught.value.message


@pytest.mark.parametrize("uri", ["s3://bucket/a/settings.json", "s3://my.bucket/k"])
def test_settings_may_stand_in_s3(uri: str) -> None:
    """The other member of the union passes."""
    assert check("StartRunBatch", {**START_RUN_BATCH, "batchRunSettings": {"s3UriSettings": uri}})


@pytest.mark.parametrize("name", ["Ärzte-Probe №1", "样本", "a|b", "x" * 128])
def test_names_may_be_unicode(name: str) -> None:
    """The model's patterns allow letters, marks, separators, symbols, digits and punctuation of any script."""
    assert check("StartRun", {**START_RUN, "name": name})["name"] == name


@pytest.mark.parametrize("name", ["tab\there", "new\nline", "\u200b"])
def test_names_may_not_hold_control_characters(name: str) -> None:
    """Control and format characters are outside of the pattern."""
    with pytest.raises(ServiceError, match="'name'"):
        check("StartRun", {**START_RUN, "name": name})


def test_all_problems_are_told_at_once() -> None:
    """One message names each problem, up to a limit."""
    with pytest.raises(ServiceError, match="2 validation errors detected") as caught:
        check("StartRun", {**START_RUN, "priority": -1, "logLevel": "LOUD"})
    assert "'priority'" in caught.value.message
    assert "'logLevel'" in caught.value.message
    settings = [{"runSettingId": 7} for _ in range(100)]
    with pytest.raises(ServiceError, match=f"and {100 - MAX_PROBLEMS} more"):
        check("StartRunBatch", {**START_RUN_BATCH, "batchRunSettings": {"inlineSettings": settings}})


def test_operation_without_input_takes_nothing() -> None:
    """Members given to an operation without any are refused."""
    with pytest.raises(ServiceError, match="no input"):
        RequestCheck(None)({"a": 1})


def test_blob_arrives_as_bytes() -> None:
    """A definition travels as base64 and reaches the service as bytes; other text is refused."""
    request = {"requestId": "r", "name": "w", "definitionZip": "UEs="}
    assert check("CreateWorkflow", request)["definitionZip"] == b"PK"
    with pytest.raises(ServiceError, match=r"'definitionZip'.*base64"):
        check("CreateWorkflow", {**request, "definitionZip": "?"})
