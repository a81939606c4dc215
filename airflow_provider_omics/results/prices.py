"""The rates that a task reckons with: a team's own, else those of the AWS Price List, kept for a week.

They are kept in the results place, so that a DAG of 500 tasks asks the Price List once a week and not 500 times a day.
"""

from __future__ import annotations

import io
import json
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

from airflow_provider_omics.core.cost.rates import Rates, rates_from_document, rates_from_price_list
from airflow_provider_omics.core.errors import NotFound, OmicsError, Problem, SettingsError
from airflow_provider_omics.core.uris import is_s3_uri
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.hooks.prices import list_products
from airflow_provider_omics.hooks.s3 import S3Place, S3Store

KEPT = timedelta(days=7)
"""Age from which kept rates are asked for anew."""


def read_rates(hook: OmicsHook, log: Any, place: str | None) -> Rates | None:
    """Read the rates of the hook's Region; a failure is one warning, and no cost is known.

    :param hook: the hook of the runs; its connection's ``prices_uri`` counts before the Price List.
    :param log: the task's logger.
    :param place: folder in which rates are kept: ``s3://bucket/prefix/``; None: they are asked for each time.
    :return: the rates; None: they cannot be had.
    """
    try:
        prices_uri = hook.defaults.prices_uri
        return own_rates(hook, prices_uri) if prices_uri else _listed(hook, log, place)
    except OmicsError as error:
        log.warning("What runs cost is not known, as prices cannot be read: %s", error)
        return None


def own_rates(hook: OmicsHook, uri: str) -> Rates:
    """Read a team's own rates.

    :param hook: the hook whose connection reads S3.
    :param uri: ``prices_uri``: an S3 object, or a file of this machine.
    :return: the rates.
    :raises SettingsError: there is no such file, or it is something else.
    :raises ServiceError: S3 refused, or did not get through.
    """
    try:
        if is_s3_uri(uri):
            with S3Store(hook).get(uri) as found:
                document = json.load(found.stream)
        else:
            document = json.loads(Path(uri).read_bytes())
    except (NotFound, OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(
            [Problem("prices_uri", repr(uri), f"a file with JSON that can be read ({reason})")]
        ) from error
    return rates_from_document(document, uri)


def rates_place(results_uri: str, default: str | None) -> str:
    """Choose the folder in which rates are kept.

    :param results_uri: the task's results file.
    :param default: the connection's ``results_s3_uri``, which all its tasks share; None: not set.
    :return: ``s3://bucket/prefix/``.
    """
    return f"{default.rstrip('/')}/" if default else f"{results_uri.rpartition('/')[0]}/"


def _listed(hook: OmicsHook, log: Any, place: str | None) -> Rates:
    region, today = str(hook.conn_region_name), datetime.now(timezone.utc).date()
    uri = None if place is None else f"{place}healthomics-prices-{region}.json"
    kept = None if uri is None else _kept(hook, uri)
    if kept is not None and _is_fresh(kept, today):
        return kept
    try:
        listed = rates_from_price_list(list_products(hook, region), today.isoformat())
        if not listed.by_region:
            raise SettingsError(
                [Problem("prices", f"none of {region} in the AWS Price List", "prices_uri of your own")]
            )
    except OmicsError as error:
        if kept is None:
            raise
        log.warning("Prices are those of %s, as today's cannot be read: %s", kept.as_of, error)
        return kept
    if uri is not None:
        _keep(hook, log, uri, listed)
    return listed


def _kept(hook: OmicsHook, uri: str) -> Rates | None:
    """Read what is kept; what cannot be read is asked for anew."""
    try:
        with S3Store(hook).get(uri) as found:
            return rates_from_document(json.load(io.BytesIO(found.stream.read())), "AWS Price List")
    except (OmicsError, ValueError, RecursionError):
        return None


def _keep(hook: OmicsHook, log: Any, uri: str, rates: Rates) -> None:
    try:
        body = json.dumps(rates.to_document(), indent=1).encode()
        S3Store(hook).put(S3Place(uri, hook.defaults.results_kms_key_id), body, content_type="application/json")
    except OmicsError as error:
        log.info("Prices are not kept for the next task: %s", error)


def _is_fresh(rates: Rates, today: date) -> bool:
    try:
        return today - date.fromisoformat(rates.as_of or "") < KEPT
    except ValueError:
        return False
