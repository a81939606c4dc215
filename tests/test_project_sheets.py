"""Sheets in the shapes that projects publish (nf-core, Terra, SRA), written anew, and the mappings that read them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from airflow_provider_omics.core.errors import SettingsError
from airflow_provider_omics.sheets import each, one, run_settings_from_sheet

IN = "s3://omics-inputs/"


def read(folder: Path, name: str, rows: list[str], **sheet: Any) -> dict[str, Any]:
    """Write the lines of a sheet; give the parameters of its runs by id, or the whole setting without any."""
    path = folder / name
    path.write_text("".join(f"{row}\n" for row in rows))
    found = run_settings_from_sheet({"path": str(path), **sheet})
    return {setting["runSettingId"]: setting.get("parameters", {}) for setting in found}


def test_rnaseq(tmp_path: Path) -> None:
    """nf-core/rnaseq 3.18, docs/usage.md: sample, fastq_1, fastq_2, strandedness; lanes are rows."""
    rows = [
        "sample,fastq_1,fastq_2,strandedness",
        f"CONTROL_REP1,{IN}AEG588A1_S1_L002_R1_001.fastq.gz,{IN}AEG588A1_S1_L002_R2_001.fastq.gz,auto",
        f"CONTROL_REP1,{IN}AEG588A1_S1_L003_R1_001.fastq.gz,{IN}AEG588A1_S1_L003_R2_001.fastq.gz,auto",
        f"TREATMENT_REP1,{IN}AEG588A4_S4_L003_R1_001.fastq.gz,,reverse",
    ]
    parameters = {"pairs": each(["{fastq_1}", "{fastq_2}"]), "strandedness": "{strandedness}"}

    found = read(tmp_path, "samplesheet.csv", rows, group_by_id=True, parameters=parameters)

    assert [len(run["pairs"]) for run in found.values()] == [2, 1]
    assert found["TREATMENT_REP1"]["pairs"] == [[f"{IN}AEG588A4_S4_L003_R1_001.fastq.gz", None]]


SAREK = [
    "patient,sex,status,sample,lane,fastq_1,fastq_2",
    *(
        f"P{patient},XX,{status},{name}{patient},{lane},{IN}{name}{patient}_{lane}_1.fq.gz,{IN}{name}{patient}_{lane}_2.fq.gz"
        for patient in (1, 2)
        for status, name in ((0, "normal"), (1, "tumour"))
        for lane in ("L1", "L2", "L3")
    ),
]
SOMATIC = {
    "run_setting_id": "{patient}",
    "group_by_id": True,
    "parameters": {
        "sex": "{sex}",
        "normal": each({"lane": "{lane}", "reads": ["{fastq_1}", "{fastq_2}"]}, where={"status": "0"}),
        "tumour": each({"lane": "{lane}", "reads": ["{fastq_1}", "{fastq_2}"]}, where={"status": "1"}),
    },
}


def test_sarek(tmp_path: Path) -> None:
    """nf-core/sarek 3.5, docs/usage.md: patient, sex, status, sample, lane; tumour and normal have several lanes."""
    found = read(tmp_path, "samplesheet.csv", SAREK, **SOMATIC)

    assert list(found) == ["P1", "P2"]
    assert [entry["lane"] for entry in found["P2"]["tumour"]] == ["L1", "L2", "L3"]
    assert found["P2"]["normal"][1]["reads"] == [f"{IN}normal2_L2_1.fq.gz", f"{IN}normal2_L2_2.fq.gz"]


@pytest.mark.parametrize(
    ("old", "new", "place"),
    [
        ("P1,XX,1,", "P1,XX,1 ,", "line 5 column status (parameters['normal'])"),
        ("P1,XX,1,tumour1,L1", "p1,XX,1,tumour1,L1", "line 5 column patient"),
        ("P2,XX,0,normal2,L1", "P2\u00a0,XX,0,normal2,L1", "column patient"),
        ("P1,XX,0,normal1,L2", "#P1,XX,0,normal1,L2", "line 3"),
    ],
)
def test_sarek_with_a_slip(old: str, new: str, place: str, tmp_path: Path) -> None:
    """One blank, one letter, one comment: no patient is called with half of the lanes."""
    with pytest.raises(SettingsError) as refused:
        read(tmp_path, "s.csv", [row.replace(old, new) for row in SAREK], **SOMATIC)

    assert any(place.removesuffix(" (parameters['normal'])") in str(found) for found in refused.value.problems)


def test_taxprofiler(tmp_path: Path) -> None:
    """nf-core/taxprofiler 1.2, docs/usage.md: one of FASTQ and FASTA, an accession and an instrument; runs are rows."""
    rows = [
        "sample,run_accession,instrument_platform,fastq_1,fastq_2,fasta",
        f"2611,ERR5766174,ILLUMINA,,,{IN}ERX5474930_ERR5766174_1.fa.gz",
        f"2612,ERR5766176,ILLUMINA,{IN}ERR5766176_1.fastq.gz,{IN}ERR5766176_2.fastq.gz,",
        f"2612,ERR5766180,ILLUMINA,{IN}ERR5766180_1.fastq.gz,,",
    ]
    parameters = {"reads": each(["{fastq_1}", "{fastq_2}"]), "fasta": each("{fasta}"), "runs": each("{run_accession}")}

    found = read(tmp_path, "samplesheet.csv", rows, group_by_id=True, parameters=parameters)

    assert found["2611"] == {
        "reads": [[None, None]],
        "fasta": [f"{IN}ERX5474930_ERR5766174_1.fa.gz"],
        "runs": ["ERR5766174"],
    }
    assert found["2612"]["runs"] == ["ERR5766176", "ERR5766180"]


def test_viralrecon(tmp_path: Path) -> None:
    """nf-core/viralrecon 2.6, docs/usage.md: the Nanopore sheet has numbers as barcodes, the Illumina one FASTQ."""
    illumina = ["sample,fastq_1,fastq_2", f"SAMPLE_PE,{IN}a_1.fq.gz,{IN}a_2.fq.gz", f"SAMPLE_SE,{IN}b_1.fq.gz,"]
    nanopore = ["sample,barcode", "21X983255,1", "70H209408,2", "49Y807476,3"]

    assert read(tmp_path, "illumina.csv", illumina)["SAMPLE_SE"] == {"sample": "SAMPLE_SE", "fastq_1": f"{IN}b_1.fq.gz"}
    assert read(tmp_path, "nanopore.csv", nanopore, types={"barcode": int})["70H209408"]["barcode"] == 2


def test_ampliseq(tmp_path: Path) -> None:
    """nf-core/ampliseq 2.12, docs/usage.md: tab separated, camel case; metadata have QIIME's header and its types."""
    sheet = [
        "sampleID\tforwardReads\treverseReads\trun",
        f"sample1\t{IN}S1_R1_001.fastq.gz\t{IN}S1_R2_001.fastq.gz\tA",
        f"sample2\t{IN}S2_R1_001.fastq.gz\t{IN}S2_R2_001.fastq.gz\tB",
    ]
    metadata = ["#SampleID\ttreatment\tpH", "#q2:types\tcategorical\tnumeric", "sample1\ta\t7.1", "sample2\tb\t6.5"]

    assert read(tmp_path, "Samplesheet.tsv", sheet)["sample2"]["run"] == "B"
    with pytest.raises(SettingsError, match="line 2 = '#q2:types': a row: comment='#'"):
        read(tmp_path, "Metadata.tsv", metadata)
    found = read(tmp_path, "Metadata.tsv", metadata, comment="#q2:", parameters={"sample": "{#SampleID}"})
    assert found == {"sample1": {"sample": "sample1"}, "sample2": {"sample": "sample2"}}


