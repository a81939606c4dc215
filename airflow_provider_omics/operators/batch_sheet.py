"""The sample sheet of a batch: read, checked, and written down as run settings."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.settings.checks import clean_setting
from airflow_provider_omics.core.settings.fields import Place
from airflow_provider_omics.core.settings.run_setting import RunSettingRules
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.sheets.read import open_runs
from airflow_provider_omics.staging import RunSettingsSpool

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook


class BatchSheet:
    """A sheet whose rows become the runs of a batch.

    :param given: a path, a mapping or a SampleSheet, rendered.
    :param staging_s3_uri: where the runs' own sheets are going to be: ``s3://bucket/prefix/``; None: nowhere.
    :raises SettingsError: it is no sheet, or its runs' own sheets have no place.
    """

    def __init__(self, given: Any, staging_s3_uri: str | None) -> None:
        self._sheet = SampleSheet.from_mapping(given)
        self._staging_s3_uri = staging_s3_uri
        if self.input_sheet and not staging_s3_uri:
            allowed = "needs staging_s3_uri, here or in the connection: the runs' own sheets are put there"
            raise SettingsError([Problem("sample_sheet['input_sheet']", repr(self.input_sheet), allowed)])

    @property
    def input_sheet(self) -> str | None:
        """The parameter that gets the URI of a run's own sheet; None: none does."""
        return self._sheet.input_sheet

    def read(
        self,
        spool: RunSettingsSpool,
        rules: RunSettingRules,
        template: Mapping[str, Mapping[str, Any]] | None,
        s3_hook: S3Hook,
        log: Any,
    ) -> None:
        """Read all rows.

        :param spool: takes the runs' settings, kept columns and own sheets.
        :param rules: what the batch's defaults mean for each run.
        :param template: the workflow's ``parameterTemplate``, which the merged parameters must fit; None: not compared.
        :param s3_hook: reads a sheet that lies in S3.
        :param log: the task's logger.
        :raises SettingsError: with all problems (the first 50).
        :raises ServiceError: S3 refused.
        """
        uris: dict[str, str] = {}

        def input_sheet_uri(run_setting_id: str, text: str) -> str:
            uris[run_setting_id] = self._input_sheet_uri(run_setting_id, text)
            return uris[run_setting_id]

        with open_runs(
            self._sheet, s3_hook=s3_hook, rules=rules, template=template, input_sheet_uri=input_sheet_uri
        ) as runs:
            for run in runs:
                spool.add(clean_setting(run.setting, Place.PER_RUN))
                if run.kept:
                    spool.keep_row(run.kept)
                if run.input_sheet is not None:
                    spool.add_input_sheet(uris.pop(run.setting["runSettingId"]), run.input_sheet)
            log.info("%s", runs.summary)

    def _input_sheet_uri(self, run_setting_id: str, text: str) -> str:
        # Named by its content: unchanged rows give the same parameter on every try.
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        name = re.sub(r"[^A-Za-z0-9_.\-]", "_", run_setting_id)
        return f"{(self._staging_s3_uri or '').rstrip('/')}/input-sheets/{name}-{digest}.csv"
