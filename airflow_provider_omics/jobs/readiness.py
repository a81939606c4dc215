"""The look before the first run, shared by the command ``check`` and by its operator."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

from airflow.providers.common.compat.sdk import AirflowException

from airflow_provider_omics.core import findings
from airflow_provider_omics.core.errors import OmicsError, Problem, SettingsError
from airflow_provider_omics.core.findings import Finding, Level, PlaceFacts
from airflow_provider_omics.core.settings.checks import run_setting_rules
from airflow_provider_omics.core.settings.connection import KINDS, ConnectionDefaults, misplaced_keys
from airflow_provider_omics.core.settings.requests import merge_settings
from airflow_provider_omics.core.sheet.sample_sheet import SampleSheet
from airflow_provider_omics.core.uris import is_s3_uri
from airflow_provider_omics.hooks.account import Account
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.s3 import S3Place, S3Store
from airflow_provider_omics.sheets.read import open_runs

T = TypeVar("T")

_STAGED = "s3://staging-s3-uri/{}.csv"
"""Stands for the URI of a run's own sheet, which exists only once a batch is started."""


@dataclass(frozen=True)
class Wanted:
    """The settings of the runs to come; None: those of the connection.

    :param workflow_id: the workflow; None: none is looked up.
    :param workflow_type: ``PRIVATE`` or ``READY2RUN``.
    :param workflow_owner_id: account of the owner of a shared workflow.
    :param workflow_version_name: version of the workflow.
    :param role_arn: service role of the runs.
    :param output_uri: place of the outputs.
    :param staging_s3_uri: place of staged settings.
    :param results_s3_uri: place of results.
    :param sample_sheet: a sheet whose rows are checked; a path, a mapping or a SampleSheet.
    :param write: whether an object is written to each place, and deleted.
    """

    workflow_id: Any = None
    workflow_type: str | None = None
    workflow_owner_id: Any = None
    workflow_version_name: Any = None
    role_arn: str | None = None
    output_uri: str | None = None
    staging_s3_uri: str | None = None
    results_s3_uri: str | None = None
    sample_sheet: Any = None
    write: bool = False


