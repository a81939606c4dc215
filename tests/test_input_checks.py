"""Looking inputs up in S3, before anything is paid for; on the emulator's S3 and STS."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_omics.core.errors import AccessDenied, SettingsError, Unavailable
from airflow_provider_omics.core.inputs import InputState, RunInputs
from airflow_provider_omics.hooks.omics import OmicsHook
from airflow_provider_omics.jobs import inputs as input_checks
from airflow_provider_omics.jobs.inputs import InputObjects
from tests.airflow_support import ONE_TRY, TASK_LOG, connect, emulator, log_lines, running_emulator

if TYPE_CHECKING:
    from collections.abc import Callable

    from airflow_provider_omics.emulator import OmicsEmulator
    from tests.airflow_support import Connect

__all__ = ["connect", "emulator", "log_lines", "running_emulator"]

READS = "lab-reads"
OTHER_ACCOUNT = "111122223333"
ROLE = f"arn:aws:iam::{OTHER_ACCOUNT}:role/omics"


@pytest.fixture
def s3(emulator: OmicsEmulator, connect: Connect) -> Any:
    """The emulator's S3, with a bucket of reads."""
    client = emulator.client("s3")
    client.create_bucket(Bucket=READS)
    for key in ("S1_1.fastq.gz", "index/hg38.1.bt2", "index/hg38.2.bt2"):
        client.put_object(Bucket=READS, Key=key, Body=b"x")
    return client


def check(*uris: str, **options: Any) -> None:
    """Check one run for each URI."""
    runs = [RunInputs(f"S{n}", f"run_settings['S{n}']['parameters']", {"reads": [uri]}) for n, uri in enumerate(uris)]
    input_checks.check_inputs(lambda: runs, OmicsHook(), TASK_LOG, **options)


@pytest.mark.parametrize(
    ("uri", "state"),
    [
        (f"s3://{READS}/S1_1.fastq.gz", "found"),
        (f"s3://{READS}/index/", "found"),
        (f"s3://{READS}/index/hg38", "found"),
        (f"s3://{READS}/S1_{{1,2}}.fastq.gz", "found"),
        (f"s3://{READS}", "found"),
        (f"s3://{READS}/S2_1.fastq.gz", "missing"),
        (f"s3://{READS}/indices/", "missing"),
        (f"s3://{READS}/S1_1.fastq.gz/", "missing"),
        ("s3://nobodys-bucket/S1_1.fastq.gz", "missing"),
        ("s3://nobodys-bucket/", "missing"),
    ],
)
def test_objects_and_prefixes(s3: Any, uri: str, state: str) -> None:
    """A key, the beginning of keys and a bucket are found where there is something."""
    assert InputObjects(OmicsHook()).look(uri) is InputState(state)


@pytest.mark.parametrize(
    ("storage_class", "restored", "state"),
    [
        ("GLACIER", None, "archived"),
        ("DEEP_ARCHIVE", None, "archived"),
        ("GLACIER", "IN_PROGRESS", "restoring"),
        ("GLACIER", "RESTORED", "found"),
        ("GLACIER_IR", None, "found"),
        ("INTELLIGENT_TIERING", None, "found"),
    ],
)
def test_archived_objects(s3: Any, storage_class: str, restored: str | None, state: str) -> None:
    """An archived object can be read once its restore is finished, and not before."""
    from moto.moto_api import state_manager

    s3.put_object(Bucket=READS, Key="old", Body=b"x", StorageClass=storage_class)
    if restored:
        progress = {"progression": "manual", "times": 1} if restored == "IN_PROGRESS" else {"progression": "immediate"}
        state_manager.set_transition("s3::keyrestore", progress)
        s3.restore_object(Bucket=READS, Key="old", RestoreRequest={"Days": 1})
    try:
        assert InputObjects(OmicsHook()).look(f"s3://{READS}/old") is InputState(state)
    finally:
        state_manager.unset_transition("s3::keyrestore")


