"""The policies of the documentation are enough, and no more than enough, for what the code does.

Each feature is run on the emulator as a caller that has the shown policies and nothing else. What a policy lacks is
refused, and a test fails; what it has and no call needed is told as well. The calls of the triggerer are among them.
"""

from __future__ import annotations

import ast
import fnmatch
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore.session import get_session

from tests.docs import iam_flows as flows
from tests.docs.blocks import ROOT
from tests.docs.iam import OWNERS, POLICIES, RESOURCE_TYPES, Iam, Need, actions, as_list, needed, omics_arn
from tests.docs.iam_stage import Stage

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

ACCOUNT, OTHER, _ = OWNERS

ROLE_READS = ("service_role", "service_role_key")
"""By these HealthOmics may read what the caller stages for it."""

SERVICE_ROLE = {*ROLE_READS, "service_role_cache", "service_role_trust", "check_role_trust"}
"""What else HealthOmics does with these is its own business."""


@dataclass(frozen=True)
class Feature:
    """A policy, and what is done with it.

    :param flows: each runs alone, with this policy and the others that it stands beside.
    :param beside: other policies that the caller has.
    :param spared: policies that the caller does without, and the flow succeeds all the same.
    """

    flows: tuple[Callable[[Stage], None], ...]
    beside: tuple[str, ...] = ()
    spared: tuple[str, ...] = ()


FEATURES = {
    "runs": Feature((flows.run, flows.deferred_runs, flows.found_by_the_next_try)),
    "batches": Feature((flows.batch, flows.batch_found_by_the_next_try), spared=("failures",)),
    "cancel": Feature(
        (flows.cancel_run, flows.cancel_batch, flows.time_limits, flows.stragglers), beside=("runs", "batches")
    ),
    "delete": Feature((flows.delete,)),
    "sensors": Feature((flows.sensors, flows.deferred_sensors)),
    "failures": Feature((flows.failures, flows.vanished), beside=("runs", "batches")),
    "check_workflow": Feature((flows.workflows,), beside=("runs",)),
    "ready2run": Feature((flows.ready2run,), beside=("runs",)),
    "shared_workflows": Feature((flows.shared_workflow, flows.shared_workflow_in_batch), beside=("runs", "batches")),
    "check_inputs": Feature((flows.inputs, flows.inputs_with_key)),
    "check_role": Feature((flows.inputs_of_role,), beside=("check_inputs",)),
    "sheets": Feature((flows.sheets,), beside=("batches",)),
    "sheets_key": Feature((flows.sheets_with_key, flows.settings_with_key), beside=("batches", "sheets")),
    "staging": Feature((flows.staging,), beside=("batches",)),
    "staging_key": Feature(
        (flows.staging_with_key, flows.attempts_with_key), beside=("runs", "batches", "staging", "attempts")
    ),
    "attempts": Feature((flows.attempts,), beside=("runs",)),
    "expected_outputs": Feature((flows.expected_outputs,), beside=("runs",)),
    "costs": Feature((flows.costs,), beside=("batches", "results"), spared=("failures",)),
    "results": Feature(
        (flows.results, flows.results_of_own_batch, flows.results_of_lists), beside=("batches",), spared=("failures",)
    ),
    "results_staging": Feature((flows.results_alone,), beside=("batches", "results", "sheets"), spared=("failures",)),
    "results_key": Feature((flows.results_with_key,), beside=("batches", "results"), spared=("failures",)),
    "cohort_tab": Feature((flows.tab,)),
    "run_caches": Feature((flows.run_caches,)),
    "run_groups": Feature((flows.run_groups,)),
    "names": Feature((flows.names,), beside=("runs",)),
    "releases": Feature((flows.releases,)),
}


