"""The expected outputs of the runs of a task."""

from __future__ import annotations

from airflow_provider_omics.core.errors import ServiceError
from airflow_provider_omics.core.failure.causes import OUTPUTS_NOT_READ, OUTPUTS_TOO_MANY
from airflow_provider_omics.core.failure.reasons import OUTPUT_REASONS
from airflow_provider_omics.core.settings.outputs import ExpectedOutputs, OutputSearch
from airflow_provider_omics.core.snapshots import RunSnapshot
from airflow_provider_omics.hooks.repeats import Repeats
from airflow_provider_omics.jobs.owner import Owner
from airflow_provider_omics.results.collect import Pacer
from airflow_provider_omics.results.outputs import PAGES_PER_SECOND, REFUSALS, OutputsFinder, cut_sentence


def outputs_finder(owner: Owner, expected: ExpectedOutputs) -> OutputsFinder:
    """Make what looks for outputs, at an even pace.

    :param owner: the try.
    :param expected: the outputs.
    """
    make = Repeats(owner.hook, owner.log).make
    return OutputsFinder(owner.hook, owner.log, expected, make, Pacer(PAGES_PER_SECOND).wait)


def look_for_outputs(owner: Owner, run: RunSnapshot, expected: ExpectedOutputs) -> OutputSearch:
    """Look for the outputs of a single run that completed.

    :param owner: the try.
    :param run: the run.
    :param expected: its outputs.
    :return: what was found.
    :raises ServiceError: S3 refused, or did not get through; or there is more than is listed, and among that not all.
        Then it is not known, so that another try looks again, and starts nothing.
    """
    if run.run_output_uri is None:
        raise _not_known("NoOutputUri", "HealthOmics returned no output URI for the run", OUTPUTS_NOT_READ)
    try:
        search = outputs_finder(owner, expected).find(run.run_output_uri, run.start_time)
    except REFUSALS as error:
        raise error.with_advice(OUTPUT_REASONS[OUTPUTS_NOT_READ].action) from error
    if search.missing and search.is_cut:
        raise _not_known("TooManyObjects", cut_sentence(search), OUTPUTS_TOO_MANY)
    return search


def _not_known(code: str, reason: str, cause: str) -> ServiceError:
    return ServiceError("ListObjectsV2", code, reason, advice=OUTPUT_REASONS[cause].action)
