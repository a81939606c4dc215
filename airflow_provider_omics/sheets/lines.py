"""The lines of a text, each of bounded length: with their numbers, without comments, and a look ahead."""

from __future__ import annotations

import gzip
import re
import zlib
from collections import deque
from collections.abc import Iterator
from itertools import takewhile
from typing import TextIO

LONGEST_LINE = 1 << 22
"""Characters of a line: the parameters of a run have 256,000 bytes at most."""

MOST_LINES = 10_000_000
"""Lines of a sheet: a hundred for each of the 100,000 runs of the largest batch."""

AHEAD_LINES = 200
"""Lines that are looked at to find the delimiter."""

AHEAD_CHARACTERS = 1 << 18
"""Characters of these lines; at least one line is looked at."""

DAMAGE = (EOFError, zlib.error, gzip.BadGzipFile)
"""Raised by gzip for a file that was cut off or changed."""


class UnreadableLine(Exception):
    """A line that cannot be read, and after which nothing can be.

    :param line: its number, or that of the last one before damage.
    :param shown: what it is.
    :param allowed: what is allowed, and the remedy.
    """

    def __init__(self, line: int, shown: str, allowed: str) -> None:
        super().__init__(shown)
        self.line = line
        self.shown = shown
        self.allowed = allowed


class Lines(Iterator[str]):
    """The lines of a text.

    :param text: the text; marks of the byte order before it are left out.
    :param comment: lines that begin with it are left out, where a record may begin. Default: none.
    """

    def __init__(self, text: TextIO, comment: str | None = None) -> None:
        self.number = 0
        """Of the line that was read last."""
        self.start = 0
        """Of the first line of the record that is being read."""
        self.comments = 0
        """Lines left out so far."""
        self.last_comment = ""
        """The last of them."""
        self.begin_record = True
        """Whether the next line begins a record; the reader sets it before each."""
        self.until: re.Pattern[str] | None = None
        """Where a record may begin, a line of this form is the end."""
        self._text = text
        self._comment = comment
        self._ahead: deque[str] = deque()
        self._end: UnreadableLine | None = None

    def __next__(self) -> str:
        """Read a line.

        :raises UnreadableLine: it is too long, or the file is damaged.
        """
        while True:
            line = self._ahead.popleft() if self._ahead else self._read()
            if not line:
                if self._end:
                    raise self._end
                raise StopIteration
            self.number += 1
            if not self.begin_record:
                return line
            if self._comment and line.startswith(self._comment):
                self.comments += 1
                self.last_comment = line
                continue
            if self.until and self.until.fullmatch(line):
                raise StopIteration
            self.start = self.number
            self.begin_record = False
            return line

    def put_back(self, line: str) -> None:
        """Undo the reading of a line.

        :param line: the one that was read last.
        """
        self._ahead.appendleft(line)
        self.number -= 1
        self.begin_record = True

    def ahead(self) -> tuple[list[str], bool]:
        """Look at the next lines without reading them.

        :return: some of them, comments left out, and whether there are more.
        """
        characters = sum(map(len, self._ahead))
        while len(self._ahead) < AHEAD_LINES and characters < AHEAD_CHARACTERS:
            line = self._read()
            if not line:
                break
            self._ahead.append(line)
            characters += len(line)
        else:
            return self._seen(), True
        return self._seen(), False

    def _seen(self) -> list[str]:
        section = takewhile(lambda line: not (self.until and self.until.fullmatch(line)), self._ahead)
        return [line for line in section if not (self._comment and line.startswith(self._comment))]

    def _read(self) -> str:
        """Read from the text; an empty line is its end, or that of what can be read."""
        if self._end:
            return ""
        number = self.number + len(self._ahead)
        if number >= MOST_LINES:
            self._end = UnreadableLine(number + 1, "one line more", f"at most {MOST_LINES:,} lines: split the sheet")
            return ""
        try:
            line = self._text.readline(LONGEST_LINE + 1)
        except DAMAGE as error:
            self._end = UnreadableLine(number, "damaged", f"a whole gzip file: {error}")
            return ""
        if len(line) > LONGEST_LINE:
            shown = f"a line of more than {LONGEST_LINE:,} characters"
            self._end = UnreadableLine(number + 1, shown, "lines of a table: this is something else")
            return ""
        return line if number else line.lstrip("\ufeff")
