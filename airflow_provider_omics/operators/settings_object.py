"""An S3 object of the user's with the run settings of a batch: read for a rerun only, as HealthOmics reads it."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice
from typing import TYPE_CHECKING, Any

from airflow_provider_omics.core.run_setting_checks import run_setting_rules
from airflow_provider_omics.operators.batch_settings import read_list
from airflow_provider_omics.staging import RunSettingsSpool

if TYPE_CHECKING:
    from airflow.providers.amazon.aws.hooks.s3 import S3Hook

    from airflow_provider_omics.core.setting_checks import ReadModel


def read_object(uri: str, default: Mapping[str, Any], s3_hook: S3Hook, model: ReadModel) -> RunSettingsSpool:
    """Read the run settings of an S3 object of the user's, which is done for a rerun only.

    :param uri: the object, a JSON array.
    :param default: the request's ``defaultRunSetting``.
    :param s3_hook: reads it.
    :param model: reads the model of the installed boto3, which may have to send some of them itself.
    :return: the settings, to be closed by the caller.
    :raises SettingsError: it is something else, or its settings are not right.
    :raises ServiceError: S3 refused.
    """
    from airflow_provider_omics.sheets.json_array import json_array  # most DAG files read none
    from airflow_provider_omics.sheets.opening import open_bytes

    spool = RunSettingsSpool()
    try:
        with open_bytes(uri, s3_hook) as stream:
            read_list(json_array(stream, uri), run_setting_rules(default, model=model), spool)
    except BaseException:
        spool.close()
        raise
    return spool


def count_settings(uri: str, s3_hook: S3Hook, most: int) -> int:
    """Count the run settings of an S3 object of the user's, as far as it matters.

    :param uri: the object, a JSON array.
    :param s3_hook: reads it.
    :param most: where counting ends, and reading too.
    :return: their number, ``most`` at most.
    :raises SettingsError: it is something else.
    :raises ServiceError: S3 refused.
    """
    from airflow_provider_omics.sheets.json_array import json_array  # most DAG files read none
    from airflow_provider_omics.sheets.opening import open_bytes

    with open_bytes(uri, s3_hook) as stream:
        return sum(1 for _ in islice(json_array(stream, uri), most))
