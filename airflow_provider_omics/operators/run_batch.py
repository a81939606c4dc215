"""Operators for batches of runs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from airflow.providers.amazon.aws.hooks.s3 import S3Hook
from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import Context, XComArg

from airflow_provider_omics.core.cancelling import cancel_stragglers
from airflow_provider_omics.core.commands import UNKNOWN
from airflow_provider_omics.core.console import run_list_url
from airflow_provider_omics.core.errors import (
    AccessDenied,
    BatchError,
    BatchFailed,
    BatchVerdictError,
    InvalidRequest,
    OmicsError,
    Problem,
    QuotaExceeded,
    ServiceError,
    SettingsError,
)
from airflow_provider_omics.core.events import Outcome, WaitEvent
from airflow_provider_omics.core.input_checks import RunInputs
from airflow_provider_omics.core.outcomes import batch_result
from airflow_provider_omics.core.sample_sheet import SampleSheet
from airflow_provider_omics.core.settings import CheckedRequest
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.verdict import Tolerance, Verdict, judge
from airflow_provider_omics.diagnosis import diagnosis_of_lists
from airflow_provider_omics.links.omics import OmicsRunBatchLink
from airflow_provider_omics.operators.batch_recording import BatchRecording, ResultsSettings
from airflow_provider_omics.operators.batch_results import OmicsCollectBatchResultsOperator
from airflow_provider_omics.operators.batch_settings import BatchSettings, CheckedBatch, check_batch
from airflow_provider_omics.operators.batch_staging import BatchStaging, checked_place, with_reading_advice
from airflow_provider_omics.operators.masking import unmasked
from airflow_provider_omics.operators.run_batch_actions import (
    OmicsCancelRunBatchOperator,
    OmicsDeleteBatchOperator,
    OmicsDeleteRunBatchOperator,
)
from airflow_provider_omics.operators.start import OmicsStartOperator
from airflow_provider_omics.operators.waiting import Driver
from airflow_provider_omics.results import FailedRun, failed_runs, started_run_ids
from airflow_provider_omics.triggers.run_batch import OmicsRunBatchTrigger

__all__ = [
    "OmicsCancelRunBatchOperator",
    "OmicsCollectBatchResultsOperator",
    "OmicsDeleteBatchOperator",
    "OmicsDeleteRunBatchOperator",
    "OmicsStartRunBatchOperator",
]

SHOWN_FAILURES = 20
"""Runs that an error and a result name; 100,000 would fill the log and XCom."""


class OmicsStartRunBatchOperator(OmicsStartOperator):
    """Start a batch of runs, wait until every run has ended, judge it, and return its counts.

    Dicts that go to AWS are spelled as AWS spells them. ``PROCESSED`` only means that every run has ended: the task
    succeeds when no more runs than tolerated ended otherwise than COMPLETED, and otherwise raises an error with the
    counts and the first 20 failed runs. The result is pushed in both cases.

    :param default_run_setting: what the runs share (the API's ``defaultRunSetting``), merged over the connection's.
    :param run_settings: the runs, up to 100: a list of dicts with ``runSettingId`` and what differs (the API's
        ``inlineSettings``). Or give ``run_settings_s3_uri``.
    :param run_settings_s3_uri: an S3 object with the runs as one JSON array, up to 100,000; it must not change while
        the batch is being submitted.
    :param sample_sheet: a sheet of samples, each of which becomes a run: a path (the first column is the id), a mapping
        with the fields of :class:`~airflow_provider_omics.core.sample_sheet.SampleSheet`, or such a sheet.
    :param staging_s3_uri: where more than 100 run settings, and the runs' own sheets, are put for HealthOmics to read:
        ``s3://bucket/prefix/``; default: the connection's.
    :param keep_staging: leave the staged settings when the batch has ended; default: they are deleted.
    :param max_runs: refuse a batch of more runs than this; default: no limit but the service's 100,000.
    :param batch_name: name of the batch, at most 64 characters.
    :param tags: tags of the batch; for tags of its runs use ``runTags`` in the settings.
    :param scratch_storage_mode: ``LOCAL`` or ``SHARED``, for all runs; wins over the one in ``default_run_setting``.
    :param max_failed_runs: how many runs may end otherwise than COMPLETED; default 0.
    :param max_failed_percent: the same as a percentage of all runs; the larger allowance counts. Default: none.
    :param must_succeed: ``runSettingId``s or patterns (``*``, ``?``) that are never tolerated.
    :param rerun: what a clear of the task does after a success: ``"failed"`` (default) starts nothing as long as the
        settings are unchanged, ``"all"`` starts over.
    :param results_s3_uri: where the result of each run is written before the verdict: ``s3://bucket/key.jsonl``, packed
        if it ends in ``.jsonl.gz``, or ``s3://bucket/prefix/`` for
        ``{dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz`` below it; default: the connection's ``results_s3_uri``,
        which is such a prefix, and else nowhere.
    :param results_detail: ``"full"`` (default): one GetRun for each run; the only source of output URIs and of what
        made a file. ``"listed"``: the id of the run and how it ended, from lists of 100 a call.
    :param read_outputs: with ``"full"``, also what each completed run has put out: the parsed ``outputs.json`` of WDL
        and CWL, for Nextflow the URIs of its objects; default False.
    :param kwargs: see :class:`~airflow_provider_omics.operators.start.OmicsStartOperator` and
        :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: ``batch_id, batch_uuid, batch_arn, status, total_runs, completed_runs, failed_runs, cancelled_runs,
        unknown_runs, failed_submissions, succeeded, failed_run_setting_ids, causes, results_uri``.
    """

    kind = "batch"
    trigger_class = OmicsRunBatchTrigger
    masked_fields = ("default_run_setting", "run_settings")
    template_fields: Sequence[str] = aws_template_fields(
        "default_run_setting",
        "run_settings",
        "run_settings_s3_uri",
        "sample_sheet",
        "staging_s3_uri",
        "max_runs",
        "batch_name",
        "tags",
        "scratch_storage_mode",
        "max_failed_runs",
        "max_failed_percent",
        "must_succeed",
        "rerun",
        "results_s3_uri",
        "results_detail",
        "check_inputs",
        "check_role_arn",
        "dry_run",
        "cancel_on_kill",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "default_run_setting": "json",
        "run_settings": "json",
        "sample_sheet": "json",
        "tags": "json",
        "must_succeed": "json",
    }
    operator_extra_links = (OmicsRunBatchLink(),)

    def __init__(
        self,
        *,
        default_run_setting: Mapping[str, Any] | None = None,
        run_settings: Iterable[Mapping[str, Any]] | XComArg | None = None,
        run_settings_s3_uri: str | None = None,
        sample_sheet: SampleSheet | Mapping[str, Any] | str | XComArg | None = None,
        staging_s3_uri: str | None = None,
        keep_staging: bool = False,
        max_runs: int | str | None = None,
        batch_name: str | None = None,
        tags: Mapping[str, str] | None = None,
        scratch_storage_mode: str | None = None,
        max_failed_runs: int | str = 0,
        max_failed_percent: float | str | None = None,
        must_succeed: str | Collection[str] = (),
        rerun: str = "failed",
        results_s3_uri: str | None = None,
        results_detail: str = "full",
        read_outputs: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.default_run_setting = default_run_setting
        self.run_settings = run_settings
        self.run_settings_s3_uri = run_settings_s3_uri
        # Plain data, so that Airflow renders each string in it and sees an XComArg in it as an upstream.
        self.sample_sheet = sample_sheet.to_mapping() if isinstance(sample_sheet, SampleSheet) else sample_sheet
        self.staging_s3_uri = staging_s3_uri
        self.keep_staging = keep_staging
        self.max_runs = max_runs
        self.batch_name = batch_name
        self.tags = tags
        self.scratch_storage_mode = scratch_storage_mode
        self.max_failed_runs = max_failed_runs
        self.max_failed_percent = max_failed_percent
        self.must_succeed = must_succeed
        self.rerun = rerun
        self.results_s3_uri = results_s3_uri
        self.results_detail = results_detail
        self.read_outputs = read_outputs
        self._batch: CheckedBatch | None = None

    def _build_request(self, request_id: str) -> CheckedRequest:
        self._tolerance()
        if self.rerun not in ("failed", "all"):
            raise SettingsError([Problem("rerun", repr(self.rerun), "'failed' or 'all'")])
        self._results_settings().check()
        staging = self._staging_s3_uri()
        given = BatchSettings(
            default_run_setting=unmasked(self.default_run_setting),
            run_settings=unmasked(self.run_settings),
            run_settings_s3_uri=self.run_settings_s3_uri,
            sample_sheet=self.sample_sheet,
            batch_name=self.batch_name,
            tags=self.tags,
            scratch_storage_mode=self.scratch_storage_mode,
            staging_s3_uri=staging,
            max_runs=self.max_runs,
        )
        s3_hook = S3Hook(aws_conn_id=self.aws_conn_id, region_name=self.region_name, verify=self.verify)
        self._batch = check_batch(given, self.defaults, s3_hook, request_id, self.log)
        return self._batch.checked

    def execute(self, context: Context) -> dict[str, Any]:
        """Start, wait and judge; called by Airflow.

        :return: the result, a small dict.
        :raises AirflowException: as one of the errors of :mod:`airflow_provider_omics.core.errors`.
        """
        try:
            return super().execute(context)
        finally:
            if self._batch is not None and self._batch.spool is not None:
                self._batch.spool.close()

    def _results_settings(self) -> ResultsSettings:
        return ResultsSettings(self.results_s3_uri, self.results_detail, self.read_outputs)

    def _recording(self) -> BatchRecording:
        assert self._attempt is not None  # noqa: S101 - there are results of what it has started only
        return BatchRecording(self.hook, self.log, self._results_settings(), self._attempt.identity)

    def _staging_s3_uri(self) -> str | None:
        return checked_place(self.staging_s3_uri or self.defaults.staging_s3_uri)

    def _record_s3_uri(self) -> str | None:
        # The connection's first: a template in the argument may have another value in the next try.
        return self.defaults.staging_s3_uri or self._staging_s3_uri()

    def _keeps_success(self) -> bool:
        return self.rerun == "failed"

    def _is_success(self, ended: Snapshot) -> bool:
        return ended.phase is Phase.PROCESSED and self._verdict(_batch(ended))[0].succeeded

    def _tolerance(self) -> Tolerance:
        return Tolerance.checked(self.max_failed_runs, self.max_failed_percent, self.must_succeed)

    def _start(self, request: Mapping[str, Any]) -> Snapshot:
        assert self._batch is not None  # noqa: S101 - set by _build_request
        spool = self._batch.spool
        try:
            started = BatchSnapshot.from_response(self.hook.start_run_batch(request))
        except (AccessDenied, InvalidRequest, QuotaExceeded) as error:
            self._staging().unstage(request["requestId"])
            raise with_reading_advice(error, request) from error
        return replace(started, total_runs=0 if spool is None else spool.total_runs)

    def _prepare(self, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put into S3 what the results need later, and what HealthOmics reads there: sheets, and long settings."""
        assert self._batch is not None  # noqa: S101 - set by _build_request
        assert self._attempt is not None  # noqa: S101 - it is what starts
        self._recording().keep_samples(request, self._batch.spool)
        return self._staging().stage(request, self._batch, self._attempt.check_not_killed)

    def _staging(self) -> BatchStaging:
        assert self._attempt is not None  # noqa: S101 - settings are staged for what it starts only
        # After a deferral nobody knows any more whether there was something to stage.
        may_be_staged = self.run_settings_s3_uri is None if self._batch is None else self._batch.is_staged
        keep = self.keep_staging or not may_be_staged
        return BatchStaging(self.hook, self.log, self._staging_s3_uri(), self._attempt.identity, keep=keep)

    def _persist_links(self, context: Context, started: Snapshot) -> None:
        OmicsRunBatchLink.persist(
            context=context,
            operator=self,
            region_name=self.hook.conn_region_name,
            aws_partition=self.hook.conn_partition,
            batch_id=started.id,
        )

    def _parameters_by_run(self, request: Mapping[str, Any]) -> Iterable[tuple[str, Mapping[str, Any]]]:
        assert self._batch is not None  # noqa: S101 - set by _build_request
        return self._batch.parameters_by_run(request["defaultRunSetting"])

    def _check_inputs(self, context: Context, request: Mapping[str, Any]) -> None:
        if self._batch is not None and self._batch.spool is None:
            self.log.warning("check_inputs: the runs of %s are not looked at", self.run_settings_s3_uri)
            return
        super()._check_inputs(context, request)

    def _inputs_by_run(self, request: Mapping[str, Any]) -> Iterable[RunInputs]:
        assert self._batch is not None  # noqa: S101 - set by _build_request
        return self._batch.inputs_by_run(request["defaultRunSetting"])

    def _result(self, snapshot: Snapshot) -> dict[str, Any]:
        assert isinstance(snapshot, BatchSnapshot)  # noqa: S101 - tells mypy what `kind` says
        return self._batch_result(snapshot, succeeded=None)

    def _batch_result(self, batch: BatchSnapshot, **more: Any) -> dict[str, Any]:
        uri = None if self._attempt is None else self._recording().uri
        return {**batch_result(batch, **more), "results_uri": uri}

    def _nothing(self) -> Snapshot:
        return BatchSnapshot("", UNKNOWN)

    def _conclude(self, context: Context, event: WaitEvent) -> dict[str, Any]:
        is_over = event.outcome is Outcome.ENDED or event.cancelled
        if is_over and self._attempt is not None and self._attempt.request_id is not None:
            self._staging().unstage(self._attempt.request_id)
        if event.outcome is Outcome.ENDED and event.snapshot.phase is Phase.PROCESSED:
            self._collect_results(context, event.snapshot)
        try:
            return super()._conclude(context, event)
        except BatchVerdictError:
            raise  # its result is pushed already, with the failed ids
        except OmicsError as error:
            self._push(context, self._batch_result(_batch(event.snapshot), succeeded=False))
            if isinstance(error, BatchFailed):
                self._name_started_runs(error.batch_id)
                if self._is_true("cancel_on_kill"):
                    Driver(self.hook, self.log).drive(cancel_stragglers(error.batch_id))
            if event.outcome is Outcome.ENDED:
                self._try_to_collect_results(context, event.snapshot)
            raise

    def _collect_results(self, context: Context, ended: Snapshot) -> None:
        assert self._attempt is not None  # noqa: S101 - set by _begin and execute_complete
        self._recording().collect(ended.id, self._attempt.request_id, context["ti"].try_number)

    def _try_to_collect_results(self, context: Context, ended: Snapshot) -> None:
        """Write the results of a batch that did not end well: its own error is what the task shall end with."""
        try:
            self._collect_results(context, ended)
        except OmicsError as error:
            self.log.warning("The results of batch %s could not be collected: %s", ended.id, error)

    def _name_started_runs(self, batch_id: str) -> None:
        try:
            started = started_run_ids(self.hook, batch_id, SHOWN_FAILURES)
        except ServiceError as error:
            self.log.warning("Whether the failed batch had started runs cannot be told: %s", error)
            return
        if started:
            self.log.warning("The failed batch had started runs, the first: %s", ", ".join(started))

    def _finish(self, context: Context, ended: Snapshot) -> dict[str, Any]:
        batch = _batch(ended)
        verdict, failed = self._verdict(batch)
        known = diagnosis_of_lists(batch, failed, self.hook.conn_region_name)
        diagnosis = self._collect(lambda diagnoser: diagnoser.batch(batch, failed), known) if failed else known
        reasons = diagnosis.told_of((run.run_setting_id, run.status) for run in failed[:SHOWN_FAILURES])
        result = self._batch_result(
            batch,
            succeeded=verdict.succeeded,
            failed_ids=tuple(run.run_setting_id for run in failed),
            causes=diagnosis.causes(),
        )
        if verdict.succeeded:
            for run in failed[:SHOWN_FAILURES]:
                self.log.warning(
                    "Tolerated: %s (run %s) %s", run.run_setting_id, run.run_id, reasons[run.run_setting_id]
                )
            self.log.log(30 if verdict.counts.not_completed else 20, "Batch %s: %s", batch.id, verdict.sentence)
            return result
        self._push(context, result)
        self._reported = result
        error = BatchVerdictError(
            f"Every run has ended, but too few completed: {verdict.sentence}.",
            batch_id=batch.id,
            batch_uuid=batch.uuid,
            status=batch.status,
            counts=verdict.counts.as_dict(),
            failed_run_settings=reasons,
            console_url=run_list_url(self.hook.conn_region_name),
        )
        self._explain(context, error, diagnosis)
        raise error

    def _report_failure(self, context: Context, seen: Snapshot, error: OmicsError) -> None:
        if isinstance(error, BatchVerdictError) or not isinstance(error, BatchError):
            return
        batch = _batch(seen)
        self._reported = self._batch_result(batch, succeeded=False)
        if isinstance(error, BatchFailed):
            known = diagnosis_of_lists(batch, (), self.hook.conn_region_name)
            self._explain(context, error, self._collect(lambda diagnoser: diagnoser.failed_batch(batch), known))

    def _lineage_documents(self) -> Iterable[Any]:
        if not self._masks_parameters():
            yield from (unmasked(self.default_run_setting), unmasked(self.run_settings))
        yield from (self.run_settings_s3_uri, self.sample_sheet)

    def _verdict(self, batch: BatchSnapshot) -> tuple[Verdict, list[FailedRun]]:
        tolerance = self._tolerance()
        by_counts = judge(batch, tolerance)
        failed: list[FailedRun] = []
        if by_counts.counts.not_completed:
            try:
                failed = list(failed_runs(self.hook, batch))
            except ServiceError as error:
                if by_counts.succeeded and tolerance.must_succeed:
                    raise  # it depends on who failed
                self.log.warning("The runs that did not complete cannot be named: %s", error)
        return judge(batch, tolerance, [run.run_setting_id for run in failed]), failed

    def _push(self, context: Context, result: dict[str, Any]) -> None:
        """Push the result of a task that is about to fail: a task with trigger rule ``all_done`` needs it."""
        if self.do_xcom_push:
            context["ti"].xcom_push("return_value", result)


def _batch(snapshot: Snapshot) -> BatchSnapshot:
    assert isinstance(snapshot, BatchSnapshot)  # noqa: S101 - tells mypy what `kind` says
    return snapshot
