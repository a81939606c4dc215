"""What the operator that starts a batch does for its results: before the start, and once every run has ended."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import BatchOrigin
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.results.collection import Collected, Collection
from airflow_provider_omics.results.places import results_place


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

    @property
    def place(self) -> S3Place | None:
        """The results file with its key; None: there is no place for it."""
        return None if self.uri is None else S3Place(self.uri, self._hook.defaults.results_kms_key_id)

    def collection(
        self, batch_id: str, request_id: str | None, try_number: int, *, reasons: bool = False
    ) -> Collection | None:
        """Open the collection of the results of a batch, whose runs have ended; close it.

        :param batch_id: id of the batch.
        :param request_id: the request that started it.
        :param try_number: number of this try, for a batch without tags.
        :param reasons: ask why runs failed, whatever the detail of the results.
        :return: the collection; None: there is no place for results.
        """
        if self.uri is None:
            return None
        task = self._identity
        return Collection(
            self._hook,
            batch_id,
            self.uri,
            self._log,
            detail=ResultsDetail.checked(self._settings.detail),
            read_outputs=self._settings.read_outputs,
            started_by=BatchOrigin(batch_id, None, None, task.dag_id, task.run_id, try_number, request_id),
            reasons=reasons,
        )

    def collect(
        self, batch_id: str, request_id: str | None, try_number: int, *, reasons: bool = False
    ) -> Collected | None:
        """Write the results of a batch, whose runs have ended.

        The arguments are those of :meth:`collection`.

        :return: the counts; None: there is no place for results.
        :raises ServiceError: they could not be read or written.
        """
        collection = self.collection(batch_id, request_id, try_number, reasons=reasons)
        if collection is None:
            return None
        with closing(collection):
            return collection.collect()
