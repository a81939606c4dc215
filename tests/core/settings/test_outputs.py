"""Outputs that a run has to leave: how the argument is read, and which keys a pattern fits."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_provider_omics.core.settings.outputs import (
    MAX_FILES,
    MAX_NAMES,
    ExpectedOutputs,
    OutputSearch,
    read_expected_outputs,
)

URI = "s3://omics-results/cohort/10000001"
STARTED = datetime(2026, 1, 1, 12, 0, 0, 500_000, tzinfo=timezone.utc)


def item(key: str, **more: Any) -> dict[str, Any]:
    return {"Key": f"cohort/10000001/{key}", "Size": 7, "ETag": '"e"', **more}


def search(uri: str = URI, since: datetime | None = None, /, **patterns: str) -> OutputSearch:
    return OutputSearch(ExpectedOutputs(patterns), uri, since)


def fits(pattern: str, key: str) -> bool:
    found = search(one=pattern)
    found.look([item(key)])
    return not found.missing


@pytest.mark.parametrize(
    ("pattern", "fitting", "others"),
    [
        ("**/*.vcf.gz", ["S1.vcf.gz", "out/S1.vcf.gz", "a/b/c/.vcf.gz"], ["S1.vcf", "S1.vcf.gz.tbi", "S1.VCF.GZ"]),
        ("**.vcf.gz", ["S1.vcf.gz", "out/S1.vcf.gz"], ["S1.vcf"]),
        ("*.bam", ["S1.bam", ".bam"], ["out/S1.bam", "S1.bam.bai"]),
        ("out/*/S?.bam", ["out/x/S1.bam"], ["out/S1.bam", "out/x/y/S1.bam", "out/x/S12.bam"]),
        ("out/**", ["out/a", "out/a/b"], ["out", "outer/a"]),
        ("**", ["a", "a/b"], []),
        (
            "out/**/qc/*.html",
            ["out/qc/a.html", "out/x/y/qc/a.html", "out/qc/qc/a.html"],
            ["qc/a.html", "out/qc/x/a.html"],
        ),
        ("a.b/c+d.txt", ["a.b/c+d.txt"], ["aXb/c+d.txt", "a.b/ccd.txt"]),
        ("**/**/x", ["x", "a/x", "a/b/x"], ["xx"]),
    ],
)
def test_patterns(pattern: str, fitting: list[str], others: list[str]) -> None:
    """``*`` stays within a name, ``**`` is any folders or none, and all else is literal."""
    assert [key for key in (*fitting, *others) if fits(pattern, key)] == fitting


def reference(pattern: str) -> re.Pattern[str]:
    """Say in one expression, which may take long, what a pattern means."""
    pattern = re.sub(r"(^|/)\*\*(?=[^/])", r"\1**/*", pattern)
    pattern = re.sub(r"(^|/)\*\*$", r"\1**/*", pattern)
    pieces = re.split(r"((?:^|(?<=/))\*\*/|\*|\?)", pattern)
    known = {"**/": "(?:[^/]*/)*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(known.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)


names = st.text("ab.*?", min_size=1, max_size=4).filter(lambda name: "**" not in name and name not in (".", ".."))
segments = names | st.just("**") | st.builds("**{}".format, st.text("ab.", min_size=1, max_size=2))


@given(
    st.lists(segments, min_size=1, max_size=5).map("/".join),
    st.lists(st.text("ab.", max_size=3), min_size=1, max_size=5),
)
def test_patterns_agree_with_one_expression(pattern: str, parts: list[str]) -> None:
    """The quick comparison, which never steps back over more than one ``**``, decides as a regular expression does."""
    expected, problems = read_expected_outputs({"one": pattern})
    assert expected is not None, problems

    key = "/".join(parts)

    assert fits(pattern, key) == (reference(pattern).fullmatch(key) is not None and not key.endswith("/") and key != "")


def test_the_worst_pattern_is_quick() -> None:
    """Neither stars within a name nor folders make the comparison step back without end."""
    assert not fits("**/" * 300 + "a*" * 60 + "b", "a/" * 400 + "a" * 200)


@pytest.mark.parametrize(
    ("patterns", "prefix"),
    [
        ({"vcf": "**/*.vcf.gz"}, ""),
        ({"vcf": "out/vcf/*.vcf.gz"}, "out/vcf/"),
        ({"bam": "out/bam/S1*.bam", "bai": "out/bam/S?.bai"}, "out/bam/S"),
        ({"vcf": "out/vcf/a.vcf", "qc": "qc/*"}, ""),
        ({"vcf": "out/a.vcf"}, "out/a.vcf"),
    ],
)
def test_only_what_may_fit_is_listed(patterns: dict[str, str], prefix: str) -> None:
    """The list begins where all patterns do, below the folder of the run."""
    assert search(**patterns).place == f"{URI}/{prefix}"
    assert search("s3://omics-results", **patterns).place == f"s3://omics-results/{prefix}"


def test_older_objects_are_of_another_run() -> None:
    """What lies there since before the run started does not count; S3 tells whole seconds."""
    found = search(URI, STARTED, vcf="*.vcf", bam="*.bam", bai="*.bai")

    found.look(
        [
            item("a.vcf", LastModified=STARTED - timedelta(seconds=1)),
            item("a.bam", LastModified=STARTED.replace(microsecond=0)),
            item("a.bai"),
        ]
    )

    assert found.missing == ("vcf",)
    assert found.sentence == f"no object fits vcf (*.vcf) below {URI}"


def test_files_are_bounded() -> None:
    """Of each name so many objects are kept, and the others counted; folders and neighbours are none."""
    found = search(bam="*.bam", bai="*.bai")

    found.look([item(f"{number:03}.bam") for number in range(MAX_FILES + 2)])
    found.look([item("z.bam"), item("folder.bam/"), {"Key": "cohort/100000011/a.bai"}])

    assert found.files["bam"][0] == {"uri": f"{URI}/000.bam", "size": 7, "etag": '"e"'}
    assert len(found.files["bam"]) == MAX_FILES
    assert found.left_out == {"bam": 3}
    assert found.missing == ("bai",)


@pytest.mark.parametrize("value", [None, "", "None"], ids=repr)
def test_not_given(value: object) -> None:
    """Nothing is looked for; an empty dict says that nothing is expected."""
    assert read_expected_outputs(value) == (None, [])
    assert read_expected_outputs({}) == (ExpectedOutputs({}), [])


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("**/*.vcf.gz", "expected_outputs = '**/*.vcf.gz': a dict of name -> pattern"),
        ("{'vcf': '*'}", "render_template_as_native_obj=True"),
        (["*.vcf"], "a dict of name -> pattern"),
        ({1: "*"}, "names of 1 to 64 printable characters"),
        ({"": "*"}, "names of 1 to 64 printable characters"),
        ({"v\n": "*"}, "names of 1 to 64 printable characters"),
        ({"vcf": ""}, "expected_outputs['vcf'] = '': a pattern below the run's output URI"),
        ({"vcf": None}, "a pattern below the run's output URI"),
        ({"vcf": ["*.vcf"]}, "a pattern below the run's output URI"),
        ({"vcf": 1.5}, "its spelling is lost"),
        ({"vcf": "s3://bucket/x/*.vcf"}, "without s3:// or a first /"),
        ({"vcf": "/out/*.vcf"}, "without s3:// or a first /"),
        ({"vcf": "out/"}, "'out/**' fits all below this folder"),
        ({"vcf": "*.{vcf,bcf}"}, "give several names"),
        ({"vcf": "S[12].vcf"}, "give several names"),
        ({"vcf": "../*.vcf"}, "names and wildcards between the slashes"),
        ({"vcf": "out//*.vcf"}, "names and wildcards between the slashes"),
        ({"vcf": "out/a**b"}, "** for folders"),
        ({"vcf": " *.vcf"}, "no white space around them"),
        ({"vcf": "x" * 1_025}, "at most 1,024 characters"),
        ({f"n{number}": "*" for number in range(MAX_NAMES + 1)}, f"at most {MAX_NAMES}"),
    ],
)
def test_bad_values_are_named(value: object, said: str) -> None:
    """What cannot be looked for is refused, with the argument, the value and what is allowed."""
    expected, problems = read_expected_outputs(value)

    assert expected is None
    assert said in str(problems[0])


def test_all_problems_at_once() -> None:
    """Each name that is wrong is told."""
    assert len(read_expected_outputs({"a": "/x", "b": "y", "c": ""})[1]) == 2
