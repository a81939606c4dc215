"""README is true of sample sheets as well: its mappings map, its DAG runs, its error is what is told."""

from __future__ import annotations

import json
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.sheets import run_settings_from_sheet

if TYPE_CHECKING:
    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.conftest import RunDag

ROOT = Path(__file__).parents[2]
(SECTION,) = re.findall(r"^## Sample sheets\n(.*?)^## ", (ROOT / "README.md").read_text(), re.MULTILINE | re.DOTALL)
(CODE,) = re.findall(r"^```python\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)
(TOLD,) = re.findall(r"^```text\n(.*?)^```$", SECTION, re.MULTILINE | re.DOTALL)

pytestmark = pytest.mark.xdist_group("airflow_db")


@pytest.fixture
def dag_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The DAG of README as a file, in a folder with the sheets that it names."""
    monkeypatch.chdir(tmp_path)
    shutil.copyfile(ROOT / "example_dags" / "data" / "lanes.csv", "lanes.csv")
    shutil.copyfile(ROOT / "tests" / "data" / "tumour_normal.csv", "tumour_normal.csv")
    path = tmp_path / "cohort.py"
    path.write_text(CODE)
    return path


def test_mappings(dag_file: Path) -> None:
    """Lanes become lists, tumour and normal are told apart, and a workflow gets a sheet of its own."""
    names = runpy.run_path(str(dag_file))

    lanes = {setting["runSettingId"]: setting for setting in run_settings_from_sheet(names["lanes"])}
    somatic = {setting["runSettingId"]: setting["parameters"] for setting in run_settings_from_sheet(names["somatic"])}
    given: dict[str, str] = {}

    def uri(run_setting_id: str, text: str) -> str:
        given[run_setting_id] = text
        return f"s3://staging/{run_setting_id}.csv"

    nf_core = run_settings_from_sheet(names["nf_core"], input_sheet_uri=uri)

    assert [lane["rg"] for lane in lanes["WT_REP1"]["parameters"]["lanes"]] == ["L001", "L002"]
    assert somatic["P001"]["tumour"].endswith("P001_tumour.bam")
    assert [patient for patient, parameters in somatic.items() if "normal" not in parameters] == ["P002"]
    assert nf_core[0]["parameters"] == {"genome": "GRCh38", "input": "s3://staging/WT_REP1.csv"}
    assert given["WT_REP1"].splitlines()[0] == "sample,condition,lane,fastq_1,fastq_2"


def test_dag(
    omics_emulator_scaled: OmicsEmulator,
    omics_connection_scaled: dict[str, Any],
    run_dag: RunDag,
    dag_file: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The DAG starts a batch of each sheet whose inputs are there, and none of the one whose inputs are missing."""
    setting = {"roleArn": "arn:aws:iam::123456789012:role/omics-service", "outputUri": "s3://omics-results/"}
    connection = {**omics_connection_scaled}
    connection["extra"] = {**connection["extra"], "service_config": {"omics": {"default_run_setting": setting}}}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps(connection))
    at_once = {"pending": 0, "starting": 0, "running": 0, "stopping": 0}
    omics_emulator_scaled.set_scenario({"runs": [at_once], "batches": [{"creating": 0, "pending": 0}]})
    s3 = omics_emulator_scaled.client("s3")
    for bucket in ("omics-inputs", "omics-results"):
        s3.create_bucket(Bucket=bucket)
    for uri in set(re.findall(r"s3://omics-inputs/(\S+?)[,\n]", Path("lanes.csv").read_text())):
        s3.put_object(Bucket="omics-inputs", Key=uri, Body=b"reads")

    dag = runpy.run_path(str(dag_file))["dag"]
    dag.get_task("cohort").partial_kwargs["poll_interval"] = 0.1

    outcome = run_dag(dag)

    assert outcome.task_states == {"cohort[0]": "success", "cohort[1]": "failed", "cohort[2]": "success"}
    sheets = s3.list_objects_v2(Bucket="omics-results", Prefix="staging/input-sheets/")
    assert sheets["KeyCount"] == 3


def test_error(tmp_path: Path) -> None:
    """The command tells what README shows."""
    rows = ["NA12878,s3://reads/1.cram,30", "NA12891,s3://reads/2.cram,30", "NA12878,s3://reads/3.cram,thirty"]
    (tmp_path / "samples.csv").write_text("\n".join(["sample,reads,depth", *rows, ",s3://reads/4.cram,30"]))
    parameters = {"cram": "{reads}", "depth": "{depth}", "bed": "{panel}"}
    mapping = {"run_setting_id": "{sample}", "types": {"depth": "int"}, "parameters": parameters}
    (tmp_path / "mapping.json").write_text(json.dumps(mapping))
    command, _, told = TOLD.partition("\n")

    done = subprocess.run(
        [sys.executable, *command.split()[2:]], cwd=tmp_path, capture_output=True, text=True, check=False
    )

    assert (done.returncode, done.stderr) == (1, told)