class Readiness:
    """Looks at all that a first run needs, as the identity that asks.

    :param hook: makes the calls.
    :param wanted: the settings of the runs to come.
    """

    def __init__(self, hook: OmicsHook, wanted: Wanted) -> None:
        self._hook = hook
        self._account = Account(hook)
        self._wanted = wanted
        self._defaults = ConnectionDefaults()

    def findings(self) -> Iterator[Finding]:
        """Look, and yield a finding for each subject. Nothing is started; an object is written only with ``write``."""
        try:
            self._hook.prepare_for_threads(1)  # no repeats: a look that fails is a finding
            yield self._connection()
            extra = self._hook.conn_config.extra_config
            misplaced = misplaced_keys(extra, KINDS, str(self._hook.aws_conn_id))
            if misplaced is not None:
                yield Finding("connection", Level.WARNING, misplaced, "move them there")
            self._defaults = self._hook.defaults
        except SettingsError as error:
            yield from findings.problems("connection", error)
            return
        except (OmicsError, AirflowException) as error:
            yield findings.refused("connection", error)
            return
        region = self._region()
        yield region
        if region.level is Level.ERROR:
            return
        yield from self._caller()
        yield from self._places(write=self._wanted.write)
        yield from self._workflow()

    @property
    def _is_local(self) -> bool:
        return bool(self._hook.conn_config.endpoint_url)

    def _source(self, own: Any) -> str:
        return "as given" if own else f"default of {self._defaults.connection}"

    def _connection(self) -> Finding:
        hook, name = self._hook, str(self._hook.aws_conn_id or "")
        variable = f"AIRFLOW_CONN_{name.upper()}"
        source = f"the environment ({variable})" if variable in os.environ else "Airflow's database or secrets backend"
        config = hook.conn_config
        credentials = asked(self._account.credentials)
        if config.aws_access_key_id:
            method = "an access key of the connection"
        else:
            method = str(credentials or "none") if not isinstance(credentials, Exception) else str(credentials)
        if config.role_arn:
            method += f", which assumes {config.role_arn}"
        shown = findings.masked(config.extra_config)
        is_found = not hook.misses_connection
        return findings.connection(name, source, found=is_found, credentials=method, settings=shown)

    def _region(self) -> Finding:
        name = asked(self._account.region)
        if isinstance(name, Exception):
            return findings.refused("region", name)
        source = "as given, or of the connection" if self._hook.region_name else "of the machine"
        is_local = self._is_local or "endpoint_url" in self._hook.service_config
        return findings.region(name, source, self._account.regions(), is_local=is_local)

    def _caller(self) -> Iterator[Finding]:
        caller = asked(self._account.caller)
        if isinstance(caller, Exception):
            yield findings.refused("caller", caller)
        else:
            yield Finding("caller", Level.OK, caller)
        listed = asked(lambda: next(iter(self._hook.list_runs()), None))
        if isinstance(listed, Exception):
            yield findings.refused("service", listed)
        else:
            yield Finding("service", Level.OK, f"HealthOmics answers at {self._hook.conn.meta.endpoint_url}")
        default = self._defaults.default_run_setting
        own = self._wanted.role_arn
        role_arn = own or default.get("roleArn")
        if not role_arn or self._is_local:
            yield findings.role(role_arn, self._source(own), None)
            return
        yield findings.role(role_arn, self._source(own), asked(lambda: self._account.role(role_arn)))
        if not isinstance(caller, Exception):
            yield findings.pass_role(role_arn, asked(lambda: self._account.may_pass(caller, role_arn)))

    def _places(self, *, write: bool) -> Iterator[Finding]:
        wanted, defaults = self._wanted, self._defaults
        places = (
            ("output_uri", wanted.output_uri, defaults.default_run_setting.get("outputUri"), None, False),
            ("staging_s3_uri", wanted.staging_s3_uri, defaults.staging_s3_uri, defaults.staging_kms_key_id, True),
            ("results_s3_uri", wanted.results_s3_uri, defaults.results_s3_uri, defaults.results_kms_key_id, True),
        )
        for argument, own, default, key, by_caller in places:
            uri, source = own or default, self._source(own)
            if not uri:
                level = Level.OK if by_caller else Level.WARNING
                mend = (
                    "" if by_caller else "output_uri of the task, or default_run_setting['outputUri'] of the connection"
                )
                yield Finding(argument, level, "not set", mend)
            elif not is_s3_uri(str(uri)):
                yield Finding(argument, Level.ERROR, f"{uri!r} ({source})", "s3://bucket/prefix/")
            else:
                facts = self._look_at(S3Place(str(uri), key), write=write and by_caller)
                region = self._hook.conn_region_name
                yield findings.place(argument, str(uri), source, facts, region, by_caller=by_caller)

    def _look_at(self, place: S3Place, *, write: bool) -> PlaceFacts:
        store = S3Store(self._hook)
        region = asked(lambda: store.bucket_region(place.uri))
        if isinstance(region, Exception):
            return PlaceFacts(error=region)
        if not write:
            return PlaceFacts(region)
        uri = f"{place.uri.rstrip('/')}/airflow-provider-omics-check-{uuid.uuid4().hex}"
        written = asked(lambda: store.put(S3Place(uri, place.kms_key_id), b""))
        if isinstance(written, Exception):
            return PlaceFacts(region, write_error=written)
        deleted = asked(lambda: store.delete(uri))
        return PlaceFacts(region, write_error=deleted if isinstance(deleted, Exception) else None, was_written=True)

    def _workflow(self) -> Iterator[Finding]:
        wanted = self._wanted
        default = merge_settings(
            self._defaults.default_run_setting,
            {
                "workflowId": _text(wanted.workflow_id),
                "workflowType": wanted.workflow_type or None,
                "workflowOwnerId": _text(wanted.workflow_owner_id),
                "workflowVersionName": _text(wanted.workflow_version_name),
                "roleArn": wanted.role_arn or None,
                "outputUri": wanted.output_uri or None,
            },
        )
        template = None
        if "workflowId" in default:
            answer = asked(lambda: self._get_workflow(default))
            version = default.get("workflowVersionName")
            name = f"{default['workflowId']} version {version}" if version else str(default["workflowId"])
            yield findings.workflow(name, answer)
            template = None if isinstance(answer, Exception) else answer.get("parameterTemplate")
        else:
            yield Finding("workflow", Level.OK, "none was named: none was looked up")
        if wanted.sample_sheet not in (None, ""):
            yield from self._sheet(default, template)

    def _get_workflow(self, setting: Mapping[str, Any]) -> Mapping[str, Any]:
        whose = {"workflow_type": setting.get("workflowType"), "workflow_owner_id": setting.get("workflowOwnerId")}
        if version := setting.get("workflowVersionName"):
            answer: Any = self._hook.get_workflow_version(setting["workflowId"], version, **whose)
        else:
            answer = self._hook.get_workflow(setting["workflowId"], **whose)
        found: Mapping[str, Any] = answer
        return found

    def _sheet(self, default: Mapping[str, Any], template: Any) -> Iterator[Finding]:
        try:
            sheet = SampleSheet.from_mapping(self._wanted.sample_sheet)
            rules = run_setting_rules(default, self._defaults.require_settings)
            store = S3Store(self._hook)
            with open_runs(sheet, store=store, rules=rules, template=template, input_sheet_uri=_STAGED.format) as runs:
                count = sum(1 for _ in runs)
                summary = runs.summary
        except SettingsError as error:
            told = error.masked() if self._defaults.mask_parameters else error
            yield from findings.problems("sample_sheet", told)
        except OmicsError as error:
            yield findings.refused("sample_sheet", error)
        else:
            against = "and fits the workflow" if template else "and was compared with no workflow"
            yield Finding("sample_sheet", Level.OK, f"{count:,} runs, {against}; {summary}")


def asked(call: Callable[[], T]) -> T | OmicsError | AirflowException:
    """Make a call whose refusal is an answer too.

    :param call: the call.
    :return: its answer, or its error.
    """
    try:
        return call()
    except (
        OmicsError,
        AirflowException,
    ) as error:  # the Amazon provider raises the latter for a session it cannot make
        return error


def _text(value: Any) -> str | None:
    return None if value in (None, "", "None") else str(value)


def check_readiness(arguments: Mapping[str, Any], hook: OmicsHook, log: Any) -> list[dict[str, str]]:
    """Look, and show each finding in the log.

    :param arguments: those of :class:`Wanted`.
    :param hook: makes the calls.
    :param log: the task's logger.
    :return: the findings as JSON.
    :raises SettingsError: a finding is an error; all of them.
    """
    found = []
    for finding in Readiness(hook, Wanted(**arguments)).findings():
        say = {Level.OK: log.info, Level.WARNING: log.warning, Level.ERROR: log.error}[finding.level]
        say("%s", finding)
        found.append(finding)
    errors = [finding for finding in found if finding.level is Level.ERROR]
    if errors:
        raise SettingsError([Problem(error.subject, error.text, error.mend or "see above") for error in errors])
    return [finding.to_json() for finding in found]
