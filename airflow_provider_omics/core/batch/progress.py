"""The progress of a cohort in one sentence, for people who do not look at Airflow: without ids of samples."""

from __future__ import annotations

from collections.abc import Mapping

from airflow_provider_omics.core.failure.causes import read_cause
from airflow_provider_omics.core.failure.reasons import reason_of_end

SHARES = (0.1, 0.5)
"""Shares of failures at which somebody is told."""

SHOWN_CAUSES = 3


def progress_sentence(
    name: str, total: int, failed: int, causes: Mapping[str, int], going: int, report_uri: str | None
) -> str:
    """Write it: ``"cohort42: 500 of 3,000 failed, 488 INPUT_URI_NOT_FOUND (data owner); 1,900 going; s3://..."``.

    :param name: of the task.
    :param total: samples of the cohort.
    :param failed: those that did not complete.
    :param causes: cause -> how many.
    :param going: samples that have not ended.
    :param report_uri: the page; None: there is none.
    """
    shown = sorted(causes.items(), key=lambda item: -item[1])[:SHOWN_CAUSES]
    told = "".join(f", {number:,} {cause} ({_owner(cause)})" for cause, number in shown)
    parts = [f"{name}: {failed:,} of {total:,} failed{told}", f"{going:,} going" if going else "all have ended"]
    return "; ".join([*parts, *([report_uri] if report_uri else [])])


def is_worth_telling(new: Mapping[str, int], causes: Mapping[str, int], total: int) -> bool:
    """Decide whether somebody is told: of a new cause, and when failures have come to a share of the cohort.

    :param new: cause -> how many have come since.
    :param causes: cause -> how many there are, those included.
    :param total: samples of the cohort.
    """
    failed = sum(causes.values())
    before = failed - sum(new.values())
    is_new = any(causes.get(cause, number) <= number for cause, number in new.items())
    return is_new or any(before < share * total <= failed for share in SHARES)


def _owner(cause: str) -> str:
    code, _ = read_cause(cause)
    return reason_of_end("FAILED" if code else cause, code).owner.value
