"""The job that starts a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, ClassVar

from airflow_provider_omics.core.attempt.commands import Choice
from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.record import AttemptRecord
from airflow_provider_omics.core.console import run_url
from airflow_provider_omics.core.errors import OmicsError, RunError, RunFailed, RunIncomplete
from airflow_provider_omics.core.failure.reasons import INCOMPLETE
from airflow_provider_omics.core.inputs import RunInputs
from airflow_provider_omics.core.settings.fields import START_RUN_ARGUMENTS
from airflow_provider_omics.core.settings.requests import (
    CheckedRequest,
    build_start_run_request,
    merge_settings,
)
from airflow_provider_omics.core.snapshots import RunSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.events import WaitEvent
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.core.wait.outcome import error_of, run_result
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.attempt import StartRequest
from airflow_provider_omics.jobs.checks import check_inputs, check_workflow, show_request
from airflow_provider_omics.jobs.names import check_definition, with_ids
from airflow_provider_omics.jobs.owner import Lineage, Owner
from airflow_provider_omics.links.omics import OmicsRunLink, OmicsRunLogsLink, OmicsRunOutputsLink

if TYPE_CHECKING:
    from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis
    from airflow_provider_omics.core.settings.outputs import ExpectedOutputs, OutputSearch
    from airflow_provider_omics.jobs.costs import RunCosts


@dataclass(eq=False)
class RunJob:
    """Starts a run, and turns its end into a result.

    :param settings: the fields of StartRun that were given, as AWS spells them; None: not given.
    :param run_timeout: seconds that the run may take from its own start; None: no limit.
    :param owner: the try.
    """

    kind = "run"
    operation = "StartRun"
    nothing: ClassVar[Snapshot] = RunSnapshot("", UNKNOWN)
    place: ClassVar[S3Place | None] = None
    stretches: ClassVar[None] = None

    settings: Mapping[str, Any]
    run_timeout: float | None
    owner: Owner
    _checked: CheckedRequest | None = None
    _outputs: OutputSearch | None = None
    """The expected outputs of the run that has ended; None: nobody has looked for them."""

    def request(self, request_id: str) -> StartRequest:
        """Check the settings, make the request, and make the checks that the user asked for."""
        defaults, wanted = self.owner.hook.defaults, self.owner.arguments
        settings = self.settings
        if wanted.names or defaults.names:
            settings = with_ids(self.owner, settings)
        self._checked = checked = build_start_run_request(
            settings,
            defaults=defaults.default_run_setting,
            require=defaults.require_settings,
            request_id=request_id,
            model=self.owner.hook.installed_model,
            also=wanted.problems,
            connection=defaults.connection,
        )
        for warning in checked.warnings:
            self.owner.log.warning("%s", warning)
        request = checked.request
        if wanted.workflow_digest or defaults.approved_workflows is not None:
            check_definition(self.owner, request)
        if wanted.check_workflow:
            check_workflow(self.owner, request, _parameters_by_run(request))
        if wanted.check_inputs:
            check_inputs(self.owner, request, lambda: [_inputs(request)])
        return StartRequest(request)

    def show(self, request: StartRequest) -> None:
        """Show what would be started, in the log."""
        assert self._checked is not None  # noqa: S101 - set by request()
        uri = request.content.get("parametersUri")
        lead = "1 run(s) would be:" if uri is None else f"The run would be one with parameters of {uri}, not looked at:"
        show_request(self.owner, self._checked, lead)

    def choose(self, record: AttemptRecord) -> Choice:
        """Say that there is something to start: a run is not chosen from others."""
        return Choice.ALL_LEFT

    def start(self, record: AttemptRecord, request: Mapping[str, Any]) -> Snapshot:
        """Send the request."""
        started = RunSnapshot.from_response(self.owner.hook.start_run(request))
        asked = {
            "name": request.get("name"),
            "workflow_id": request.get("workflowId"),
            "workflow_version_name": request.get("workflowVersionName"),
            "role_arn": request.get("roleArn"),
            "log_level": request.get("logLevel"),
        }
        missing = {name: value for name, value in asked.items() if value is not None and getattr(started, name) is None}
        return replace(started, **missing)

    def not_started(self) -> None:
        """Tidy up after a start that has failed: a run leaves nothing behind."""

    def started(self, run: Snapshot) -> None:
        """Store the console links of a run that has started."""
        for link in (OmicsRunLink, OmicsRunLogsLink):
            self.owner.link(link, run_id=run.id)
        uri = run.run_output_uri if isinstance(run, RunSnapshot) else None
        if uri is not None:
            self.owner.link(OmicsRunOutputsLink, run_output_uri=uri)

    def trigger(self, plan: WaitPlan, **shared: Any) -> Any:
        """Make the trigger that waits for the run."""
        from airflow_provider_omics.triggers.run import OmicsRunTrigger  # a wait in a worker needs none

        return OmicsRunTrigger(plan.id, plan.uuid, run_timeout=plan.run_timeout, **shared)

    def let_go(self) -> None:
        """Do nothing: a run that nobody waits for needs nothing more."""

    def is_success(self, ended: Snapshot) -> bool:
        """Whether a run that has ended completed, with the outputs that are expected."""
        if ended.phase is not Phase.SUCCEEDED:
            return False
        expected = self.owner.arguments.expected_outputs
        return expected is None or not self._look_for_outputs(ended, expected).missing

    def has_results(self) -> bool:
        """Say that a run has no results file that could tell of an earlier one."""
        return False

    def result(self, run: Snapshot) -> dict[str, Any]:
        """Make the task's result."""
        assert isinstance(run, RunSnapshot)  # noqa: S101 - for mypy: `kind` says it
        if self._outputs is None:
            return run_result(run)
        more = {"files_left_out": self._outputs.left_out} if self._outputs.left_out else {}
        return {**run_result(run), "files": self._outputs.files, **more}

    def _look_for_outputs(self, run: Snapshot, expected: ExpectedOutputs) -> OutputSearch:
        """Look once for the expected outputs of a run that completed."""
        from airflow_provider_omics.jobs.outputs import look_for_outputs  # most runs do without

        assert isinstance(run, RunSnapshot)  # noqa: S101 - for mypy: `kind` says it
        if self._outputs is None:
            self._outputs = look_for_outputs(self.owner, run, expected)
        return self._outputs

    def _incomplete(self, run: Snapshot, search: OutputSearch) -> RunIncomplete:
        return RunIncomplete(
            "The run completed without expected outputs.",
            run_id=run.id,
            run_uuid=run.uuid,
            status=run.status,
            status_message=search.sentence,
            console_url=run_url(self.owner.hook.conn_region_name, run.id),
        )

    def nothing_left(self, begun: Begun) -> dict[str, Any]:
        """Make the result of a task to which nothing is left to do."""
        return self.result(begun.snapshot)

    def conclude(self, event: WaitEvent) -> dict[str, Any]:
        """Make the result of a run that completed."""
        ended_badly = error_of(event, self.owner.hook.conn_region_name)
        if ended_badly is not None:
            raise ended_badly
        expected = self.owner.arguments.expected_outputs
        if expected is not None and (search := self._look_for_outputs(event.snapshot, expected)).missing:
            raise self._incomplete(event.snapshot, search)
        result = self.result(event.snapshot)
        costs = self._costs(event.snapshot)
        if costs is not None:
            result.update(costs.members)
        if self.owner.arguments.report and self.owner.hook.defaults.results_s3_uri:
            result["report_uri"] = self._write_page(event.snapshot, costs=costs)
        return result

    def failed(self, seen: Snapshot, error: OmicsError) -> None:
        """Explain why a run failed."""
        if not isinstance(error, RunError) or not isinstance(seen, RunSnapshot):
            return
        self.owner.reported = self.result(seen)
        diagnosis = None
        if isinstance(error, (RunFailed, RunIncomplete)):
            # A diagnosis takes as long to load as all the rest of a task; most runs do without.
            from airflow_provider_omics.core.failure.diagnosis import RunDiagnosis
            from airflow_provider_omics.jobs.report import Report

            report = Report(self.owner)
            run = seen
            if isinstance(error, RunIncomplete):
                run = replace(seen, status=INCOMPLETE.code, status_message=error.status_message)
            known = RunDiagnosis(run, self.owner.hook.conn_region_name)
            diagnosis = report.diagnose(lambda diagnoser: diagnoser.run(run), known)
            report.explain(error, diagnosis)
        costs = None if seen.phase is Phase.ACTIVE else self._costs(seen, diagnosis)
        if costs is not None and costs.members:
            self.owner.reported = {**self.owner.reported, **costs.members}
        if seen.phase is not Phase.ACTIVE and self.owner.arguments.report and self.owner.hook.defaults.results_s3_uri:
            self._write_page(seen, diagnosis, costs)

    def _costs(self, run: Snapshot, diagnosis: RunDiagnosis | None = None) -> RunCosts | None:
        """Read what a run that has ended cost; None: nobody has asked for it."""
        wanted = self.owner.arguments.read_costs
        if not (self.owner.hook.defaults.read_costs if wanted is None else wanted):
            return None
        from airflow_provider_omics.jobs.costs import run_costs  # most runs do without

        assert isinstance(run, RunSnapshot)  # noqa: S101 - for mypy: `kind` says it
        return run_costs(self.owner, run, None if diagnosis is None else diagnosis.code)

    def _write_page(
        self, run: Snapshot, diagnosis: RunDiagnosis | None = None, costs: RunCosts | None = None
    ) -> str | None:
        """Write the page of a run that has ended; returns where it lies."""
        from airflow_provider_omics.jobs.page import write_run_page  # with a place for results only

        assert isinstance(run, RunSnapshot)  # noqa: S101 - for mypy: `kind` says it
        layers = [("connection", self.owner.hook.defaults.default_run_setting), ("task", self.settings)]
        return write_run_page(self.owner, run, layers, diagnosis, costs)

    def killed(self) -> None:
        """Tidy up after a kill: a run leaves nothing behind."""

    def close(self) -> None:
        """End the job: a run holds nothing open."""

    def lineage(self) -> Lineage:
        """Collect inputs and outputs of the run for OpenLineage."""
        reported = self.owner.reported
        documents: tuple[Any, ...] = ()
        if not self.owner.arguments.masks_parameters:
            own = self.settings.get("parameters")
            given = {"parameters": own} if isinstance(own, Mapping) else {}
            merged = merge_settings(self.owner.hook.defaults.default_run_setting, given)
            documents = (merged.get("parameters"), self.settings.get("parametersUri"))
        return Lineage(reported, documents, (reported.get("run_output_uri"),))


def make_job(given: Mapping[str, Any], owner: Owner) -> RunJob:
    """Make the job of a task that starts a run.

    :param given: the operator's arguments, rendered and read: name -> value.
    :param owner: the try.
    """
    settings = {name: given[argument] for argument, name in START_RUN_ARGUMENTS.items()}
    return RunJob(settings, given["run_timeout"], owner)


def _parameters_by_run(request: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """List the one run's parameters; none where they lie in S3: HealthOmics alone reads them there, and checks them."""
    return [] if "parametersUri" in request else [("parameters", request.get("parameters") or {})]


def _inputs(request: Mapping[str, Any]) -> RunInputs:
    """Name the inputs of the run; the object with its parameters is one where they lie in S3."""
    if "parametersUri" in request:
        return RunInputs(None, "parameters_uri", request["parametersUri"])
    return RunInputs(None, "parameters", request.get("parameters") or {})