@pytest.mark.parametrize(
    ("uri", "state"),
    [
        ("s3://{}/mixed/", "archived"),
        ("s3://{}/mixed/old", "archived"),
        ("s3://{}/mixed/*.bam", "archived"),
        ("s3://{}/mixed/*.fq", "found"),
        ("s3://{}/mixed/tiered", "found"),
        ("s3://{}/mi", "archived"),
        ("s3://{}/mi*", "found"),
        ("s3://{}/instant/", "found"),
        ("s3://{}", "archived"),
    ],
)
def test_archived_objects_below_a_prefix(s3: Any, uri: str, state: str) -> None:
    """An object that is archived makes the beginning of its key archived; a pattern only where it fits."""
    for key, storage_class in (
        ("mixed/a.fq", "STANDARD"),
        ("mixed/tiered", "INTELLIGENT_TIERING"),
        ("mixed/old.bam", "GLACIER"),
        ("instant/old.bam", "GLACIER_IR"),
    ):
        s3.put_object(Bucket=READS, Key=key, Body=b"x", StorageClass=storage_class)

    objects = InputObjects(OmicsHook())

    uri = uri.format(READS)
    assert objects.look(uri) is InputState(state)
    assert objects.below == ({uri: f"s3://{READS}/mixed/old.bam"} if state == "archived" else {})


def test_restored_objects_below_a_prefix(s3: Any) -> None:
    """Those whose restore is finished can be read."""
    s3.put_object(Bucket=READS, Key="cold/1.bam", Body=b"x", StorageClass="DEEP_ARCHIVE")
    s3.restore_object(Bucket=READS, Key="cold/1.bam", RestoreRequest={"Days": 1})

    assert InputObjects(OmicsHook()).look(f"s3://{READS}/cold/") is InputState.FOUND


