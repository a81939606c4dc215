"""Every run setting of HealthOmics, once: its names, where it may stand, its type and its limits.

The source is the botocore model of ``omics`` (StartRun, and StartRunBatch with its ``defaultRunSetting`` and
``inlineSettings``); a contract test compares the two field by field.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

DIGITS = "[0-9]+"
ACCOUNT_ID = "[0-9]{12}"
ARN = "arn:.+"
NAME = "[A-Za-z0-9][A-Za-z0-9\\-\\._]*"
VISIBLE_TEXT = "[\\p{L}||\\p{M}||\\p{Z}||\\p{S}||\\p{N}||\\p{P}]+"
OBJECT_URI = "s3://[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]/.+"
VISIBLE_LINES = "[\\p{L}\\p{M}\\p{Z}\\p{S}\\p{N}\\p{P}\\t\\n\\r]+"

MAX_INLINE_SETTINGS = 100
"""``inlineSettings`` of StartRunBatch; longer lists go through ``s3UriSettings``."""
MAX_RUNS_IN_BATCH = 100_000
"""Runs in one batch (user guide, fixed quotas)."""
MAX_TAGS = 50
"""Tags of one resource (StartRun API reference)."""
MAX_TAG_KEY = 128
MAX_TAG_VALUE = 256
MAX_PARAMETERS_BYTES = 256_000
"""``parameters`` of one run, as JSON (user guide, fixed quotas)."""


class SettingKind(str, Enum):
    """The form of a setting's value."""

    TEXT = "text"
    WHOLE_NUMBER = "whole number"
    FLAG = "flag"
    TAGS = "tags"
    JSON_OBJECT = "JSON object"


class Place(str, Enum):
    """Where a setting may stand."""

    START_RUN = "StartRun"
    DEFAULT_RUN_SETTING = "defaultRunSetting"
    PER_RUN = "inlineSettings"
    BATCH = "StartRunBatch"


@dataclass(frozen=True)
class SettingField:
    """One run setting.

    :param name: as AWS spells it in ``defaultRunSetting``, or where it stands if it has no place there.
    :param argument: the Python argument of the operators.
    :param kind: its type.
    :param start_run: its name in StartRun, None when StartRun has no such field.
    :param default_run_setting: may stand in ``defaultRunSetting`` of a batch.
    :param per_run: may stand in each of ``inlineSettings`` (and in the file behind ``s3UriSettings``).
    :param required: the places that cannot do without it.
    :param choices: the only values allowed; empty: any.
    :param minimum: least length of a text, or least number; None: not limited.
    :param maximum: greatest length of a text, or greatest number; None: not limited.
    :param pattern: the pattern that the whole text must match, as the service model writes it; None: any.
    :param s3_uri: the text is ``s3://bucket/...``.
    :param start_run_since: the first boto3 release that has the field in StartRun; empty: all from the floor of the
        package (1.42.74) on.
    :param batch_since: the same for StartRunBatch.
    """

    name: str
    argument: str
    kind: SettingKind = SettingKind.TEXT
    start_run: str | None = None
    default_run_setting: bool = False
    per_run: bool = False
    required: frozenset[Place] = frozenset()
    choices: tuple[str, ...] = ()
    minimum: int | None = None
    maximum: int | None = None
    pattern: str | None = None
    s3_uri: bool = False
    start_run_since: str = ""
    batch_since: str = ""

    def name_in(self, place: Place) -> str:
        """Look up the field's name in a place.

        :param place: where it stands.
        :return: the name there; the field's own name if it has none there.
        """
        return (self.start_run or self.name) if place is Place.START_RUN else self.name

    def since(self, place: Place) -> str:
        """Return the first boto3 release that knows the field in a place.

        :param place: where it stands.
        :return: ``"1.43.35"``; empty: all from the floor of the package on.
        """
        return self.start_run_since if place is Place.START_RUN else self.batch_since


def _field(
    name: str,
    argument: str,
    places: str,
    *,
    start_run: str | None = None,
    required: tuple[Place, ...] = (),
    kind: SettingKind = SettingKind.TEXT,
    choices: tuple[str, ...] = (),
    limits: tuple[int | None, int | None] = (None, None),
    pattern: str | None = None,
    s3_uri: bool = False,
    since: str | tuple[str, str] = "",
) -> SettingField:
    """Shorten the table below: ``places`` holds s (StartRun), d (defaultRunSetting), r (per run).

    ``since`` is the first boto3 release with the field; two, if StartRun has known it for longer than StartRunBatch.
    """
    start_run_since, batch_since = (since, since) if isinstance(since, str) else since
    return SettingField(
        name=name,
        argument=argument,
        kind=kind,
        start_run=(start_run or name) if "s" in places else None,
        default_run_setting="d" in places,
        per_run="r" in places,
        required=frozenset(required),
        choices=choices,
        minimum=limits[0],
        maximum=limits[1],
        pattern=pattern,
        s3_uri=s3_uri,
        start_run_since=start_run_since,
        batch_since=batch_since,
    )


_RUN, _DEFAULT, _EACH, _BATCH = Place.START_RUN, Place.DEFAULT_RUN_SETTING, Place.PER_RUN, Place.BATCH
_NUMBER, _FLAG = SettingKind.WHOLE_NUMBER, SettingKind.FLAG
_TAGS, _JSON = SettingKind.TAGS, SettingKind.JSON_OBJECT

