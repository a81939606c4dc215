"""Findings of a look before the first run: what is in order, what is not, and the mend."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from enum import Enum
from typing import Any

from airflow_provider_omics.core.errors import CHECK_ADVICE, AccessDenied, NotFound, ServiceError, SettingsError

SERVICE_PRINCIPAL = "omics.amazonaws.com"
"""Who assumes the service role of a run (user guide, "Service roles for HealthOmics")."""

_SECRETS = ("secret", "token", "password", "passwd", "private", "credential", "externalid", "external_id")
_MASK = "***"
_USER = re.compile(r"//[^/@\s]+@")
"""User and password of an address, such as a proxy's."""


class Level(str, Enum):
    """How much a finding matters."""

    OK = "ok"
    WARNING = "warning"
    """A run may start all the same, or nothing is known."""
    ERROR = "error"
    """A run would not start, or would fail."""


@dataclass(frozen=True)
class Finding:
    """One line of the look.

    :param subject: the thing that was looked at: ``"connection"``, ``"role"``, ``"staging_s3_uri"``.
    :param level: how much it matters.
    :param text: the fact.
    :param mend: the next step; empty where there is none.
    """

    subject: str
    level: Level
    text: str
    mend: str = ""

    def __str__(self) -> str:
        """One line: level, subject, fact, mend."""
        return f"{self.level.value:<7} {self.subject}: {self.text}" + (f" -> {self.mend}" if self.mend else "")

    def to_json(self) -> dict[str, str]:
        """Make the finding JSON."""
        return {**asdict(self), "level": self.level.value}


def worst(findings: Iterable[Finding]) -> Level:
    """Find the level of all findings together.

    :param findings: the findings.
    """
    levels = {finding.level for finding in findings}
    return next((level for level in (Level.ERROR, Level.WARNING) if level in levels), Level.OK)


def problems(subject: str, error: SettingsError) -> list[Finding]:
    """Make a finding of each problem.

    :param subject: the thing that was looked at.
    :param error: the problems.
    """
    return [
        Finding(subject, Level.ERROR, f"{problem.argument} = {problem.value}", problem.allowed)
        for problem in error.problems
    ]


def refused(subject: str, error: Exception, *, level: Level = Level.ERROR) -> Finding:
    """Make a finding of a call that was refused or did not get through.

    :param subject: the thing that was looked at.
    :param error: the error.
    :param level: how much it matters. Default: an error.
    """
    if isinstance(error, ServiceError):
        mend = error.advice.removesuffix(CHECK_ADVICE).strip()
        return Finding(subject, level, f"{error.operation}: {error.code}: {error.reason}", mend)
    return Finding(subject, level, str(error))


def masked(extra: Mapping[str, Any]) -> dict[str, Any]:
    """Hide the secrets of a connection's extra.

    :param extra: the extra, with mappings inside.
    :return: the same with each secret as ``***``: by its key, in an address, and in text that holds a document.
    """
    return {
        key: _MASK if any(word in str(key).lower() for word in _SECRETS) else _masked_value(value)
        for key, value in extra.items()
    }


def _masked_value(value: Any) -> Any:
    if isinstance(value, Mapping):
        return masked(value)
    if isinstance(value, (list, tuple)):
        return [_masked_value(item) for item in value]
    if isinstance(value, str):
        return _MASK if value.lstrip()[:1] in ("{", "[") else _USER.sub(f"//{_MASK}@", value)
    return value


def connection(name: str, source: str, *, found: bool, credentials: str, settings: Mapping[str, Any]) -> Finding:
    """Judge the connection as it was read.

    :param name: its id; empty: none is wanted.
    :param source: where Airflow has it from.
    :param found: whether Airflow has it.
    :param credentials: where its credentials come from.
    :param settings: its extra, masked.
    """
    if not name:
        return Finding("connection", Level.OK, f"none (aws_conn_id is not set); credentials: {credentials}")
    if not found:
        mend = f"define it (AIRFLOW_CONN_{name.upper()}, the UI, or a secrets backend), or pass aws_conn_id=None"
        text = f"Airflow does not find {name!r}; the machine's own identity is used ({credentials})"
        return Finding("connection", Level.WARNING, text, mend)
    return Finding(
        "connection", Level.OK, f"{name!r} from {source}; credentials: {credentials}; extra: {dict(settings)}"
    )


def region(name: str | None, source: str, known: Collection[str], *, is_local: bool) -> Finding:
    """Judge the Region.

    :param name: the Region; None: there is none.
    :param source: where it comes from.
    :param known: Regions in which the installed boto3 knows HealthOmics.
    :param is_local: whether an ``endpoint_url`` decides where calls go.
    """
    where = "region_name in the extra of the connection, region_name of the task, or AWS_DEFAULT_REGION"
    if not name:
        return Finding("region", Level.ERROR, "not set", f"set {where}")
    if name not in known and not is_local:
        text = f"{name!r} ({source}) has no HealthOmics that the installed boto3 knows"
        return Finding("region", Level.WARNING, text, f"one of {', '.join(sorted(known))}: {where}")
    return Finding("region", Level.OK, f"{name} ({source})")


