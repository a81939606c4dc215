"""Inputs of runs: the S3 objects that their parameters name, and the problems of those that cannot be read."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from email.utils import parsedate_to_datetime
from enum import Enum
from typing import Any, NamedTuple

from airflow_provider_omics.core.errors import Problem
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.uris import is_s3_uri, s3_address, unreadable_kind, uri_faults

MAX_PROBLEMS = 50
"""Problems with inputs that an error lists."""

MAX_IDS = 100
"""Runs with archived inputs that are named."""

_ARCHIVES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
MAY_BE_ARCHIVED = _ARCHIVES | {"INTELLIGENT_TIERING"}
"""Storage classes for which only HeadObject shows whether an object can be read now; lists do not name the tier."""

# What tools put beside a file, and what packs it: it does not stand for the file.
_BESIDE = re.compile(
    r"(\.(bai|csi|crai|tbi|fai|gzi|idx|pbi|bgi|dict|md5|md5sum|sha1|sha256|sha512|txt|json|log|stats|html|yaml|yml"
    r"|gz|bgz|bgzf|bz2|xz|zst|zip|tar|gpg|enc|tmp|part|partial|bak|old|crc|done|ok|complete))+",
    re.IGNORECASE,
)
_WILDCARD = re.compile(r"[*?\[{]")
_GLOB = re.compile(r"(\*\*|[*?]|\[!?[^\]]+\]|\{[^{}]*\})")
_EXPIRY = re.compile(r'expiry-date="([^"]+)"')
_GLOBS = {"**": ".*", "*": "[^/]*", "?": "[^/]"}


class InputState(str, Enum):
    """S3's answer about an input."""

    FOUND = "found"
    MISSING = "missing"
    DENIED = "denied"
    ARCHIVED = "archived"
    RESTORING = "restoring"
    EXPIRING = "expiring"
    NO_MATCH = "no match"


class RunInputs(NamedTuple):
    """The inputs of a run.

    :param run_setting_id: of the run; None for a single run.
    :param argument: where the document stands, as the user knows it.
    :param document: parameters, or any part of them.
    """

    run_setting_id: str | None
    argument: str
    document: Any


class Place(NamedTuple):
    """An S3 bucket and a key, or the beginning of keys, in it.

    :param bucket: name of a bucket, or ARN of an access point.
    :param key: without the first slash; may be empty.
    """

    bucket: str
    key: str

    @property
    def prefix(self) -> str:
        """The key up to its first wildcard: Nextflow takes ``s3://bucket/reads/*_{1,2}.fastq.gz``."""
        return _WILDCARD.split(self.key, maxsplit=1)[0]

    @property
    def is_pattern(self) -> bool:
        """Whether the key has wildcards."""
        return self.prefix != self.key

    def names(self, key: str, *, folders: bool = False) -> bool:
        """Whether a key matches: it begins so, or fits the Nextflow pattern.

        What stands beside a file (``S1.bam.bai``, ``S1.fastq.gz``) does not match the name of the file.

        :param key: of an object in the bucket.
        :param folders: whether a pattern that fits one of its folders will do. Default False.
        """
        if not self.is_pattern:
            return key.startswith(self.key) and not _BESIDE.fullmatch(key[len(self.key) :])
        pattern = "".join(map(_regular, _GLOB.split(self.key)))
        try:
            return re.fullmatch(f"{pattern}(/.*)?" if folders else pattern, key, re.DOTALL) is not None
        except re.error:  # such as [z-a]
            return False


def _regular(piece: str) -> str:
    """Translate a piece of a pattern (documentation of Nextflow, "Working with files": ``*`` stays within a folder)."""
    if piece in _GLOBS:
        return _GLOBS[piece]
    if _GLOB.fullmatch(piece):
        if piece.startswith("{"):
            return f"(?:{'|'.join(map(re.escape, piece[1:-1].split(',')))})"
        return f"[{'^' if piece[1] == '!' else ''}{piece.strip('[]!')}]"
    return re.escape(piece)


