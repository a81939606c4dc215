"""Outputs that a run has to leave: for each name a pattern of keys below the run's output URI."""

from __future__ import annotations

import os.path
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from fnmatch import translate
from typing import Any

from airflow_provider_omics.core.errors import Problem, show_value
from airflow_provider_omics.core.settings.rendering import lost_spelling, still_text
from airflow_provider_omics.core.text import visible
from airflow_provider_omics.core.uris import S3Address, s3_address

MAX_NAMES = 20
MAX_PATTERN = 1_024
"""Characters of a pattern: those of the longest key (S3 user guide, "Naming Amazon S3 objects")."""

MAX_FILES = 25
"""Objects that are kept for a name, 100,000 times in a cohort: as many as a human genome has chromosomes."""

MAX_PAGES = 10
"""Pages of 1,000 keys that are listed of a run. Where there are more, a name without an object is not known to lack."""

_ALLOWED = "a dict of name -> pattern below the run's output URI: {'vcf': '**/*.vcf.gz'}"
_WILDCARD = re.compile(r"[*?]")


@dataclass(frozen=True)
class ExpectedOutputs:
    """What a run has to leave.

    In a pattern ``*`` stands for characters of a name, ``?`` for one of them, and ``**`` for folders, or none: alone
    between slashes, or at the beginning of a name (``**.bam`` means ``**/*.bam``). All else, and case, is literal.

    :param patterns: name -> pattern, checked by :func:`read_expected_outputs`.
    """

    patterns: Mapping[str, str]

    @property
    def prefix(self) -> str:
        """The beginning that all keys have: only what begins so is listed."""
        beginnings = [_WILDCARD.split(pattern, maxsplit=1)[0] for pattern in self.patterns.values()]
        return os.path.commonprefix(beginnings)  # noqa: RUF071 - of keys in S3, which have no folders


def read_expected_outputs(value: object) -> tuple[ExpectedOutputs | None, list[Problem]]:
    """Read the argument ``expected_outputs``.

    :param value: name -> pattern; None or empty text: it is not given.
    :return: what is expected, where the argument is given (an empty dict: nothing is); and the problems.
    """
    if value is None or value in ("", "None"):
        return None, []
    if not isinstance(value, Mapping):
        return None, [Problem("expected_outputs", show_value(value), f"{_ALLOWED}{still_text(value)}")]
    problems = []
    if len(value) > MAX_NAMES:
        problems.append(Problem("expected_outputs", f"{len(value)} names", f"at most {MAX_NAMES}"))
    for name, pattern in value.items():
        if not isinstance(name, str) or not name.strip() or visible(name) != name or len(name) > 64:
            allowed = f"names of 1 to 64 printable characters{lost_spelling(name)}"
            problems.append(Problem("expected_outputs", show_value(name), allowed))
            continue
        fault = _fault(pattern)
        if fault is not None:
            problems.append(Problem(f"expected_outputs[{name!r}]", show_value(pattern), fault))
    if problems:
        return None, problems
    return ExpectedOutputs({str(name): str(pattern) for name, pattern in value.items()}), []


def _fault(pattern: object) -> str | None:
    """Find out why a pattern cannot be used; None: it can."""
    if not isinstance(pattern, str) or not pattern:
        return f"a pattern below the run's output URI, such as '**/*.vcf.gz'{lost_spelling(pattern)}"
    if len(pattern) > MAX_PATTERN:
        return f"at most {MAX_PATTERN:,} characters, as keys of S3 have"
    if visible(pattern) != pattern or pattern != pattern.strip():
        return "printable characters, and no white space around them"
    if "://" in pattern or pattern.startswith("/"):
        return "a pattern below the run's output URI, which HealthOmics sets: '**/*.vcf.gz', without s3:// or a first /"
    if pattern.endswith("/"):
        return f"a pattern of objects: {pattern + '**'!r} fits all below this folder"
    if re.search(r"[\[\]{}]", pattern):
        return "the wildcards *, ? and **: for other alternatives give several names; ? fits a bracket, too"
    if any(part in (".", "..", "") for part in pattern.split("/")):
        return "names and wildcards between the slashes"
    if any("**" in part[2:] or ("**" in part and not part.startswith("**")) for part in pattern.split("/")):
        return "** for folders: alone between slashes, or at the beginning of a name"
    return None