def test_large_prefix_is_looked_at_in_part(s3: Any, emulator: OmicsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """One list and a bounded number of looks, however many objects there are."""
    monkeypatch.setattr("airflow_provider_omics.jobs.inputs.LOOKS_BELOW", 3)
    for number in range(5):
        storage_class = "GLACIER" if number == 4 else "INTELLIGENT_TIERING"
        s3.put_object(Bucket=READS, Key=f"many/{number}", Body=b"x", StorageClass=storage_class)

    assert InputObjects(OmicsHook()).look(f"s3://{READS}/many/") is InputState.FOUND


@pytest.mark.parametrize("mask", [False, True])
def test_archived_prefix_names_an_object(s3: Any, *, mask: bool) -> None:
    """The error names the first object to restore, unless parameters are masked."""
    s3.put_object(Bucket=READS, Key="cold/1.bam", Body=b"x", StorageClass="GLACIER")

    with pytest.raises(SettingsError) as raised:
        check(f"s3://{READS}/cold/", mask=mask)

    problem, runs = raised.value.problems
    assert ("; the first of those below it: s3://lab-reads/cold/1.bam" in problem.allowed) is not mask
    assert "restore it first" in problem.allowed
    assert runs.allowed == "restore them for S0"


def test_all_is_told_at_once(s3: Any) -> None:
    """Missing, archived and malformed inputs come in one error, by run and parameter."""
    s3.put_object(Bucket=READS, Key="old", Body=b"x", StorageClass="GLACIER")

    with pytest.raises(SettingsError) as raised:
        check(f"s3://{READS}/S1_1.fastq.gz", f"s3://{READS}/gone", f"s3://{READS}/old", f"s3:/{READS}/typo")

    assert [(problem.argument, problem.value) for problem in raised.value.problems] == [
        ("run_settings['S3']['parameters']['reads'][0]", f"'s3:/{READS}/typo'"),
        ("run_settings['S1']['parameters']['reads'][0]", f"s3://{READS}/gone"),
        ("run_settings['S2']['parameters']['reads'][0]", f"s3://{READS}/old"),
        ("check_inputs", "1 run with archived inputs"),
    ]


def test_what_the_connection_may_not_see(s3: Any, log_lines: Callable[..., list[str]]) -> None:
    """A refusal is no error where the runs have a role of their own: one warning says how much is unchecked."""
    deny(s3)

    check(f"s3://{READS}/S1_1.fastq.gz", f"s3://{READS}/gone", f"s3://{READS}/index/")

    assert log_lines(30) == [
        "2 of 3 inputs are not checked: the connection may not look at them; check_role_arn names who may"
    ]


def test_what_the_role_may_not_see(s3: Any) -> None:
    """With the role, a refusal is an error that names the role and the action."""
    deny(s3)

    with pytest.raises(SettingsError, match=f"may read.*{ROLE}|{ROLE} may read") as raised:
        check(f"s3://{READS}/S1_1.fastq.gz", role_arn=ROLE)

    (problem,) = raised.value.problems
    assert "s3:GetObject" in problem.allowed


def test_the_role_looks(emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the connection's own account may not read is looked up by the role of the account that may."""
    monkeypatch.setenv("MOTO_S3_ALLOW_CROSSACCOUNT_ACCESS", "false")
    theirs = emulator.client("s3", account=OTHER_ACCOUNT)
    theirs.create_bucket(Bucket=READS)
    theirs.put_object(Bucket=READS, Key="S1", Body=b"x")

    as_connection = InputObjects(OmicsHook()).look(f"s3://{READS}/S1")
    as_role = InputObjects(OmicsHook(), ROLE)

    assert as_connection is InputState.DENIED
    assert as_role.look(f"s3://{READS}/S1") is InputState.FOUND
    assert as_role.look(f"s3://{READS}/S2") is InputState.MISSING


def test_addresses_of_the_web(s3: Any, log_lines: Callable[..., list[str]]) -> None:
    """They get one warning, however many they are; none if the runs are in a VPC."""
    uris = [f"https://host/{number}" for number in range(3)]

    check(*uris, networking_mode="VPC")
    assert log_lines(30) == []
    check(*uris, networking_mode="RESTRICTED")

    (line,) = log_lines(30)
    assert line.startswith("3 inputs are addresses of the web, the first is run_settings['S0']['parameters']['reads']")


def test_many_inputs(s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """More inputs than are looked at in one go: each is, once, and the missing ones of all rounds are told."""
    monkeypatch.setattr(input_checks, "CHUNK", 10)
    uris = [f"s3://{READS}/{number if number % 4 == 0 else 'S1_1.fastq.gz'}" for number in range(100)]

    with pytest.raises(SettingsError) as raised:
        check(*uris, *(f"s3://{READS}/gone/{number}" for number in range(30)))

    assert raised.value.problems[0].value == f"s3://{READS}/0"
    assert raised.value.problems[-1].value == f"{25 + 30 - 49} inputs more"


def test_no_answer_is_no_verdict(s3: Any, connect: Connect) -> None:
    """Where S3 does not answer, the task fails with what may pass, and nothing is called missing."""
    connect(endpoint_url="http://127.0.0.1:9", config_kwargs=ONE_TRY)

    with pytest.raises(Unavailable, match="It was about s3://lab-reads/S1"):
        InputObjects(OmicsHook()).look("s3://lab-reads/S1")


def test_a_role_that_cannot_be_assumed(
    emulator: OmicsEmulator, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names sts:AssumeRole and the role, and what is missing on its side."""
    iam = emulator.client("iam")
    iam.create_user(UserName="airflow")
    key = iam.create_access_key(UserName="airflow")["AccessKey"]
    login = {"login": key["AccessKeyId"], "password": key["SecretAccessKey"]}
    monkeypatch.setenv("AIRFLOW_CONN_AWS_DEFAULT", json.dumps({**connect(), **login}))
    # moto asks for permissions only if told to.
    monkeypatch.setattr("moto.settings.INITIAL_NO_AUTH_ACTION_COUNT", 0)
    monkeypatch.setattr("moto.core.responses.ActionAuthenticatorMixin.request_count", 0)

    with pytest.raises(AccessDenied, match=f"sts:AssumeRole.*check_role_arn is {ROLE}.*trust policy"):
        InputObjects(OmicsHook(), ROLE)


def deny(s3: Any) -> None:
    """Forbid everyone to look at the objects of the bucket; moto asks for an action of its own."""
    statement = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": ["s3:GetObject", "s3:HeadObject"],
        "Resource": f"arn:aws:s3:::{READS}/*",
    }
    s3.put_bucket_policy(Bucket=READS, Policy=json.dumps({"Version": "2012-10-17", "Statement": [statement]}))


@pytest.mark.parametrize(
    ("uri", "there", "state"),
    [
        ("S1.bam", "S1.bam.bai", "missing"),
        ("S1.bam", "S1.bam.md5", "missing"),
        ("S1_R1.fastq", "S1_R1.fastq.gz", "missing"),
        ("S1.vcf.gz", "S1.vcf.gz.tbi", "missing"),
        ("S1.fa", "S1.fa.gz.fai", "missing"),
        ("S1.bam", "S1.bam/part-1", "found"),
        ("genome.fa", "genome.fa.amb", "found"),
        ("hg38.p13", "hg38.p13.1.bt2", "found"),
        ("*.cram", "S1.bam", "no match"),
        ("*.cram", "S1.cram.crai", "no match"),
        ("*.cram", "deep/S1.cram", "no match"),
        ("**.cram", "deep/S1.cram", "found"),
        ("S1_R{1,2}.fq", "S1_R3.fq", "no match"),
        ("runs/*", "runs/1/a.fq", "found"),
    ],
)
def test_what_stands_for_an_input(s3: Any, uri: str, there: str, state: str) -> None:
    """An index or a packed file does not stand for a file; a folder, an index alone and what a pattern fits do."""
    s3.create_bucket(Bucket="inputs-alone")
    s3.put_object(Bucket="inputs-alone", Key=there, Body=b"x")
    objects = InputObjects(OmicsHook())

    assert objects.look(f"s3://inputs-alone/{uri}") is InputState(state)
    s3.put_object(Bucket="inputs-alone", Key=uri, Body=b"x")
    assert objects.look(f"s3://inputs-alone/{uri}") is InputState.FOUND


def test_the_object_beside_a_missing_one_is_named(s3: Any) -> None:
    """So a wrong ending is seen at once; masked, it is not shown."""
    s3.put_object(Bucket=READS, Key="S9.bam.bai", Body=b"x")
    uris = [f"s3://{READS}/S9.bam", f"s3://{READS}/*.cram"]

    with pytest.raises(SettingsError) as raised:
        check(*uris)
    with pytest.raises(SettingsError) as masked:
        check(*uris, mask=True)

    assert [problem.allowed for problem in raised.value.problems] == [
        f"there is no such object, and no folder or index whose keys begin so; there is s3://{READS}/S9.bam.bai",
        "there is no object whose key this pattern fits",
    ]
    assert "S9" not in str(masked.value)


def test_a_pattern_among_many_keys(
    s3: Any, monkeypatch: pytest.MonkeyPatch, log_lines: Callable[..., list[str]]
) -> None:
    """Page after page is looked at, up to a limit, beyond which nothing is called missing but a warning given."""
    monkeypatch.setattr("airflow_provider_omics.jobs.inputs.LIST_PAGE", 2)
    monkeypatch.setattr("airflow_provider_omics.jobs.inputs.MAX_PAGES", 2)
    s3.create_bucket(Bucket="inputs-alone")
    for number in range(3):
        s3.put_object(Bucket="inputs-alone", Key=f"{number}.bam", Body=b"x")
    s3.put_object(Bucket="inputs-alone", Key="3.cram", Body=b"x")

    check("s3://inputs-alone/*.cram")
    assert log_lines(30) == []
    s3.put_object(Bucket="inputs-alone", Key="2.sam", Body=b"x")
    check("s3://inputs-alone/*.cram")

    assert log_lines(30) == ["1 patterns fit none of the first 4 objects that begin like them; more are not looked at"]


@pytest.mark.parametrize(
    ("uri", "kind"),
    [
        ("gs://fc-example/S1.cram", "addresses of other stores"),
        ("abfss://c@a.dfs.core.windows.net/x", "addresses of other stores"),
        ("file:///data/x", "addresses of other stores"),
        ("s3a://lab-reads/S1", "S3 addresses of other tools"),
        ("S3N://lab-reads/S1", "S3 addresses of other tools"),
        ("/data/S1.cram", "local paths"),
        ("~/S1.cram", "local paths"),
        ("C:\\data\\S1.cram", "local paths"),
        ("arn:aws:s3:::lab-reads/S1", "S3 addresses as ARN"),
        ("https://lab-reads.s3.us-east-1.amazonaws.com/S1", "S3 addresses of the web"),
        ("https://lab-reads.s3.amazonaws.com/S1", "S3 addresses of the web"),
        ("https://s3.us-east-1.amazonaws.com/lab-reads/S1", "S3 addresses of the web"),
        ("https://s3-us-west-2.amazonaws.com/lab-reads/S1", "S3 addresses of the web"),
        ("https://lab-reads.s3.dualstack.eu-west-1.amazonaws.com/S1", "S3 addresses of the web"),
    ],
)
def test_addresses_that_a_run_cannot_read(s3: Any, uri: str, kind: str, log_lines: Callable[..., list[str]]) -> None:
    """One warning for each kind, with its count and the first place; the network makes no difference."""
    check(uri, uri, networking_mode="VPC")

    (line,) = log_lines(30)
    assert line.startswith(f"2 inputs are {kind}")
    assert line.endswith("the first is run_settings['S0']['parameters']['reads'][0]")


@pytest.mark.parametrize(
    "text", ["NA", "/", "/x", "a/b/c", "GRCh38", "chr1:5-9", "https://s3.example.org/x", "arn:aws:iam::x"]
)
def test_what_is_no_address(s3: Any, text: str, log_lines: Callable[..., list[str]]) -> None:
    """Other texts are left alone."""
    check(text, networking_mode="VPC")

    assert log_lines(30) == []


@pytest.mark.parametrize(("margin_days", "is_told"), [(0, False), (1, False), (5, True)])
def test_restored_copies_that_expire(s3: Any, margin_days: int, *, is_told: bool) -> None:
    """A copy that is gone before the run may have read it is told, below a folder too."""
    s3.put_object(Bucket=READS, Key="cold/1.bam", Body=b"x", StorageClass="GLACIER")
    s3.restore_object(Bucket=READS, Key="cold/1.bam", RestoreRequest={"Days": 3})
    uris = f"s3://{READS}/cold/1.bam", f"s3://{READS}/cold/"
    needed_until = datetime.now(timezone.utc) + timedelta(days=margin_days)

    if not is_told:
        check(*uris, needed_until=needed_until)
        return
    with pytest.raises(SettingsError) as raised:
        check(*uris, needed_until=needed_until)

    first, second, runs = raised.value.problems
    assert "outlasts restore_margin" in first.allowed
    assert second.allowed.endswith(f"the first of those below it: s3://{READS}/cold/1.bam")
    assert runs.allowed == "restore them for S0, S1"


def test_invisible_characters_are_shown(s3: Any) -> None:
    """A key that reads like the one that is there is shown with its difference."""
    with pytest.raises(SettingsError) as raised:
        check(f"s3://{READS}/S1_1.fastq.gz\u200b", f"s3://{READS}/S1\u00a01.fq", "s3://b/x")

    assert [(problem.value, problem.allowed.partition(";")[0]) for problem in raised.value.problems] == [
        (f"'s3://{READS}/S1_1.fastq.gz\\u200b'", "a URI without invisible characters: this one has \\u200b"),
        ("'s3://b/x'", "s3://bucket/key"),
        (f"s3://{READS}/S1\\xa01.fq", "there is no such object, and no folder or index whose keys begin so"),
    ]
    assert "3 characters at least" in raised.value.problems[1].allowed
