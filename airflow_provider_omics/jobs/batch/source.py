"""From the user's settings (a sheet, a list, an S3 object) to a checked request of StartRunBatch."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any

from airflow_provider_omics.core.batch.sample import unfit
from airflow_provider_omics.core.errors import Problem, SettingsError
from airflow_provider_omics.core.inputs import RunInputs
from airflow_provider_omics.core.settings.checks import (
    ReadModel,
    RunSettingRules,
    check_run_setting,
    clean_setting,
    run_setting_rules,
    setting_problems,
)
from airflow_provider_omics.core.settings.connection import ConnectionDefaults
from airflow_provider_omics.core.settings.fields import MAX_INLINE_SETTINGS, MAX_RUNS_IN_BATCH, Place
from airflow_provider_omics.core.settings.requests import (
    CheckedRequest,
    build_start_run_batch_request,
    merge_settings,
    merged_run_settings,
)
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.hooks.s3 import S3Store
from airflow_provider_omics.jobs.batch.staging import MAX_FILE_BYTES, MAX_INLINE_BYTES, RunSettingsSpool
from airflow_provider_omics.jobs.checks import Workflow
from airflow_provider_omics.sheets.json_array import json_array
from airflow_provider_omics.sheets.opening import open_bytes

MAX_PROBLEMS = 50
"""Problems of a list that are reported; reading stops there."""
_NOWHERE = "s3://staging-is-not-set/"
"""Stands for the place of settings that have none; nothing is sent with it."""
_WORKFLOW = ("workflowId", "workflowType", "workflowOwnerId", "workflowVersionName")


@dataclass(frozen=True)
class BatchSettings:
    """The user's arguments for a batch.

    :param default_run_setting: settings that the runs share.
    :param run_settings: a list of the runs; exactly one of this and the next two.
    :param run_settings_s3_uri: an S3 object with them.
    :param sample_sheet: a sheet, as a path, a mapping or a SampleSheet.
    :param batch_name: name of the batch.
    :param tags: tags of the batch.
    :param scratch_storage_mode: for all runs.
    :param staging_s3_uri: where large lists are put; None: nowhere.
    :param max_runs: more runs than this are refused; None: no limit but the service's.
    """

    default_run_setting: Any
    run_settings: Any
    run_settings_s3_uri: str | None
    sample_sheet: Any
    batch_name: str | None
    tags: Any
    scratch_storage_mode: str | None
    staging_s3_uri: str | None
    max_runs: int | None


@dataclass
class CheckedBatch:
    """A checked request, and the settings behind it where they are not in it.

    :param checked: the request and its warnings; the S3 URI of staged settings ends in their digest, for the request's
        fingerprint: the object itself is named by the request id, which is not known yet.
    :param spool: the settings; None where the user gave an S3 object.
    :param is_staged: whether they have to be put into S3.
    :param input_sheet: the parameter that gets the URI of a run's own sheet, which is not there yet; None: none does.
    """

    checked: CheckedRequest
    spool: RunSettingsSpool | None
    is_staged: bool = False
    input_sheet: str | None = None

    def part(self, spool: RunSettingsSpool, *, has_place: bool) -> CheckedBatch:
        """Return the batch with some of its runs only.

        :param spool: their settings.
        :param has_place: whether there is a place for large lists.
        """
        is_large = spool.size > MAX_INLINE_BYTES and has_place
        return replace(self, spool=spool, is_staged=spool.total_runs > MAX_INLINE_SETTINGS or is_large)

    def named(self, default: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the merged settings of each run, with their name.

        :param default: the request's ``defaultRunSetting``.
        """
        for setting in merged_run_settings(default, self.spool or ()):
            yield f"run_settings[{setting['runSettingId']!r}]", setting

    def parameters_by_run(self, default: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Yield the merged parameters of each run, with the name of the argument they stand in.

        :param default: the request's ``defaultRunSetting``.
        """
        for setting in merged_run_settings(default, self.spool or ()):
            yield f"run_settings[{setting['runSettingId']!r}]['parameters']", setting.get("parameters") or {}

    def inputs_by_run(self, default: Mapping[str, Any]) -> Iterator[RunInputs]:
        """Yield the values of each run that may name inputs: its parameters, and the cells of its own sheet.

        :param default: the request's ``defaultRunSetting``.
        """
        sheets = iter(()) if self.spool is None else self.spool.input_sheets()
        for setting in merged_run_settings(default, self.spool or ()):
            name = setting["runSettingId"]
            # The run's own sheet is put into S3 only when all is known to be right.
            given = (setting.get("parameters") or {}).items()
            parameters = {key: value for key, value in given if key != self.input_sheet}
            yield RunInputs(name, f"run_settings[{name!r}]['parameters']", parameters)
            if self.input_sheet is not None:
                yield RunInputs(name, f"sample_sheet['input_sheet'] of {name!r}", next(sheets))


def check_batch(
    given: BatchSettings,
    defaults: ConnectionDefaults,
    store: S3Store,
    request_id: str,
    log: Any,
    *,
    model: ReadModel | None = None,
    workflow: Callable[[Mapping[str, Any]], Workflow | None] = lambda _: None,
    also: Sequence[Problem] = (),
) -> CheckedBatch:
    """Read, check and count the settings of a batch, and build its request; nothing is sent.

    :param given: the user's arguments.
    :param defaults: the connection's team defaults.
    :param store: reads a sheet that lies in S3.
    :param request_id: the idempotency token.
    :param log: the task's logger.
    :param model: reads the model of the installed boto3, which has to know each field. Default: any will do.
    :param workflow: looks up the workflow of a ``defaultRunSetting``, whose template the rows of a sheet have to fit;
        not called where its name, or anything of ``also``, is wrong. Default: they are not compared.
    :param also: problems of other arguments, to be told with those of the settings. Default: none.
    :return: the request, and the settings on their way to S3.
    :raises SettingsError: with all problems, of the defaults and of every run.
    """
    sources = {
        "run_settings": given.run_settings,
        "run_settings_s3_uri": given.run_settings_s3_uri,
        "sample_sheet": given.sample_sheet,
    }
    named = [name for name, value in sources.items() if value is not None]
    problems = list(also)
    if len(named) != 1:
        shown = "all set" if named else "not set"
        problems.append(Problem(" and ".join(named or sources), shown, f"exactly one of {', '.join(sources)}"))
    if given.run_settings_s3_uri is not None and given.max_runs is not None:
        allowed = "not with run_settings_s3_uri, whose runs are not counted: give run_settings or a sample_sheet"
        problems.append(Problem("max_runs", repr(given.max_runs), allowed))
    common: dict[str, Any] = {
        "default_run_setting": given.default_run_setting,
        "batch_name": given.batch_name,
        "tags": given.tags,
        "scratch_storage_mode": given.scratch_storage_mode,
        "defaults": defaults.default_run_setting,
        "require": defaults.require_settings,
        "request_id": request_id,
        "model": model,
        "connection": defaults.connection,
    }
    if given.run_settings_s3_uri is not None:
        uri = given.run_settings_s3_uri
        return CheckedBatch(build_start_run_batch_request(run_settings_s3_uri=uri, also=problems, **common), None)
    if len(named) != 1:
        # Which runs are meant nobody knows; what is wrong with all else is told with it.
        build_start_run_batch_request(run_settings_s3_uri=_NOWHERE, total_runs=1, also=problems, **common)
    if problems:
        workflow = lambda _: None  # noqa: E731 - nothing is asked where nothing can start
    spool = RunSettingsSpool()
    try:
        return _checked_spool(given, defaults, store, spool, common, log, workflow, problems)
    except BaseException:
        spool.close()
        raise


def _checked_spool(
    given: BatchSettings,
    defaults: ConnectionDefaults,
    store: S3Store,
    spool: RunSettingsSpool,
    common: Mapping[str, Any],
    log: Any,
    workflow: Callable[[Mapping[str, Any]], Workflow | None],
    problems: list[Problem],
) -> CheckedBatch:
    layers = (defaults.default_run_setting, given.default_run_setting or {})
    default = merge_settings(*(layer for layer in layers if isinstance(layer, Mapping)))
    rules = run_setting_rules(default, defaults.require_settings, common["model"])
    most = MAX_RUNS_IN_BATCH if given.max_runs is None else min(given.max_runs, MAX_RUNS_IN_BATCH)
    settings = given.run_settings
    is_list = isinstance(settings, Iterable) and not isinstance(settings, (str, bytes, Mapping))
    if is_list and not isinstance(settings, list):
        settings = list(settings)
    # What is no list is refused by the request's own check.
    inline = None if is_list and len(settings) > MAX_INLINE_SETTINGS else settings
    sheet: BatchSheet | None = None
    cause: BaseException | None = None
    try:
        if given.sample_sheet is not None:
            sheet = BatchSheet(given.sample_sheet, given.staging_s3_uri)
            found = _asked_workflow(default, workflow)
            problems += found.problems() if found else []
            sheet.read(spool, rules, found.template if found else None, store, log, most=most)
        elif inline is None:
            read_list(settings, rules, spool)
    except SettingsError as error:
        problems += error.problems
        cause = error.__cause__  # raised by a function of the user's
    total = len(inline) if isinstance(inline, list) else spool.total_runs
    problems += _size_problems(given, total, spool.size, most)
    if inline is None and total <= MAX_INLINE_SETTINGS and not problems:
        inline = list(spool)
    try:
        if inline is not None:
            checked = build_start_run_batch_request(run_settings=inline, **common)
        else:
            checked = _staged_request(given, spool, common)
    except SettingsError as error:
        problems += error.problems
        raise SettingsError(problems) from cause or error
    if problems:
        raise SettingsError(problems) from cause
    if not spool.total_runs:
        for setting in checked.request["batchRunSettings"]["inlineSettings"]:
            spool.add(setting)
    # The service's limit for a request is not documented: large settings are staged if there is a place.
    is_staged = inline is None or (spool.size > MAX_INLINE_BYTES and given.staging_s3_uri is not None)
    if is_staged and inline is not None:
        checked = _staged_request(given, spool, common)
    return CheckedBatch(checked, spool, is_staged, sheet.input_sheet if sheet else None)


def _asked_workflow(
    default: Mapping[str, Any], workflow: Callable[[Mapping[str, Any]], Workflow | None]
) -> Workflow | None:
    """Ask for the workflow, unless its name is wrong: that is reported with all other problems."""
    named = clean_setting({name: default[name] for name in _WORKFLOW if name in default}, Place.DEFAULT_RUN_SETTING)
    if "workflowId" not in named or setting_problems(named, Place.DEFAULT_RUN_SETTING, str):
        return None
    return workflow(named)


def _staged_request(given: BatchSettings, spool: RunSettingsSpool, common: Mapping[str, Any]) -> CheckedRequest:
    """Build the request for settings in S3, at a place named by their content."""
    place = given.staging_s3_uri or _NOWHERE
    uri = f"{place.rstrip('/')}/{spool.digest}.json"
    runs = min(max(spool.total_runs, 1), MAX_RUNS_IN_BATCH)
    return build_start_run_batch_request(run_settings_s3_uri=uri, total_runs=runs, **common)


def read_list(run_settings: Iterable[Any], rules: RunSettingRules, spool: RunSettingsSpool) -> None:
    """Check run settings, and write them to a spool.

    :param run_settings: one dict a run.
    :param rules: of the request's ``defaultRunSetting``.
    :param spool: takes them.
    :raises SettingsError: some are not right; the first problems.
    """
    problems: list[Problem] = []
    positions: dict[str, int] = {}
    for index, setting in enumerate(run_settings):
        problems += check_run_setting(setting, index, rules, positions)
        if len(problems) >= MAX_PROBLEMS:
            break
        if not problems:
            spool.add(clean_setting(setting, Place.PER_RUN))
    if problems:
        raise SettingsError(problems[:MAX_PROBLEMS])


def _size_problems(given: BatchSettings, total: int, size: int, most: int) -> Iterator[Problem]:
    source = "sample_sheet" if given.sample_sheet is not None else "run_settings"
    # A sheet is not read on.
    shown = f"more than {most:,} runs" if given.sample_sheet is not None and total > most else f"{total:,} runs"
    if given.max_runs is not None and total > given.max_runs:
        yield Problem(source, shown, f"at most {given.max_runs:,}, as max_runs says")
    if total > MAX_RUNS_IN_BATCH or size > MAX_FILE_BYTES:
        allowed = f"at most {MAX_RUNS_IN_BATCH:,} runs and 6 GB in one batch: split it, by sheet or with where"
        yield Problem(source, f"{shown}, {size:,} bytes", allowed)
    if total > MAX_INLINE_SETTINGS and not given.staging_s3_uri:
        allowed = (
            f"at most {MAX_INLINE_SETTINGS} runs without a staging place: set staging_s3_uri, here or in the connection"
        )
        yield Problem(source, shown, allowed)


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
        store: S3Store,
        log: Any,
        *,
        most: int = MAX_RUNS_IN_BATCH,
    ) -> None:
        """Read all rows, as long as there are not too many.

        :param spool: takes the runs' settings, kept columns and own sheets.
        :param rules: of the batch's defaults, for each run.
        :param template: the workflow's ``parameterTemplate``, which the merged parameters must fit; None: not compared.
        :param store: reads a sheet that lies in S3.
        :param log: the task's logger.
        :param most: the runs that may be made; reading ends with one more. Default: as many as a batch may have.
        :raises SettingsError: with all problems (the first 50).
        :raises ServiceError: S3 refused.
        """
        from airflow_provider_omics.sheets.read import open_runs  # 20 ms, which only a batch with a sheet takes

        uris: dict[str, str] = {}

        def input_sheet_uri(run_setting_id: str, text: str) -> str:
            uris[run_setting_id] = self._input_sheet_uri(run_setting_id, text)
            return uris[run_setting_id]

        digest = hashlib.sha256()
        with open_runs(
            self._sheet,
            store=store,
            rules=rules,
            template=template,
            input_sheet_uri=input_sheet_uri,
            max_runs=most,
            digest=digest,
        ) as runs:
            for run in runs:
                spool.add(clean_setting(run.setting, Place.PER_RUN))
                if run.kept:
                    bad = {column: why for column, cell in run.kept.items() if (why := unfit(cell))}
                    for column, why in bad.items():
                        log.warning(
                            "Line %d: column %s is not kept, as its value is %s", run.line, visible(column), why
                        )
                    spool.keep_row({**run.kept, **dict.fromkeys(bad)})
                if run.input_sheet is not None:
                    spool.add_input_sheet(uris.pop(run.setting["runSettingId"]), run.input_sheet)
            log.info("%s", runs.summary)
            for warning in runs.warnings:
                log.warning("%s", warning.masked())
        spool.sheet = {"path": self._sheet.path, "sha256": digest.hexdigest()}

    def _input_sheet_uri(self, run_setting_id: str, text: str) -> str:
        # Named by its content: unchanged rows have the same parameter on every try.
        digest = hashlib.sha256(text.encode()).hexdigest()[:16]
        name = re.sub(r"[^A-Za-z0-9_.\-]", "_", run_setting_id)
        return f"{(self._staging_s3_uri or '').rstrip('/')}/input-sheets/{name}-{digest}.csv"


def read_object(uri: str, default: Mapping[str, Any], store: S3Store, model: ReadModel) -> RunSettingsSpool:
    """Read the run settings of an S3 object of the user's, which is done for a rerun only.

    :param uri: the object, a JSON array.
    :param default: the request's ``defaultRunSetting``.
    :param store: reads it.
    :param model: reads the model of the installed boto3, which may have to send some of them itself.
    :return: the settings, to be closed by the caller.
    :raises SettingsError: it is something else, or its settings are wrong.
    :raises ServiceError: S3 refused.
    """
    spool = RunSettingsSpool()
    try:
        with open_bytes(uri, store) as stream:
            read_list(json_array(stream, uri), run_setting_rules(default, model=model), spool)
    except BaseException:
        spool.close()
        raise
    return spool


def count_settings(uri: str, store: S3Store, most: int) -> int:
    """Count the run settings of an S3 object of the user's, as far as it matters.

    :param uri: the object, a JSON array.
    :param store: reads it.
    :param most: where counting ends, and reading too.
    :return: their number, ``most`` at most.
    :raises SettingsError: it is something else.
    :raises ServiceError: S3 refused.
    """
    with open_bytes(uri, store) as stream:
        return sum(1 for _ in islice(json_array(stream, uri), most))


def read_ids(uri: str, store: S3Store) -> list[str]:
    """Read the ``runSettingId``s of an S3 object of the user's.

    :param uri: the object, a JSON array.
    :param store: reads it.
    :return: those that are texts; HealthOmics refuses the rest.
    :raises SettingsError: it is something else.
    :raises ServiceError: S3 refused.
    """
    with open_bytes(uri, store) as stream:
        ids = (item.get("runSettingId") for item in json_array(stream, uri) if isinstance(item, Mapping))
        return [name for name in ids if isinstance(name, str)]
