"""The job that starts a batch of runs."""

from __future__ import annotations

from collections.abc import Collection as AnyCollection
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, ClassVar

from airflow_provider_omics.core.attempt.commands import Choice
from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.batch.rerun import RerunRules, rerun_setting_problems
from airflow_provider_omics.core.batch.sample import RunRecord
from airflow_provider_omics.core.batch.verdict import Tolerance, naming_problems
from airflow_provider_omics.core.errors import (
    AccessDenied,
    AttemptError,
    BatchVerdictError,
    CredentialsExpired,
    InvalidRequest,
    NotFound,
    OmicsError,
    Problem,
    QuotaExceeded,
    ServiceError,
    SettingsError,
    Throttled,
    Unavailable,
)
from airflow_provider_omics.core.settings.checks import clean_setting
from airflow_provider_omics.core.settings.fields import MAX_INLINE_SETTINGS, MAX_RUNS_IN_BATCH, Place
from airflow_provider_omics.core.settings.requests import merge_settings
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.flow import WaitPlan
from airflow_provider_omics.core.wait.outcome import error_of
from airflow_provider_omics.hooks.client import Requests
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.jobs.attempt import StartRequest
from airflow_provider_omics.jobs.batch.estimate import CostLimit
from airflow_provider_omics.jobs.batch.places import BatchPlaces
from airflow_provider_omics.jobs.batch.provenance import attempt_facts
from airflow_provider_omics.jobs.batch.selection import NO_CANARY, BatchRerun, RerunSettings
from airflow_provider_omics.jobs.batch.source import (
    BatchSettings,
    CheckedBatch,
    check_batch,
    count_settings,
    read_ids,
    read_object,
)
from airflow_provider_omics.jobs.batch.staging import BatchStaging, RunSettingsSpool, with_reading_advice
from airflow_provider_omics.jobs.batch.stretches import BatchProgress, BatchStretches
from airflow_provider_omics.jobs.batch.verdict import BatchJudge, BatchResults, batch_of
from airflow_provider_omics.jobs.checks import (
    Workflow,
    check_inputs,
    check_workflow,
    inputs_of_now,
    look_up_inputs,
    show_request,
    workflow_to_check,
)
from airflow_provider_omics.jobs.names import check_definition, with_ids
from airflow_provider_omics.jobs.outputs import outputs_finder
from airflow_provider_omics.jobs.owner import Lineage, Owner
from airflow_provider_omics.jobs.page import CohortReport
from airflow_provider_omics.links.omics import OmicsRunBatchLink
from airflow_provider_omics.results.file import JsonLinesFile
from airflow_provider_omics.results.ledger import Ledger

REFUSALS = (AccessDenied, CredentialsExpired, InvalidRequest, NotFound, QuotaExceeded, Throttled)
"""Answers to a start that has started nothing; after any other failure it may have arrived all the same."""


@dataclass(frozen=True)
class BatchArguments:
    """The rendered arguments of the operator for a batch, which documents each."""

    default_run_setting: Mapping[str, Any] | None
    run_settings: Iterable[Mapping[str, Any]] | None
    run_settings_s3_uri: str | None
    sample_sheet: Any
    staging_s3_uri: str | None
    keep_staging: bool
    max_runs: int | None
    batch_name: str | None
    tags: Mapping[str, str] | None
    scratch_storage_mode: str | None
    max_failed_runs: int | str
    max_failed_percent: float | str | None
    must_succeed: str | AnyCollection[str]
    rerun: str | AnyCollection[str]
    rerun_setting: Mapping[str, Any] | None
    on_changed: str
    previous_results: str | None
    rerun_failed_of: str | None
    trust_foreign: bool
    results_s3_uri: str | None
    results_detail: str
    read_outputs: bool
    ledger: bool
    collect_every: float | str | None
    canary: Any
    on_progress: Any
    max_cost_usd: float | None
    require_estimate: bool

    def tolerance(self) -> Tolerance:
        """Read the user's tolerance.

        :raises SettingsError: it cannot be read.
        """
        return Tolerance.checked(self.max_failed_runs, self.max_failed_percent, self.must_succeed)


