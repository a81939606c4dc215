"""OpenLineage's view of a run or batch; imported only where its provider is installed.

Names of datasets are those of OpenLineage's naming page for S3: namespace ``s3://bucket``, name the key.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs
from airflow.providers.common.compat.openlineage.facet import Dataset, ExternalQueryRunFacet, RunFacet
from airflow.providers.openlineage.extractors.base import OperatorLineage

from airflow_provider_omics.core.uris import s3_address, s3_uris
from airflow_provider_omics.jobs.owner import Lineage

DATASETS = 100
"""Inputs and outputs that are reported; a batch of 100,000 runs has many more."""


@attrs.define
class HealthOmicsRunFacet(RunFacet):
    """The origin of the outputs: the workflow, to the digest, and the run or batch.

    :param workflowId: id of the workflow.
    :param workflowUuid: its uuid.
    :param workflowVersionName: its version.
    :param workflowDigest: digest of its definition.
    :param engineVersion: version of the workflow engine.
    :param runId: id of the run.
    :param runUuid: its uuid.
    :param batchId: id of the batch.
    :param batchUuid: its uuid.
    :param status: last status.
    """

    workflowId: str | None = None  # noqa: N815 - facets are spelled so
    workflowUuid: str | None = None  # noqa: N815
    workflowVersionName: str | None = None  # noqa: N815
    workflowDigest: str | None = None  # noqa: N815
    engineVersion: str | None = None  # noqa: N815
    runId: str | None = None  # noqa: N815
    runUuid: str | None = None  # noqa: N815
    batchId: str | None = None  # noqa: N815
    batchUuid: str | None = None  # noqa: N815
    status: str | None = None


def lineage_of(lineage: Lineage) -> OperatorLineage[Any, Any]:
    """Convert a lineage to the form of OpenLineage's provider.

    :param lineage: the lineage.
    :return: datasets and run facets.
    """
    result = lineage.facts
    inputs = _distinct(uri for document in lineage.documents for uri in s3_uris(document))
    outputs = _distinct(uri for uri in lineage.outputs if isinstance(uri, str))
    names = [name for name in attrs.fields_dict(HealthOmicsRunFacet) if not name.startswith("_")]
    facts: dict[str, Any] = {name: result.get(_snake_case(name)) for name in names}
    facets: dict[str, Any] = {"healthOmics": HealthOmicsRunFacet(**facts)}
    identity = result.get("run_arn") or result.get("batch_arn")
    if identity:
        facets["externalQuery"] = ExternalQueryRunFacet(externalQueryId=identity, source="healthomics")
    return OperatorLineage(
        inputs=[_dataset(uri) for uri in inputs], outputs=[_dataset(uri) for uri in outputs], run_facets=facets
    )


def _distinct(uris: Iterable[str]) -> Iterable[str]:
    found: dict[str, None] = {}
    for uri in uris:
        found[uri] = None
        if len(found) == DATASETS:
            break
    return found


def _dataset(uri: str) -> Any:
    bucket, key = s3_address(uri)
    return Dataset(namespace=f"s3://{bucket}", name=key.rstrip("/") or "/")


def _snake_case(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)