def place_of(uri: str) -> Place:
    """Take an S3 URI apart.

    :param uri: ``s3://bucket/key``; the bucket may be the ARN of an access point.
    """
    return Place(*s3_address(uri))


def state_of_object(answer: Mapping[str, Any], needed_until: datetime | None = None) -> InputState:
    """Whether an object can be read now.

    Objects in the storage classes GLACIER and DEEP_ARCHIVE, and in the archive tiers of INTELLIGENT_TIERING, can be
    read only once they are restored; ``Restore`` then says ``ongoing-request="false"`` (S3 API reference, HeadObject).

    :param answer: of HeadObject.
    :param needed_until: when a restored copy may go, whose end ``Restore`` names as ``expiry-date``. Default: any time.
    """
    if answer.get("StorageClass") not in _ARCHIVES and not answer.get("ArchiveStatus"):
        return InputState.FOUND
    restore = answer.get("Restore", "")
    if 'ongoing-request="false"' in restore:
        return InputState.EXPIRING if needed_until and _expires_before(restore, needed_until) else InputState.FOUND
    return InputState.RESTORING if 'ongoing-request="true"' in restore else InputState.ARCHIVED


def _expires_before(restore: str, moment: datetime) -> bool:
    found = _EXPIRY.search(restore)
    try:
        return found is not None and parsedate_to_datetime(found[1]) < moment
    except ValueError:
        return False  # S3 writes it otherwise than documented: it was restored, and that is all we know


def texts_in(document: Any, path: str = "") -> Iterator[tuple[str, str]]:
    """Walk through a document.

    :param document: dicts and lists of anything.
    :param path: where it stands. Default: nowhere.
    :return: each text that is a value, after its path: ``['reads'][0]``.
    """
    if isinstance(document, str):
        yield path, document
    elif isinstance(document, Mapping):
        for key, item in document.items():
            yield from texts_in(item, f"{path}[{key!r}]")
    elif isinstance(document, (list, tuple)):
        for position, item in enumerate(document):
            yield from texts_in(item, f"{path}[{position}]")


class DistinctInputs:
    """The S3 URIs of many runs, each once, as a stream; only they are held in memory, not the runs.

    :param runs: the parameters of the runs.
    """

    def __init__(self, runs: Iterable[RunInputs]) -> None:
        self.malformed: list[Problem] = []
        """Texts that look like a URI and are not valid."""
        self.web_addresses = 0
        """How often an ``http://`` or ``https://`` address was met so far."""
        self.first_web_address: str | None = None
        """Where the first one stands."""
        self.unreadable: Counter[str] = Counter()
        """How often what a run cannot read was met so far, by what it is."""
        self.first_unreadable: dict[str, str] = {}
        """Where the first of its kind stands."""
        self._runs = runs
        self._seen: set[str] = set()

    def __len__(self) -> int:
        """How many S3 URIs there were so far."""
        return len(self._seen)

    def __iter__(self) -> Iterator[str]:
        """Yield each ``s3://`` URI when it is met first; ``omics://`` is left alone."""
        for run in self._runs:
            faults = {path: (shown, allowed) for path, shown, allowed in uri_faults(run.document)}
            if len(self.malformed) < MAX_PROBLEMS:
                self.malformed += [Problem(f"{run.argument}{path}", *fault) for path, fault in faults.items()]
            for path, text in texts_in(run.document):
                if path in faults:
                    continue
                if is_s3_uri(text):
                    if text not in self._seen:
                        self._seen.add(text)
                        yield text
                elif kind := unreadable_kind(text):
                    self.unreadable[kind] += 1
                    self.first_unreadable.setdefault(kind, f"{run.argument}{path}")
                elif text.startswith(("http://", "https://")):
                    self.web_addresses += 1
                    self.first_web_address = self.first_web_address or f"{run.argument}{path}"