def test_eager(tmp_path: Path) -> None:
    """nf-core/eager 2.5, docs/usage.md: a TSV whose empty cells are NA."""
    rows = [
        "Sample_Name\tLibrary_ID\tLane\tColour_Chemistry\tSeqType\tOrganism\tStrandedness\tUDG_Treatment\tR1\tR2\tBAM",
        f"JK2782\tJK2782\t1\t4\tPE\tMammoth\tdouble\tfull\t{IN}JK2782_L1_R1.fq.gz\t{IN}JK2782_L1_R2.fq.gz\tNA",
        f"JK2782\tJK2782\t2\t4\tSE\tMammoth\tdouble\tfull\t{IN}JK2782_L2_R1.fq.gz\tNA\tNA",
        f"JK2802\tJK2802\t2\t4\tSE\tMammoth\tdouble\tfull\tNA\tNA\t{IN}JK2802.bam",
    ]
    parameters = {"reads": each(["{R1}", "{R2}"]), "bam": each("{BAM}")}
    sheet: dict[str, Any] = {"group_by_id": True, "parameters": parameters}

    with pytest.raises(SettingsError) as refused:
        read(tmp_path, "eager.tsv", rows, **sheet)
    assert [problem.argument for problem in refused.value.problems] == [
        "eager.tsv line 4 column R1",
        "eager.tsv line 3 column R2",
        "eager.tsv line 2 column BAM",
    ]
    found = read(tmp_path, "eager.tsv", rows, **sheet, empty=["NA"])
    assert found["JK2782"]["reads"][1] == [f"{IN}JK2782_L2_R1.fq.gz", None]
    assert found["JK2802"] == {"reads": [[None, None]], "bam": [f"{IN}JK2802.bam"]}


