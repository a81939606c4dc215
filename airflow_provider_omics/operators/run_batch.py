"""Operators for batches of runs."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from airflow.providers.amazon.aws.utils.mixins import aws_template_fields
from airflow.providers.common.compat.sdk import XComArg

from airflow_provider_omics.links.omics import (
    OmicsCohortLink,
    OmicsCohortReportLink,
    OmicsResultsFileLink,
    OmicsRunBatchLink,
)
from airflow_provider_omics.operators.base import BY_NAME, OmicsActionOperator, OmicsStartOperator

if TYPE_CHECKING:
    from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet

# A column of a sheet that Jinja would take for the beginning of a comment or a statement.
_LIKE_JINJA = {mark: re.compile(rf"(?<!\{{)\{{{mark}[^{{}}]*\}}") for mark in "#%"}


class OmicsStartRunBatchOperator(OmicsStartOperator):
    """Start a batch of runs, wait until every run has ended, judge the counts, and return them.

    Dicts that go to AWS use AWS's spelling. ``PROCESSED`` only means that every run has ended: the task succeeds if no
    more runs than tolerated ended in a status other than COMPLETED. Otherwise it raises an error with the counts and
    the first 20 failed runs. The result is pushed in both cases.

    :param default_run_setting: common settings of the runs (the API's ``defaultRunSetting``), merged over the
        connection's.
    :param workflow_version_name: version of the workflow that id or name selects; or set it in ``default_run_setting``.
    :param run_settings: the runs, up to 100,000: a list of dicts with ``runSettingId`` and the differences (the API's
        ``inlineSettings``). More than 100, or more than 1 MB, need ``staging_s3_uri``. Or give ``sample_sheet`` or
        ``run_settings_s3_uri``.
    :param run_settings_s3_uri: an S3 object with up to 100,000 runs as one JSON array; it must not change while the
        batch is being submitted.
    :param sample_sheet: a sheet of samples, one run each: a path (the first column is the id), a mapping with the
        fields of :class:`~airflow_provider_omics.sheets.SampleSheet`, or such a sheet.
    :param staging_s3_uri: prefix where HealthOmics reads more than 100 run settings, and the runs' own sheets:
        ``s3://bucket/prefix/``; default: the connection's.
    :param keep_staging: keep the staged settings after the batch has ended; default: they are deleted, unless no task
        waits for its end (``wait_for_completion=False``).
    :param max_runs: refuse a batch of more runs than this; default: no limit but the service's 100,000.
    :param batch_name: name of the batch, at most 64 characters.
    :param tags: tags of the batch; for tags of its runs use ``runTags`` in the settings.
    :param scratch_storage_mode: ``LOCAL`` or ``SHARED``, for all runs; overrides the one in ``default_run_setting``.
    :param max_failed_runs: how many runs may end in a status other than COMPLETED; default 0.
    :param max_failed_percent: the same as a percentage of all runs; the larger allowance counts. Default: none.
    :param must_succeed: ``runSettingId``s or patterns (``*``, ``?``) of samples that must complete.
    :param rerun: the samples that a new attempt submits, after a bad end or a clear. ``"failed"`` (default): none that
        completed with unchanged settings; Airflow's own retry submits those that may pass on another try, a clear all
        that failed, were cancelled or were not submitted; a sample whose run vanished without a trace is never
        submitted again. ``"all"``: everything. Or ``runSettingId``s and patterns (``*``, ``?``): of the samples named,
        those that a clear submits, also at the first attempt; the others are neither submitted nor judged, and their
        records stay as they are.
    :param rerun_setting: merged into ``default_run_setting`` from the second attempt on, and if earlier results are
        given: ``{"storageType": "DYNAMIC"}``. Default: nothing.
    :param on_changed: how to treat completed samples after workflow, version, parameters or engine settings have
        changed: ``"fail"`` (default: starts nothing and names them), ``"rerun"`` or ``"keep"``.
    :param previous_results: a results file, such as that of an earlier DAG run: samples that completed there with the
        same settings are not submitted. Default: none.
    :param rerun_failed_of: id of a batch, whoever started it: samples that completed there are not submitted; the
        settings are those given here. Default: none.
    :param trust_foreign: samples that completed there with the same workflow but lack their settings (as in a batch
        that Airflow did not start) count as completed with those given here. Default False: ``on_changed`` decides.
    :param results_s3_uri: where to write the result of each run before the verdict: ``s3://bucket/key.jsonl``, gzipped
        if it ends in ``.jsonl.gz``, or ``s3://bucket/prefix/`` for
        ``{dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz`` below it. Default: the connection's ``results_s3_uri``,
        which is such a prefix; without one, nowhere.
    :param results_detail: ``"full"`` (default): one GetRun for each run; the only source of output URIs and
        provenance. ``"listed"``: the id of the run and how it ended, from lists of 100 a call.
    :param read_outputs: with ``"full"``, also the outputs of each completed run: the parsed ``outputs.json`` of WDL and
        CWL, for Nextflow the URIs of its objects; default False.
    :param canary: samples that go first, as a separate batch: their number, ``runSettingId``s or patterns. The others
        are submitted only when all of these have completed; otherwise the task ends with their diagnosis, and a clear
        continues from there. Needs a results or staging prefix, as ``rerun`` with names does. Default: all go at once.
    :param on_progress: a callback or an Airflow notifier, called on a worker with the task's context: when a collection
        meets a new cause of failure, when a tenth and when half of the samples have failed, and at the end. The context
        has ``omics_progress``, a sentence without sample ids. If the call fails, the log says so. Default: none.
    :param ledger: beside the results, write an object once for each attempt, with its request, caller and versions, and
        with ``"full"`` for each run, with HealthOmics' answers (default). With ``mask_parameters``, it has hashes
        instead of values.
    :param collect_every: about how often to add ended runs to the results while waiting for the batch, if there is a
        place for results; a timedelta or seconds. ``"auto"`` (default): every 30 minutes for a batch over 300 runs,
        else only at the end; None: only at the end. Each time, a deferred task returns to a worker for some minutes,
        and Airflow calls ``on_execute_callback`` again.
    :param max_cost_usd: refuse to start runs that may cost more, by an estimate from completed runs of the same
        workflow and version: those of ``previous_results``, else of this task's own last results. Without such runs,
        the task logs a warning and starts. Default: no limit.
    :param require_estimate: refuse to start without an estimate. Default False.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsStartOperator` and
        :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: ``batch_id, batch_uuid, batch_arn, status, total_runs, completed_runs, failed_runs, cancelled_runs,
        unknown_runs, failed_submissions, incomplete_runs, succeeded, failed_run_setting_ids, causes, attempts,
        carried_forward, results_uri, report_uri``: id and status are the last batch's, the counts those of all samples;
        with ``read_costs`` ``cost_usd``, over all runs of all attempts, ``cost_failed_usd``, ``cost_runs``,
        ``cost_unpriced_runs``, ``cost_by_cause``, ``prices_as_of`` and ``sizing_uri``; if names were looked up,
        ``resolved`` has them with their ids.
    :raises SettingsError: bad settings or a bad sheet: all problems at once; nothing was sent.
    :raises BatchVerdictError: every run has ended, and more than tolerated did not complete; ``diagnosis`` says why.
    :raises BatchFailed: the batch itself FAILED, not its runs.
    :raises BatchCancelled: someone else cancelled it.
    :raises (BatchDeleted, BatchVanished): its record was deleted, or is gone, during the wait.
    :raises BatchTimedOut: ``execution_timeout`` passed.
    :raises StartTimedOut: ``execution_timeout`` passed before it was known to have started.
    :raises LostContact: no poll succeeded for ``patience``; it may still be going.
    :raises AttemptError: the start of an earlier try cannot be resolved safely; nothing was started.
    :raises ServiceError: HealthOmics or S3 refused a call; its subclasses say how.
    :raises EventError: the trigger's event cannot be read; it never counts as success.
    :raises NotOwner: a later try has taken over; this process outlived its own try and touches nothing.
    """

    kind = "batch"
    named_by = ("batch_name", "sample_sheet", "run_settings_s3_uri")
    masked_fields: ClassVar[tuple[str, ...]] = ("default_run_setting", "run_settings", "rerun_setting", "sample_sheet")
    template_fields: Sequence[str] = aws_template_fields(
        "default_run_setting",
        "workflow_version_name",
        *BY_NAME,
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
        "rerun_setting",
        "on_changed",
        "previous_results",
        "rerun_failed_of",
        "trust_foreign",
        "results_s3_uri",
        "results_detail",
        "collect_every",
        "max_cost_usd",
        "require_estimate",
        "canary",
        "check_inputs",
        "check_role_arn",
        "read_costs",
        "expected_outputs",
        "dry_run",
        "cancel_on_kill",
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {
        "default_run_setting": "json",
        "run_settings": "json",
        "sample_sheet": "json",
        "tags": "json",
        "must_succeed": "json",
        "canary": "json",
        "rerun": "json",
        "rerun_setting": "json",
        "expected_outputs": "json",
    }
    operator_extra_links = (OmicsRunBatchLink(), OmicsCohortLink(), OmicsCohortReportLink(), OmicsResultsFileLink())

    def __init__(
        self,
        *,
        default_run_setting: Mapping[str, Any] | None = None,
        workflow_version_name: str | None = None,
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
        rerun: str | Collection[str] = "failed",
        rerun_setting: Mapping[str, Any] | None = None,
        on_changed: str = "fail",
        previous_results: str | None = None,
        rerun_failed_of: str | None = None,
        trust_foreign: bool | str = False,
        results_s3_uri: str | None = None,
        results_detail: str = "full",
        read_outputs: bool = False,
        ledger: bool = True,
        collect_every: timedelta | float | str | None = "auto",
        canary: int | str | Collection[str] | None = None,
        on_progress: Callable[[Any], object] | None = None,
        max_cost_usd: float | str | None = None,
        require_estimate: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.max_cost_usd = max_cost_usd
        self.require_estimate = require_estimate
        self.default_run_setting = default_run_setting
        self.workflow_version_name = workflow_version_name
        self.run_settings = run_settings
        self.run_settings_s3_uri = run_settings_s3_uri
        self.sample_sheet = sample_sheet
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
        self.rerun_setting = rerun_setting
        self.on_changed = on_changed
        self.previous_results = previous_results
        self.rerun_failed_of = rerun_failed_of
        self.trust_foreign = trust_foreign
        self.results_s3_uri = results_s3_uri
        self.results_detail = results_detail
        self.read_outputs = read_outputs
        self.ledger = ledger
        self.collect_every = collect_every
        self.canary = canary
        self.on_progress = on_progress
        self._hide()

    def render_template(self, content: Any, *args: Any, **kwargs: Any) -> Any:
        """Render a template, except columns with names that Jinja would take for its own syntax; called by Airflow.

        :param content: what is rendered: ``{#SampleID}`` and ``{%GC}`` stay, ``{# a comment #}`` does not.
        :param args: see Airflow's method.
        :param kwargs: see Airflow's method.
        :return: the rendered content.
        """
        if isinstance(content, str):
            for mark, column in _LIKE_JINJA.items():
                if f"{mark}}}" not in content:
                    content = column.sub(lambda found: f"{{{{ {json.dumps(found[0], ensure_ascii=False)} }}}}", content)
        return super().render_template(content, *args, **kwargs)


class OmicsCollectBatchResultsOperator(OmicsActionOperator):
    """Add the ended runs of a batch to a results file: one record for each run setting.

    Run it at any time, as often as you like: while the batch runs, after its task was lost, and for batches that
    Airflow did not start. Recorded samples are not read again. The task succeeds however the runs ended; its result has
    the counts.

    :param batch_id: id of the batch.
    :param results_s3_uri: where the results are: ``s3://bucket/key.jsonl``, gzipped if it ends in ``.jsonl.gz``, or
        ``s3://bucket/prefix/`` for ``{dag_id}/{run_id}/{task_id}[/{map_index}].jsonl.gz`` below it; default: the
        connection's ``results_s3_uri``, which is such a prefix. To let several DAG runs add to one file, name the file.
    :param results_detail: ``"full"`` (default): one GetRun for each run that ended, at the pace of the connection's
        ``calls_per_second``; the only source of output URI and provenance. ``"listed"``: the id of the run
        and how it ended, from lists of 100 a call.
    :param read_outputs: with ``"full"``, also the outputs of each completed run: the parsed ``outputs.json`` of WDL and
        CWL, for Nextflow the URIs of its objects; default False.
    :param expected_outputs: with ``"full"``, outputs that each run must leave: name -> pattern of a key below its
        output URI, ``{"vcf": "**/*.vcf.gz"}``. Records of runs that completed without one are INCOMPLETE; an empty dict
        makes these COMPLETED again. Default: no check; earlier findings stay.
    :param ledger: with ``"full"``, write HealthOmics' answers about each run once beside the results (default); with
        the connection's ``mask_parameters``, with hashes instead of parameters.
    :param read_costs: add each run's cost to its record, and write ``sizing.json`` beside the file. Default: the
        connection's ``read_costs``, which is off by default.
    :param report: write the page of the results beside them, ``report.html``, if anything is new (default).
    :param chunk_size: hand on completed samples in chunks of this size: the result has ``new_chunks``, as
        :func:`~airflow_provider_omics.results.read.completed_chunks` makes them, of the samples that no other DAG run
        of this task has handed on. Default: nothing is handed on.
    :param partitions: make these samples, up to 1,000, partitions of the task's assets (Airflow 3.3+), with the
        ``runSettingId`` as key, so that Airflow's database stores sample ids. Default False.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :return: ``batch_id, status, total_runs, completed_runs, failed_runs, cancelled_runs, not_submitted_runs,
        unknown_runs, incomplete_runs, new_records, results_uri, report_uri``: the status is the batch's, the counts
        those of its records; with ``read_costs`` the same keys as from the operator that starts a batch; with
        ``chunk_size`` or ``partitions`` also ``new_completed, new_chunks``.
    :raises SettingsError: no ``results_s3_uri``, one of another form, a file that holds something else, or an unknown
        detail.
    :raises ServiceError: HealthOmics or S3 refused a call, or did not answer; its subclasses say how.
    """

    action = "collect_batch_results"
    action_arguments = (
        *("batch_id", "results_s3_uri", "results_detail", "read_outputs", "expected_outputs", "read_costs"),
        *("ledger", "report", "chunk_size", "partitions"),
    )
    template_fields: Sequence[str] = aws_template_fields(
        "batch_id", "results_s3_uri", "results_detail", "expected_outputs", "read_costs"
    )
    template_fields_renderers: ClassVar[dict[str, str]] = {"expected_outputs": "json"}

    def __init__(
        self,
        *,
        batch_id: str,
        results_s3_uri: str | None = None,
        results_detail: str = "full",
        read_outputs: bool = False,
        expected_outputs: Mapping[str, str] | XComArg | None = None,
        read_costs: bool | str | None = None,
        ledger: bool = True,
        report: bool = True,
        chunk_size: int | str | None = None,
        partitions: bool | str = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.read_costs = read_costs
        self.expected_outputs = expected_outputs
        self.batch_id = batch_id
        self.results_s3_uri = results_s3_uri
        self.results_detail = results_detail
        self.read_outputs = read_outputs
        self.ledger = ledger
        self.report = report
        self.chunk_size = chunk_size
        self.partitions = partitions


class OmicsCancelRunBatchOperator(OmicsActionOperator):
    """Cancel a batch: submit no more runs, and cancel those started. An ended batch counts as done.

    :param batch_id: id of the batch.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: it is in CREATING, and cannot be cancelled yet.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "cancel_run_batch"
    action_arguments = ("batch_id",)
    template_fields: Sequence[str] = aws_template_fields("batch_id")

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id


class OmicsDeleteRunBatchOperator(OmicsActionOperator):
    """Delete the records of all runs of an ended batch; the batch itself, outputs and logs stay.

    :param batch_id: id of the batch.
    :param wait_for_completion: wait until the runs are deleted; only then can the batch be deleted. Default True.
    :param poll_interval: time between polls, a timedelta or seconds; default 30.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: its status is neither PROCESSED nor CANCELLED, and its runs are not being deleted already.
    :raises BatchFailed: HealthOmics could not delete all of its runs.
    :raises BatchVanished: the batch itself was deleted meanwhile.
    :raises LostContact: no poll succeeded for three hours, or polls were refused; the runs may be deleted by now.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "delete_run_batch"
    action_arguments = ("batch_id", "wait_for_completion", "poll_interval")
    template_fields: Sequence[str] = aws_template_fields("batch_id")

    def __init__(
        self,
        *,
        batch_id: str,
        wait_for_completion: bool = True,
        poll_interval: timedelta | float | str = 30.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
        self.wait_for_completion = wait_for_completion
        self.poll_interval = poll_interval


class OmicsDeleteBatchOperator(OmicsActionOperator):
    """Delete the record of an ended batch; its runs stay. One that is gone counts as done.

    :param batch_id: id of the batch.
    :param kwargs: see :class:`~airflow_provider_omics.operators.base.OmicsBaseOperator`.
    :raises Conflict: it has not ended.
    :raises ServiceError: HealthOmics refused the call, or did not answer; its subclasses say how.
    """

    action = "delete_batch"
    action_arguments = ("batch_id",)
    template_fields: Sequence[str] = aws_template_fields("batch_id")

    def __init__(self, *, batch_id: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id
