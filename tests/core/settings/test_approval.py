"""Change control: digests, and the list of approved workflows."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.approval import DefinedWorkflow, check_allowed, is_approval_list, same_digest

WORKFLOW = DefinedWorkflow("1234567", "germline", "1.0", "ab" * 32)


@pytest.mark.parametrize(
    ("approved", "is_listed"),
    [
        ([], False),
        ([{"workflow": "1234567"}], True),
        ([{"workflow": "germline"}], True),
        ([{"workflow": "somatic"}, {"workflow": "germline", "version": "1.0"}], True),
        ([{"workflow": "germline", "version": "2.0"}], False),
        ([{"workflow": "germline", "version": "1.0", "digest": "sha256:" + "AB" * 32}], True),
        ([{"workflow": "germline", "version": "1.0", "digest": "cd" * 32}], False),
        ([{"digest": "ab" * 32}], True),
        ([{"digest": "ab" * 32, "workflow": "somatic"}], False),
    ],
)
def test_approved_workflows(approved: list[dict[str, str]], is_listed: bool) -> None:
    """An entry fits with all that it says; an empty list approves nothing."""
    assert WORKFLOW.is_listed(approved) is is_listed


def test_refusals_name_what_would_run() -> None:
    """Both at once, with the digest to compare."""
    with pytest.raises(SettingsError) as caught:
        check_allowed(WORKFLOW, "cd" * 32, [], "connection 'aws_default'")

    assert [problem.argument for problem in caught.value.problems] == ["workflow_digest", "workflow"]
    assert str(WORKFLOW.digest) in str(caught.value)
    assert "connection 'aws_default'" in str(caught.value)


def test_a_workflow_without_a_digest_is_not_the_one_that_was_meant() -> None:
    """What cannot be compared is refused."""
    unknown = DefinedWorkflow("1", None, None, None)
    with pytest.raises(SettingsError):
        check_allowed(unknown, "ab" * 32, None)
    assert not unknown.is_listed([{"workflow": "1", "digest": "ab" * 32}])
    check_allowed(unknown, None, None)


@pytest.mark.parametrize(
    ("value", "is_list"),
    [
        ([], True),
        ([{"workflow": "1"}], True),
        ([{"digest": "a"}], True),
        ([{"version": "1"}], False),
        ([{"workflow": 1}], False),
        ([{"workflow": ""}], False),
        ([{"workflow": "1", "sha": "a"}], False),
        (["1"], False),
        ({"workflow": "1"}, False),
    ],
)
def test_the_form_of_the_list(value: Any, is_list: bool) -> None:
    """An entry that approves everything by a slip is refused."""
    assert is_approval_list(value) is is_list


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("ab" * 32, "AB" * 32, True),
        ("sha256:" + "ab" * 32, "ab" * 32, True),
        ("nSCNo/qMWFxmplXpUdokXJnwgneOaxyyc2YOxVxrJTE=", "nSCNo/qMWFxmplXpUdokXJnwgneOaxyyc2YOxVxrJTE=", True),
        ("nSCNo/qMWFxmplXpUdokXJnwgneOaxyyc2YOxVxrJTE=", "NSCNo/qMWFxmplXpUdokXJnwgneOaxyyc2YOxVxrJTE=", False),
        ("", None, False),
    ],
)
def test_same_digest(one: str, other: str | None, is_same: bool) -> None:
    """Case counts in Base64, and not in hexadecimal."""
    assert same_digest(one, other) is is_same
