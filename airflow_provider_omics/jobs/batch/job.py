"""The job that starts a batch of runs."""

from __future__ import annotations

from collections.abc import Collection as AnyCollection
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

from airflow_provider_omics.core.attempt.flow import Begun
from airflow_provider_omics.core.attempt.record import AttemptRecord, Ended
from airflow_provider_omics.core.batch.rerun import RerunRules
from airflow_provider_omics.core.batch.verdict import Tolerance
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
)
from airflow_provider_omics.core.settings.checks import clean_setting
from airflow_provider_omics.core.settings.fields import MAX_INLINE_SETTINGS, Place
from airflow_provider_omics.core.settings.layers import merge_settings
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import UNKNOWN, Phase
from airflow_provider_omics.core.wait.events import Outcome, WaitEvent
from airflow_provider_omics.core.wait.plan import WaitPlan
from airflow_provider_omics.hooks.calls import Requests, counted_requests
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.jobs.attempt import StartRequest
from airflow_provider_omics.jobs.batch.lineage import BatchSources
from airflow_provider_omics.jobs.batch.places import BatchPlaces
from airflow_provider_omics.jobs.batch.results import BatchResults
from airflow_provider_omics.jobs.batch.selection import BatchRerun, RerunSettings
from airflow_provider_omics.jobs.batch.source import (
    BatchSettings,
    CheckedBatch,
    check_batch,
    count_settings,
    read_object,
)
from airflow_provider_omics.jobs.batch.staging import (
    BatchStaging,
    RunSettingsSpool,
    with_reading_advice,
)
from airflow_provider_omics.jobs.batch.verdict import BatchJudge, batch_of
from airflow_provider_omics.jobs.checks import (
    check_wanted_inputs,
    check_workflow,
    look_up_inputs,
    show_request,
    wanted_workflow,
)
from airflow_provider_omics.jobs.lineage import Lineage
from airflow_provider_omics.jobs.report import Report
from airflow_provider_omics.jobs.tries import Try
from airflow_provider_omics.links.omics import OmicsRunBatchLink

REFUSALS = (AccessDenied, CredentialsExpired, InvalidRequest, NotFound, QuotaExceeded, Throttled)
"""Answers to a start that has started nothing; after any other failure it may have arrived all the same."""


@dataclass(frozen=True)
class BatchArguments:
    """The rendered arguments of the operator for a batch; what each means is documented there."""

    default_run_setting: Mapping[str, Any] | None
    run_settings: Iterable[Mapping[str, Any]] | None
    run_settings_s3_uri: str | None
    sample_sheet: Any
    staging_s3_uri: str | None
    keep_staging: bool
    max_runs: int | str | None
    batch_name: str | None
    tags: Mapping[str, str] | None
    scratch_storage_mode: str | None
    max_failed_runs: int | str
    max_failed_percent: float | str | None
    must_succeed: str | AnyCollection[str]
    rerun: str
    rerun_setting: Mapping[str, Any] | None
    on_changed: str
    previous_results: str | None
    rerun_failed_of: str | None
    results_s3_uri: str | None
    results_detail: str
    read_outputs: bool

    @classmethod
    def of(cls, rendered: Mapping[str, Any]) -> BatchArguments:
        """Take them from the operator's arguments.

        :param rendered: argument -> value.
        """
        return cls(**{field.name: rendered[field.name] for field in fields(cls)})

    def tolerance(self) -> Tolerance:
        """Read what the user allows to fail.

        :raises SettingsError: it cannot be read.
        """
        return Tolerance.checked(self.max_failed_runs, self.max_failed_percent, self.must_succeed)


