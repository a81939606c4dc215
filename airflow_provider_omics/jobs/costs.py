"""What a task tells of cost: in its log, in its result and on its page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from airflow_provider_omics.core.cost.cohort import SHOWN_ADVICE, CohortCost, CostCounter, RunPrice
from airflow_provider_omics.core.cost.record import basis, cost_lines, cost_members
from airflow_provider_omics.core.cost.sizing import Sizing
from airflow_provider_omics.core.cost.usage import RunUsage, run_usage
from airflow_provider_omics.core.errors import OmicsError
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.wait.flow import LIST_LAG
from airflow_provider_omics.hooks.driver import pause
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.results.collect import LOOKS, Collection
from airflow_provider_omics.results.manifests import ManifestReader
from airflow_provider_omics.results.prices import read_rates


@dataclass(frozen=True)
class CohortCosts:
    """What a cohort cost, and what would have been enough.

    :param cost: the sums; None: no prices are known.
    :param prices_as_of: when they were read; None: not known.
    :param sizing: the sizing of its processes; None: nothing is known of them.
    :param sizing_uri: where it lies; None: it was not written.
    """

    cost: CohortCost | None = None
    prices_as_of: str | None = None
    sizing: Sizing | None = None
    sizing_uri: str | None = None

    def to_result(self) -> dict[str, Any]:
        """Make the members of a task's result."""
        sums = CohortCost(0.0, 0.0, 0, 0, 0, {}).to_result() if self.cost is None else self.cost.to_result()
        if self.cost is None:
            sums = dict.fromkeys(sums)
        return {**sums, "prices_as_of": self.prices_as_of, "sizing_uri": self.sizing_uri}


def cohort_costs(collection: Collection, log: Any) -> CohortCosts:
    """Add up what a cohort cost, size its processes, and tell both in the log; a failure is a warning.

    :param collection: of the cohort, collected.
    :param log: the task's logger.
    """
    cost, as_of = collection.cost(), collection.prices_as_of()
    if cost is None:
        return CohortCosts()
    for line in (*cost.lines(), basis(as_of)):
        log.info("Cost: %s", line)
    advised = (member for member in collection.members() if member.get("size_advice"))
    for member in islice(advised, SHOWN_ADVICE):
        log.info("Too small in %s: %s", visible(member["run_setting_id"]), member["size_advice"])
    sizing = uri = None
    try:
        written = collection.write_sizing()
        if written is not None:
            sizing, uri = written
            for line in sizing.lines():
                log.info("Sizing: %s", line)
    except OmicsError as error:
        log.warning("The sizing could not be written: %s", error)
    return CohortCosts(cost, as_of, sizing, uri)


def kept_costs(records: Iterable[Mapping[str, Any]]) -> CohortCosts:
    """Add up what a cohort cost by its records alone, where nothing was collected.

    :param records: of a results file.
    """
    counter, dates = CostCounter(), set[str]()
    for record in records:
        if "cost_usd" in record:
            for run in RunPrice.all_of(record):
                counter.add(run)
            dates.add(str(record.get("prices_as_of") or ""))
    return CohortCosts(counter.result(), max(dates, default="") or None)


@dataclass(frozen=True)
class RunCosts:
    """What a run used and cost.

    :param usage: what it used; None: its manifest does not say.
    :param members: of the task's result; empty: no prices are known, or the manifest cannot be read.
    """

    usage: RunUsage | None = None
    members: Mapping[str, Any] = field(default_factory=dict)

    def lines(self) -> list[str]:
        """Say it, in lines for the page."""
        return cost_lines(self.members) if self.members else []


def run_costs(owner: Owner, run: RunSnapshot, code: str | None = None) -> RunCosts:
    """Read what a run cost, and tell it in the log; a failure is a warning.

    :param owner: the try.
    :param run: the run, ended.
    :param code: AWS's code that decides, of one that failed.
    """
    hook, place = owner.hook, owner.hook.defaults.results_s3_uri
    rates = read_rates(hook, owner.log, None if place is None else f"{place.rstrip('/')}/")
    if rates is None:
        return RunCosts()
    manifests = ManifestReader(hook, owner.log, lambda: None)  # a few calls need no pace
    messages = manifests.read(run.id, run.uuid)
    for _ in range(LOOKS - 1):
        if messages is None or messages or run.log_level == "OFF":
            break
        pause(LIST_LAG)  # the manifest comes after the end of the run; when, is not documented
        messages = manifests.read(run.id, run.uuid)
    if messages is None:
        return RunCosts()
    usage = run_usage(messages, run.id, run.uuid)
    members = cost_members(usage, rates, code)
    for line in cost_lines(members):
        owner.log.info("Cost: %s", line)
    return RunCosts(usage, members)
