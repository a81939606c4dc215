"""By which KMS key each object is encrypted that the operator that starts a batch writes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.airflow_support import BUCKET, samples
from tests.operators.reruns import MANY, TRANSIENT, fails, put_settings, script

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect
    from tests.operators.tries import NewTask

pytestmark = pytest.mark.usefixtures("looks_seldom")

KEYS = {"staging_kms_key_id": "alias/staging", "results_kms_key_id": "alias/results"}
PREFIX = f"s3://{BUCKET}/staging/"
ROOT = f"s3://{BUCKET}"
RESULTS = f"s3://{BUCKET}/results/"

SETTINGS, RECORD, SAMPLES, FILE = "/run-settings/", "airflow-attempts/", ".samples.jsonl.gz", ".jsonl.gz"
LEDGER = ("/attempts/", ".json.gz")


def kinds_of(emulator: OmicsEmulator) -> dict[str, set[str | None]]:
    """Give the keys of all that was written, by what it is."""
    s3 = emulator.client("s3")
    found: dict[str, set[str | None]] = {}
    for item in s3.list_objects_v2(Bucket=BUCKET)["Contents"]:
        name = f"/{item['Key']}"
        kind = next((kind for kind in (SETTINGS, RECORD, SAMPLES, FILE, *LEDGER) if kind in name), None)
        if kind is not None:
            found.setdefault(kind, set()).add(s3.head_object(Bucket=BUCKET, Key=item["Key"]).get("SSEKMSKeyId"))
    return found


OF_RESULTS: dict[str, set[str | None]] = {kind: {"alias/results"} for kind in (SAMPLES, FILE, *LEDGER)}
BOTH = {SETTINGS: {"alias/staging"}, RECORD: {"alias/staging"}, **OF_RESULTS}
STAGING_ALONE = {SETTINGS: {"alias/staging"}, RECORD: {"alias/staging"}, SAMPLES: {"alias/staging"}}


@pytest.mark.parametrize(
    ("omics", "arguments", "expected"),
    [
        pytest.param({**KEYS, "staging_s3_uri": PREFIX, "results_s3_uri": RESULTS}, {}, BOTH, id="connection's places"),
        pytest.param(KEYS, {"staging_s3_uri": PREFIX, "results_s3_uri": RESULTS}, BOTH, id="task's places"),
        pytest.param({**KEYS, "staging_s3_uri": ROOT}, {"results_s3_uri": RESULTS}, BOTH, id="staging at the root"),
        pytest.param({**KEYS, "staging_s3_uri": PREFIX}, {"results_s3_uri": PREFIX}, BOTH, id="results below staging"),
        pytest.param({**KEYS, "staging_s3_uri": PREFIX}, {}, STAGING_ALONE, id="connection's staging alone"),
        pytest.param(KEYS, {"staging_s3_uri": PREFIX}, STAGING_ALONE, id="task's staging alone"),
        pytest.param(KEYS, {"staging_s3_uri": f"{ROOT}/"}, STAGING_ALONE, id="task's staging alone, at the root"),
        pytest.param(
            {"results_kms_key_id": "alias/results"},
            {"staging_s3_uri": PREFIX, "results_s3_uri": RESULTS},
            {SETTINGS: {None}, RECORD: {None}, **OF_RESULTS},
            id="results' key alone",
        ),
    ],
)
def test_key_is_that_of_the_place(
    emulator: OmicsEmulator,
    connect: Connect,
    new_task: NewTask,
    omics: dict[str, str],
    arguments: dict[str, str],
    expected: dict[str, set[str | None]],
) -> None:
    """The staging key for all in the staging place, the results' for all in theirs, whoever names the places."""
    connect(omics)
    task = new_task("batch", store="none")
    script(task, limits={"submissions_per_second": 100})

    ended = task.try_(run_settings=samples(*MANY), keep_staging=True, **arguments)

    assert ended.error is None
    assert kinds_of(emulator) == expected


@pytest.mark.parametrize("omics", [KEYS, {"results_kms_key_id": "alias/results"}], ids=["both keys", "results' key"])
def test_what_is_kept_beside_the_results_has_their_key(
    emulator: OmicsEmulator, connect: Connect, new_task: NewTask, omics: dict[str, str]
) -> None:
    """Without a staging place the settings of a rerun and the record are kept beside the results."""
    connect(omics)
    task = new_task("batch", store="none")
    script(task, fails(TRANSIENT, *MANY[:101]), limits={"submissions_per_second": 100})
    arguments: dict[str, Any] = {**put_settings(emulator, *MANY), "results_s3_uri": RESULTS, "keep_staging": True}
    assert task.try_(**arguments).error is not None
    script(task, limits={"submissions_per_second": 100})

    assert task.try_().error is None

    assert kinds_of(emulator) == {SETTINGS: {"alias/results"}, RECORD: {"alias/results"}, **OF_RESULTS}
