"""Rows of Parquet files, where pyarrow is installed."""

from __future__ import annotations

import importlib
import io
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.sheet.cells import plain_cell
from airflow_provider_omics.core.sheet.runs import SheetRows

BATCH = 1_000
"""Rows that are in memory at once."""

MAX_COLUMNS = 16_384
"""Columns of a sheet: as many as Excel has."""


@contextmanager
def parquet_rows(stream: io.BufferedReader[Any], file: str) -> Iterator[SheetRows]:
    """Read the rows of a Parquet file, a batch of rows at a time.

    :param stream: its bytes; one that cannot be read from its end, such as an S3 object, is copied to a temporary file.
    :param file: its name, for messages.
    :return: the rows, as a context; numbered from 1, dates and decimal numbers as text.
    :raises SettingsError: pyarrow is not installed, or this is no Parquet file.
    """
    try:
        parquet = importlib.import_module("pyarrow.parquet")
    except ImportError as error:
        allowed = "CSV, TSV or JSON Lines; Parquet needs pyarrow, which is not installed here: pip install pyarrow"
        raise SettingsError([Problem(file, "a Parquet file", allowed)]) from error
    with ExitStack() as stack:
        seekable: Any = stream
        if not stream.seekable():  # its index stands at the end
            seekable = stack.enter_context(tempfile.TemporaryFile())
            shutil.copyfileobj(stream, seekable)
            seekable.seek(0)
        try:
            table = stack.enter_context(parquet.ParquetFile(seekable))
        except (ValueError, OSError) as error:  # pyarrow's own errors are of these kinds
            raise SettingsError([Problem(file, "not readable as Parquet", str(error))]) from error
        if len(table.schema_arrow.names) > MAX_COLUMNS:
            raise SettingsError(
                [Problem(file, f"{len(table.schema_arrow.names):,} columns", f"at most {MAX_COLUMNS:,}")]
            )
        yield SheetRows(file, tuple(table.schema_arrow.names), _rows(table), unit="row")


def _rows(table: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    number = 0
    for batch in table.iter_batches(batch_size=BATCH):
        for row in batch.to_pylist():
            number += 1
            yield number, {column: plain_cell(value) for column, value in row.items()}
