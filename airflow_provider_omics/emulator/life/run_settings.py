"""Settings of a run as they take effect: its own, its workflow's, its cache's."""

from __future__ import annotations

from airflow_provider_omics.emulator.life.records import Run
from airflow_provider_omics.emulator.life.region import Region


def storage_capacity(run: Run) -> int | None:
    """Return the storage of a run in GiB; None where none is known.

    :param run: the run.
    """
    if run.storage_type == "DYNAMIC":
        # The most that was used; missing for runs under two hours (User Guide, "Run storage types").
        return 64 if is_measured(run) else None
    asked = run.setting("storageCapacity") or run.workflow.details.get("storageCapacity") or 1200
    # 1,200 GiB or a multiple of 2,400, rounded up.
    return 1200 if asked <= 1200 else -(-int(asked) // 2400) * 2400


def is_measured(run: Run) -> bool:
    """Return whether the service has measured the storage that a run has used: not for DYNAMIC under two hours.

    :param run: the run, ended.
    """
    long = run.started is not None and run.stopped is not None and run.stopped - run.started >= 7200
    return long or run.storage_type == "STATIC"


def cache_behavior(region: Region, run: Run) -> str | None:
    """Return when the tasks of a run are cached: as the run says, else its cache; None without a cache.

    :param region: the region of the run.
    :param run: the run.
    """
    cache = region.caches.get(run.setting("cacheId") or "")
    behavior: str | None = run.setting("cacheBehavior")
    return behavior or (None if cache is None else cache.settings["cacheBehavior"])
