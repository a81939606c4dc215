"""The sheets that people really have, as they are: nf-core's, a cohort of 3,202, tumours and normals, trios."""

from __future__ import annotations

from pathlib import Path

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.sheets import each, one, run_settings_from_sheet

DATA = Path(__file__).parent / "data"


def test_rnaseq_sheet() -> None:
    """nf-core/rnaseq: lanes become pairs, null for what single-end samples lack."""
    found = run_settings_from_sheet(
        {
            "path": str(DATA / "nfcore_rnaseq_samplesheet.csv"),
            "run_setting_id": "{sample}",
            "group_by_id": True,
            "parameters": {"strandedness": "{strandedness}", "pairs": each(["{fastq_1}", "{fastq_2}"])},
        }
    )

    base = "https://raw.githubusercontent.com/nf-core/test-datasets/rnaseq/testdata/GSE110004/"
    assert [setting["runSettingId"] for setting in found] == [
        "WT_REP1",
        "WT_REP2",
        "RAP1_UNINDUCED_REP1",
        "RAP1_UNINDUCED_REP2",
        "RAP1_IAA_30M_REP1",
    ]
    assert found[0]["parameters"] == {
        "strandedness": "auto",
        "pairs": [[f"{base}SRR635707{n}_1.fastq.gz", f"{base}SRR635707{n}_2.fastq.gz"] for n in (0, 1)],
    }
    assert found[3]["parameters"]["pairs"] == [[f"{base}SRR635707{n}_1.fastq.gz", None] for n in (4, 5)]


def test_rnaseq_sheet_with_lanes_is_no_plain_sheet() -> None:
    """Without group_by_id the samples of several lanes are named, both lines of each."""
    with pytest.raises(SettingsError) as refused:
        run_settings_from_sheet(str(DATA / "nfcore_rnaseq_samplesheet.csv"))

    assert [problem.argument for problem in refused.value.problems] == [
        "nfcore_rnaseq_samplesheet.csv line 3 column sample",
        "nfcore_rnaseq_samplesheet.csv line 7 column sample",
    ]


def test_methylseq_sheet() -> None:
    """nf-core/methylseq: a plain path is enough; the empty last column is no parameter."""
    found = run_settings_from_sheet(str(DATA / "nfcore_methylseq_full_samplesheet.csv"))

    assert len(found) == 8
    assert found[0]["runSettingId"] == "SRR7961089_GSM3415653_MShef1"
    assert all(setting["parameters"].keys() == {"sample", "fastq_1", "fastq_2"} for setting in found)


def test_nanoseq_sheet() -> None:
    """nf-core/nanoseq: two columns make the id."""
    found = run_settings_from_sheet(
        {
            "path": str(DATA / "nfcore_nanoseq_full_samplesheet.csv"),
            "run_setting_id": "{group}_{replicate}",
            "types": {"replicate": "int"},
            "parameters": {"reads": "{input_file}", "barcode": "{barcode}", "replicate": "{replicate}"},
            "where": {"group": "K562"},
        }
    )

    assert [setting["runSettingId"] for setting in found] == ["K562_1", "K562_2", "K562_3"]
    assert found[2]["parameters"] == {
        "reads": "s3://nf-core-awsmegatests/nanoseq/input_data/SGNex_K562_directcDNA_replicate4_run2.fastq.gz",
        "replicate": 3,
    }


def test_igsr_sheet() -> None:
    """1000 Genomes: 3,202 samples, tab separated, with line ends of Windows, spaces in names, and a quoted list."""
    found = run_settings_from_sheet(
        {
            "path": str(DATA / "igsr_30x_samples.tsv"),
            "run_setting_id": "{Sample name}",
            "parameters": {"cram": "s3://1000genomes/{Population code}/{Sample name}.cram", "of": "{Data collections}"},
            "run_tags": {"superpopulation": "{Superpopulation code}"},
        }
    )

    assert len(found) == len({setting["runSettingId"] for setting in found}) == 3_202
    assert found[0] == {
        "runSettingId": "HG00271",
        "runTags": {"superpopulation": "EUR"},
        "parameters": {
            "cram": "s3://1000genomes/FIN/HG00271.cram",
            "of": "1000 Genomes on GRCh38,1000 Genomes 30x on GRCh38,1000 Genomes phase 3 release,"
            "1000 Genomes phase 1 release,Geuvadis",
        },
    }


TUMOUR_NORMAL = {
    "path": str(DATA / "tumour_normal.csv"),
    "run_setting_id": "{patient}",
    "group_by_id": True,
    "parameters": {
        "sex": "{sex}",
        "tumour": one({"bam": "{bam}", "bai": "{bai}"}, where={"status": "1"}),
        "normal": one("{bam}", where={"status": "0"}, optional=True),
    },
}


def test_tumour_normal_sheet() -> None:
    """Tumour and normal are told apart by a column; a patient without a normal has no such parameter."""
    found = run_settings_from_sheet(TUMOUR_NORMAL)

    bam = "s3://example-cohort/bam/"
    assert [setting["parameters"] for setting in found] == [
        {
            "sex": "XX",
            "tumour": {"bam": f"{bam}P001_tumour.bam", "bai": f"{bam}P001_tumour.bam.bai"},
            "normal": f"{bam}P001_blood.bam",
        },
        {"sex": "XY", "tumour": {"bam": f"{bam}P002_tumour.bam", "bai": f"{bam}P002_tumour.bam.bai"}},
        {"sex": "XX", "tumour": {"bam": f"{bam}P003_tumour.bam"}, "normal": f"{bam}P003_blood.bam"},
    ]


def test_trio_sheet() -> None:
    """Child, father and mother stand in any order, families may mix, and a missing father is an error by line."""
    parameters = {role: one("{gvcf}", where={"role": role}) for role in ("child", "father", "mother")}
    sheet = {"path": str(DATA / "trios.tsv"), "group_by_id": True, "parameters": parameters}

    (family,) = run_settings_from_sheet({**sheet, "where": {"family": "F01"}})
    with pytest.raises(SettingsError) as refused:
        run_settings_from_sheet(sheet)

    gvcf = "s3://example-cohort/gvcf/F01_{}.g.vcf.gz"
    assert family == {
        "runSettingId": "F01",
        "parameters": {"child": gvcf.format("C"), "father": gvcf.format("F"), "mother": gvcf.format("M")},
    }
    assert [str(problem) for problem in refused.value.problems] == [
        (
            "trios.tsv line 3 (parameters['father']) = no row with role = 'father': exactly one such row for an id "
            "(lines 3, 6)"
        )
    ]
