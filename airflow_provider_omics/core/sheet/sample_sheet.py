"""How the rows of a sample sheet become run settings: :class:`SampleSheet`, :func:`each`, :func:`one`.

A string is a format string over the columns of a row: ``"{sample}"``, ``"{group}_{replicate}"``,
``"s3://bucket/out/{sample}/"``; ``"GRCh38"`` is itself. Write a literal brace twice. In an operator, Jinja is rendered
first, then the columns: ``"s3://bucket/{{ ds }}/{sample}/"``. Anything that is not a string stays as it is.

A cell is empty if it has only white space, or a text of ``empty``. A string with an empty cell in it has no value: its
key is dropped, so that a default can apply; in a list it becomes null, so that positions stay.

Three fields of a sheet in one example, a pair of files for each lane::

    SampleSheet(
        path="s3://bucket/samples.csv",
        run_setting_id="{sample}",
        group_by_id=True,
        parameters={"sample": "{sample}", "fastq_pairs": each(["{fastq_1}", "{fastq_2}"])},
        output_uri="s3://bucket/{{ ds }}/{sample}/",
    )
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from airflow_provider_omics.core.errors import Problem, SettingsError, show_value
from airflow_provider_omics.core.text import nearest_name

EACH = "$each"
ONE = "$one"
_OF_FILES = ("path", "delimiter", "comment", "section")
TYPES = ("str", "int", "float", "bool", "json")


def each(tree: Any, where: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Make a list with one element for each row of an id, in row order; always a list.

    An empty cell within it becomes null, so that pairs stay aligned.

    :param tree: the element: a format string, or lists and dicts of them.
    :param where: column -> value, or list of values, that a row must have: the lanes of the tumour. Default: all rows.
    :return: ``{"$each": tree, "where": where}``: plain data, so that Airflow renders the strings in it. No workflow
        language has parameters with a ``$`` in their names.
    """
    return {EACH: tree} if where is None else {EACH: tree, "where": dict(where)}


def one(tree: Any, where: Mapping[str, Any], *, optional: bool = False) -> dict[str, Any]:
    """Take a value from exactly one of the rows of an id: the tumour, the normal, the father.

    :param tree: the value: a format string, or lists and dicts of them.
    :param where: column -> value, or list of values, that the row must have.
    :param optional: whether the row may be missing; the key is then dropped. Default False: an error.
    :return: ``{"$one": tree, "where": where, "optional": optional}``: plain data, as for :func:`each`.
    """
    return {ONE: tree, "where": dict(where), "optional": optional}