Segment = re.Pattern[str] | None
"""One part of a pattern between slashes; None: folders, or none."""


def _segments(pattern: str) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    parts = pattern.split("/")
    for number, part in enumerate(parts):
        rest = part
        if part.startswith("**"):
            if not segments or segments[-1] is not None:
                segments.append(None)
            if part == "**" and number < len(parts) - 1:
                continue
            rest = part[1:]  # ``**`` at the end fits what is below, and no object of the folder's own name
        # fnmatch's expression for * does not back-track: a pattern of the worst kind is as quick as any.
        segments.append(re.compile(translate(re.sub(r"\*+", "*", rest))))
    return tuple(segments)


def _fits(segments: tuple[Segment, ...], parts: list[str]) -> bool:
    """Hold the parts of a key against those of a pattern, by stepping back to the last ``**`` only."""
    place = part = 0
    back: tuple[int, int] | None = None
    while part < len(parts):
        segment = segments[place] if place < len(segments) else ...
        if segment is None:
            back = place, part
            place += 1
        elif segment is not ... and segment.match(parts[part]):
            place, part = place + 1, part + 1
        elif back is not None:
            back = back[0], back[1] + 1
            place, part = back[0] + 1, back[1]
        else:
            return False
    return place == len(segments)


@dataclass
class OutputSearch:
    """The search for the expected outputs of one run, page by page of what lies below its output URI.

    :param expected: the outputs.
    :param output_uri: ``runOutputUri`` of GetRun: with ``NONE_WITH_OVERWRITE`` the ``outputUri`` itself, else a folder
        in it. No path is ever guessed.
    :param since: when the run started: what is older is of another run, whose place or id it has. Default: any time.
    """

    expected: ExpectedOutputs
    output_uri: str
    since: datetime | None = None
    is_cut: bool = False
    """Whether more lies there than was looked at."""
    files: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    """Name -> the first objects that fit: ``uri``, ``size`` and ``etag``."""
    left_out: dict[str, int] = field(default_factory=dict)
    """Name -> how many more fit, of those that were looked at; without names of which all are there."""

    def __post_init__(self) -> None:
        self.files = {name: [] for name in self.expected.patterns}
        bucket, path = s3_address(self.output_uri)
        self._folder = S3Address(bucket, f"{path.rstrip('/')}/" if path else "")
        # S3 tells whole seconds.
        self._since = None if self.since is None else self.since.replace(microsecond=0)
        self._segments = {name: _segments(pattern) for name, pattern in self.expected.patterns.items()}

    @property
    def place(self) -> str:
        """Where the list begins."""
        return S3Address(self._folder.bucket, self._folder.key + self.expected.prefix).uri

    def look(self, items: Iterable[Mapping[str, Any]]) -> None:
        """Look at objects.

        :param items: of ListObjectsV2.
        """
        for item in items:
            key = str(item["Key"])
            written = item.get("LastModified")
            is_older = self._since is not None and written is not None and written < self._since
            if is_older or key.endswith("/") or not key.startswith(self._folder.key):
                continue
            parts = key[len(self._folder.key) :].split("/")
            for name, segments in self._segments.items():
                last = segments[-1]  # never folders; it tells most keys apart by itself
                if last is not None and last.match(parts[-1]) and _fits(segments, parts):
                    self._add(name, key, item)

    def _add(self, name: str, key: str, item: Mapping[str, Any]) -> None:
        if len(self.files[name]) == MAX_FILES:
            self.left_out[name] = self.left_out.get(name, 0) + 1
            return
        uri = S3Address(self._folder.bucket, key).uri
        self.files[name].append({"uri": uri, "size": item.get("Size"), "etag": item.get("ETag")})

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of which no object was found."""
        return tuple(name for name, found in self.files.items() if not found)

    @property
    def sentence(self) -> str:
        """What was not found, and where it was looked for."""
        shown = ", ".join(f"{name} ({self.expected.patterns[name]})" for name in self.missing)
        return f"no object fits {shown} below {visible(self.output_uri)}"
