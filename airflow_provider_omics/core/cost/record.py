"""What the record of a sample says of cost: members that stand in it only where costs are read."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from airflow_provider_omics.core.cost.rates import Rates
from airflow_provider_omics.core.cost.reckoning import LEFT_OUT, NO_MANIFEST_YET, run_cost
from airflow_provider_omics.core.cost.sizing import size_advice
from airflow_provider_omics.core.cost.usage import RunUsage

AWAITED = 600.0
"""Seconds after the end of a run for which its manifest may still come: when it comes is not documented."""


def cost_members(
    usage: RunUsage | None, rates: Rates, failure_code: str | None, *, early: bool = False
) -> dict[str, Any]:
    """Reckon the members of a run's record.

    :param usage: what the run used; None: it has no manifest.
    :param rates: USD per hour.
    :param failure_code: AWS's code, of a run that failed.
    :param early: whether a manifest that is missing may still come. Default False.
    :return: ``cost_usd`` (None: a part is not known) with its parts, ``cost_unknown`` with the reasons,
        ``running_seconds``, ``prices_as_of``, and ``size_advice`` where something was too small.
    """
    members = run_cost(usage, rates).to_record()
    members["prices_as_of"] = rates.as_of
    if usage is None and early:
        members["cost_unknown"] = [NO_MANIFEST_YET]
    if usage is not None:
        members["running_seconds"] = usage.seconds
        advice = size_advice(usage, failure_code)
        if advice is not None:
            members["size_advice"] = advice
    return members


def cost_lines(members: Mapping[str, Any]) -> list[str]:
    """Say what a run cost, in lines for its log and its page.

    :param members: of :func:`cost_members`.
    """
    usd, most = members["cost_usd"], members.get("cost_at_most_usd")
    if usd is not None:
        parts = f"{members['cost_tasks_usd']:,.2f} for its tasks, {members['cost_storage_usd']:,.2f} for its storage"
        lines = [f"{usd:,.2f} USD: {parts}"]
    else:
        bound = "" if most is None else f", {most:,.2f} USD at most"
        lines = [f"Its cost is not known{bound}: {'; '.join(members.get('cost_unknown', ()))}"]
    if members.get("size_advice"):
        lines.append(f"What was too small: {members['size_advice']}")
    return [*lines, basis(members.get("prices_as_of"))]


def basis(prices_as_of: str | None) -> str:
    """Say what costs rest on, and what they do not hold.

    :param prices_as_of: when the prices were read; None: not known.
    """
    return f"By prices{f' as of {prices_as_of}' if prices_as_of else ''}; without {LEFT_OUT}"


def earlier_run(record: Mapping[str, Any]) -> dict[str, Any]:
    """Keep of a record what the cost of a sample needs once a later attempt takes its place.

    :param record: the record of the earlier attempt, with the members of :func:`cost_members`.
    """
    names = ("run_id", "run_uuid", "batch_id", "stopped_at", "cause", "cost_usd", "running_seconds")
    status = record.get("status_before_removal") or record["status"]
    return {**{name: record[name] for name in names if record.get(name) is not None}, "status": status}


def is_early(stopped_at: str | None, now: float) -> bool:
    """Tell whether the manifest of a run may still come.

    :param stopped_at: when the run ended, in ISO 8601; None: not known.
    :param now: seconds since 1970.
    """
    return stopped_at is not None and now - datetime.fromisoformat(stopped_at).timestamp() < AWAITED


def is_awaited(members: Mapping[str, Any]) -> bool:
    """Tell whether the manifest of a run was missing, and is to be asked for again.

    :param members: of its record.
    """
    return NO_MANIFEST_YET in (members.get("cost_unknown") or ())
