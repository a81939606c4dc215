"""The page of a batch or a run: written beside its results, where a task has a place for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from typing import Any

from airflow.providers.common.compat.sdk import AirflowTaskTimeout

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.verdict import BatchCounts, Verdict
from airflow_provider_omics.core.cost.usage import RunUsage, run_usage
from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.failure.batch import BatchDiagnosis
from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis
from airflow_provider_omics.core.snapshots import BatchSnapshot, RunSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.run_logs import RunLogsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.jobs.costs import CohortCosts, RunCosts
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.links.omics import OmicsCohortReportLink, OmicsResultsFileLink, OmicsRunReportLink
from airflow_provider_omics.reports.cohort import CohortFacts, CohortPage, cohort_page, going
from airflow_provider_omics.reports.html import render
from airflow_provider_omics.reports.run import RunFacts, RunPage, run_page
from airflow_provider_omics.reports.settings import effective_settings
from airflow_provider_omics.results.cohort import Cohort
from airflow_provider_omics.results.collect import Collected, Collection
from airflow_provider_omics.results.file import JsonLinesFile, report_place, results_place

Layers = Sequence[tuple[str, Mapping[str, Any]]]
"""Origin and settings, weakest first."""


@dataclass(eq=False)
class CohortReport:
    """The page of the batch of one task instance.

    :param owner: the try.
    :param layers: reads the settings and their origins.
    :param uri: where the page lies that this try has written; None: it has written none.
    """

    owner: Owner
    layers: Callable[[], Layers]
    uri: str | None = None

    def write(
        self,
        place: S3Place,
        batch: BatchSnapshot,
        cohort: Cohort,
        *,
        records: Iterable[Mapping[str, Any]] | None = None,
        verdict: Verdict | None = None,
        diagnosis: BatchDiagnosis | None = None,
        costs: CohortCosts | None = None,
    ) -> None:
        """Write the page, and store the links to it and to the results; a failure is a warning in the log.

        :param place: the results file.
        :param batch: the batch, as last seen.
        :param cohort: all samples, by how they ended.
        :param records: one for each sample. Default: those of the results file.
        :param verdict: the verdict. Default: there is none.
        :param diagnosis: why samples failed. Default: not known.
        :param costs: what they cost. Default: not known.
        """
        owner = self.owner

        def page() -> CohortPage:
            known = JsonLinesFile(owner.hook, place.uri, None).read(dict) if records is None else records
            facts = CohortFacts(
                title=title(owner.identity),
                region=owner.hook.conn_region_name,
                made_at=datetime.now(timezone.utc),
                counts=cohort.counts,
                verdict=verdict,
                problem=None if verdict or batch.phase is Phase.ACTIVE else f"The batch ended {batch.status}.",
                going=going(batch) if batch.phase is Phase.ACTIVE else {},
                batch_id=batch.id or None,
                attempts=1 if owner.record is None else owner.record.attempts,
                carried_forward=cohort.carried_forward,
                results_uri=place.uri,
                settings=effective_settings(self.layers()),
                diagnosis=diagnosis,
                prices_as_of=None if costs is None else costs.prices_as_of,
                sizing=None if costs is None else costs.sizing,
                masks=owner.arguments.masks_parameters,
            )
            return cohort_page(known, facts)

        self.uri = _written(owner.hook, owner.log, place, page)
        if self.uri is not None:
            owner.link(OmicsCohortReportLink, uri=self.uri)
            # Beside the file and GetBatch, what the tab needs to draw the page while the batch is going.
            more = {"masks": owner.arguments.masks_parameters, "carried": cohort.carried_statuses}
            owner.link(OmicsResultsFileLink, uri=place.uri, **more)


def write_collected_page(
    hook: OmicsHook,
    log: Any,
    identity: TaskIdentity,
    place: S3Place,
    collection: Collection,
    collected: Collected,
    costs: CohortCosts | None = None,
) -> str | None:
    """Write the page of a batch whose results somebody collects, and nobody judges here; a failure is a warning.

    A page that is there stays as long as nothing new was collected: that of the batch's own task tells more.

    :param hook: makes the calls.
    :param log: the task's logger.
    :param identity: the task instance that collects.
    :param place: the results file.
    :param collection: the collection, not closed yet.
    :param collected: its outcome.
    :param costs: what the runs cost. Default: not known.
    :return: where the page lies; None: it was not written.
    """
    batch, is_going = collected.batch, collected.going > 0
    uri = report_place(place.uri)
    try:
        if not collected.new and S3Store(hook).exists(uri):
            return uri
    except ServiceError as error:
        log.warning("The report was not written: %s", error)
        return None

    def page() -> CohortPage:
        members = collection.members()
        facts = CohortFacts(
            title=title(identity),
            region=hook.conn_region_name,
            made_at=datetime.now(timezone.utc),
            counts=BatchCounts.of(batch) if is_going else collection.cohort().counts,
            problem=None
            if is_going
            else f"The batch is {batch.status}; these are its results, which nobody judges here.",
            going=going(batch) if is_going else {},
            batch_id=batch.id,
            results_uri=place.uri,
            masks=hook.defaults.mask_parameters,
            prices_as_of=None if costs is None else costs.prices_as_of,
            sizing=None if costs is None else costs.sizing,
        )
        # Of runs that are going there are no records yet.
        made = cohort_page((one for one in members if not is_going or "run_id" in one), facts)
        return made if is_going else replace(made, state="ended")

    return _written(hook, log, place, page)


def write_run_page(
    owner: Owner,
    run: RunSnapshot,
    layers: Layers,
    diagnosis: RunDiagnosis | None = None,
    costs: RunCosts | None = None,
) -> str | None:
    """Write the page of a run that has ended, if the connection has a place for results; a failure is a warning.

    :param owner: the try.
    :param run: the run, as last seen.
    :param layers: its settings and their origins.
    :param diagnosis: why it failed. Default: it did not.
    :param costs: what it used and cost. Default: its manifest is read for what it used.
    :return: where the page lies; None: it was not written.
    """
    defaults = owner.hook.defaults
    uri = results_place(None, defaults.results_s3_uri, owner.identity)
    if uri is None:
        return None

    def page() -> RunPage:
        facts = RunFacts(
            title=title(owner.identity),
            region=owner.hook.conn_region_name,
            made_at=datetime.now(timezone.utc),
            run=run,
            usage=costs.usage if costs is not None and costs.usage is not None else _usage(owner, run),
            diagnosis=diagnosis,
            settings=effective_settings(layers),
            cost=() if costs is None else costs.lines(),
            masks=owner.arguments.masks_parameters,
        )
        return run_page(facts)

    written = _written(owner.hook, owner.log, S3Place(uri, defaults.results_kms_key_id), page)
    if written is not None:
        owner.link(OmicsRunReportLink, uri=written)
    return written


def title(identity: TaskIdentity) -> str:
    """Name a task instance on its page.

    :param identity: the task instance.
    """
    index = f" [{identity.map_index}]" if identity.map_index >= 0 else ""
    return f"{identity.dag_id} / {identity.run_id} / {identity.task_id}{index}"


def _written(hook: OmicsHook, log: Any, place: S3Place, page: Callable[[], CohortPage | RunPage]) -> str | None:
    """Make a page and write it: whatever goes wrong, the task ends as it would have without."""
    target = S3Place(report_place(place.uri), place.kms_key_id)
    try:
        html = render(page()).encode()
        S3Store(hook).put(target, html, content_type="text/html; charset=utf-8")
    except AirflowTaskTimeout:
        log.warning("The report was not written: execution_timeout passed")
        return None
    except ServiceError as error:
        log.warning("The report was not written: %s", error)
        return None
    except Exception:
        log.warning("The report was not written", exc_info=True)
        return None
    log.info("Report: %s", target.uri)
    return target.uri


def _usage(owner: Owner, run: RunSnapshot) -> RunUsage | None:
    """Read what a run used; a page without it is worth having."""
    try:
        return run_usage(RunLogsHook.beside(owner.hook).manifest_messages(run.id, run.uuid), run.id, run.uuid)
    except ServiceError as error:
        owner.log.info("The report has no tasks, as the manifest of run %s cannot be read: %s", run.id, error)
        return None
