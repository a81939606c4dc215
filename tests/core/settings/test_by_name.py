"""Names in the place of ids: which are looked up, and what has a name."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.settings.by_name import check_version, chosen_names, only_one

TEAM = {"workflow_name": "germline", "workflow_version_name": "1.0", "run_group_name": "bulk", "cache_name": "shared"}


@pytest.mark.parametrize(
    ("own", "setting", "team", "chosen"),
    [
        ({}, {}, {}, {}),
        ({}, {}, TEAM, TEAM),
        (
            {"workflow_name": "other"},
            {},
            TEAM,
            {"workflow_name": "other", "run_group_name": "bulk", "cache_name": "shared"},
        ),
        ({}, {"workflowId": "1"}, TEAM, {"run_group_name": "bulk", "cache_name": "shared"}),
        ({}, {"runId": "1", "cacheId": "2"}, TEAM, {"run_group_name": "bulk"}),
        ({}, {"workflowVersionName": "2.0"}, TEAM, {k: TEAM[k] for k in TEAM if k != "workflow_version_name"}),
        (
            {"workflow_version_name": "2.0"},
            {"workflowVersionName": "2.0"},
            {"workflow_name": "germline"},
            {"workflow_name": "germline", "workflow_version_name": "2.0"},
        ),
        ({"cache_name": "mine"}, {}, {"cache_name": "shared"}, {"cache_name": "mine"}),
    ],
)
def test_chosen_names(
    own: dict[str, str], setting: dict[str, Any], team: dict[str, str], chosen: dict[str, str]
) -> None:
    """The task's names win over the connection's, and its ids over both; a version goes with its workflow."""
    assert chosen_names(own, setting, team, {}) == chosen


@pytest.mark.parametrize(
    ("own", "setting", "team", "team_setting", "named"),
    [
        ({"workflow_name": "a"}, {"workflowId": "1"}, {}, {}, "workflow_name and workflow_id"),
        ({"workflow_name": "a"}, {"runId": "1"}, {}, {}, "workflow_name and source_run_id"),
        ({"run_group_name": "a"}, {"runGroupId": "1"}, {}, {}, "run_group_name and run_group_id"),
        ({"cache_name": "a"}, {"cacheId": "1"}, {}, {}, "cache_name and cache_id"),
        (
            {"workflow_version_name": "1"},
            {"workflowVersionName": "2"},
            {},
            {},
            "workflow_version_name and default_run_setting['workflowVersionName']",
        ),
        ({}, {}, {"cache_name": "a"}, {"cacheId": "1"}, "connection cache_name and default_run_setting['cacheId']"),
        ({}, {}, {"workflow_version_name": "a"}, {}, "connection workflow_version_name"),
    ],
)
def test_two_that_contradict(
    own: dict[str, str], setting: dict[str, Any], team: dict[str, str], team_setting: dict[str, Any], named: str
) -> None:
    """A name and an id of the same thing are refused, where both stand in the same place."""
    with pytest.raises(SettingsError) as caught:
        chosen_names(own, setting, team, team_setting)

    assert [problem.argument for problem in caught.value.problems] == [named]


def test_an_id_of_the_connection_gives_way_to_a_name_of_the_task() -> None:
    """As an id of the task does."""
    assert chosen_names({"workflow_name": "a"}, {}, {}, {"workflowId": "1"}) == {"workflow_name": "a"}


ACTIVE, FAILED = {"id": "1", "status": "ACTIVE"}, {"id": "2", "status": "FAILED"}


def test_only_one() -> None:
    """Exactly one that is ACTIVE; run groups have no status."""
    assert only_one("workflow_name", "a", [FAILED, ACTIVE]) == "1"
    assert only_one("run_group_name", "a", [{"id": "3"}]) == "3"


@pytest.mark.parametrize(
    ("listed", "known", "told"),
    [
        ([ACTIVE, {**ACTIVE, "id": "5"}], (), "exactly one ACTIVE of this name; there are 1 (ACTIVE), 5 (ACTIVE)"),
        ([FAILED], (), "exactly one ACTIVE of this name; there are 2 (FAILED)"),
        ([{"id": "3"}, {"id": "4"}], (), "exactly one of this name; there are 3 (exists), 4 (exists)"),
        ([], ["germline", "somatic", None], "did you mean 'germline'?"),
        ([], ["somatic"], "there are somatic"),
        ([], [], "there are none at all"),
    ],
)
def test_none_or_several(listed: list[dict[str, str]], known: list[Any], told: str) -> None:
    """The error has the candidates."""
    with pytest.raises(SettingsError) as caught:
        only_one("workflow_name", "germlin", listed, known)

    assert told in caught.value.problems[0].allowed


@pytest.mark.parametrize(("version", "statuses"), [("1.0", {"1.0": "ACTIVE"}), (None, {}), (None, {"1.0": "FAILED"})])
def test_versions(version: str | None, statuses: dict[str, str]) -> None:
    """A workflow without versions needs none."""
    check_version("a", version, [{"versionName": name, "status": status} for name, status in statuses.items()])


@pytest.mark.parametrize(
    ("version", "statuses"), [(None, {"1.0": "ACTIVE"}), ("2.0", {"1.0": "ACTIVE"}), ("1.0", {"1.0": "FAILED"})]
)
def test_no_version_is_taken_for_the_latest(version: str | None, statuses: dict[str, str]) -> None:
    """One that is there, and ACTIVE, has to be named."""
    with pytest.raises(SettingsError) as caught:
        check_version("a", version, [{"versionName": name, "status": status} for name, status in statuses.items()])

    assert caught.value.problems[0].argument == "workflow_version_name"
