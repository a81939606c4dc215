"""The start of a batch, and what becomes of its staged settings when the start or the wait ends otherwise than well."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from airflow.providers.common.compat.sdk import AirflowTaskTimeout, Context

from airflow_provider_omics.core.errors import (
    AccessDenied,
    CredentialsExpired,
    InvalidRequest,
    NotFound,
    NotOwner,
    OmicsError,
    QuotaExceeded,
    Throttled,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot, Snapshot
from airflow_provider_omics.hooks.calls import Requests, counted_requests
from airflow_provider_omics.operators.batch_choice import OmicsBatchChoice
from airflow_provider_omics.operators.batch_staging import BatchStaging, with_reading_advice

if TYPE_CHECKING:
    from airflow_provider_omics.core.attempt.flow import Begun
    from airflow_provider_omics.core.attempt.record import AttemptRecord
    from airflow_provider_omics.core.wait.plan import WaitPlan

REFUSALS = (AccessDenied, CredentialsExpired, InvalidRequest, NotFound, QuotaExceeded, Throttled)
"""What a start is answered that has started nothing; after any other failure it may have arrived all the same."""


class OmicsBatchStart(OmicsBatchChoice):
    """The part of the operator that starts a batch which sends it."""

    keep_staging: bool

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._requests: Requests | None = None
        """What became of all starts that this try has sent; None: it has come to none."""

    def _start(self, request: Mapping[str, Any]) -> Snapshot:
        assert self._batch is not None  # noqa: S101 - set by _build_request
        spool = self._batch.spool
        self._requests = self._requests or Requests()
        try:
            with counted_requests(self.hook, "StartRunBatch", self._requests, REFUSALS):
                started = BatchSnapshot.from_response(self.hook.start_run_batch(request))
        except (AccessDenied, InvalidRequest, QuotaExceeded) as error:
            raise with_reading_advice(error, request) from error
        return replace(started, total_runs=0 if spool is None else spool.total_runs)

    def _begin(self, context: Context, request: Mapping[str, Any]) -> Begun:
        try:
            return super()._begin(context, request)
        except NotOwner:
            raise  # a later try sends the same request
        except (OmicsError, AirflowTaskTimeout):
            record = None if self._attempt is None else self._attempt.record
            if self._requests is not None and record is not None:
                is_resent = record.owner_try != record.first_try
                if is_resent or self._requests.sent > self._requests.refused:
                    reason = "the start may have arrived; a retry sends the same request"
                    self._staging().leave(record.request_id, reason)
                else:
                    self._staging().unstage(record.request_id)
            raise

    def on_kill(self) -> None:
        """Cancel the batch when a user ends the task while it runs on a worker; called by Airflow."""
        super().on_kill()
        record = None if self._attempt is None else self._attempt.record
        if record is None or record.resource_id is None:
            return
        from airflow_provider_omics.core.attempt.record import Ended  # loaded with the record; not for DAG files

        if record.ended is Ended.BADLY:
            self._staging().unstage(record.request_id)

    def _let_go(self, record: AttemptRecord) -> None:
        self._staging().leave(record.request_id, "nothing waits for the batch, which reads them until all is submitted")

    def _trigger_arguments(self, plan: WaitPlan) -> dict[str, Any]:
        request_id = None if self._attempt is None else self._attempt.request_id
        return {"staged_s3_uri": None if request_id is None else self._staging().uri(request_id)}

    def _staging(self, *, earlier: bool = False) -> BatchStaging:
        assert self._attempt is not None  # noqa: S101 - settings are staged for what it starts only
        # After a deferral, and of an earlier attempt, nobody knows whether there was something to stage.
        batch, record = None if earlier else self._batch, self._attempt.record
        may_be_staged = self.run_settings_s3_uri is None or (
            record is not None and record.chosen and record.attempts > (2 if earlier else 1)
        )
        keep = self.keep_staging or not (may_be_staged if batch is None else batch.is_staged)
        return BatchStaging(self.hook, self.log, self._staging_place(), self._attempt.identity, keep=keep)