def is_granted(need: Need, *policies: str) -> bool:
    """Tell whether one of these policies grants it."""
    return any(need.is_granted_by(statement) for name in policies for statement in POLICIES[name]["Statement"])


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize("name", FEATURES)
def test_policy_is_enough_and_not_more(
    name: str, emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The feature works for a caller with its policy and those beside it, and needs each action of each statement."""
    feature = FEATURES[name]
    spared = {action for other in feature.spared for action in actions(other)}
    used: set[tuple[int, str]] = set()
    for flow in feature.flows:
        emulator.set_scenario({})
        emulator.reset()
        connect()
        iam = Iam([name, *feature.beside])

        with monkeypatch.context() as patch:
            flow(Stage(emulator, connect, iam, patch))

        assert iam.refused <= spared, flow.__name__
        assert {need for need in iam.read_by_service if not is_granted(need, *ROLE_READS)} == set(), flow.__name__
        used |= iam.used

    for statement in POLICIES[name]["Statement"]:
        assert [action for action in as_list(statement["Action"]) if (id(statement), action) not in used] == []


@pytest.mark.usefixtures("stepped")
@pytest.mark.parametrize("name", [name for name, feature in FEATURES.items() if feature.beside])
def test_policies_beside_are_not_enough(
    name: str, emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without its own policy the feature is refused an action of it, whatever else the caller has."""
    connect()
    iam = Iam(FEATURES[name].beside)

    with suppress(AssertionError):
        FEATURES[name].flows[0](Stage(emulator, connect, iam, monkeypatch))

    assert iam.refused & actions(name)


def test_every_policy_is_tested() -> None:
    """No policy of the page is without its flows, and each is well formed."""
    assert POLICIES.keys() - SERVICE_ROLE == FEATURES.keys()
    for policy in POLICIES.values():
        assert policy["Version"] == "2012-10-17"
        for statement in policy["Statement"]:
            assert statement["Effect"] == "Allow"
            assert "*" not in statement["Action"]
            assert statement.get("Resource") or statement["Principal"]
    assert "123456789012" in json.dumps(POLICIES)


def test_every_action_exists() -> None:
    """Each action is an operation of its service, but for two to which AWS gives other names."""
    session = get_session()
    for action in {action for name in POLICIES for action in actions(name)} - {"iam:PassRole", "s3:ListBucket"}:
        service, operation = action.split(":")
        assert operation in session.get_service_model(service).operation_names, action


@pytest.mark.parametrize("name", FEATURES)
def test_every_resource_is_one_of_its_actions(name: str) -> None:
    """No statement names a resource of HealthOmics that none of its actions has."""
    for statement in POLICIES[name]["Statement"]:
        types = [
            RESOURCE_TYPES[action.removeprefix("omics:")].replace("*", "").split()
            for action in as_list(statement["Action"])
            if action.startswith("omics:")
        ]
        possible = {omics_arn(kind, owner) for kinds in types for kind in kinds for owner in OWNERS}
        for pattern in as_list(statement["Resource"]) if types else ():
            assert (pattern == "*" and not any(types)) or fnmatch.filter(possible, pattern), (name, pattern)


@pytest.mark.parametrize(
    ("operation", "request_", "arns"),
    [
        ("StartRun", {"workflowId": "1"}, [f"{ACCOUNT}:run", f"{ACCOUNT}:workflow"]),
        ("StartRun", {"workflowId": "1", "workflowType": "READY2RUN"}, [f"{ACCOUNT}:run", ":workflow"]),
        ("StartRun", {"workflowId": "1", "workflowOwnerId": OTHER}, [f"{ACCOUNT}:run", f"{OTHER}:workflow"]),
        ("GetWorkflow", {"id": "1", "type": "READY2RUN"}, [":workflow"]),
        ("GetWorkflowVersion", {"workflowId": "1", "workflowOwnerId": OTHER}, [f"{OTHER}:workflow"] * 2),
        (
            "StartRunBatch",
            {"defaultRunSetting": {"workflowId": "1", "workflowOwnerId": OTHER}},
            [f"{ACCOUNT}:run", f"{ACCOUNT}:runBatch", f"{OTHER}:workflow", f"{ACCOUNT}:run", f"{OTHER}:workflow"],
        ),
    ],
)
def test_workflow_has_the_account_of_its_owner(operation: str, request_: dict[str, Any], arns: list[str]) -> None:
    """Only the workflow of a request, and its version, are of another account."""
    needs = [need.resource for need in needed("omics", operation, request_) if need.action.startswith("omics:")]

    assert [arn.removeprefix("arn:aws:omics:us-east-1:").split("/")[0] for arn in needs] == arns


STATEMENT: dict[str, Any] = {"Effect": "Allow", "Action": ["omics:GetRun", "s3:ListBucket"], "Resource": "arn:x:run/*"}
PREFIX = {"Condition": {"StringLike": {"s3:prefix": "staging/*"}}}


@pytest.mark.parametrize(
    ("need", "more", "granted"),
    [
        (Need("omics:GetRun", "arn:x:run/7"), {}, True),
        (Need("omics:CancelRun", "arn:x:run/7"), {}, False),
        (Need("omics:GetRun", "arn:x:runBatch/7"), {}, False),
        (Need("omics:GetRun", "*"), {}, False),
        (Need("omics:GetRun", "*"), {"Resource": "*"}, True),
        (Need("s3:ListBucket", "arn:x:run/7", {"s3:prefix": "staging/a"}), PREFIX, True),
        (Need("s3:ListBucket", "arn:x:run/7", {"s3:prefix": "results/a"}), PREFIX, False),
        (Need("s3:ListBucket", "arn:x:run/7"), PREFIX, False),
    ],
)
def test_statement_grants(need: Need, more: dict[str, Any], *, granted: bool) -> None:
    """The action, the resource and every condition have to match; a key that the request has not meets none."""
    assert need.is_granted_by({**STATEMENT, **more}) is granted


HOOK_ALONE = {"ListTagsForResource", "TagResource", "UntagResource"}
"""Operations of OmicsHook for DAGs of users: no operator, sensor or trigger makes them."""

OF_THE_LOOK = {"GetCallerIdentity", "GetCredentials", "GetRegion", "GetRole", "HeadBucket", "SimulatePrincipalPolicy"}
"""Operations of the look before the first run: a refusal is a finding that names the action; no feature needs them."""

SERVICES = {"DescribeLogStreams": "logs", "GetLogEvents": "logs", "GetProducts": "pricing", "AssumeRole": "sts"}


def test_no_operation_is_forgotten() -> None:
    """Every operation that the code can make, by the names that it gives its errors, is granted by a policy."""
    package = ROOT / "airflow_provider_omics"
    operations = {
        str(node.args[0].value)
        for path in package.rglob("*.py")
        if "emulator" not in path.parts
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, (ast.Name, ast.Attribute))
        and (node.func.id if isinstance(node.func, ast.Name) else node.func.attr) in ("service_errors", "_items")
        and node.args
        and isinstance(node.args[0], ast.Constant)
    }
    objects = {name for name in operations if name.endswith(("Object", "ObjectsV2"))}
    granted = {action for name in FEATURES for action in actions(name)}

    for operation in operations - HOOK_ALONE - OF_THE_LOOK:
        service = "s3" if operation in objects else SERVICES.get(operation, "omics")
        assert {need.action for need in needed(service, operation, {})} <= granted, operation
    assert len(operations) > 25