class BatchJob:
    """Starts a batch: everything at first, later what is left; turns its end into a verdict.

    :param arguments: the operator's, rendered.
    :param try_: the try.
    :param report: reports the end.
    """

    kind = "batch"
    operation = "StartRunBatch"
    nothing: Snapshot = BatchSnapshot("", UNKNOWN)
    run_timeout: float | None = None

    def __init__(self, arguments: BatchArguments, try_: Try, report: Report) -> None:
        self._arguments = arguments
        self._try = try_
        self._hook = try_.hook
        self._log = try_.log
        self._owner = try_.owner
        self._report = report
        self._rerun_settings = RerunSettings(
            arguments.rerun,
            arguments.rerun_setting,
            arguments.on_changed,
            arguments.previous_results,
            arguments.rerun_failed_of,
        )
        self._results = BatchResults(
            try_.hook,
            try_.log,
            try_.owner,
            arguments.results_s3_uri,
            arguments.results_detail,
            arguments.read_outputs,
        )
        is_object = arguments.run_settings_s3_uri is not None
        self._places = BatchPlaces(try_, arguments.staging_s3_uri, self._results, is_object=is_object)
        self._judge = BatchJudge(try_, report, self._places, arguments.tolerance, self._retry_rules, arguments.rerun)
        self._batch: CheckedBatch | None = None
        """The runs that are submitted."""
        self._whole: CheckedBatch | None = None
        """All that the user gave."""
        self._chosen_for: str | None = None
        self._is_tidy = False
        self._requests: Requests | None = None
        """What became of all starts that this try has sent; None: it has come to none."""

    def place(self) -> S3Place | None:
        """Name where in S3 the task writes; None: nowhere."""
        return self._places.any

    # -- the request -----------------------------------------------------------------------------------------------

    def request(self, request_id: str) -> StartRequest:
        """Read, check and count the settings, make the request, and check what the user wants checked.

        :param request_id: the idempotency token.
        :return: the request.
        :raises SettingsError: bad settings or a bad sheet: all problems; nothing was sent.
        :raises ServiceError: a check could not be made.
        """
        arguments, rerun = self._arguments, self._rerun_settings
        arguments.tolerance()
        rerun.check()
        self._results.check()
        self._batch = self._whole = batch = check_batch(
            self._given(),
            self._hook.defaults,
            S3Store(self._hook),
            request_id,
            self._log,
            model=self._hook.installed_model,
            workflow=lambda setting: wanted_workflow(self._try, setting),
        )
        content = batch.checked.request
        default = content["defaultRunSetting"]
        rerun.check_merged(default, self._hook.installed_model)
        self._check_place()
        for warning in batch.checked.warnings:
            self._log.warning("%s", warning)
        if arguments.sample_sheet is None:  # whose rows are compared while they are read: then their lines are known
            check_workflow(self._try, default, batch.parameters_by_run(default))
        self._check_inputs(batch, default)
        if not self._try.arguments.flag("dry_run"):
            self._check_memory()
        # Of all settings, also where a rerun submits some: a resend has to be the same request to the letter.
        spool = None if arguments.run_settings_s3_uri is not None else batch.spool
        return StartRequest(
            content,
            also=rerun.rerun_setting or None,
            chooses=arguments.rerun == "failed",
            has_earlier=bool(rerun.earlier),
            staged_run_tags=0 if spool is None else spool.most_run_tags,
        )

    def _given(self) -> BatchSettings:
        arguments, named = self._arguments, self._places.named
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
        """Show what would be started, in the log.

        :param request: the request.
        """
        assert self._batch is not None  # noqa: S101 - set by request()
        content = request.content
        show_request(self._log, content, self._batch.parameters_by_run(content["defaultRunSetting"]))

    def _check_place(self) -> None:
        """Refuse more settings in an S3 object than a rerun could choose from, before anything is sent."""
        uri = self._arguments.run_settings_s3_uri
        if self._arguments.rerun != "failed" or uri is None or self._places.staging is not None:
            return
        if self._owner.stored() is not None:
            return  # an earlier try has started them
        try:
            count = count_settings(uri, S3Store(self._hook), MAX_INLINE_SETTINGS + 1)
        except ServiceError as error:
            self._log.warning("Whether a retry or a clear could submit some of these runs cannot be told: %s", error)
            return
        if count > MAX_INLINE_SETTINGS:
            allowed = (
                f"over {MAX_INLINE_SETTINGS} runs need staging_s3_uri or results_s3_uri, so that some of them can be "
                "submitted again, or rerun='all'"
            )
            raise SettingsError([Problem("run_settings_s3_uri", f"more than {MAX_INLINE_SETTINGS} runs", allowed)])

    def _check_memory(self) -> None:
        """Refuse to choose samples where nothing can tell a later try what was chosen.

        :raises AttemptError: this may be a later try.
        :raises SettingsError: earlier results are named.
        """
        if self._arguments.rerun != "failed" or not self._try.arguments.durable or self._owner.lasts:
            return
        if self._owner.try_number > 1:
            raise AttemptError(
                "Nothing tells what the earlier tries of this task have started, and starting all again would be "
                "paid twice. Look for the batch in the console; then rerun='all' starts over, and rerun_failed_of "
                "names it in a new DAG run. To have retries and clears: results_s3_uri or staging_s3_uri.",
                request_id="unknown",
            )
        self._rerun_settings.check_place()

    def _check_inputs(self, batch: CheckedBatch, default: Mapping[str, Any]) -> None:
        if not self._try.arguments.flag("check_inputs"):
            return
        if batch.spool is None:
            self._log.warning("check_inputs: the runs of %s are not looked at", self._arguments.run_settings_s3_uri)
            return
        if self._arguments.rerun == "failed":
            record = self._owner.stored()
            has_started = record is not None and (record.resource_id or record.previous_request_id)
            if has_started or (self._rerun_settings.earlier and not self._try.arguments.flag("dry_run")):
                self._log.info("check_inputs: looked up are the inputs of what is going to be submitted only")
                return  # what has completed may have been tidied away
        check_wanted_inputs(self._try, default, lambda: batch.inputs_by_run(default))

    # -- the choice and the start ----------------------------------------------------------------------------------

    def choose(self, record: AttemptRecord) -> bool:
        """Choose the samples to submit, by what is known of them.

        :param record: the attempt.
        :return: whether any is left.
        :raises SettingsError: completed samples have other settings now, and ``on_changed`` is ``"fail"``.
        :raises ServiceError: what is known could not be read, or the choice not be kept.
        """
        default, settings = self._default(), self._rerun_settings
        merged = settings.merged(default, record)
        rules = RerunRules(
            cleared=record.attempts_since_clear == 1,
            on_changed=self._arguments.on_changed,
            # Later attempts have had it.
            rerun_setting_changes=settings.changes(default) and record.attempts == 2 and not settings.earlier,
            retry_permanent=self._try.arguments.retry_permanent_failures,
            has_cache=bool(merged.get("cacheId")),
        )
        chosen = self._rerun().choose(record, self._all_settings(default), default, rules)
        batch = self._take(record, chosen)
        if chosen.total_runs and self._try.arguments.flag("check_inputs"):
            look_up_inputs(self._try, merged, lambda: batch.inputs_by_run(merged))
        return chosen.total_runs > 0

    def _retry_rules(self, record: AttemptRecord | None) -> RerunRules:
        """Make the rules by which a retry of Airflow's own would choose after this attempt.

        :param record: the attempt; None: no record of it is left.
        """
        is_first = record is None or (record.attempts == 1 and not record.chosen)
        return RerunRules(
            rerun_setting_changes=is_first and self._rerun_settings.changes(self._default_run_setting()),
            retry_permanent=self._try.arguments.retry_permanent_failures,
        )

    def _default(self) -> Mapping[str, Any]:
        assert self._whole is not None  # noqa: S101 - set by request()
        default: Mapping[str, Any] = self._whole.checked.request["defaultRunSetting"]
        return default

    def _default_run_setting(self) -> Mapping[str, Any]:
        """Merge the ``defaultRunSetting`` in a process that has made no request."""
        arguments = self._arguments
        layers = (
            self._hook.defaults.default_run_setting,
            arguments.default_run_setting or {},
            {"scratchStorageMode": arguments.scratch_storage_mode},
        )
        return merge_settings(*(clean_setting(layer, Place.DEFAULT_RUN_SETTING) for layer in layers))

    def _all_settings(self, default: Mapping[str, Any]) -> RunSettingsSpool:
        """Read all run settings; those of an S3 object of the user's only now."""
        assert self._whole is not None  # noqa: S101 - set by request()
        if self._whole.spool is None:
            uri = str(self._arguments.run_settings_s3_uri)
            self._whole.spool = read_object(uri, default, S3Store(self._hook), self._hook.installed_model)
        return self._whole.spool

    def _take(self, record: AttemptRecord, chosen: RunSettingsSpool) -> CheckedBatch:
        assert self._whole is not None  # noqa: S101 - set by request()
        self._batch = self._whole.part(chosen, has_place=self._places.staging is not None)
        self._chosen_for = record.request_id
        return self._batch

    def _rerun(self) -> BatchRerun:
        results = self._results
        return BatchRerun(
            self._hook, self._log, self._places.memory(), results.uri, results.collect, self._rerun_settings.earlier
        )

    def prepare(self, record: AttemptRecord, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put into S3 what the results need later, and what HealthOmics reads there: sheets, and long settings.

        :param record: the attempt.
        :param request: the request, with its request id.
        :return: the request to send.
        :raises AttemptError: the task was ended meanwhile.
        :raises ServiceError: S3 refused, or did not get through.
        """
        assert self._batch is not None  # noqa: S101 - set by request()
        if record.previous_request_id is not None and not self._is_tidy:
            self._is_tidy = True  # a start that is sent again is prepared again
            self._staging(earlier=True).unstage_earlier(record.previous_request_id, record.previous_id)
        default, batch = request["defaultRunSetting"], self._batch
        if record.chosen:
            if self._chosen_for != record.request_id:  # by an earlier try, whose request is sent again
                batch = self._take(record, self._rerun().chosen(record, self._all_settings(self._default())))
            if not batch.is_staged:
                assert batch.spool is not None  # noqa: S101 - what is chosen is there
                request = {**request, "batchRunSettings": {"inlineSettings": list(batch.spool)}}
        else:
            self._remember(record, batch, default)
        request = {**request, "defaultRunSetting": self._rerun_settings.merged(default, record)}
        return self._staging().stage(request, batch.spool, self._owner.check_not_killed, is_staged=batch.is_staged)

    def _remember(self, record: AttemptRecord, batch: CheckedBatch, default: Mapping[str, Any]) -> None:
        """Keep what is known of the samples, before they are submitted: later the sheet may be another.

        It is also the proof, in time, that there is leave to write at the place of the results.
        """
        if not self._places.memory().lasts:
            return
        if batch.spool is None and record.previous_request_id is not None:
            self._all_settings(default)  # what has left it counts no more
        has_cache = bool(self._rerun_settings.merged(default, record).get("cacheId"))
        self._rerun().start_over(record, batch.spool, default, RerunRules(everything=True, has_cache=has_cache))

    def start(self, request: Mapping[str, Any]) -> Snapshot:
        """Send the request.

        :param request: a StartRunBatch request.
        :return: the batch.
        :raises ServiceError: the call was refused or did not get through.
        """
        spool = None if self._batch is None else self._batch.spool
        self._requests = self._requests or Requests()
        try:
            with counted_requests(self._hook, self.operation, self._requests, REFUSALS):
                started = BatchSnapshot.from_response(self._hook.start_run_batch(request))
        except (AccessDenied, InvalidRequest, QuotaExceeded) as error:
            raise with_reading_advice(error, request) from error
        return replace(started, total_runs=0 if spool is None else spool.total_runs)

    def not_started(self) -> None:
        """Delete the settings of a start that has failed, unless it may have arrived all the same."""
        record = self._owner.record
        if self._requests is None or record is None:
            return
        is_resent = record.owner_try != record.first_try
        if is_resent or self._requests.sent > self._requests.refused:
            self._staging().leave(record.request_id, "the start may have arrived; a retry sends the same request")
        else:
            self._staging().unstage(record.request_id)

    def started(self, batch: Snapshot) -> None:
        """Store the console link of a batch that has started.

        :param batch: the batch.
        """
        self._report.link(OmicsRunBatchLink, batch_id=batch.id)

    # -- the wait and the end --------------------------------------------------------------------------------------

    def trigger(self, plan: WaitPlan, **shared: Any) -> Any:
        """Make the trigger that waits for the batch.

        :param plan: what is waited for.
        :param shared: arguments that the triggers share.
        """
        from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger  # a wait in a worker needs none

        request_id = self._owner.request_id
        staged = None if request_id is None else self._staging().uri(request_id)
        return OmicsRunBatchTrigger(plan.id, plan.uuid, staged_s3_uri=staged, **shared)

    def over(self, event: WaitEvent | None) -> None:
        """Delete the staged settings once the wait is over, or say why they stay; stop the runs of a failed batch.

        :param event: the end of the wait; None: nobody waits.
        """
        request_id = self._owner.request_id
        if event is None:
            if request_id is not None:
                reason = "nothing waits for the batch, which reads them until all is submitted"
                self._staging().leave(request_id, reason)
            return
        if request_id is not None:
            if event.outcome in (Outcome.ENDED, Outcome.VANISHED) or event.cancelled:
                self._staging().unstage(request_id)
                self._owner.show_progress(event.snapshot)  # a triggerer has no way to
            else:
                self._staging().leave(request_id, "the batch may be going, and read them")
        if event.outcome is Outcome.ENDED and event.snapshot.phase is Phase.FAILED:
            # Before the failure is recorded: of a worker that dies in between, the next try sees to them.
            self._judge.stop_started_runs(event.snapshot.id)

    def killed(self) -> None:
        """Delete the staged settings of a batch that a kill has cancelled."""
        if self._owner.record is not None:
            self._staging().unstage(self._owner.record.request_id)

    def _staging(self, *, earlier: bool = False) -> BatchStaging:
        # After a deferral, and of an earlier attempt, nobody knows whether there was something to stage.
        batch, record = None if earlier else self._batch, self._owner.record
        may_be_staged = self._arguments.run_settings_s3_uri is None or (
            record is not None and record.chosen and record.attempts > (2 if earlier else 1)
        )
        keep = self._arguments.keep_staging or not (may_be_staged if batch is None else batch.is_staged)
        return BatchStaging(self._hook, self._log, self._places.staging, self._owner.identity, keep=keep)

    def is_success(self, ended: Snapshot) -> bool:
        """Whether a batch that has ended is within the tolerance.

        :param ended: the batch.
        """
        return self._judge.is_success(batch_of(ended))

    def result(self, batch: Snapshot) -> dict[str, Any]:
        """Make the task's result of a batch that has not ended.

        :param batch: the batch.
        """
        return self._judge.result(batch_of(batch), succeeded=None)

    def nothing_left(self, begun: Begun) -> dict[str, Any]:
        """Judge what earlier attempts have left, where nothing is left to submit.

        :param begun: the attempt in hand.
        :return: the result.
        :raises BatchVerdictError: more than tolerated did not complete.
        """
        batch, record = batch_of(begun.snapshot), begun.record
        if record.previous_request_id is not None:
            self._staging(earlier=True).unstage_earlier(record.previous_request_id, record.previous_id)
        if batch.id:
            self.started(batch)
            try:
                batch = BatchSnapshot.from_response(self._hook.get_batch(batch.id))
            except NotFound:
                self._log.info("The record of batch %s is gone; its samples are known", batch.id)
        try:
            result = self.finish(batch)
        except BatchVerdictError:
            self._owner.end(Ended.BADLY)
            raise
        self._owner.end(Ended.WELL)
        return result

    def finish(self, ended: Snapshot) -> dict[str, Any]:
        """Collect the results of a batch that has ended, and judge it.

        :param ended: the batch.
        :return: the result.
        :raises BatchVerdictError: more than tolerated did not complete.
        :raises ServiceError: a call was refused or did not get through.
        """
        return self._judge.finish(batch_of(ended))

    def failed(self, seen: Snapshot, error: OmicsError) -> None:
        """Explain a failure, push the result, and collect what there is of results.

        :param seen: the batch, as last seen.
        :param error: the error that the task is about to raise.
        """
        self._judge.failed(batch_of(seen), error)

    def close(self) -> None:
        """Close the temporary files of the settings."""
        for batch in (self._batch, self._whole):
            if batch is not None and batch.spool is not None:
                batch.spool.close()

    def lineage(self) -> Lineage:
        """Collect inputs and outputs of the batch for OpenLineage."""
        masked = self._try.arguments.masks_parameters
        sources = BatchSources(self._hook, self._log, self._given, masked=masked)
        return sources.lineage(self._report.reported, self._arguments.previous_results)
