"""Outputs of runs: what they would have left in S3, written when somebody looks."""

from __future__ import annotations

import json

from airflow_provider_omics.emulator import logs, statuses
from airflow_provider_omics.emulator.region import Region
from airflow_provider_omics.emulator.store import Run


def write_outputs(region: Region, bucket: str | None = None, key_prefix: str = "") -> None:
    """
    Write the outputs of the runs that have ended since the last time.

    :param region: Whose runs.
    :param bucket: Only those to this bucket; None for all.
    :param key_prefix: Only runs with keys that begin so, or that this begins with.
    """
    for name in list(region.unwritten) if bucket is None else [bucket]:
        waiting = []
        for run in region.unwritten.pop(name, ()):
            folder = _folder(run)
            if folder.startswith(key_prefix) or key_prefix.startswith(folder):
                for key, body in output_objects(run).items():
                    region.surroundings.put_object(region.account, region.name, name, key, body)
            else:
                waiting.append(run)
        if waiting:
            region.unwritten[name] = waiting


def output_objects(run: Run) -> dict[str, bytes]:
    """
    Make the objects that a run leaves that has ended and was not cancelled.

    :param run: The run.
    :return: Key -> body. The engine log always; a completed run adds a result and, for WDL and CWL, the summary
        ``logs/outputs.json`` (User Guide, "Run outputs").
    """
    folder = _folder(run)
    objects = {f"{folder}logs/engine.log": logs.engine_log(run).encode()}
    if run.outcome == statuses.COMPLETED:
        result = f"{folder}out/results.json"
        told = {"run": run.id, "name": run.name, "workflow": run.workflow.name, "parameters": run.parameters}
        objects[result] = json.dumps(told).encode()
        if run.workflow.engine != "NEXTFLOW":
            bucket = run.output_uri.removeprefix("s3://").split("/", 1)[0]
            name = "results" if run.workflow.engine == "CWL" else f"{run.workflow.name}.results"
            objects[f"{folder}logs/outputs.json"] = json.dumps({name: f"s3://{bucket}/{result}"}).encode()
    return objects


def _folder(run: Run) -> str:
    folder = run.run_output_uri.removeprefix("s3://").partition("/")[2]
    return f"{folder}/" if folder else ""
