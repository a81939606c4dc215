"""A batch ends in waves: its file is read between them, a worker dies in a collection, a user clears in another."""

from __future__ import annotations

import os
import signal
from collections import Counter

from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.results import read_batch_results
from tests.e2e.deployment import CLEARS_THE_RUNNING, RETRIES_THE_KILLED
from tests.e2e.emulators import BUCKET, WAVE, SteppedEmulator
from tests.e2e.stage import Script, Stage, Task

URI = f"s3://{BUCKET}/results/waves.jsonl.gz"
SAMPLES = ["A1", "A2", "B1", "B2", "C1", "C2"]


class Reader:
    """Somebody outside of Airflow who reads the results file, again and again.

    :param emulator: whose runs the file tells of.
    """

    def __init__(self, emulator: SteppedEmulator) -> None:
        self._emulator = emulator
        self._hook = OmicsHook(aws_conn_id="omics_waves")

    def look(self) -> dict[str, str]:
        """Read the file, and see that all it tells has come true.

        :return: sample -> status.
        """
        if not self._emulator.has_object(URI):
            return {}
        records = list(read_batch_results(URI, hook=self._hook))
        ends = {run["uuid"]: run["status"] for run in self._emulator.started() if run["kind"] == "run"}
        assert all(record.status.value == ends[record.run_uuid] for record in records), (records, ends)
        found = {record.run_setting_id: record.status.value for record in records}
        assert len(found) == len(records), records
        return found

    def has(self, *waves: str) -> bool:
        """Whether the file has these waves and no other sample, and tells whoever asks that the rest goes on."""
        found = self.look()
        if set(found) != {sample for sample in SAMPLES if sample.startswith(waves)}:
            return False
        all_samples = read_batch_results(URI, hook=self._hook, unfinished=True)
        rest = {record.run_setting_id: record.status.value for record in all_samples} | found
        return rest == dict.fromkeys(SAMPLES, "RUNNING") | dict.fromkeys(found, "COMPLETED")


def disturb(task: Task, emulator: SteppedEmulator, stage: Stage) -> Script:
    """Let a batch end in waves; kill the worker in the second collection, clear the task in the third, or before it."""
    reader = Reader(emulator)

    def is_at_work() -> bool:
        emulator.advance(1)
        return [run["status"] for run in task.members].count("RUNNING") == len(SAMPLES)

    def rests(processes: int) -> bool:
        return task.state == "deferred" and stage.reports(task) >= processes

    def is_collecting() -> bool:
        reader.look()
        return task.state == "running" and emulator.holds()

    def is_cancelled() -> bool:
        reader.look()
        return task.statuses[0] not in ("CREATING", "PENDING", "INPROGRESS")

    def is_at_work_again() -> bool:
        reader.look()
        emulator.advance(1)
        return task.statuses[1:] == ["INPROGRESS"] and rests(processes)

    yield is_at_work
    yield lambda: rests(1)
    emulator.advance(WAVE)
    yield lambda: reader.has("A")
    yield lambda: rests(2)
    processes = 3
    if RETRIES_THE_KILLED:
        emulator.hold("GetRun")
        emulator.advance(WAVE)
        yield is_collecting
        os.kill(task.pid, signal.SIGKILL)
        task.notes["at the kill"] = reader.look()
        emulator.let_go()
        processes = 5
    else:
        emulator.advance(WAVE)
    yield lambda: reader.has("A", "B")
    task.notes["second wave"] = task.statuses
    yield lambda: rests(processes)
    if CLEARS_THE_RUNNING:
        emulator.hold("GetRun")
        emulator.advance(WAVE)
        yield is_collecting
        processes += 1
    else:
        emulator.advance(WAVE)
    stage.client.clear(task.dag_id, task.run_id, task.name)
    yield is_cancelled
    emulator.let_go()
    processes += 1
    yield is_at_work_again
    emulator.advance(WAVE)
    yield lambda: task.state == "success"
    task.notes["end"] = reader.look()


def direct(stage: Stage) -> None:
    """Say what is done to the task of this module."""
    emulator = stage.stepped
    assert emulator is not None
    stage.trigger("waves")
    task = stage.task("waves", "batch_of_waves")
    stage.add(disturb(task, emulator, stage), task)


def test_each_sample_is_there_once_whatever_happens_between_the_waves(stage: Stage) -> None:
    """The file grows by each wave and is never half; only what a clear stops is started again."""
    task = stage.task("waves", "batch_of_waves")
    assert task.stuck is None
    assert task.state == "success"
    if RETRIES_THE_KILLED:
        assert task.notes["at the kill"] == dict.fromkeys(["A1", "A2"], "COMPLETED")
    assert task.notes["second wave"] == ["INPROGRESS"]
    assert task.notes["end"] == dict.fromkeys(SAMPLES, "COMPLETED")
    assert Counter(run["runSettingId"] for run in task.members) == Counter([*SAMPLES, "C2"])
    assert set(task.cancelled) == {task.started[0]["id"], task.members[SAMPLES.index("C2")]["id"]}
    assert task.tries >= 2 + RETRIES_THE_KILLED
    counts = {name: task.result[name] for name in ("succeeded", "total_runs", "completed_runs", "carried_forward")}
    assert counts == {"succeeded": True, "total_runs": 6, "completed_runs": 6, "carried_forward": 5}
    logs = "".join(log.read_text() for log in task.logs.glob("attempt=*.log"))
    assert "2 of 6 samples have ended (33 %)" in logs
