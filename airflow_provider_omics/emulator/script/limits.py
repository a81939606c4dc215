"""Quotas and rates of the emulated account."""

from __future__ import annotations

from dataclasses import dataclass, field


def _at_least(minimum: float) -> dict[str, float]:
    return {"minimum": minimum}


@dataclass(frozen=True)
class Limits:
    """Quotas of one account in one region; defaults are those of the HealthOmics User Guide, "Service quotas".

    :param submissions_per_second: pace at which batches submit their runs (quota "StartRun TPS"); all batches share it;
        default 5.
    :param cancels_per_second: pace at which CancelRunBatch cancels runs (CancelRun TPS); default 10.
    :param deletes_per_second: pace at which DeleteRunBatch deletes runs (DeleteRun TPS); default 10.
    :param concurrent_dynamic_runs: runs with DYNAMIC storage in STARTING, RUNNING or STOPPING; more wait in PENDING;
        default 50.
    :param concurrent_static_runs: the same for STATIC storage; default 10.
    :param stored_runs: runs that GetRun knows, active or not; over it, the oldest finished REMOVE run is dropped, or a
        start is refused with ServiceQuotaExceededException; default 100,000.
    :param runs_per_batch: entries of a settings file; default 100,000.
    :param inline_runs_per_batch: entries of ``inlineSettings``; default 100.
    :param run_duration: seconds in RUNNING after which a run fails with RUN_TIMED_OUT; default 604,800 (7 days).
    :param run_groups: run groups that may exist; default 1,000.
    :param run_caches: run caches that may exist; default 1,000.
    :param workflows: private workflows that may exist; default 1,000.
    :param versions_per_workflow: versions that one workflow may have; default 1,000.
    :param parameter_bytes: size of a run's parameters as JSON; default 256,000.
    :param configurations: configurations that may exist; default 10.
    :param definition_zip_bytes: size of a ``definitionZip``; larger ones come from S3; default 4,400,000.
    :param page_size: most items on a page of a list, whatever ``maxResults`` or ``maxItems`` ask for (AWS: 100);
        default 100.
    :param reuse_run_ids: whether a new run takes the id of a deleted one, as AWS may; its uuid differs; default
        False.
    """

    submissions_per_second: float = field(default=5.0, metadata=_at_least(0.0001))
    cancels_per_second: float = field(default=10.0, metadata=_at_least(0.0001))
    deletes_per_second: float = field(default=10.0, metadata=_at_least(0.0001))
    concurrent_dynamic_runs: int = field(default=50, metadata=_at_least(1))
    concurrent_static_runs: int = field(default=10, metadata=_at_least(1))
    stored_runs: int = field(default=100_000, metadata=_at_least(1))
    runs_per_batch: int = field(default=100_000, metadata=_at_least(1))
    inline_runs_per_batch: int = field(default=100, metadata=_at_least(1))
    run_duration: float = field(default=604_800.0, metadata=_at_least(1))
    run_groups: int = field(default=1_000, metadata=_at_least(0))
    run_caches: int = field(default=1_000, metadata=_at_least(0))
    workflows: int = field(default=1_000, metadata=_at_least(0))
    versions_per_workflow: int = field(default=1_000, metadata=_at_least(0))
    parameter_bytes: int = field(default=256_000, metadata=_at_least(1))
    configurations: int = field(default=10, metadata=_at_least(0))
    definition_zip_bytes: int = field(default=4_400_000, metadata=_at_least(1))
    page_size: int = field(default=100, metadata={"minimum": 1, "maximum": 100})
    reuse_run_ids: bool = False
