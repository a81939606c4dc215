"""What a user gave for the second and later attempts of a batch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from airflow_provider_omics.core.attempt_record import AttemptRecord
from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.core.problems import Problem
from airflow_provider_omics.core.rerunning import checked_on_changed, rerun_setting_problems
from airflow_provider_omics.core.setting_checks import ReadModel, clean_setting
from airflow_provider_omics.core.setting_fields import Place
from airflow_provider_omics.core.settings import merge_settings
from airflow_provider_omics.operators.batch_rerun import EarlierResults

_NOT_SET = (None, "", "None")  # what a template makes of a param that is not given


@dataclass(frozen=True)
class RerunSettings:
    """The arguments of the operator, as they were rendered.

    :param rerun: ``"failed"`` or ``"all"``.
    :param given: ``rerun_setting``.
    :param on_changed: ``"fail"``, ``"rerun"`` or ``"keep"``.
    :param previous_results: a results file, or nothing.
    :param rerun_failed_of: a batch, or nothing.
    """

    rerun: Any
    given: Any
    on_changed: Any
    previous_results: Any
    rerun_failed_of: Any

    def check(self) -> None:
        """Look for problems.

        :raises SettingsError: something is wrong.
        """
        if self.rerun not in ("failed", "all"):
            raise SettingsError([Problem("rerun", repr(self.rerun), "'failed' or 'all'")])
        if self.rerun == "all" and self.earlier:
            argument = "previous_results" if self.earlier.results_uri else "rerun_failed_of"
            raise SettingsError([Problem(argument, "set", "with rerun='failed' only: 'all' looks at nothing")])
        checked_on_changed(self.on_changed)
        if self.given not in _NOT_SET and not isinstance(self.given, Mapping):
            allowed = "a dict, as AWS spells defaultRunSetting (a template that gives one needs native rendering)"
            raise SettingsError([Problem("rerun_setting", type(self.given).__name__, allowed)])

    def check_merged(self, default: Mapping[str, Any], model: ReadModel) -> None:
        """Look for problems of ``rerun_setting``, by itself and in its place.

        :param default: the request's ``defaultRunSetting``.
        :param model: reads the model of the installed boto3.
        :raises SettingsError: there are some.
        """
        problems = rerun_setting_problems(default, self.rerun_setting, model)
        if problems:
            raise SettingsError(problems)

    def check_place(self) -> None:
        """Refuse what needs a place to remember it, where there is none.

        :raises SettingsError: earlier results are named.
        """
        if self.earlier:
            argument = "previous_results" if self.earlier.results_uri else "rerun_failed_of"
            allowed = "needs a place to remember what was chosen: results_s3_uri or staging_s3_uri"
            raise SettingsError([Problem(argument, "set", allowed)])

    @property
    def earlier(self) -> EarlierResults:
        """What the user names as done already."""
        given = (None if value in _NOT_SET else str(value) for value in (self.previous_results, self.rerun_failed_of))
        return EarlierResults(*given)

    @property
    def rerun_setting(self) -> Mapping[str, Any]:
        """What a rerun changes; empty: nothing."""
        return clean_setting(self.given, Place.DEFAULT_RUN_SETTING) if isinstance(self.given, Mapping) else {}

    def changes(self, default: Mapping[str, Any]) -> bool:
        """Tell whether a rerun changes anything.

        :param default: the request's ``defaultRunSetting``.
        """
        return merge_settings(default, self.rerun_setting) != merge_settings(default)

    def merged(self, default: Mapping[str, Any], record: AttemptRecord) -> Mapping[str, Any]:
        """Give the ``defaultRunSetting`` of an attempt.

        :param default: the request's.
        :param record: the attempt; the first one changes nothing, unless earlier results are named.
        """
        is_rerun = record.attempts > 1 or record.chosen
        return merge_settings(default, self.rerun_setting) if is_rerun and self.rerun_setting else default
