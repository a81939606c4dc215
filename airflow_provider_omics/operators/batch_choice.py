"""What a batch submits: everything at first, later what is left; the same to the letter when it is sent again."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import Context

from airflow_provider_omics.core.errors import AttemptError, ServiceError, SettingsError
from airflow_provider_omics.core.problems import Problem
from airflow_provider_omics.core.setting_fields import MAX_INLINE_SETTINGS
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.operators.batch_end import OmicsBatchEnd
from airflow_provider_omics.operators.masking import unmasked

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_omics.core.attempt_record import AttemptRecord
    from airflow_provider_omics.core.attempts import Begun
    from airflow_provider_omics.core.identity import TaskIdentity
    from airflow_provider_omics.core.rerunning import RerunRules
    from airflow_provider_omics.operators.batch_memory import BatchMemory
    from airflow_provider_omics.operators.batch_recording import ResultsSettings
    from airflow_provider_omics.operators.batch_rerun import BatchRerun
    from airflow_provider_omics.operators.batch_settings import CheckedBatch
    from airflow_provider_omics.operators.rerun_settings import RerunSettings
    from airflow_provider_omics.results.collection import Collected
    from airflow_provider_omics.staging import RunSettingsSpool


class OmicsBatchChoice(OmicsBatchEnd):
    """The part of the operator that starts a batch which chooses its samples."""

    rerun_setting: Any
    on_changed: Any
    previous_results: Any
    rerun_failed_of: Any
    run_settings_s3_uri: str | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._batch: CheckedBatch | None = None
        """What is submitted."""
        self._whole: CheckedBatch | None = None
        """All that the user gave."""
        self._chosen_for: str | None = None
        self._is_tidy = False

    @abstractmethod
    def _results_settings(self) -> ResultsSettings:
        """Give what the user said of results."""

    @abstractmethod
    def _staging_s3_uri(self) -> str | None:
        """Give where settings are staged; None: nowhere."""

    @abstractmethod
    def _s3_hook(self) -> S3Hook:
        """Give what reads objects of the user's."""

    def _begin(self, context: Context, request: Mapping[str, Any]) -> Begun:
        assert self._attempt is not None  # noqa: S101 - set by execute
        if self.rerun == "failed" and self.durable and not self._attempt.lasts:
            if context["ti"].try_number > 1:
                raise AttemptError(
                    "Nothing tells what the earlier tries of this task have started, and starting all again would be "
                    "paid twice. Look for the batch in the console; then rerun='all' starts over, and rerun_failed_of "
                    "names it in a new DAG run. To have retries and clears: results_s3_uri or staging_s3_uri.",
                    request_id="unknown",
                )
            self._rerun_settings().check_place()
        return super()._begin(context, request)

    def _staged_run_tags(self) -> int:
        # Of all settings, also where a rerun submits some: a resend has to be the same request to the letter.
        spool = None if self._whole is None or self.run_settings_s3_uri is not None else self._whole.spool
        return 0 if spool is None else spool.most_run_tags

    def _begins_with(self) -> dict[str, Any]:
        settings = self._rerun_settings()
        return {
            "chooses": self.rerun == "failed",
            "has_earlier": bool(settings.earlier),
            "also": settings.rerun_setting or None,
        }

    def _rerun_settings(self) -> RerunSettings:
        from airflow_provider_omics.operators.rerun_settings import (
            RerunSettings,
        )  # for running tasks, not for DAG files

        return RerunSettings(
            self.rerun, unmasked(self.rerun_setting), self.on_changed, self.previous_results, self.rerun_failed_of
        )

    def _choose(self, record: AttemptRecord) -> bool:
        """Choose the samples to submit, by what is known of them."""
        from airflow_provider_omics.core.rerunning import RerunRules  # for running tasks, not for DAG files

        assert self._whole is not None  # noqa: S101 - set by _build_request
        default = self._whole.checked.request["defaultRunSetting"]
        settings = self._rerun_settings()
        changes = settings.changes(default)
        rules = RerunRules(
            cleared=record.attempts_since_clear == 1,
            on_changed=self.on_changed,
            rerun_setting_changes=changes and record.attempts == 2 and not settings.earlier,  # later ones have had it
            retry_permanent=self.retry_permanent_failures,
            has_cache=bool(settings.merged(default, record).get("cacheId")),
        )
        chosen = self._rerun().choose(record, self._all_settings(default), default, rules)
        self._take(record, chosen)
        if chosen.total_runs and self._is_true("check_inputs"):
            self._look_up_inputs({**self._whole.checked.request, "defaultRunSetting": settings.merged(default, record)})
        return chosen.total_runs > 0

    def _retry_rules(self, record: AttemptRecord | None) -> RerunRules:
        from airflow_provider_omics.core.rerunning import RerunRules  # for running tasks, not for DAG files

        is_first = record is None or (record.attempts == 1 and not record.chosen)
        return RerunRules(
            rerun_setting_changes=is_first and self._rerun_settings().changes(self._default_run_setting()),
            retry_permanent=self.retry_permanent_failures,
        )

    @abstractmethod
    def _default_run_setting(self) -> Mapping[str, Any]:
        """Give the request's ``defaultRunSetting``, also in a process that has made no request."""

    def _all_settings(self, default: Mapping[str, Any]) -> RunSettingsSpool:
        """Give all run settings; those of an S3 object of the user's are read now."""
        assert self._whole is not None  # noqa: S101 - set by _build_request
        if self._whole.spool is None:
            from airflow_provider_omics.operators.settings_object import read_object  # for some reruns only

            self._whole.spool = read_object(
                str(self.run_settings_s3_uri), default, self._s3_hook(), self.hook.installed_model
            )
        return self._whole.spool

    def _named_place(self) -> S3Place | None:
        """Give the staging place that the task or the connection names; None: neither does."""
        uri = self._staging_s3_uri()
        return None if uri is None else S3Place(uri, self.defaults.staging_kms_key_id)

    def _staging_place(self) -> S3Place | None:
        """Give where settings are staged; some of an S3 object of the user's can be put beside the results as well."""
        staging = self._named_place()
        if staging or self.run_settings_s3_uri is None:
            return staging
        from airflow_provider_omics.core.identity import TaskIdentity  # for running tasks, not for DAG files

        identity = TaskIdentity("dag", "task", "run") if self._attempt is None else self._attempt.identity
        return self._place(identity)

    def _check_place(self) -> None:
        """Refuse more settings in an S3 object than a rerun could choose from, before anything is sent."""
        if self.rerun != "failed" or self.run_settings_s3_uri is None or self._staging_place() is not None:
            return
        if self._attempt is not None and self._attempt.stored() is not None:
            return  # an earlier try has started them
        from airflow_provider_omics.operators.settings_object import count_settings  # for running tasks only

        try:
            count = count_settings(self.run_settings_s3_uri, self._s3_hook(), MAX_INLINE_SETTINGS + 1)
        except ServiceError as error:
            self.log.warning("Whether a retry or a clear could submit some of these runs cannot be told: %s", error)
            return
        if count > MAX_INLINE_SETTINGS:
            allowed = (
                f"over {MAX_INLINE_SETTINGS} runs need staging_s3_uri or results_s3_uri, so that some of them can be "
                "submitted again, or rerun='all'"
            )
            raise SettingsError([Problem("run_settings_s3_uri", f"more than {MAX_INLINE_SETTINGS} runs", allowed)])

    def _take(self, record: AttemptRecord, chosen: RunSettingsSpool) -> None:
        assert self._whole is not None  # noqa: S101 - set by _build_request
        self._batch = self._whole.part(chosen, has_place=self._staging_place() is not None)
        self._chosen_for = record.request_id

    def _rerun(self) -> BatchRerun:
        from airflow_provider_omics.operators.batch_rerun import BatchRerun  # for running tasks, not for DAG files

        recording = self._recording()

        def collect(batch_id: str, request_id: str) -> Collected | None:
            return recording.collect(batch_id, request_id, self._task_instance.try_number, reasons=True)

        earlier = self._rerun_settings().earlier
        return BatchRerun(self.hook, self.log, self._memory(), recording.uri, collect, earlier)

    def _memory(self) -> BatchMemory:
        # For running tasks, not for DAG files.
        from airflow_provider_omics.operators.batch_memory import BatchMemory, memory_place

        assert self._attempt is not None  # noqa: S101 - there is something to remember of what it has started only
        place = memory_place(self._recording().place, self._named_place(), self._attempt.identity)
        return BatchMemory(self.hook, place, self._state_store)

    def _place(self, identity: TaskIdentity) -> S3Place | None:
        # For running tasks, not for DAG files; loaded for the attempt, and so before a kill asks for the place.
        from airflow_provider_omics.operators.batch_recording import BatchRecording

        named = self._named_place()
        if named is not None:
            return named
        results = BatchRecording(self.hook, self.log, self._results_settings(), identity).place
        return None if results is None else replace(results, uri=results.uri.rpartition("/")[0])

    def _prepare(self, record: AttemptRecord, request: Mapping[str, Any]) -> Mapping[str, Any]:
        """Put into S3 what the results need later, and what HealthOmics reads there: sheets, and long settings."""
        assert self._batch is not None  # noqa: S101 - set by _build_request
        assert self._whole is not None  # noqa: S101 - the same
        assert self._attempt is not None  # noqa: S101 - it is what starts
        if record.previous_request_id is not None and not self._is_tidy:
            self._is_tidy = True  # a start that is sent again is prepared again
            self._staging(earlier=True).unstage_earlier(record.previous_request_id, record.previous_id)
        default = request["defaultRunSetting"]
        if record.chosen:
            if self._chosen_for != record.request_id:  # by an earlier try, whose request is sent again
                whole = self._all_settings(self._whole.checked.request["defaultRunSetting"])
                self._take(record, self._rerun().chosen(record, whole))
            assert self._batch.spool is not None  # noqa: S101 - what is chosen is there
            request = {**request, "batchRunSettings": {"inlineSettings": list(self._batch.spool)}} if (
                not self._batch.is_staged
            ) else request  # fmt: skip
        else:
            self._remember(record, default)
        request = {**request, "defaultRunSetting": self._rerun_settings().merged(default, record)}
        return self._staging().stage(request, self._batch, self._attempt.check_not_killed)

    def _remember(self, record: AttemptRecord, default: Mapping[str, Any]) -> None:
        """Keep what is known of the samples, before they are submitted: later the sheet may be another.

        It is also the proof, in time, that there is leave to write at the place of the results.
        """
        assert self._batch is not None  # noqa: S101 - set by _build_request
        if not self._memory().lasts:
            return
        if self._batch.spool is None and record.previous_request_id is not None:
            self._all_settings(default)  # what has left it counts no more
        from airflow_provider_omics.core.rerunning import RerunRules  # for running tasks, not for DAG files

        has_cache = bool(self._rerun_settings().merged(default, record).get("cacheId"))
        self._rerun().start_over(record, self._batch.spool, default, RerunRules(everything=True, has_cache=has_cache))

    def _check_inputs(self, context: Context, request: Mapping[str, Any]) -> None:
        if self._batch is not None and self._batch.spool is None:
            self.log.warning("check_inputs: the runs of %s are not looked at", self.run_settings_s3_uri)
            return
        if self.rerun == "failed" and self._attempt is not None:  # there is none in a dry run
            record = self._attempt.stored()
            has_started = record is not None and (record.resource_id or record.previous_request_id)
            if has_started or self._rerun_settings().earlier:
                self.log.info("check_inputs: looked up are the inputs of what is going to be submitted only")
                return  # what has completed may have been tidied away
        super()._check_inputs(context, request)
