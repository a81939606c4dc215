"""Checking that the inputs of runs are there, before anything is started and paid for."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import Any

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.inputs import DistinctInputs, InputState, RunInputs, input_problems
from airflow_provider_omics.hooks.input_objects import PARALLEL_LOOKS, InputObjects
from airflow_provider_omics.hooks.omics import OmicsHook

CHUNK = 1_000
"""Inputs handed to the threads at once: what waits for them stays small."""


def check_inputs(
    runs: Callable[[], Iterable[RunInputs]],
    hook: OmicsHook,
    log: Any,
    *,
    role_arn: str | None = None,
    networking_mode: str | None = None,
    mask: bool = False,
) -> None:
    """Look up every distinct ``s3://`` input of the runs, once.

    :param runs: gives what the runs are given, as a stream; called a second time to name those with missing inputs.
    :param hook: the hook whose connection is used.
    :param log: the task's logger.
    :param role_arn: the role to assume for it; what this role may not read is an error then. None: as the connection,
        and what the connection may not read is left unchecked, with one warning.
    :param networking_mode: of the runs. Addresses of the web are warned of, unless it is VPC.
    :param mask: whether only the bucket of a URI is shown.
    :raises SettingsError: inputs that are missing, archived, or denied to the role; at most 50 problems.
    :raises ServiceError: S3 or STS did not answer, or the role could not be assumed.
    """
    inputs = DistinctInputs(runs())
    objects = InputObjects(hook, role_arn)
    states: dict[str, InputState] = {}
    uris = iter(inputs)
    with ThreadPoolExecutor(PARALLEL_LOOKS, thread_name_prefix="check-inputs") as pool:
        while chunk := list(islice(uris, CHUNK)):
            found = zip(chunk, pool.map(objects.look, chunk), strict=True)
            states.update((uri, state) for uri, state in found if state is not InputState.FOUND)
    if inputs.web_addresses and networking_mode != "VPC":
        log.warning(
            "%d inputs are addresses of the web, the first is %s: runs reach it only with networkingMode VPC",
            inputs.web_addresses,
            inputs.first_web_address,
        )
    denied = sum(state is InputState.DENIED for state in states.values())
    if denied and role_arn is None:
        log.warning(
            "%d of %d inputs are not checked: the connection may not look at them; check_role_arn names who may",
            denied,
            len(inputs),
        )
    named = runs() if states else ()
    problems = input_problems(
        named,
        states,
        malformed=inputs.malformed,
        archived_keys=objects.archived_keys,
        role_arn=role_arn,
        mask=mask,
    )
    if problems:
        raise SettingsError(problems)
    log.info("%d inputs in S3 are looked up", len(inputs) - denied)
