"""The run settings of a batch on their way to HealthOmics: checked, written to a temporary file, staged in S3 if many.

StartRunBatch takes up to 100 settings in the request and up to 100,000 in an S3 object of at most 6 GB, which it reads
with the service role and which must not change (user guide, "Run batches").
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.attempt.identity import TaskIdentity
from airflow_provider_omics.core.errors import (
    AttemptError,
    NotFound,
    Problem,
    QuotaExceeded,
    ServiceError,
    SettingsError,
)
from airflow_provider_omics.core.snapshots import BatchSnapshot
from airflow_provider_omics.core.statuses import Phase
from airflow_provider_omics.core.uris import is_s3_uri, s3_address
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store

MAX_INLINE_BYTES = 1_000_000
"""Size up to which settings go into the request; the service's own limit for a request is not documented."""

MAX_FILE_BYTES = 6_000_000_000
"""Largest settings file (user guide, "Fixed quotas")."""

PARALLEL_UPLOADS = 16
"""Input sheets written at a time: each is a small object, so latency counts."""


class RunSettingsSpool:
    """Settings of the runs of a batch in a temporary file, as the JSON array that HealthOmics reads.

    The file has no name and is gone with the process at the latest; :meth:`close` ends it earlier.
    """

    def __init__(self) -> None:
        self._files = ExitStack()
        self._settings = self._files.enter_context(tempfile.TemporaryFile(prefix="omics-run-settings-"))  # noqa: SIM115 - in the ExitStack
        self._sheets = self._files.enter_context(tempfile.TemporaryFile(prefix="omics-input-sheets-"))  # noqa: SIM115 - in the ExitStack
        self._rows = self._files.enter_context(tempfile.TemporaryFile(prefix="omics-kept-rows-"))  # noqa: SIM115 - in the ExitStack
        self._sheets_are_there = False
        self._hash = hashlib.sha256()
        self.total_runs = 0
        """Settings written so far."""
        self.most_run_tags = 0
        """Tags of its own that a run has at most."""
        self.size = 0
        """Bytes of the file so far."""
        self.sheet: Mapping[str, str] | None = None
        """Path and SHA-256 of the sheet that they were made of; None: there is none."""

    def close(self) -> None:
        """Remove the temporary files."""
        self._files.close()

    def add(self, setting: Mapping[str, Any]) -> None:
        """Write one setting.

        Settings beyond the size of a settings file are only counted: such a batch is going to be refused.

        :param setting: a checked run setting, as AWS spells it.
        """
        self.most_run_tags = max(self.most_run_tags, len(setting.get("runTags") or ()))
        line = json.dumps(setting, separators=(",", ":"), allow_nan=False).encode()
        self._hash.update(line)
        text = (b",\n" if self.total_runs else b"[\n") + line
        self.size += len(text)
        if self.size <= MAX_FILE_BYTES:
            self._settings.write(text)
        self.total_runs += 1

    def keep_row(self, row: Mapping[str, Any]) -> None:
        """Keep columns of a run's row for its result; for every run of a sheet, or for none.

        :param row: column -> value.
        """
        self._rows.write(json.dumps(row, default=str).encode() + b"\n")

    def kept_rows(self) -> Iterator[dict[str, Any]]:
        """Yield the kept columns again, in the order of the settings; nothing where none were kept."""
        self._rows.seek(0)
        for line in self._rows:
            yield json.loads(line)

    def add_input_sheet(self, uri: str, text: str) -> None:
        """Keep the own sheet of a run until it is uploaded.

        :param uri: where it is going to be: ``s3://bucket/key``.
        :param text: the CSV.
        """
        self._sheets.write(json.dumps([uri, text]).encode() + b"\n")

    @property
    def digest(self) -> str:
        """SHA-256 of the settings in their order, in hexadecimal."""
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Yield the settings again, in their order."""
        self._settings.seek(0)
        self._settings.readline()
        for line in self._settings:
            yield json.loads(line.rstrip(b",\n"))

    def input_sheets(self) -> Iterator[list[dict[str, str]]]:
        """Yield the rows of the runs' own sheets again, in the order of the runs that have one."""
        self._sheets.seek(0)
        for line in self._sheets:
            yield list(csv.DictReader(io.StringIO(json.loads(line)[1], newline="")))

    def subset(self, wanted: Iterable[bool]) -> RunSettingsSpool:
        """Copy some of the runs, with their kept columns and their own sheets, in the same order.

        :param wanted: for each run whether it is copied.
        :return: another spool, to be closed as well.
        """
        chosen = RunSettingsSpool()
        self._rows.seek(0)
        self._sheets.seek(0)
        for setting, is_wanted in zip(self, wanted, strict=True):
            # Either every run has kept columns or none has; the same goes for sheets.
            row, sheet = self._rows.readline(), self._sheets.readline()
            if is_wanted:
                chosen.add(setting)
                chosen._rows.write(row)
                chosen._sheets.write(sheet)
        return chosen

    def upload(self, store: S3Store, place: S3Place, check: Callable[[], None] = lambda: None) -> None:
        """Put the settings into S3, in parts.

        A failed upload leaves no object behind: S3 shows one only when all its parts have come.

        :param store: writes them.
        :param place: the object, and its key; it contains the request id, so no two contents share it.
        :param check: called before each part is read; raises to end the upload. Default: nothing.
        :raises ServiceError: S3 refused, or did not get through.
        """
        self._settings.seek(0, 2)
        end = self._settings.tell()
        self._settings.write(b"\n]")
        self._settings.seek(0)
        try:
            store.upload(place, self._settings, check)
        finally:
            self._settings.seek(end)
            self._settings.truncate()

    def upload_input_sheets(
        self, store: S3Store, kms_key_id: str | None, check: Callable[[], None] = lambda: None
    ) -> bool:
        """Put the runs' own sheets into S3; once, however often a start is repeated.

        :param store: writes them.
        :param kms_key_id: KMS key of the staging place; None: the bucket's own encryption.
        :param check: called after each sheet; raises to end the upload. Default: nothing.
        :return: whether there were any to put there.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if self._sheets_are_there or not self._sheets.seek(0, 2):
            return False
        self._sheets.seek(0)
        sheets = (json.loads(line) for line in self._sheets)
        store.connect()
        with ThreadPoolExecutor(PARALLEL_UPLOADS) as pool:
            for _ in pool.map(lambda sheet: store.put(S3Place(sheet[0], kms_key_id), sheet[1].encode()), sheets):
                check()
        self._sheets_are_there = True
        return True


OWN_SHEETS = "a rerun needs them, and so may other batches with the same rows"

NOT_READ = frozenset({"INPROGRESS", "STOPPING"})
"""Statuses of a going batch in which every run has been submitted, or none is any more (user guide, "Run batches")."""


@dataclass(eq=False)
class BatchStaging:
    """The staged settings of the batch of one task instance.

    :param hook: the hook whose connection is used.
    :param log: the task's logger.
    :param place: ``s3://bucket/prefix/`` and its key; None: nothing is staged.
    :param identity: the task instance.
    :param keep: leave the settings where they are.
    """

    hook: OmicsHook
    log: Any
    place: S3Place | None
    identity: TaskIdentity
    keep: bool

    def stage(
        self, request: Mapping[str, Any], spool: RunSettingsSpool | None, check: Callable[[], None], *, is_staged: bool
    ) -> dict[str, Any]:
        """Upload the runs' own sheets, and settings that are too many or too large for the request.

        :param request: the request, with its request id.
        :param spool: the settings of its runs; None where the user gave an S3 object.
        :param is_staged: whether the settings themselves have to be put into S3.
        :param check: called again and again; an AttemptError that it raises ends the upload, of which nothing is left.
        :return: the request to send.
        :raises ServiceError: S3 refused, or did not get through.
        """
        if spool is None or self.place is None:
            return {**request}
        store = S3Store(self.hook)
        if spool.upload_input_sheets(store, self.place.kms_key_id, check):
            self.log.info("The runs' own sheets are below %s and stay there: %s", self.place.uri, OWN_SHEETS)
        if not is_staged:
            return {**request}
        uri = staged_uri(self.place.uri, self.identity, request["requestId"])
        is_new = not store.exists(uri)  # one that is there may belong to a start that has arrived
        try:
            if is_new:
                spool.upload(store, S3Place(uri, self.place.kms_key_id), check)
            check()
        except AttemptError:
            if is_new:
                self.unstage(request["requestId"])
            raise
        self.log.info("Staged %d run settings (%d bytes) at %s", spool.total_runs, spool.size, uri)
        return {**request, "batchRunSettings": {"s3UriSettings": uri}}

    def unstage(self, request_id: str) -> None:
        """Delete the settings of a batch that has ended, or never starts; a refusal is only logged.

        :param request_id: the attempt's.
        """
        uri = self.uri(request_id)
        if uri is None:
            return
        try:
            S3Store(self.hook).delete(uri)
        except Exception as error:  # noqa: BLE001 - what becomes of them never takes the place of a result or an error
            self.log.warning("The staged settings %s are left behind: %s", uri, error)

    def uri(self, request_id: str) -> str | None:
        """Return the place of an attempt's settings; None: they are not staged, or are to stay.

        :param request_id: the attempt's.
        """
        return None if self.place is None or self.keep else staged_uri(self.place.uri, self.identity, request_id)

    def leave(self, request_id: str, reason: str) -> None:
        """Say in the log that the settings of an attempt stay.

        :param request_id: the attempt's.
        :param reason: why.
        """
        uri = self.uri(request_id)
        if uri is None or self.place is None:
            return
        try:
            is_there = S3Store(self.hook).exists(uri)
        except Exception:  # noqa: BLE001 - as for unstage()
            is_there = True  # for all that is known
        if is_there:
            self.log.info("The staged settings %s stay: %s", uri, reason)

    def unstage_earlier(self, request_id: str, batch_id: str | None) -> None:
        """Delete the settings of an earlier attempt, at whose end nobody was there, unless its batch may read them yet.

        :param request_id: the earlier attempt's.
        :param batch_id: of the batch that it started; None: none is left.
        """
        if self.uri(request_id) is None:
            return
        try:
            seen = None if batch_id is None else BatchSnapshot.from_response(self.hook.get_batch(batch_id))
        except NotFound:
            seen = None
        except ServiceError as error:
            self.leave(request_id, f"whether batch {batch_id} still reads them cannot be told ({error})")
            return
        if seen is not None and seen.phase is Phase.ACTIVE and seen.status not in NOT_READ:
            self.leave(request_id, f"batch {batch_id} of an earlier attempt is {seen.status} and reads them")
        else:
            self.unstage(request_id)


def checked_place(uri: str | None) -> str | None:
    """Check the staging place of a batch's settings.

    :param uri: ``s3://bucket/prefix/``; None or empty: nowhere.
    :return: the same; None: nowhere.
    :raises SettingsError: it is no such place.
    """
    if uri and not (is_s3_uri(uri) and s3_address(uri).bucket):
        raise SettingsError([Problem("staging_s3_uri", repr(uri), "s3://bucket/prefix/")])
    return uri or None


def with_reading_advice(error: ServiceError, request: Mapping[str, Any]) -> ServiceError:
    """Add to a refused start the permissions that the service role needs to read the settings.

    :param error: of StartRunBatch.
    :param request: the refused request.
    :return: the error; as it was, if settings in S3 have nothing to do with it.
    """
    uri = request["batchRunSettings"].get("s3UriSettings")
    if uri is None or isinstance(error, QuotaExceeded):
        return error
    role = request["defaultRunSetting"].get("roleArn")
    return error.with_advice(f"The service role {role} needs s3:GetObject on {uri} (and kms:Decrypt on its key).")


def staged_uri(staging_s3_uri: str, identity: TaskIdentity, request_id: str) -> str:
    """Return the place of an attempt's settings; the request id makes it new, so it is never rewritten.

    :param staging_s3_uri: ``s3://bucket/prefix/``.
    :param identity: the task instance; part of the path for people who look there.
    :param request_id: the attempt's.
    :return: ``s3://bucket/prefix/run-settings/{dag}/{run}/{task}/{request id}.json``.
    """
    names = (identity.dag_id, identity.run_id, identity.task_id)
    path = "/".join(re.sub(r"[^A-Za-z0-9_.\-]", "_", name)[:64] for name in names)
    return f"{staging_s3_uri.rstrip('/')}/run-settings/{path}/{request_id}.json"
