"""Which inputs runs have, and what S3's answers mean."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.inputs import (
    DistinctInputs,
    InputState,
    Place,
    RunInputs,
    input_digests,
    input_problems,
    place_of,
    state_of_object,
    texts_in,
)

ROLE = "arn:aws:iam::123456789012:role/omics"
MISSING = "there is no such object, and no folder or index whose keys begin so"
ONGOING = 'ongoing-request="true"'
FINISHED = 'ongoing-request="false", expiry-date="Fri, 21 Dec 2029 00:00:00 GMT"'


def run(name: str, **parameters: Any) -> RunInputs:
    return RunInputs(name, f"run_settings[{name!r}]['parameters']", parameters)


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        ({}, "found"),
        ({"StorageClass": "STANDARD_IA"}, "found"),
        ({"StorageClass": "GLACIER_IR"}, "found"),
        ({"StorageClass": "INTELLIGENT_TIERING"}, "found"),
        ({"StorageClass": "GLACIER"}, "archived"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "archived"),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS"}, "archived"),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "DEEP_ARCHIVE_ACCESS"}, "archived"),
        ({"StorageClass": "GLACIER", "Restore": ONGOING}, "restoring"),
        ({"StorageClass": "INTELLIGENT_TIERING", "ArchiveStatus": "ARCHIVE_ACCESS", "Restore": ONGOING}, "restoring"),
        ({"StorageClass": "GLACIER", "Restore": FINISHED}, "found"),
        ({"StorageClass": "DEEP_ARCHIVE", "Restore": FINISHED}, "found"),
    ],
)
def test_state_of_an_object(answer: dict[str, str], state: str) -> None:
    """An archived object counts as found once its restore is finished."""
    assert state_of_object(answer) is InputState(state)


@pytest.mark.parametrize(
    ("uri", "place", "prefix"),
    [
        ("s3://reads/S1.fastq.gz", ("reads", "S1.fastq.gz"), "S1.fastq.gz"),
        ("s3://reads/a/b/", ("reads", "a/b/"), "a/b/"),
        ("s3://reads", ("reads", ""), ""),
        ("s3://reads/", ("reads", ""), ""),
        ("s3://reads//odd key", ("reads", "/odd key"), "/odd key"),
        ("s3://reads/S1_*{1,2}.fq", ("reads", "S1_*{1,2}.fq"), "S1_"),
        ("s3://arn:aws:s3:us-east-1:123456789012:accesspoint/lab/a/b",
         ("arn:aws:s3:us-east-1:123456789012:accesspoint/lab", "a/b"), "a/b"),
    ],
)  # fmt: skip
def test_place_of_a_uri(uri: str, place: tuple[str, str], prefix: str) -> None:
    """Bucket and key are told apart, in access points too; a wildcard ends the prefix."""
    assert place_of(uri) == Place(*place)
    assert place_of(uri).prefix == prefix


@pytest.mark.parametrize(
    ("place", "key", "named"),
    [
        ("a/b", "a/b.bam", True),
        ("a/", "a/b/c", True),
        ("", "x", True),
        ("a/*.bam", "a/1.bam", True),
        ("a/*.bam", "a/b/1.bam", False),
        ("a/**.bam", "a/b/1.bam", True),
        ("a/?.bam", "a/1.bam", True),
        ("a/?.bam", "a/12.bam", False),
        ("S_{1,2}.fq.gz", "S_2.fq.gz", True),
        ("S_{1,2}.fq.gz", "S_3.fq.gz", False),
        ("S_{1,2}.fq.gz", "S_2xfq.gz", False),
        ("S_[1-2].fq", "S_2.fq", True),
        ("S_[!1-2].fq", "S_2.fq", False),
        ("S_[!1-2].fq", "S_3.fq", True),
        ("S_[2-1].fq", "S_[2-1].fq", False),
        ("S_[.fq", "S_[.fq", True),
    ],
)
def test_keys_that_an_input_names(place: str, key: str, named: bool) -> None:
    """A key's beginning names what begins so; a pattern names what fits it, as Nextflow reads it."""
    assert Place("reads", place).names(key) is named


def test_each_input_once() -> None:
    """A URI that many runs name is looked up once; omics:// and plain text are left alone."""
    runs = [
        run("S1", reads=["s3://reads/1.fq", None], genome={"fasta": "s3://ref/hg38.fa"}, sample="S1"),
        run("S2", reads=["s3://reads/2.fq", 3], genome={"fasta": "s3://ref/hg38.fa"}, store="omics://a.storage/1/x"),
    ]
    inputs = DistinctInputs(runs)

    assert list(inputs) == ["s3://reads/1.fq", "s3://ref/hg38.fa", "s3://reads/2.fq"]
    assert (len(inputs), inputs.web_addresses, inputs.malformed) == (3, 0, [])


def test_addresses_of_the_web_are_counted() -> None:
    """They are not looked up; the first place is kept for the warning."""
    inputs = DistinctInputs([run("S1", a="http://host/x", b="s3://reads/x"), run("S2", a="https://host/y")])

    assert list(inputs) == ["s3://reads/x"]
    assert (inputs.web_addresses, inputs.first_web_address) == (2, "run_settings['S1']['parameters']['a']")