@dataclass(frozen=True, eq=False)
class SampleSheet(dict[str, Any]):
    """A sheet, and the mapping of its rows to the run settings of a batch.

    It is also a dict of its fields that are set, as plain data: lists for tuples, names for types; ``build`` stays a
    function. Airflow looks into dicts: it renders each string in them, and treats tasks as upstream if their outputs
    are in them, in ``partial()`` and ``expand()`` as well.

    Nothing is checked here: see :meth:`from_mapping` and :class:`~airflow_provider_omics.core.sheet.runs.SheetRuns`.

    :param path: a local path or ``s3://`` URI of a CSV, TSV, JSON Lines or Parquet file; or ``rows``.
    :param run_setting_id: format string of the ``runSettingId``, unique in the batch. Default: the first column.
    :param parameters: the workflow's parameters: names -> format strings, trees of them, :func:`each`, :func:`one`.
        Default: each column becomes a parameter of its own name; with ``input_sheet``, none.
    :param name: format string of the run's name. Default: none.
    :param output_uri: format string of the run's ``outputUri``. Default: the batch's.
    :param priority: format string or number of the run's priority. Default: the batch's.
    :param run_tags: tag -> format string. Default: the batch's.
    :param engine_settings: tree of format strings. Default: the batch's.
    :param output_bucket_owner_id: format string of the account id. Default: the batch's.
    :param types: column -> ``str``, ``int``, ``float``, ``bool`` or ``json``, as types or as names; a string made of
        that column alone then becomes a value of this type. Default: the file's own type, which is text for CSV and
        TSV.
    :param where: column -> value or list of values; rows with other values are left out. Compared as text, or after
        conversion if ``types`` names the column; None and "" match an empty cell. Default: all rows.
    :param group_by_id: whether rows that share an id make one run. The rows are then held in memory until the sheet
        has been read. Default False: they are an error.
    :param input_sheet: name of a parameter to set to the URI of a CSV of the run's own rows, with the sheet's columns,
        for workflows that take a sheet (nf-core's ``input``). Default: none.
    :param keep_columns: columns that the results keep for each run.
    :param empty: texts that count as an empty cell, such as ``("NA", "N/A", ".", "NULL", "#N/A")``; the run's own sheet
        keeps them. Default: none; a cell like ``NA`` among URIs or numbers is then an error, unless ``types`` makes the
        column ``str``.
    :param delimiter: one character between cells, whatever the file's name. Default: whichever of comma, tab, semicolon
        and bar splits all lines into as many cells as the header.
    :param comment: the beginning of lines to leave out: ``"#"``. ``""``: no line is a comment. Default: a line below
        the header that begins with ``#`` is an error.
    :param section: the section of an Illumina SampleSheet to read, v1 or v2: ``"Data"`` (``[Data]``, or
        ``[BCLConvert_Data]``), ``"Cloud_Data"``. Default: the sheet has no sections.
    :param build: a function from the rows of one id (dicts of column -> value, typed as ``types`` says, empty cells
        None) to its run setting as AWS spells it; replaces all other fields that make a setting, except
        ``run_setting_id``. Default: none.
    :param rows: the rows themselves, instead of ``path``: dicts of column -> value, such as the result of a query or
        another task. Literal rows in a DAG file are rendered like everything else there.
    """

    path: str = ""
    run_setting_id: str | None = None
    parameters: Mapping[str, Any] | None = None
    name: str | None = None
    output_uri: str | None = None
    priority: str | int | None = None
    run_tags: Mapping[str, str] | None = None
    engine_settings: Mapping[str, Any] | None = None
    output_bucket_owner_id: str | None = None
    types: Mapping[str, str | type] | None = None
    where: Mapping[str, Any] | None = None
    group_by_id: bool = False
    input_sheet: str | None = None
    keep_columns: Sequence[str] = ()
    delimiter: str | None = None
    build: Callable[[list[dict[str, Any]]], Mapping[str, Any]] | None = None
    empty: Sequence[str] = ()
    comment: str | None = None
    section: str | None = None
    rows: Sequence[Mapping[str, Any]] | None = None

    def __post_init__(self) -> None:
        """Fill the dict."""
        for member in fields(self):
            value = getattr(self, member.name)
            if member.name == "types" and isinstance(value, Mapping):
                value = {column: getattr(kind, "__name__", kind) for column, kind in value.items()}
            if value != member.default or (member.name == "path" and self.rows is None):
                self[member.name] = _plain(value)

    @classmethod
    def from_mapping(cls, sheet: Any) -> SampleSheet:
        """Take a sheet in any of its forms.

        :param sheet: a SampleSheet; a mapping with the names of its fields as keys; or a plain path, for which the
            first column is the id.
        :return: the sheet; its values are not yet looked at.
        :raises SettingsError: a key is unknown, or there is no path; all problems at once.
        """
        if isinstance(sheet, (str, os.PathLike)):
            return cls(path=os.fspath(sheet))
        if not isinstance(sheet, Mapping):
            allowed = "a path, a mapping with the fields of SampleSheet, or a SampleSheet"
            raise SettingsError([Problem("sample_sheet", type(sheet).__name__, allowed)])
        known = [member.name for member in fields(cls)]
        problems = []
        for key in sheet:
            if key not in known:
                near = nearest_name(str(key), known)
                allowed = f"unknown; did you mean {near!r}?" if near else f"unknown; known are {', '.join(known)}"
                problems.append(Problem(f"sample_sheet[{key!r}]", show_value(sheet[key]), allowed))
        problems += _source_problems(sheet)
        if problems:
            raise SettingsError(problems)
        return cls(**{key: value for key, value in _plain(sheet).items() if value is not None})


def _source_problems(sheet: Mapping[str, Any]) -> list[Problem]:
    """Tell what is wrong with where the rows come from."""
    path, rows = sheet.get("path"), sheet.get("rows")
    if rows is None:
        if isinstance(path, (str, os.PathLike)) and os.fspath(path):
            return []
        return [Problem("sample_sheet['path']", show_value(path), "a local path or an s3:// URI, or rows in its place")]
    if not isinstance(rows, (list, tuple)):
        return [Problem("sample_sheet['rows']", type(rows).__name__, "a list of dicts, column -> value")]
    return [
        Problem(f"sample_sheet[{name!r}]", show_value(sheet[name]), "left out: it is of a file, and rows are given")
        for name in _OF_FILES
        if sheet.get(name) not in (None, "")
    ]


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value