@dataclass(eq=False)
class BatchJob:
    """Starts a batch: all samples at first, later those that are left; turns its end into a verdict.

    :param arguments: the operator's, rendered.
    :param owner: the try.
    """

    kind = "batch"
    operation = "StartRunBatch"
    nothing: ClassVar[Snapshot] = BatchSnapshot("", UNKNOWN)
    run_timeout: ClassVar[float | None] = None

    arguments: BatchArguments
    owner: Owner
    _batch: CheckedBatch | None = None
    """The runs that are submitted."""
    _whole: CheckedBatch | None = None
    """All that the user gave."""
    _chosen_for: str | None = None
    _is_tidy: bool = False
    _is_held: bool = False
    """Whether the samples that do not go first wait for those that do."""
    _has_results: bool = False
    """Whether the results file has to stand in for a record that is gone."""
    _inputs: Mapping[str, str] = field(default_factory=dict)
    """``runSettingId`` -> hash of its inputs' ETags, as they were looked up."""
    _written_down: str | None = None
    """Request id of the attempt that is in the ledger."""
    _requests: Requests | None = None
    """Answers to all starts that this try has sent; None: it has come to none."""

    def __post_init__(self) -> None:
        given = self.arguments
        self._limits_cost = given.max_cost_usd is not None or given.require_estimate
        is_object = given.run_settings_s3_uri is not None
        self._places = BatchPlaces(self.owner, given.staging_s3_uri, given.results_s3_uri, is_object)
        self._results = BatchResults(self.owner, self._places, given.results_detail, given.read_outputs, given.ledger)
        self._rerun_settings = RerunSettings(
            given.rerun,
            given.rerun_setting,
            given.on_changed,
            given.previous_results,
            given.rerun_failed_of,
            given.trust_foreign,
            None if given.canary in NO_CANARY else given.canary,
        )
        report = CohortReport(self.owner, self._layers) if self.owner.arguments.report else None
        self._judge = BatchJudge(
            self.owner, self._results, self._tolerance, self._retry_rules, given.rerun != "all", report
        )

        call = given.on_progress
        self._progress = None if call is None else BatchProgress(self.owner, call, report)
        self.stretches = BatchStretches(
            self.owner, self._results, given.collect_every, self._judge.counted, report, self._progress
        )

    @property
    def place(self) -> S3Place | None:
        """Where in S3 the task writes; None: nowhere."""
        return self._places.any

    def request(self, request_id: str) -> StartRequest:
        """Read, check and count the settings, make the request, and make the checks that the user asked for."""
        arguments, rerun = self.arguments, self._rerun_settings
        problems = list(self.owner.arguments.problems)
        for check in (arguments.tolerance, rerun.check, self._results.check):
            try:
                check()
            except SettingsError as error:
                problems += error.problems
        wanted, defaults = self.owner.arguments, self.owner.hook.defaults
        default = arguments.default_run_setting
        if wanted.names or defaults.names:
            default = with_ids(self.owner, default)
        self._batch = self._whole = batch = check_batch(
            replace(self._given(), default_run_setting=default),
            defaults,
            S3Store(self.owner.hook),
            request_id,
            self.owner.log,
            model=self.owner.hook.installed_model,
            workflow=self._workflow_to_check,
            also=problems,
        )
        content = batch.checked.request
        default = content["defaultRunSetting"]
        if rerun.rerun_setting and (
            faults := rerun_setting_problems(default, rerun.rerun_setting, self.owner.hook.installed_model)
        ):
            raise SettingsError(faults)
        if wanted.workflow_digest or defaults.approved_workflows is not None:
            for setting in (default, merge_settings(default, rerun.rerun_setting)):  # a rerun may have another
                check_definition(self.owner, setting)
        if arguments.run_settings_s3_uri is not None:
            self._check_place(arguments.run_settings_s3_uri)
        tolerance = arguments.tolerance()
        named = {"must_succeed": tolerance.must_succeed, "rerun": rerun.named}
        if rerun.canary is not None:
            named["canary"] = rerun.canary_patterns
        if any(named.values()):
            self._check_named(named, batch)
        for warning in batch.checked.warnings:
            self.owner.log.warning("%s", warning)
        # The rows of a sheet are compared while they are read: then their lines are known.
        if self.owner.arguments.check_workflow and arguments.sample_sheet is None:
            check_workflow(self.owner, default, batch.parameters_by_run(default))
        if self.owner.arguments.check_inputs:
            self._check_inputs(batch, default)
        chooses = arguments.rerun != "all"
        is_known = not wanted.durable or self.owner.store.lasts
        if chooses and not is_known and not wanted.dry_run and (rerun.chooses_at_once or self.owner.try_number > 1):
            self._refuse_choice()
        if (self._results.read_costs or self._limits_cost) and (wanted.dry_run or not rerun.chooses_at_once):
            self._check_cost(batch, default)
        # Of all settings, even where a rerun submits some: a resend has to be the same request to the letter.
        spool = None if arguments.run_settings_s3_uri is not None else batch.spool
        return StartRequest(
            content,
            also={**rerun.rerun_setting, **({"rerun": rerun.named} if rerun.named else {})} or None,
            chooses=chooses,
            has_earlier=rerun.chooses_at_once,
            compares=self.owner.store.lasts,
            staged_run_tags=0 if spool is None else spool.most_run_tags,
            settings_etag=None if arguments.run_settings_s3_uri is None else self._settings_etag(),
        )

    def _settings_etag(self) -> str | None:
        """Ask S3 which version of the user's object it has: an edit of it changes what the same request submits."""
        try:
            etag: str = S3Store(self.owner.hook).head(str(self.arguments.run_settings_s3_uri))["ETag"]
        except Unavailable:
            raise
        except ServiceError:
            # Out of this task's reach, or tidied away since: nothing shows that it is another one than before.
            record = self.owner.store.load()
            return None if record is None else record.settings_etag
        return etag

    def _workflow_to_check(self, setting: Mapping[str, Any]) -> Workflow | None:
        return workflow_to_check(self.owner, setting) if self.owner.arguments.check_workflow else None

    def _given(self) -> BatchSettings:
        arguments, named = self.arguments, self._places.named
        return BatchSettings(
            default_run_setting=arguments.default_run_setting,
            run_settings=arguments.run_settings,
            run_settings_s3_uri=arguments.run_settings_s3_uri,
            sample_sheet=arguments.sample_sheet,
            batch_name=arguments.batch_name,
            tags=arguments.tags,
            scratch_storage_mode=arguments.scratch_storage_mode,
            staging_s3_uri=None if named is None else named.uri,
            max_runs=arguments.max_runs,
        )

    def show(self, request: StartRequest) -> None:
        """Show what would be started, in the log."""
        assert self._batch is not None  # noqa: S101 - set by request()
        spool, uri = self._batch.spool, self.arguments.run_settings_s3_uri
        lead = f"The runs would be those of {uri}, which is not looked at:"
        if spool is not None:
            lead = f"{spool.total_runs:,} run(s) would be:"
        show_request(self.owner, self._batch.checked, lead, self._batch.named(request.content["defaultRunSetting"]))

    def _check_place(self, uri: str) -> None:
        """Refuse more settings in an S3 object than a rerun could choose from, before anything is sent."""
        if self.arguments.rerun == "all" or self._places.staging is not None:
            return
        if self.owner.store.load() is not None:
            return  # an earlier try has started them
        try:
            count = count_settings(uri, S3Store(self.owner.hook), MAX_INLINE_SETTINGS + 1)
        except ServiceError as error:
            self.owner.log.warning(
                "Whether a retry or a clear could submit some of these runs cannot be told: %s", error
            )
            return
        if count > MAX_INLINE_SETTINGS:
            allowed = (
                f"over {MAX_INLINE_SETTINGS} runs need staging_s3_uri or results_s3_uri, so that some of them can be "
                "submitted again, or rerun='all'"
            )
            raise SettingsError([Problem("run_settings_s3_uri", f"more than {MAX_INLINE_SETTINGS} runs", allowed)])

    def _check_named(self, named: Mapping[str, AnyCollection[str]], batch: CheckedBatch) -> None:
        """Refuse ids and patterns that name no sample, by argument."""
        try:
            if batch.spool is None:
                ids = read_ids(str(self.arguments.run_settings_s3_uri), S3Store(self.owner.hook))
            else:
                ids = [setting["runSettingId"] for setting in batch.spool]
        except ServiceError as error:
            # The service role reads the object, and the connection may not be allowed to.
            arguments = " and ".join(argument for argument, patterns in named.items() if patterns)
            self.owner.log.warning("Whether %s names samples of this batch cannot be told: %s", arguments, error)
            return
        problems = [problem for argument, names in named.items() for problem in naming_problems(argument, names, ids)]
        if problems:
            raise SettingsError(problems)

    def _refuse_choice(self) -> None:
        """Refuse to choose samples where no later try could learn the choice."""
        if self.owner.try_number > 1:
            raise AttemptError(
                "No record shows what the earlier tries of this task have started, and starting all again would be "
                "paid twice.",
                advice="Look for the batch in the console; then rerun='all' starts over, and rerun_failed_of names it "
                "in a new DAG run. To have retries and clears: results_s3_uri or staging_s3_uri.",
                request_id="unknown",
            )
        raise SettingsError([self._rerun_settings.memory_problem()])

    def _check_cost(self, batch: CheckedBatch, default: Mapping[str, Any]) -> None:
        """Tell what a first attempt may cost, or refuse it; a later one is told when its samples are chosen."""
        if self.owner.store.load() is not None and not self.owner.arguments.dry_run:
            return
        if batch.spool is not None:
            total = batch.spool.total_runs
            self._cost_limit().check(lambda: total, default)
        elif self._limits_cost:  # an object of up to 6 GB is not read for a line in the log
            uri, store = str(self.arguments.run_settings_s3_uri), S3Store(self.owner.hook)
            self._cost_limit().check(lambda: count_settings(uri, store, MAX_RUNS_IN_BATCH), default)

    def _cost_limit(self) -> CostLimit:
        given, earlier = self.arguments, self._rerun_settings.earlier
        uri = None if earlier is None else earlier.results_uri
        return CostLimit(self.owner, self._places, uri, given.max_cost_usd, given.require_estimate)

    def _check_inputs(self, batch: CheckedBatch, default: Mapping[str, Any]) -> None:
        if batch.spool is None:
            self.owner.log.warning("check_inputs: the runs of %s are not looked at", self.arguments.run_settings_s3_uri)
            return
        if self.arguments.rerun != "all":
            record = self.owner.store.load()
            has_started = record is not None and (record.resource_id or record.previous_request_id)
            if has_started or (self._rerun_settings.chooses_at_once and not self.owner.arguments.dry_run):
                self.owner.log.info("check_inputs: looking up only the inputs of samples to be submitted")
                return  # what has completed may have been tidied away
        self._inputs = check_inputs(self.owner, default, lambda: batch.inputs_by_run(default))

    def choose(self, record: AttemptRecord) -> Choice:
        """Choose the samples to submit, by their records."""
        default, settings = self._default(), self._rerun_settings
        merged = settings.merged(default, record)
        rules = RerunRules(
            cleared=record.attempts_since_clear == 1,
            on_changed=self.arguments.on_changed,
            # Later attempts have had it.
            rerun_setting_changes=settings.changes(default) and record.attempts == 2 and not settings.chooses_at_once,
            retry_permanent=self.owner.arguments.retry_permanent_failures,
            has_cache=bool(merged.get("cacheId")),
            trust_foreign=self.arguments.trust_foreign,
            only_changes=record.compared,
            named=settings.named,
            canary=settings.canary_of(self._all_settings(default)),
        )
        spool, whole = self._all_settings(default), self._whole
        if self.owner.arguments.check_inputs and whole is not None:
            self._inputs = inputs_of_now(self.owner, lambda: whole.inputs_by_run(default))
        chosen, self._is_held = self._rerun().choose(record, spool, default, rules)
        batch = self._take(record, chosen)
        if chosen.total_runs and self.owner.arguments.check_inputs:
            look_up_inputs(self.owner, merged, lambda: batch.inputs_by_run(merged))
        if chosen.total_runs and (self._results.read_costs or self._limits_cost):
            self._cost_limit().check(lambda: chosen.total_runs, merged)
        if not chosen.total_runs:
            return Choice.NOTHING
        return Choice.CANARY if self._is_held else Choice.ALL_LEFT

    def _tolerance(self) -> Tolerance:
        """Tolerate nothing of a canary, and of the whole what the user does."""
        given, record = self.arguments.tolerance(), self.owner.record
        return Tolerance() if self._is_held or (record is not None and record.canary) else given

    def _retry_rules(self, record: AttemptRecord | None) -> RerunRules:
        """Make the rules by which a retry of Airflow's own would choose after this attempt."""
        is_first = record is None or (record.attempts == 1 and not record.chosen)
        return RerunRules(
            rerun_setting_changes=is_first and self._rerun_settings.changes(self._default_run_setting()),
            retry_permanent=self.owner.arguments.retry_permanent_failures,
        )

    def _default(self) -> Mapping[str, Any]:
        assert self._whole is not None  # noqa: S101 - set by request()
        default: Mapping[str, Any] = self._whole.checked.request["defaultRunSetting"]
        return default

    def _default_run_setting(self) -> Mapping[str, Any]:
        """Merge the ``defaultRunSetting`` in a process that has made no request."""
        return merge_settings(*self._default_layers().values())

    def _default_layers(self) -> dict[str, Mapping[str, Any]]:
        arguments = self.arguments
        layers: dict[str, Mapping[str, Any]] = {
            "connection": self.owner.hook.defaults.default_run_setting,
            "task: default_run_setting": arguments.default_run_setting or {},
            "task: scratch_storage_mode": {"scratchStorageMode": arguments.scratch_storage_mode},
        }
        return {origin: clean_setting(layer, Place.DEFAULT_RUN_SETTING) for origin, layer in layers.items()}

    def _layers(self) -> list[tuple[str, Mapping[str, Any]]]:
        """List the settings that are common to all runs, by their origins, weakest first."""
        layers, record = self._default_layers(), self.owner.record
        if self._rerun_settings.earlier is not None or (record is not None and record.attempts > 1):
            given = self._rerun_settings.rerun_setting
            # The whole argument is masked, not its parameters alone.
            masks = self.owner.arguments.masks_parameters
            layers["task: rerun_setting"] = dict.fromkeys(given, "masked") if masks else given
        return list(layers.items())

    def _all_settings(self, default: Mapping[str, Any]) -> RunSettingsSpool:
        """Read all run settings; those of an S3 object of the user's only now."""
        assert self._whole is not None  # noqa: S101 - set by request()
        if self._whole.spool is None:
            uri, hook = str(self.arguments.run_settings_s3_uri), self.owner.hook
            self._whole.spool = read_object(uri, default, S3Store(hook), hook.installed_model)
        return self._whole.spool

    def _take(self, record: AttemptRecord, chosen: RunSettingsSpool) -> CheckedBatch:
        assert self._whole is not None  # noqa: S101 - set by request()
        self._batch = self._whole.part(chosen, has_place=self._places.staging is not None)
        self._chosen_for = record.request_id
        return self._batch

    def _rerun(self) -> BatchRerun:
        place, earlier = self._places.results, self._rerun_settings.earlier
        uri, expected = None if place is None else place.uri, self.owner.arguments.expected_outputs
        return BatchRerun(
            self.owner.hook,
            self.owner.log,
            self._places.memory(),
            uri,
            self._results.collect,
            earlier,
            self.owner.identity,
            self.owner.arguments.patience,
            self.owner.identity if self._has_results else None,
            self._inputs,
            None if expected is None else outputs_finder(self.owner, expected),
        )

    def _prepared(self, record: AttemptRecord, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put into S3 the samples, for the results, and sheets and long settings, for HealthOmics."""
        assert self._batch is not None  # noqa: S101 - set by request()
        if record.previous_request_id is not None and not self._is_tidy:
            self._is_tidy = True  # a start that is sent again is prepared again
            self._staging(earlier=True).unstage_earlier(record.previous_request_id, record.previous_id)
        default, batch = request["defaultRunSetting"], self._batch
        if record.chosen:
            if self._chosen_for != record.request_id:  # by an earlier try, whose request is sent again
                batch = self._take(record, self._rerun().chosen(record, self._all_settings(self._default())))
            if not batch.is_staged:
                assert batch.spool is not None  # noqa: S101 - samples were chosen from it
                request = {**request, "batchRunSettings": {"inlineSettings": list(batch.spool)}}
        else:
            self._remember(record, batch, default)
        request = {**request, "defaultRunSetting": self._rerun_settings.merged(default, record)}
        return self._staging().stage(request, batch.spool, self.owner.check_not_killed, is_staged=batch.is_staged)

    def _remember(self, record: AttemptRecord, batch: CheckedBatch, default: Mapping[str, Any]) -> None:
        """Store the samples before they are submitted: later the sheet may have changed."""
        if not self._places.memory().lasts:
            return
        if batch.spool is None:
            try:
                self._all_settings(default)  # the object may be another one by the time that some run again
            except ServiceError as error:
                if record.previous_request_id is not None:
                    raise
                self.owner.log.warning("What completes cannot be compared with later settings: %s", error)
        has_cache = bool(self._rerun_settings.merged(default, record).get("cacheId"))
        self._rerun().start_over(record, batch.spool, default, RerunRules(everything=True, has_cache=has_cache))

    def start(self, record: AttemptRecord, request: Mapping[str, Any]) -> Snapshot:
        """Upload the settings and sheets that belong into S3, and send the request."""
        request = self._prepared(record, request)
        spool = None if self._batch is None else self._batch.spool
        ledger = self._results.ledger
        if ledger is not None and self._written_down != record.request_id:
            self._write_down(ledger, record, request)
        self._requests = self._requests or Requests(self.operation, REFUSALS)
        try:
            with self._requests.counted():
                started = BatchSnapshot.from_response(self.owner.hook.start_run_batch(request))
        except (AccessDenied, InvalidRequest, QuotaExceeded) as error:
            raise with_reading_advice(error, request) from error
        return replace(started, total_runs=0 if spool is None else spool.total_runs)

    def _write_down(self, ledger: Ledger, record: AttemptRecord, request: Mapping[str, Any]) -> None:
        """Add the attempt to the ledger before its request is sent: of what is paid, nothing shall be missing there."""
        submitted, whole = (None if batch is None else batch.spool for batch in (self._batch, self._whole))
        ledger.add_attempt(request, attempt_facts(self.owner, record, submitted, whole))
        self._written_down = record.request_id

    def not_started(self) -> None:
        """Delete the settings of a start that has failed, unless it may have arrived all the same."""
        record = self.owner.record
        if self._requests is None or record is None:
            return
        is_resent = record.owner_try != record.first_try
        if is_resent or self._requests.sent > self._requests.refused:
            self._staging().leave(record.request_id, "the start may have arrived; a retry sends the same request")
        else:
            self._staging().unstage(record.request_id)

    def started(self, batch: Snapshot) -> None:
        """Store the console link of a batch that has started."""
        self.owner.link(OmicsRunBatchLink, batch_id=batch.id)

    def trigger(self, plan: WaitPlan, **shared: Any) -> Any:
        """Make the trigger that waits for the batch."""
        from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger  # a wait in a worker needs none

        request_id = self.owner.request_id
        staged = None if request_id is None else self._staging().uri(request_id)
        stretch = None if plan.stretch is None else plan.stretch.to_json()
        return OmicsRunBatchTrigger(plan.id, plan.uuid, staged_s3_uri=staged, stretch=stretch, **shared)

    def let_go(self) -> None:
        """Say why the staged settings stay, where nobody waits for the batch."""
        if self.owner.request_id is not None:
            reason = "nothing waits for the batch, which reads them until all is submitted"
            self._staging().leave(self.owner.request_id, reason)

    def conclude(self, event: WaitEvent) -> dict[str, Any]:
        """Delete the staged settings once the wait is over, collect the results, and judge the batch."""
        request_id, batch = self.owner.request_id, batch_of(event.snapshot)
        if request_id is not None:
            if event.outcome in (Outcome.ENDED, Outcome.VANISHED) or event.cancelled:
                self._staging().unstage(request_id)
                self.owner.show_progress(batch)  # a triggerer has no way to
            else:
                self._staging().leave(request_id, "the batch may be going, and read them")
        if event.outcome is Outcome.ENDED and batch.phase is Phase.FAILED:
            # Before the failure is recorded: of a worker that dies in between, the next try sees to them.
            self._judge.stop_started_runs(batch.id)
        ended_badly = error_of(event, self.owner.hook.conn_region_name)
        if ended_badly is not None:
            raise ended_badly
        try:
            result = self._judge.finish(batch)
        except BatchVerdictError:
            if self._progress is not None:
                self._progress.tell_end(self.owner.reported)
            raise
        if self._progress is not None:
            self._progress.tell_end(result)
        return result

    def killed(self) -> None:
        """Delete the staged settings of a batch that a kill has cancelled."""
        if self.owner.record is not None:
            self._staging().unstage(self.owner.record.request_id)

    def _staging(self, *, earlier: bool = False) -> BatchStaging:
        # After a deferral, and of an earlier attempt, nobody knows whether there was something to stage.
        batch, record = None if earlier else self._batch, self.owner.record
        may_be_staged = self.arguments.run_settings_s3_uri is None or (
            record is not None and record.chosen and record.attempts > (2 if earlier else 1)
        )
        keep = self.arguments.keep_staging or not (may_be_staged if batch is None else batch.is_staged)
        return BatchStaging(self.owner.hook, self.owner.log, self._places.staging, self.owner.identity, keep)

    def is_success(self, ended: Snapshot) -> bool:
        """Whether a batch that has ended is within the tolerance."""
        return self._judge.is_success(batch_of(ended))

    def has_results(self) -> bool:
        """Whether the results file has samples of this very task."""
        place, task, hook = self._places.results, self.owner.identity, self.owner.hook
        if place is not None:
            records = JsonLinesFile(hook, place.uri, None).read(RunRecord.from_json)
            self._has_results = any((task.dag_id, task.run_id) == (one.dag_id, one.dag_run_id) for one in records)
        return self._has_results

    def result(self, batch: Snapshot) -> dict[str, Any]:
        """Make the task's result of a batch that has not ended."""
        return self._judge.result(batch_of(batch), succeeded=None)

    def nothing_left(self, begun: Begun) -> dict[str, Any]:
        """Judge the samples that earlier attempts have left, where nothing is left to submit."""
        batch, record = batch_of(begun.snapshot), begun.record
        if record.previous_request_id is not None:
            self._staging(earlier=True).unstage_earlier(record.previous_request_id, record.previous_id)
        if batch.id:
            self.started(batch)
            try:
                batch = BatchSnapshot.from_response(self.owner.hook.get_batch(batch.id))
            except NotFound:
                self.owner.log.info("The record of batch %s is gone; its samples are known", batch.id)
        try:
            result = self._judge.finish(batch)
        except BatchVerdictError:
            self.owner.note(ended=Ended.BADLY)
            raise
        self.owner.note(ended=Ended.WELL)
        return result

    def failed(self, seen: Snapshot, error: OmicsError) -> None:
        """Explain a failure, push the result, and collect the results so far."""
        self._judge.failed(batch_of(seen), error)

    def close(self) -> None:
        """Close the temporary files of the settings."""
        for batch in (self._batch, self._whole):
            if batch is not None and batch.spool is not None:
                batch.spool.close()

    def lineage(self) -> Lineage:
        """Collect inputs and outputs of the batch for OpenLineage."""
        from airflow_provider_omics.jobs.batch.lineage import BatchSources  # where OpenLineage asks

        masked = self.owner.arguments.masks_parameters
        sources = BatchSources(self.owner.hook, self.owner.log, self._given, masked)
        return sources.lineage(self.owner.reported, self.arguments.previous_results)


def make_job(given: Mapping[str, Any], owner: Owner) -> BatchJob:
    """Make the job of a task that starts a batch.

    :param given: the operator's arguments, rendered and read: name -> value.
    :param owner: the try.
    """
    return BatchJob(BatchArguments(**{field.name: given[field.name] for field in fields(BatchArguments)}), owner)