def test_versions_of_inputs() -> None:
    """The same versions make the same hash; a run of which one input is not known has none, nor has one without."""
    runs = [
        run("A", bam="s3://b/1", ref=["s3://b/ref"]),
        run("B", ref="s3://b/ref", bam="s3://b/1", folder="s3://b/folder/"),
        run("C", bam="s3://b/2", ref="s3://b/ref"),
        run("D", bam="s3://b/gone", ref="s3://b/ref"),
        run("E", text="none"),
        RunInputs(None, "parameters", {"bam": "s3://b/1"}),
    ]
    etags = {"s3://b/1": "x", "s3://b/2": "y", "s3://b/ref": "z"}

    found = input_digests(runs, etags, {"s3://b/gone": InputState.MISSING})

    assert found.keys() == {"A", "B", "C"}
    assert found["A"] == found["B"] != found["C"]
    assert input_digests(runs[:1], {**etags, "s3://b/ref": "new"}, {})["A"] != found["A"]


def test_malformed_uris_are_not_looked_up() -> None:
    """What is meant as a URI and is none is a problem of its own."""
    inputs = DistinctInputs([run("S1", a="s3:/reads/x", b=["s3://reads/x", "S3://Reads/x"])])

    assert list(inputs) == ["s3://reads/x"]
    assert [problem.argument for problem in inputs.malformed] == [
        "run_settings['S1']['parameters']['a']",
        "run_settings['S1']['parameters']['b'][1]",
    ]


def test_problems_name_run_and_parameter() -> None:
    """The first place of each missing input is named, and in how many places it stands."""
    runs = [
        run("S1", reads=["s3://reads/1.fq"], ref="s3://ref/x"),
        run("S2", reads=["s3://reads/2.fq"], ref="s3://ref/x"),
    ]
    states = {"s3://reads/1.fq": InputState.MISSING, "s3://ref/x": InputState.MISSING}

    assert [str(problem) for problem in input_problems(runs, states)] == [
        f"run_settings['S1']['parameters']['reads'][0] = s3://reads/1.fq: {MISSING}",
        f"run_settings['S1']['parameters']['ref'] = s3://ref/x: {MISSING}; named in 2 places",
    ]


def test_archived_inputs_list_the_runs() -> None:
    """Each archived object is named, and at the end all runs that wait for one."""
    runs = [run("S1", a="s3://reads/1"), run("S2", a="s3://reads/2"), run("S3", a="s3://reads/3", b="s3://reads/1")]
    states = {"s3://reads/1": InputState.ARCHIVED, "s3://reads/2": InputState.RESTORING}

    problems = input_problems(runs, states)

    assert [problem.value for problem in problems] == ["s3://reads/1", "s3://reads/2", "3 runs with archived inputs"]
    assert "restore it first" in problems[0].allowed
    assert "still under way" in problems[1].allowed
    assert problems[2].allowed == "restore them for S1, S2, S3"


@pytest.mark.parametrize(("role", "count"), [(None, 0), (ROLE, 1)])
def test_being_denied(role: str | None, count: int) -> None:
    """Only with the role of the runs does a refusal prove anything; then role and action are named."""
    problems = input_problems([run("S1", a="s3://reads/1")], {"s3://reads/1": InputState.DENIED}, role_arn=role)

    assert len(problems) == count
    assert all(ROLE in problem.allowed and "s3:GetObject" in problem.allowed for problem in problems)


@pytest.mark.parametrize("state", [InputState.MISSING, InputState.ARCHIVED])
def test_never_more_than_fifty(state: InputState) -> None:
    """A cohort in the wrong bucket is told in 50 lines, which say how many more there are."""
    runs = [run(f"S{number}", a=f"s3://reads/{number}") for number in range(1_000)]
    malformed = [Problem("a", "b", "c")] * 3

    problems = input_problems(runs, {f"s3://reads/{number}": state for number in range(1_000)}, malformed=malformed)

    assert len(problems) == 50
    assert problems[:3] == malformed
    told = sum(problem.value.startswith("s3://") for problem in problems)
    (rest,) = [problem.value for problem in problems if problem.value.endswith("inputs more")]
    assert rest == f"{1_000 - told} inputs more"
    if state is InputState.ARCHIVED:
        assert problems[-1].value == "1,000 runs with archived inputs"
        assert problems[-1].allowed.endswith("S99 and 900 more")


def test_masked_problems_show_no_key() -> None:
    """A key can identify a patient: where parameters are masked, only the bucket is shown."""
    (problem,) = input_problems([run("S1", a="s3://reads/Doe")], {"s3://reads/Doe": InputState.MISSING}, mask=True)

    assert problem.value == "s3://reads/..."


trees = st.recursive(
    st.one_of(st.none(), st.integers(), st.text()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(trees)
def test_every_text_is_met_at_its_path(document: Any) -> None:
    """The path of a text leads to it, and no text is left out."""
    found = list(texts_in(document))

    assert all(eval(f"document{path}", {"document": document}) == text for path, text in found)  # noqa: S307 - a path is Python's own spelling
    assert len(found) == _count(document)


def _count(document: Any) -> int:
    if isinstance(document, dict):
        return sum(map(_count, document.values()))
    return sum(map(_count, document)) if isinstance(document, list) else isinstance(document, str)
