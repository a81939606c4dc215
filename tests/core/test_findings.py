from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core import findings
from airflow_provider_omics.core.errors import AccessDenied, NotFound, Problem, SettingsError, Unavailable
from airflow_provider_omics.core.findings import Finding, Level, PlaceFacts

DENIED = AccessDenied("HeadBucket", "403", "Forbidden", advice="The caller needs s3:ListBucket.")
GONE = NotFound("HeadBucket", "404", "Not Found")
SILENT = Unavailable("HeadBucket", "ReadTimeoutError", "no answer")
ROLE = "arn:aws:iam::123456789012:role/omics-service"
TRUST = {
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "omics.amazonaws.com"}, "Action": "sts:AssumeRole"}]
}


@pytest.mark.parametrize(
    ("facts", "by_caller", "level"),
    [
        (PlaceFacts("us-east-1"), True, Level.OK),
        (PlaceFacts("us-east-1", was_written=True), True, Level.OK),
        (PlaceFacts(None), False, Level.OK),
        (PlaceFacts("eu-west-1"), True, Level.ERROR),
        (PlaceFacts(error=GONE), False, Level.ERROR),
        (PlaceFacts(error=DENIED), True, Level.ERROR),
        (PlaceFacts(error=DENIED), False, Level.WARNING),
        (PlaceFacts(error=SILENT), True, Level.ERROR),
        (PlaceFacts("us-east-1", write_error=DENIED), True, Level.ERROR),
        (PlaceFacts("us-east-1", write_error=DENIED), False, Level.WARNING),
    ],
)
def test_places(facts: PlaceFacts, by_caller: bool, level: Level) -> None:
    """A bucket has to be there, in the Region of the runs, and open to whoever writes to it."""
    found = findings.place("staging_s3_uri", "s3://b/p/", "as given", facts, "us-east-1", by_caller=by_caller)

    assert (found.subject, found.level) == ("staging_s3_uri", level)
    assert "s3://b/p/" in found.text or level is not Level.OK


@pytest.mark.parametrize(
    ("arn", "answer", "level"),
    [
        (None, None, Level.WARNING),
        (ROLE, None, Level.OK),
        (ROLE, {"AssumeRolePolicyDocument": TRUST}, Level.OK),
        (ROLE, {"AssumeRolePolicyDocument": {"Statement": []}}, Level.ERROR),
        (ROLE, NotFound("GetRole", "NoSuchEntity", "gone"), Level.ERROR),
        (ROLE, DENIED, Level.WARNING),
    ],
)
def test_roles(arn: str | None, answer: Any, level: Level) -> None:
    """A role has to exist, and to trust HealthOmics; who may not look gets a warning."""
    assert findings.role(arn, "as given", answer).level is level


@pytest.mark.parametrize(("answer", "level"), [(True, Level.OK), (False, Level.ERROR), (DENIED, Level.WARNING)])
def test_pass_role(answer: Any, level: Level) -> None:
    """Whether the role may be passed is an error only where IAM says no."""
    found = findings.pass_role(ROLE, answer)

    assert found.level is level
    assert (ROLE in found.mend) is (level is not Level.OK)


@pytest.mark.parametrize(
    ("name", "is_local", "level"),
    [
        ("us-east-1", False, Level.OK),
        ("us-east-9", True, Level.OK),
        ("us-east-9", False, Level.WARNING),
        (None, True, Level.ERROR),
    ],
)
def test_regions(name: str | None, is_local: bool, level: Level) -> None:
    """A Region that boto3 does not know may be new, or mistyped."""
    assert findings.region(name, "of the connection", ["us-east-1"], is_local=is_local).level is level


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        ({"status": "ACTIVE", "parameterTemplate": {"input": {}, "genome": {"optional": True}}}, Level.OK),
        ({"status": "FAILED"}, Level.ERROR),
        (NotFound("GetWorkflow", "ResourceNotFoundException", "no"), Level.ERROR),
        (DENIED, Level.WARNING),
    ],
)
def test_workflows(answer: Any, level: Level) -> None:
    """A workflow has to be there and ACTIVE."""
    found = findings.workflow("1234567", answer)

    assert found.level is level
    assert ("required: input" in found.text) is (level is Level.OK)


def test_secrets_are_masked() -> None:
    """Secrets of an extra are hidden at every depth, and nothing else is."""
    extra = {
        "aws_secret_access_key": "s",
        "aws_session_token": "t",
        "region_name": "us-east-1",
        "assume_role_kwargs": {"ExternalId": "x", "TokenCode": "123456"},
        "service_config": {"omics": {"mask_parameters": True}},
        "config_kwargs": {"proxies": {"https": "http://user:word@proxy:3128/"}, "list": ["http://u:p@h/"]},
        "aws_default": '{"password": "s"}',
    }

    assert findings.masked(extra) == {
        **extra,
        "aws_secret_access_key": "***",
        "aws_session_token": "***",
        "assume_role_kwargs": {"ExternalId": "***", "TokenCode": "***"},
        "config_kwargs": {"proxies": {"https": "http://***@proxy:3128/"}, "list": ["http://***@h/"]},
        "aws_default": "***",
    }


def test_lines_and_levels() -> None:
    """A finding is one line with its mend; the worst level is that of all."""
    found = [
        Finding("region", Level.OK, "us-east-1"),
        *findings.problems("connection", SettingsError([Problem("key", "1", "2")])),
    ]

    assert list(map(str, found)) == ["ok      region: us-east-1", "error   connection: key = 1 -> 2"]
    assert [findings.worst(found), findings.worst(found[:1]), findings.worst([])] == [Level.ERROR, Level.OK, Level.OK]
    assert found[1].to_json() == {"subject": "connection", "level": "error", "text": "key = 1", "mend": "2"}
