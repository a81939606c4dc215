"""Reading sample sheets: from a file, here or in S3, to checked run settings.

``python -m airflow_provider_omics sheet samples.csv --mapping mapping.json`` does it on a command line, without AWS
and without Airflow.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.errors import Problem, show_value
from airflow_provider_omics.core.settings.checks import RunSettingRules, run_setting_rules
from airflow_provider_omics.core.sheet.cells import plain_cell
from airflow_provider_omics.core.sheet.runs import SheetRows, SheetRuns
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.core.uris import is_s3_uri
from airflow_provider_omics.sheets.formats import Dress, rows_of
from airflow_provider_omics.sheets.opening import Digest, open_bytes

if TYPE_CHECKING:
    from airflow_provider_omics.hooks.s3 import S3Store


@contextmanager
def open_rows(
    path: str, dress: Dress | None = None, *, store: S3Store | None = None, digest: Digest | None = None
) -> Iterator[SheetRows]:
    """Open a sheet and read its rows, as a stream.

    :param path: a local path, or ``s3://bucket/key``; CSV, TSV, JSON Lines, Parquet (if pyarrow is installed), also
        compressed with gzip.
    :param dress: how the file is written. Default: as it looks.
    :param store: reads S3. Default: the store of the connection ``aws_default``.
    :param digest: gets the bytes of the file, as it is stored, to its end. Default: nobody wants them.
    :return: the rows, as a context: the file is closed at its end.
    :raises SettingsError: the file cannot be read, or its header cannot be used.
    :raises ServiceError: S3 refused.
    """
    file = path.rpartition("/")[2]
    with open_bytes(path, store, digest) as stream, rows_of(stream, file, dress) as rows:
        yield rows


@contextmanager
def open_runs(
    sheet: SampleSheet,
    *,
    store: S3Store | None = None,
    rules: RunSettingRules | None = None,
    template: Mapping[str, Mapping[str, Any]] | None = None,
    input_sheet_uri: Callable[[str, str], str] | None = None,
    max_runs: int | None = None,
    digest: Digest | None = None,
) -> Iterator[SheetRuns]:
    """Open a sheet, or take its rows, and stream its runs; the stream ends with an error if anything is wrong.

    ::

        with open_runs(sheet, store=store, rules=rules) as runs:
            for run in runs:
                write(run.setting)  # only after the loop is everything known to be right
            log.info(runs.summary)

    :param sheet: the sheet, rendered.
    :param store: reads S3. Default: the store of the connection ``aws_default``.
    :param rules: the batch's defaults as rules for each run, from ``run_setting_rules``. Default: nothing is required.
    :param template: the workflow's ``parameterTemplate``, which the merged parameters must fit. Default: not compared.
    :param input_sheet_uri: returns the ``s3://`` URI of a run's own sheet, from the run's id and the sheet's text; see
        ``SampleSheet``.
    :param max_runs: more runs than this end the reading. Default: as many as a batch may have.
    :param digest: gets the bytes of the file, as it is stored, to its end. Default: nobody wants them.
    :return: the runs, as a context: the file is closed at its end.
    :raises SettingsError: with all problems (the first 50), at the end of the iteration, or at once if the file cannot
        be read or its header cannot be used.
    :raises ServiceError: S3 refused.
    """
    dress = Dress(sheet.delimiter, sheet.comment, sheet.section)
    given = None if sheet.rows is None else nullcontext(_rows_given(sheet.rows))
    with given or open_rows(sheet.path, dress, store=store, digest=digest) as rows:
        yield SheetRuns(sheet, rows, rules=rules, template=template, input_sheet_uri=input_sheet_uri, max_runs=max_runs)


def _rows_given(rows: Sequence[Any]) -> SheetRows:
    """Read rows that are in memory, as those of JSON Lines, where each names its own columns."""
    name = "sample_sheet['rows']"

    def read() -> Iterator[tuple[int, Mapping[str, Any]] | Problem]:
        for number, row in enumerate(rows, 1):
            if not isinstance(row, Mapping) or not all(isinstance(column, str) for column in row):
                shown = show_value(row) if isinstance(row, Mapping) else type(row).__name__
                yield Problem(f"{name} row {number}", shown, "a dict, column -> value")
            else:
                yield number, {column: plain_cell(value) for column, value in row.items()}

    return SheetRows(name, None, read(), unit="row")


def run_settings_from_sheet(
    sheet: SampleSheet | Mapping[str, Any] | str,
    *,
    default_run_setting: Mapping[str, Any] | None = None,
    require: Collection[str] = (),
    template: Mapping[str, Mapping[str, Any]] | None = None,
    input_sheet_uri: Callable[[str, str], str] | None = None,
    aws_conn_id: str | None = "aws_default",
    region_name: str | None = None,
) -> list[dict[str, Any]]:
    """Read a sheet and return its checked run settings, for a task that examines them before a batch starts.

    ::

        @task
        def settings(path: str) -> list[dict]:
            found = run_settings_from_sheet({"path": path, "run_setting_id": "{sample}"})
            return [setting for setting in found if setting["runSettingId"] not in withdrawn()]

        OmicsStartRunBatchOperator(task_id="wgs", run_settings=settings("s3://bucket/{{ ds }}.csv"), ...)

    The list goes through XCom and may have 100 elements when used. Pass a larger sheet, or one that needs no code in
    between, directly to the operator (``sample_sheet``).

    :param sheet: a SampleSheet, a mapping with its fields, or a plain path (then the first column is the id).
    :param default_run_setting: the settings that the runs share, as AWS spells them, to check both together. Default:
        unknown; settings that it could supply do not count as missing.
    :param require: settings that each run or the default must have (``require_settings``). Default: none.
    :param template: the workflow's ``parameterTemplate``, which the merged parameters must fit. Default: not compared.
    :param input_sheet_uri: returns the ``s3://`` URI of a run's own sheet, from its id and its text; needed with
        ``input_sheet``. The caller must write the sheet there.
    :param aws_conn_id: the connection that reads S3. Default: "aws_default".
    :param region_name: AWS Region. Default: the connection's.
    :return: one dict for each run, in the spelling of AWS, in the order of the rows.
    :raises SettingsError: with all problems (the first 50): file, line, column, value.
    :raises ServiceError: S3 refused.
    """
    sheet = SampleSheet.from_mapping(sheet)
    rules = None if default_run_setting is None else run_setting_rules(default_run_setting, require)
    store = None
    if is_s3_uri(sheet.path):
        from airflow_provider_omics.hooks.s3 import S3Store  # a local sheet needs no Airflow

        store = S3Store.of_connection(aws_conn_id, region_name)
    with open_runs(sheet, store=store, rules=rules, template=template, input_sheet_uri=input_sheet_uri) as runs:
        return [run.setting for run in runs]