def input_digests(
    runs: Iterable[RunInputs], etags: Mapping[str, str], states: Mapping[str, InputState]
) -> dict[str, str]:
    """Hash the versions of each run's inputs, by which one shows that was replaced under the same key.

    Folders, indices and patterns have no version, and are left out.

    :param runs: the parameters of the runs; those of one run stand together.
    :param etags: URI -> ETag of the objects that were found.
    :param states: URI -> state of those inputs that were not found.
    :return: ``runSettingId`` -> SHA-256 in hexadecimal; without runs of which an input cannot be told, or that have
        none.
    """
    versions: dict[str, dict[str, str]] = {}
    untold = set()
    for run in runs:
        name = run.run_setting_id
        for _, text in () if name is None else texts_in(run.document):
            if text in etags:
                versions.setdefault(str(name), {})[text] = etags[text]
            elif text in states:
                untold.add(name)
    return {name: _digest(found) for name, found in versions.items() if name not in untold}


def _digest(versions: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(sorted(versions.items())).encode()).hexdigest()


def input_problems(
    runs: Iterable[RunInputs],
    states: Mapping[str, InputState],
    *,
    malformed: Sequence[Problem] = (),
    below: Mapping[str, str] | None = None,
    role_arn: str | None = None,
    mask: bool = False,
) -> list[Problem]:
    """Turn faulty inputs into problems, by the runs and parameters that name them.

    :param runs: the parameters of the runs, once more.
    :param states: URI -> state of those that were not found.
    :param malformed: problems that come first. Default: none.
    :param below: URI -> the first object that is archived below it, or that begins like it and is another. Default:
        none.
    :param role_arn: the role that was not allowed to look; None: being denied proves nothing.
    :param mask: whether only the bucket of a URI is shown.
    :return: at most 50 problems: the last ones say how many more there are, and which runs have archived inputs.
    """
    first: dict[str, str] = {}
    uses: Counter[str] = Counter()
    archived: dict[str | None, None] = {}
    for run in runs:
        for path, text in texts_in(run.document):
            state = states.get(text, InputState.FOUND)
            if state is InputState.FOUND or (state is InputState.DENIED and role_arn is None):
                continue
            first.setdefault(text, f"{run.argument}{path}")
            uses[text] += 1
            if state in (InputState.ARCHIVED, InputState.RESTORING, InputState.EXPIRING):
                archived[run.run_setting_id] = None
    problems = list(malformed)
    for uri, place in first.items():
        shown = f"s3://{visible(place_of(uri).bucket)}/..." if mask else visible(uri)
        more = f"; named in {uses[uri]:,} places" if uses[uri] > 1 else ""
        key = (below or {}).get(uri)
        words = "there is" if states[uri] is InputState.MISSING else "the first of those below it:"
        other = f"; {words} {visible(key)}" if key and not mask else ""
        problems.append(Problem(place, shown, f"{_allowed(states[uri], role_arn)}{other}{more}"))
    last = _archived_runs([run for run in archived if run is not None])
    room = MAX_PROBLEMS - len(last)
    if len(problems) > room:
        told = problems[: room - 1]
        rest = Problem("check_inputs", f"{len(problems) - len(told):,} inputs more", "look at the first ones first")
        problems = [*told, rest]
    return problems + last


def _allowed(state: InputState, role_arn: str | None) -> str:
    if state is InputState.DENIED:
        return f"an object that {role_arn} may read: it needs s3:GetObject, and s3:ListBucket to tell a missing object"
    if state is InputState.ARCHIVED:
        return "an object that is not archived: restore it first (s3:RestoreObject), or leave the run out"
    if state is InputState.RESTORING:
        return "an object whose restore is finished: it is still under way"
    if state is InputState.EXPIRING:
        return "an object whose restored copy outlasts restore_margin: restore it again, for more days"
    if state is InputState.NO_MATCH:
        return "there is no object whose key this pattern fits"
    return "there is no such object, and no folder or index whose keys begin so"


def _archived_runs(ids: Sequence[str]) -> list[Problem]:
    if not ids:
        return []
    more = f" and {len(ids) - MAX_IDS:,} more" if len(ids) > MAX_IDS else ""
    named = ", ".join(ids[:MAX_IDS])
    count = f"{len(ids):,} run{'s' if len(ids) > 1 else ''} with archived inputs"
    return [Problem("check_inputs", count, f"restore them for {named}{more}")]
