"""Outputs of runs in S3, written just before somebody reads them."""

from __future__ import annotations

import json
from collections.abc import Iterator

from airflow_provider_omics.emulator import statuses
from airflow_provider_omics.emulator.life import logs
from airflow_provider_omics.emulator.life.records import Run, to_datetime
from airflow_provider_omics.emulator.life.region import Region


def write_outputs(region: Region, bucket: str | None = None, key_prefix: str = "") -> Iterator[None]:
    """Write the outputs of the runs that have ended since the last time, run by run.

    :param region: the region of the runs.
    :param bucket: bucket that is about to be read; None for all.
    :param key_prefix: key, or prefix of the keys, that is about to be read; other runs wait.
    :return: an iterator that writes when it is asked for the next run; whoever asks may let others work in between.
    """
    for name in list(region.unwritten) if bucket is None else [bucket]:
        waiting = []
        for run in region.unwritten.pop(name, ()):
            yield
            folder = _folder(run)
            if folder.startswith(key_prefix) or key_prefix.startswith(folder):
                exported = to_datetime(run.stopped or region.now)
                for key, body in output_objects(run).items():
                    region.surroundings.put_object(region.account, region.name, name, key, body, exported)
            else:
                waiting.append(run)
        if waiting:
            # Others may have ended meanwhile.
            region.unwritten[name] = waiting + region.unwritten.get(name, [])


def output_objects(run: Run) -> dict[str, bytes]:
    """Return the objects that an ended run leaves, unless it was cancelled.

    :param run: the run.
    :return: key -> body. The engine log always; a completed run adds a result, what its rule names, and for WDL and CWL
        the summary ``logs/outputs.json`` (User Guide, "Run outputs").
    """
    folder = _folder(run)
    objects = {f"{folder}logs/engine.log": logs.engine_log(run).encode()}
    if run.outcome == statuses.COMPLETED:
        result = f"{folder}out/results.json"
        summary = {"run": run.id, "name": run.name, "workflow": run.workflow.name, "parameters": run.parameters}
        objects[result] = json.dumps(summary).encode()
        objects |= {f"{folder}{key}": f"{key} of {run.name}\n".encode() for key in run.rule.outputs}
        if run.workflow.engine != "NEXTFLOW":
            bucket = run.output_uri.removeprefix("s3://").split("/", 1)[0]
            name = "results" if run.workflow.engine == "CWL" else f"{run.workflow.name}.results"
            objects[f"{folder}logs/outputs.json"] = json.dumps({name: f"s3://{bucket}/{result}"}).encode()
    return objects


def _folder(run: Run) -> str:
    folder = run.run_output_uri.removeprefix("s3://").partition("/")[2]
    return f"{folder}/" if folder else ""
