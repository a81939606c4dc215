"""The results of the batch of one task: where they are kept, and how they are collected."""

from __future__ import annotations

from contextlib import closing
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.batch.collect import ResultsDetail
from airflow_provider_omics.core.batch.sample import BatchOrigin
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.results.collect import Collected, Collection
from airflow_provider_omics.results.file import results_place


class BatchResults:
    """The results of the batch of one task instance; none are kept where there is no place for them.

    :param hook: makes the calls; its connection's ``results_s3_uri`` is the default place.
    :param log: the task's logger.
    :param owner: the try.
    :param s3_uri: a file, or a prefix that ends in a slash; None: the connection's.
    :param detail: ``"full"`` or ``"listed"``.
    :param read_outputs: whether the outputs of each completed run are read, too.
    """

    def __init__(
        self, hook: OmicsHook, log: Any, owner: Owner, s3_uri: str | None, detail: str, read_outputs: bool
    ) -> None:
        self._hook = hook
        self._log = log
        self._owner = owner
        self._s3_uri = s3_uri
        self._detail = detail
        self._read_outputs = read_outputs

    def check(self) -> None:
        """Look for problems in the arguments.

        :raises SettingsError: there is one.
        """
        detail = ResultsDetail.checked(self._detail)
        if self._read_outputs and detail is ResultsDetail.LISTED:
            allowed = "with results_detail='full': lists tell no output URI"
            raise SettingsError([Problem("read_outputs", "True", allowed)])
        results_place(self._s3_uri, None, TaskIdentity("dag", "task", "run"))

    @property
    def uri(self) -> str | None:
        """The results file; None: there is no place for it."""
        return results_place(self._s3_uri, self._hook.defaults.results_s3_uri, self._owner.identity)

    @property
    def place(self) -> S3Place | None:
        """The results file with its key; None: there is no place for it."""
        uri = self.uri
        return None if uri is None else S3Place(uri, self._hook.defaults.results_kms_key_id)

    def collection(self, batch_id: str, request_id: str | None, *, reasons: bool = False) -> Collection | None:
        """Open the collection of the results of a batch, whose runs have ended; close it.

        :param batch_id: id of the batch.
        :param request_id: the request that started it.
        :param reasons: ask why runs failed, whatever the detail of the results.
        :return: the collection; None: there is no place for results.
        """
        uri, task = self.uri, self._owner.identity
        if uri is None:
            return None
        return Collection(
            self._hook,
            batch_id,
            uri,
            self._log,
            detail=ResultsDetail.checked(self._detail),
            read_outputs=self._read_outputs,
            started_by=BatchOrigin(batch_id, None, None, task.dag_id, task.run_id, self._owner.try_number, request_id),
            reasons=reasons,
        )

    def collect(self, batch_id: str, request_id: str | None) -> Collected | None:
        """Write the results of a batch, whose runs have ended, with the reasons of its failures.

        :param batch_id: id of the batch.
        :param request_id: the request that started it.
        :return: the counts; None: there is no place for results.
        :raises ServiceError: they could not be read or written.
        """
        collection = self.collection(batch_id, request_id, reasons=True)
        if collection is None:
            return None
        with closing(collection):
            return collection.collect()