# The releases were found in the models of botocore's wheels: each is the first that has the field.
SETTING_FIELDS: tuple[SettingField, ...] = (
    _field("workflowId", "workflow_id", "sd", required=(_DEFAULT,), limits=(1, 18), pattern=DIGITS),
    _field("workflowType", "workflow_type", "sd", choices=("PRIVATE", "READY2RUN")),
    _field("workflowOwnerId", "workflow_owner_id", "sd", pattern=ACCOUNT_ID),
    _field("workflowVersionName", "workflow_version_name", "sd", limits=(1, 64), pattern=NAME),
    _field("runId", "source_run_id", "s", limits=(1, 18), pattern=DIGITS),
    _field("roleArn", "role_arn", "sd", required=(_RUN, _DEFAULT), limits=(1, 128), pattern=ARN),
    _field("sessionPolicy", "session_policy", "sd", limits=(1, 2048), pattern=VISIBLE_LINES, since="1.43.90"),
    _field("runSettingId", "run_setting_id", "r", required=(_EACH,), limits=(1, 128), pattern=VISIBLE_TEXT),
    _field("name", "run_name", "sdr", limits=(1, 128), pattern=VISIBLE_TEXT),
    _field("outputUri", "output_uri", "sdr", required=(_RUN,), limits=(1, 750), pattern=VISIBLE_TEXT, s3_uri=True),
    _field(
        "outputUriPrefixMode",
        "output_uri_prefix_mode",
        "s",
        choices=("SERVICE_DEFINED", "NONE_WITH_OVERWRITE"),
        since="1.43.123",
    ),
    _field("outputBucketOwnerId", "output_bucket_owner_id", "dr", limits=(12, 12), pattern=DIGITS),
    _field("parameters", "parameters", "sdr", kind=_JSON),
    _field("parametersUri", "parameters_uri", "s", limits=(1, 1093), pattern=OBJECT_URI, since="1.44.8"),
    _field("engineSettings", "engine_settings", "sdr", kind=_JSON, since=("1.43.18", "1.43.20")),
    _field("cacheId", "cache_id", "sd", limits=(1, 18), pattern=DIGITS),
    _field("cacheBehavior", "cache_behavior", "sd", choices=("CACHE_ON_FAILURE", "CACHE_ALWAYS")),
    _field("runGroupId", "run_group_id", "sd", limits=(1, 18), pattern=DIGITS),
    _field("priority", "priority", "sdr", kind=_NUMBER, limits=(0, 100_000)),
    _field("storageType", "storage_type", "sd", choices=("STATIC", "DYNAMIC")),
    _field("storageCapacity", "storage_capacity", "sd", kind=_NUMBER, limits=(0, 100_000)),
    _field("scratchStorageMode", "scratch_storage_mode", "sd", choices=("LOCAL", "SHARED"), since="1.43.35"),
    _field("logLevel", "log_level", "sd", choices=("OFF", "FATAL", "ERROR", "ALL")),
    _field("retentionMode", "retention_mode", "sd", choices=("RETAIN", "REMOVE")),
    _field("networkingMode", "networking_mode", "sd", choices=("RESTRICTED", "VPC"), since=("1.42.78", "1.42.97")),
    _field(
        "configurationName", "configuration_name", "sd", limits=(1, 128), pattern=NAME, since=("1.42.78", "1.42.97")
    ),
    _field("requesterPaysEnabled", "requester_pays_enabled", "sd", kind=_FLAG, since="1.44.8"),
    _field("runTags", "tags", "sdr", start_run="tags", kind=_TAGS),
    _field("requestId", "request_id", "s", required=(_RUN,), limits=(1, 128), pattern=VISIBLE_TEXT),
)
"""Every field of StartRun, of ``defaultRunSetting`` and of ``inlineSettings``."""

BATCH_FIELDS: tuple[SettingField, ...] = (
    _field("batchName", "batch_name", "", limits=(1, 64), pattern=VISIBLE_TEXT),
    _field("tags", "tags", "", kind=_TAGS),
    _field("requestId", "request_id", "", required=(_BATCH,), limits=(1, 128), pattern=VISIBLE_TEXT),
    _field("s3UriSettings", "run_settings_s3_uri", "", limits=(1, 750), pattern=VISIBLE_TEXT, s3_uri=True),
)
"""The fields of StartRunBatch that belong to the batch and not to its runs."""


def _index(place: Place) -> Mapping[str, SettingField]:
    if place is Place.START_RUN:
        named = {field.start_run: field for field in SETTING_FIELDS if field.start_run}
    elif place is Place.DEFAULT_RUN_SETTING:
        named = {field.name: field for field in SETTING_FIELDS if field.default_run_setting}
    elif place is Place.PER_RUN:
        named = {field.name: field for field in SETTING_FIELDS if field.per_run}
    else:
        named = {field.name: field for field in BATCH_FIELDS}
    return MappingProxyType(named)


FIELDS: Mapping[Place, Mapping[str, SettingField]] = MappingProxyType({place: _index(place) for place in Place})
"""For each place its fields, by the name that they have there."""

YOUNGER_FIELDS: Mapping[Place, tuple[str, ...]] = MappingProxyType(
    {place: tuple(name for name, field in fields.items() if field.since(place)) for place, fields in FIELDS.items()}
)
"""For each place the fields that the boto3 at the floor of the package does not have there."""

START_RUN_ARGUMENTS: Mapping[str, str] = MappingProxyType(
    {field.argument: field.start_run for field in SETTING_FIELDS if field.start_run and field.name != "requestId"}
)
"""Python argument of a run operator -> the field's name in StartRun."""

MERGED_BY_KEY: frozenset[str] = frozenset({"parameters", "engineSettings", "runTags", "tags"})
"""Settings whose layers are merged key by key; every other setting is replaced as a whole."""