def test_terra(tmp_path: Path) -> None:
    """A data table of Terra: the first column is ``entity:sample_id``; lists are JSON."""
    rows = [
        "entity:sample_id\tparticipant\tcram\tcrams",
        f'S1\tP1\t{IN}S1.cram\t["{IN}a.cram","{IN}b.cram"]',
        f"S2\tP2\t{IN}S2.cram\t[]",
    ]
    sheet: dict[str, Any] = {
        "run_setting_id": "{entity:sample_id}",
        "types": {"crams": "json"},
        "parameters": {"cram": "{cram}", "all": "{crams}"},
    }

    assert read(tmp_path, "sample.tsv", rows, **sheet) == {
        "S1": {"cram": f"{IN}S1.cram", "all": [f"{IN}a.cram", f"{IN}b.cram"]},
        "S2": {"cram": f"{IN}S2.cram", "all": []},
    }


def test_sra(tmp_path: Path) -> None:
    """SraRunTable of NCBI's Run Selector: commas within quotes, units with and without, missing values in words."""
    rows = [
        "Run,Assay Type,AvgSpotLen,Bases,BioSample,geo_loc_name,LibraryLayout,Age",
        'SRR6357070,RNA-Seq,202,"10,000",SAMN08139091,"USA: Boston, MA",PAIRED,35',
        'SRR6357071,RNA-Seq,101,"9,000",SAMN08139092,USA: Boston,SINGLE,not collected',
    ]
    sheet: dict[str, Any] = {"parameters": {"run": "{Run}", "length": "{AvgSpotLen}", "age": "{Age}"}}

    with pytest.raises(SettingsError, match="line 3 column Age = 'not collected': one of the numbers"):
        read(tmp_path, "SraRunTable.txt", rows, **sheet)
    found = read(tmp_path, "SraRunTable.txt", rows, **sheet, empty=["not collected"], types={"AvgSpotLen": int})
    assert found["SRR6357071"] == {"run": "SRR6357071", "length": 101}


def test_one_of_several_lanes_is_an_error(tmp_path: Path) -> None:
    """``one`` keeps its meaning; ``each`` with a condition is for lanes."""
    sheet = {**SOMATIC, "parameters": {"tumour": one("{fastq_1}", where={"status": "1"})}}

    with pytest.raises(SettingsError, match="3 rows with status = '1': exactly one such row"):
        read(tmp_path, "s.csv", SAREK, **sheet)
