"""What the operator that starts a batch does for its results: before the start, and once every run has ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any

from airflow_provider_omics.core.collecting import ResultsDetail
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.fingerprints import sample_fingerprint
from airflow_provider_omics.core.identity import TaskIdentity
from airflow_provider_omics.core.run_record import BatchOrigin, Sample
from airflow_provider_omics.core.settings import merged_run_settings
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results.collecting import collect_results
from airflow_provider_omics.results.places import results_place
from airflow_provider_omics.results.samples import write_samples
from airflow_provider_omics.staging import RunSettingsSpool


@dataclass(frozen=True)
class ResultsSettings:
    """What a user gave for the results of a batch.

    :param s3_uri: a file, or a prefix that ends in a slash; None: the connection's.
    :param detail: ``"full"`` or ``"listed"``.
    :param read_outputs: also what each completed run has put out.
    """

    s3_uri: str | None
    detail: str
    read_outputs: bool

    def check(self) -> None:
        """Look for problems.

        :raises SettingsError: something is wrong.
        """
        detail = ResultsDetail.checked(self.detail)
        if self.read_outputs and detail is ResultsDetail.LISTED:
            allowed = "with results_detail='full': lists tell no output URI"
            raise SettingsError([Problem("read_outputs", "True", allowed)])
        results_place(self.s3_uri, None, TaskIdentity("dag", "task", "run"))


class BatchRecording:
    """The results of the batch of one task instance; none are kept where there is no place for them.

    :param hook: where to ask; its connection's ``results_s3_uri`` is the place by default.
    :param log: the task's logger.
    :param settings: what the user gave.
    :param identity: the task instance.
    """

    def __init__(self, hook: OmicsHook, log: Any, settings: ResultsSettings, identity: TaskIdentity) -> None:
        self._hook = hook
        self._log = log
        self._settings = settings
        self._identity = identity
        self.uri = results_place(settings.s3_uri, hook.defaults.results_s3_uri, identity)
        """The results file; None: there is no place for it."""

    def keep_samples(self, request: Mapping[str, Any], spool: RunSettingsSpool | None) -> None:
        """Keep what is known of the samples, before they are submitted: later the sheet may be another.

        It is also the proof, in time, that there is leave to write at the place of the results.

        :param request: the request that is about to be sent.
        :param spool: its settings; None: they are in an S3 object of the user's, and nothing is known of them.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if self.uri is not None:
            samples = _samples(request["defaultRunSetting"], spool) if spool is not None else iter(())
            write_samples(self._hook, self.uri, request["requestId"], samples)

    def collect(self, batch_id: str, request_id: str | None, try_number: int) -> None:
        """Write the results of a batch, whose runs have ended.

        :param batch_id: id of the batch.
        :param request_id: the request that started it.
        :param try_number: number of this try, for a batch without tags.
        :raises ServiceError: they could not be read or written.
        """
        if self.uri is None:
            return
        task = self._identity
        collect_results(
            self._hook,
            batch_id,
            self.uri,
            self._log,
            detail=ResultsDetail.checked(self._settings.detail),
            read_outputs=self._settings.read_outputs,
            started_by=BatchOrigin(batch_id, None, None, task.dag_id, task.run_id, try_number, request_id),
        )


def _samples(default: Mapping[str, Any], spool: RunSettingsSpool) -> Iterator[Sample]:
    rows: Iterator[Mapping[str, Any]] = chain(spool.kept_rows(), repeat({}))
    for setting, row in zip(merged_run_settings(default, spool), rows, strict=False):
        yield Sample(setting["runSettingId"], sample_fingerprint(setting), row)