def role(arn: str | None, source: str, answer: Mapping[str, Any] | Exception | None) -> Finding:
    """Judge the service role of the runs.

    :param arn: the role; None: there is none.
    :param source: where it comes from.
    :param answer: of GetRole, its ``Role``; or its error; None: nobody has asked.
    """
    if not arn:
        mend = "role_arn of the task, or default_run_setting['roleArn'] of the connection"
        return Finding("role", Level.WARNING, "not set: every task has to set its own", mend)
    if answer is None:
        return Finding("role", Level.OK, f"{arn} ({source}); not looked up, as endpoint_url leads to a local service")
    if isinstance(answer, NotFound):
        return Finding("role", Level.ERROR, f"{arn} ({source}) does not exist", "correct the ARN, or create the role")
    if isinstance(answer, Exception):
        return refused("role", answer, level=Level.WARNING)
    if SERVICE_PRINCIPAL not in str(answer.get("AssumeRolePolicyDocument")):
        mend = f"let its trust policy allow sts:AssumeRole to {SERVICE_PRINCIPAL}"
        return Finding("role", Level.ERROR, f"{arn} ({source}) exists, but HealthOmics may not assume it", mend)
    return Finding("role", Level.OK, f"{arn} ({source}) exists, and HealthOmics may assume it")


def pass_role(arn: str, answer: bool | Exception) -> Finding:
    """Judge whether the caller may pass the service role on.

    :param arn: the role.
    :param answer: of SimulatePrincipalPolicy; or its error.
    """
    mend = f"grant iam:PassRole on {arn}, with iam:PassedToService {SERVICE_PRINCIPAL}"
    if isinstance(answer, Exception):
        text = f"not to be seen from here ({getattr(answer, 'code', answer)})"
        return Finding("pass_role", Level.WARNING, text, f"{mend}, if a start is refused")
    if not answer:
        return Finding("pass_role", Level.ERROR, "the caller may not pass the role", mend)
    return Finding("pass_role", Level.OK, "the caller may pass the role")


@dataclass(frozen=True)
class PlaceFacts:
    """What was seen of a place in S3.

    :param region: Region of its bucket; None: S3 does not say.
    :param error: of the look; None: it succeeded.
    :param write_error: of the trial object; None: it was written and deleted, or not tried.
    :param was_written: whether a trial object was written.
    """

    region: str | None = None
    error: Exception | None = None
    write_error: Exception | None = None
    was_written: bool = False


def place(
    argument: str, uri: str, source: str, facts: PlaceFacts, run_region: str | None, *, by_caller: bool
) -> Finding:
    """Judge a place in S3.

    :param argument: the setting.
    :param uri: its value.
    :param source: where it comes from.
    :param facts: what was seen of it.
    :param run_region: Region of the runs.
    :param by_caller: whether the caller writes there, and not the service role alone.
    """
    where = f"{uri} ({source})"
    if isinstance(facts.error, NotFound):
        mend = f"correct {argument}, or create the bucket in {run_region}"
        return Finding(argument, Level.ERROR, f"{where}: the bucket does not exist", mend)
    if isinstance(facts.error, AccessDenied):
        level = Level.ERROR if by_caller else Level.WARNING
        text = f"{where}: the caller may not look" + ("" if by_caller else "; the service role writes there")
        return Finding(argument, level, text, facts.error.advice)
    if facts.error is not None:
        return refused(argument, facts.error)
    if facts.region and run_region and facts.region != run_region:
        mend = "HealthOmics wants the buckets of a run in its own Region: take one there"
        return Finding(
            argument, Level.ERROR, f"{where}: the bucket is in {facts.region}, the runs in {run_region}", mend
        )
    if facts.write_error is not None:
        return refused(argument, facts.write_error, level=Level.ERROR if by_caller else Level.WARNING)
    tried = "an object was written and deleted" if facts.was_written else "writing was not tried (--write, write=True)"
    return Finding(argument, Level.OK, f"{where}: the bucket exists in {facts.region or 'this Region'}; {tried}")


def workflow(name: str, answer: Mapping[str, Any] | Exception) -> Finding:
    """Judge the workflow.

    :param name: its id, with its version.
    :param answer: of GetWorkflow or GetWorkflowVersion; or its error.
    """
    if isinstance(answer, Exception):
        return refused("workflow", answer, level=Level.WARNING if isinstance(answer, AccessDenied) else Level.ERROR)
    status = answer.get("status")
    if status != "ACTIVE":
        return Finding("workflow", Level.ERROR, f"{name} is {status}", "a workflow that is ACTIVE")
    template = answer.get("parameterTemplate") or {}
    required = [key for key, entry in template.items() if not entry.get("optional")]
    known = f"{len(template)} parameters, required: {', '.join(required) or 'none'}" if template else "no template"
    return Finding("workflow", Level.OK, f"{name} ({answer.get('name') or 'without a name'}) is ACTIVE; {known}")
