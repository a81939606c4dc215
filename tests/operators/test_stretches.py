"""Batches that are collected while they go: when a task comes back, what it has then, and what it carries on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.emulator import in_process_client
from airflow_provider_omics.operators.run_batch import OmicsStartRunBatchOperator
from airflow_provider_omics.results import read_batch_results
from tests.airflow_support import BUCKET, DEFAULT_RUN_SETTING, perform, samples
from tests.results.batches import rule

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import SteppedTime

URI = f"s3://{BUCKET}/results/cohort.jsonl.gz"
WAVES = {"A*": 3000, "B*": 9000, "C*": 15000}
NAMES = [f"{wave}{number:02d}" for wave in "ABC" for number in range(15)]
ends = pytest.mark.parametrize("deferrable", [False, True], ids=["worker", "triggerer"])


def script(emulator: OmicsEmulator, *more: dict[str, Any], **waves: int) -> None:
    """Let the runs of a wave end together, after so many seconds."""
    rules = [rule(pattern, running=seconds) for pattern, seconds in (waves or WAVES).items()]
    emulator.set_scenario({"runs": [*more, *rules], "limits": {"submissions_per_second": 100}})


def cohort(**arguments: Any) -> OmicsStartRunBatchOperator:
    shared: dict[str, Any] = {
        "task_id": "cohort",
        "default_run_setting": DEFAULT_RUN_SETTING,
        "run_settings": samples(*NAMES),
        "results_s3_uri": URI,
        "collect_every": 1200,
        "poll_interval": 60,
    }
    return OmicsStartRunBatchOperator(**{**shared, **arguments})


def statuses(**options: Any) -> Counter[str]:
    return Counter(record.status.value for record in read_batch_results(URI, **options))


class Seen:
    """What a reader from outside sees whenever something sleeps."""

    def __init__(self, stepped: SteppedTime, emulator: OmicsEmulator) -> None:
        self.found: list[dict[str, int]] = []
        self._s3, self._etags = in_process_client(emulator, "s3"), list[str]()
        stepped.at_sleep = self.look

    def look(self) -> None:
        listed = self._s3.list_objects_v2(Bucket=BUCKET, Prefix="results/cohort.jsonl.gz").get("Contents", ())
        etags = [item["ETag"] for item in listed]
        if etags != self._etags:
            self._etags = etags
            seen = dict(statuses())
            if seen not in self.found:
                self.found.append(seen)


@ends
def test_results_come_in_waves(emulator: OmicsEmulator, stepped: SteppedTime, *, deferrable: bool) -> None:
    """What has ended is in the file while the rest goes on; each run is read once, and at the end the last is left."""
    script(emulator)
    seen = Seen(stepped, emulator)

    ended = perform(cohort(deferrable=deferrable))

    assert ended.error is None
    seen.look()
    assert seen.found == [{"COMPLETED": 15}, {"COMPLETED": 30}, {"COMPLETED": 45}]
    assert emulator.calls.by_operation()["GetRun"] == 45
    assert [record.run_setting_id for record in read_batch_results(URI)] == NAMES


def test_unfinished_on_request(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """Who asks for them gets the samples that go on, with what they were when the file was last written."""
    script(emulator)
    found: list[tuple[dict[str, int], dict[str, int]]] = []

    def look() -> None:
        listed = in_process_client(emulator, "s3").list_objects_v2(Bucket=BUCKET, Prefix="results/cohort/")
        if not found and any(".roster." in item["Key"] for item in listed.get("Contents", ())):
            found.append((dict(statuses()), dict(statuses(unfinished=True))))

    stepped.at_sleep = look

    ended = perform(cohort(deferrable=True))

    assert ended.error is None
    assert found == [({"COMPLETED": 15}, {"COMPLETED": 15, "RUNNING": 30})]
    assert statuses(unfinished=True) == {"COMPLETED": 45}


def test_nothing_new_no_stretch(emulator: OmicsEmulator, stepped: SteppedTime) -> None:
    """While nothing ends, the task stays where it waits."""
    script(emulator, **{"*": 15000})

    ended = perform(cohort(deferrable=True))

    assert ended.error is None
    assert len(ended.triggers) == 1
