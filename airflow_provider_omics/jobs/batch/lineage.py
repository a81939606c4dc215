"""OpenLineage's view of a batch: inputs and outputs of its first runs, and the workflow that they ran.

OpenLineage asks once the task is over; where the task has waited in a triggerer, it asks a process that has not read
the settings, which are read again. As in the Amazon provider's operators, a part that cannot be read is left out.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, TypeVar

from airflow_provider_omics.core.errors import ServiceError, SettingsError
from airflow_provider_omics.core.settings.requests import merge_settings, merged_run_settings
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.core.statuses import SubmissionStatus
from airflow_provider_omics.core.wait.outcome import run_result
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.jobs.batch.source import BatchSettings
from airflow_provider_omics.jobs.owner import Lineage
from airflow_provider_omics.sheets.json_array import json_array
from airflow_provider_omics.sheets.opening import open_bytes
from airflow_provider_omics.sheets.read import open_runs

SETTINGS = 100
"""Run settings that are looked at, from the first: a batch may have 100,000."""

_WORKFLOW = ("workflow_id", "workflow_uuid", "workflow_version_name", "workflow_digest", "engine_version")

Answer = TypeVar("Answer")


@dataclass(eq=False)
class BatchSources:
    """Where a batch has its settings from.

    :param hook: where to ask.
    :param log: the task's logger.
    :param given: returns the user's arguments.
    :param masked: whether parameters are left out.
    """

    hook: OmicsHook
    log: Any
    given: Callable[[], BatchSettings]
    masked: bool

    def lineage(self, reported: Mapping[str, Any], previous_results: str | None) -> Lineage:
        """Collect the lineage of the batch.

        Inputs are the sheet or the object with the settings, earlier results, and what the merged parameters of the
        first hundred settings name; outputs the results file, and where those runs put theirs.

        :param reported: the task's result, or the known part of one that failed; empty: nothing was started.
        :param previous_results: a results file that the user named.
        """
        given = self._ask(self.given, None)
        if given is None:
            return Lineage(reported, (), ())
        default = self._ask(
            lambda: merge_settings(self.hook.defaults.default_run_setting, given.default_run_setting or {}),
            dict[str, Any](),
        )
        runs = self._ask(lambda: list(self._first_runs(given, default)), list[dict[str, Any]]())
        sheet = given.sample_sheet
        if self.masked and isinstance(sheet, Mapping):
            sheet = sheet.get("path")
        documents: list[Any] = [sheet, given.run_settings_s3_uri, previous_results]
        if not self.masked:
            documents += [(run.get("parameters"), run.get("input_sheet")) for run in runs]
        facts = {"workflow_id": default.get("workflowId"), "workflow_version_name": default.get("workflowVersionName")}
        batch_id = reported.get("batch_id")
        if not batch_id:
            return Lineage({**facts, **reported}, documents, ())
        facts.update(self._ask(lambda: self._workflow_of(batch_id), dict[str, Any]()))
        outputs = (reported.get("results_uri"), *(run.get("outputUri") for run in runs))
        return Lineage({**facts, **reported}, documents, outputs)

    def _first_runs(self, given: BatchSettings, default: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
        """Yield the settings of each of the first runs; ``input_sheet`` has the rows of its own sheet."""
        with self._settings(given) as settings:
            for setting, own_sheet in islice(settings, SETTINGS):
                if not isinstance(setting, Mapping):
                    raise TypeError("a run setting is no object")
                for merged in merged_run_settings(default, [setting]):
                    yield {**merged, "input_sheet": own_sheet}

    @contextmanager
    def _settings(self, given: BatchSettings) -> Iterator[Iterator[tuple[Mapping[str, Any], Any]]]:
        if given.sample_sheet is not None:
            sheet = SampleSheet.from_mapping(given.sample_sheet)
            # A run's own sheet lies below the staging place: its inputs are in its rows.
            with open_runs(sheet, store=S3Store(self.hook), input_sheet_uri=lambda *_: "") as runs:
                yield ((run.setting, _rows(run.input_sheet)) for run in runs)
        elif given.run_settings_s3_uri is not None:
            with open_bytes(given.run_settings_s3_uri, S3Store(self.hook)) as stream:
                yield ((setting, None) for setting in json_array(stream, str(given.run_settings_s3_uri)))
        else:
            yield ((setting, None) for setting in given.run_settings or ())

    def _workflow_of(self, batch_id: str) -> dict[str, Any]:
        """Ask one run for the workflow that all of them run: two calls."""
        started = self.hook.list_runs_in_batch(batch_id, submission_status=SubmissionStatus.SUCCESS.value)
        for item in islice(started, 1):
            run = run_result(RunSnapshot.from_response(self.hook.get_run(item["runId"])))
            return {name: run[name] for name in _WORKFLOW}
        return {}

    def _ask(self, ask: Callable[[], Answer], otherwise: Answer) -> Answer:
        try:
            return ask()
        except SettingsError as error:
            told = error.masked() if self.masked else error
            self.log.warning("OpenLineage is not told everything: %s", "; ".join(map(str, told.problems)))
        except ServiceError as error:
            self.log.warning("OpenLineage is not told everything: %s", error)
        except (AttributeError, KeyError, TypeError, ValueError) as error:  # settings that were refused
            self.log.warning("OpenLineage is not told everything: %s", type(error).__name__)
        return otherwise


def _rows(text: str | None) -> list[dict[str, str]] | None:
    return None if text is None else list(csv.DictReader(io.StringIO(text, newline="")))
