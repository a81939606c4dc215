"""Text from tools and services, made fit for a task log: bounded in number and length, without control characters."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import overload

LONGEST_LINE = 400
"""Characters of a line that are shown; tools print whole command lines and progress bars into one."""

LONGEST_MESSAGE = 600
"""Characters of a service's message that are shown."""

# Colours and cursor moves of terminals (ECMA-48), which Nextflow and many tools print; the rest of the controls after.
_ESCAPE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)?|.)", re.DOTALL)
# Also the marks that turn the writing direction or hide text, and lone surrogates, which no UTF-8 log can take.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff]")
# The query of a presigned URL, of Signature Version 4 or 2 (S3 user guide).
_SIGNED = re.compile(
    r"(https?://[^\s'\"?]+)\?[^\s'\"]*(?:X-Amz-(?:Signature|Credential|Security-Token)|AWSAccessKeyId|Signature)=[^\s'\"]*",
    re.IGNORECASE,
)
# All of the above and the ends of lines, and with them what Unicode has besides: marks without width, tags, ends.
_UNSEEN = re.compile(
    "[\x00-\x1f\x7f-\xa0\u00ad\u061c\u1680\u180e\u2000-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)


@overload
def visible(text: str) -> str: ...
@overload
def visible(text: None) -> None: ...
def visible(text: str | None) -> str | None:
    r"""Show what a log would obey or hide (control, ANSI, bidi and line characters) as escapes: ``\x1b``, ``\u202e``.

    The query of a presigned URL, which opens its object to whoever reads it, is left out.

    Text of services and files passes it where it becomes a snapshot or an error, so that nobody who prints it has to.

    :param text: of a service, a file, a name; None stays None.
    :return: one printable line; what is visible stays as it is, so that twice is as good as once.
    """
    if text is None or (text.isprintable() and "?" not in text):
        return text
    unsigned = _SIGNED.sub(r"\1?...", text)
    return _UNSEEN.sub(lambda found: found.group().encode("unicode_escape").decode("ascii"), unsigned)


def clean_line(text: str, longest: int = LONGEST_LINE) -> str:
    """Make one line of any text.

    :param text: the text of a tool or a service.
    :param longest: characters that are kept; default :data:`LONGEST_LINE`.
    :return: one printable line, cut with ``...``.
    """
    text = _SIGNED.sub(r"\1?...", text) if "?" in text else text
    # A progress bar rewrites its line after each carriage return: a terminal shows the last one.
    last = text.rstrip("\r\n").rpartition("\r")[2] or text
    line = _CONTROL.sub("", _ESCAPE.sub("", last)).replace("\n", " ").replace("\t", "    ").rstrip()
    return line if len(line) <= longest else f"{line[: longest - 3]}..."


def clean_message(text: str | None) -> str | None:
    """Make one line of a service's message, spaces collapsed; None stays None."""
    if text is None:
        return None
    return " ".join(clean_line(" ".join(text.split()), LONGEST_MESSAGE).split()) or None


def last_lines(messages: Iterable[str], count: int) -> tuple[str, ...]:
    """Take the last lines of log messages, of which one may hold several lines.

    :param messages: in order of time.
    :param count: lines that are kept at most.
    :return: cleaned lines, oldest first; empty ones are left out.
    """
    if count <= 0:
        return ()
    lines = [clean_line(line) for message in messages for line in message.split("\n")]
    return tuple([line for line in lines if line.strip()][-count:])


def nearest_name(name: str, known: Collection[str]) -> str | None:
    """Find the known name that was probably meant.

    :param name: the name as the user wrote it.
    :param known: the names that exist.
    :return: the nearest of them, upper and lower case ignored; None when nothing is near.
    """
    import difflib  # needed for mistakes only

    by_lower = {candidate.lower(): candidate for candidate in known}
    found = difflib.get_close_matches(name.lower(), by_lower, n=1, cutoff=0.6)
    return by_lower[found[0]] if found else None
