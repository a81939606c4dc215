"""Texts that a reader takes for the same and a computer does not: ``S1`` and ``S1 ``, two forms of ``é``, ``s1``."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import lru_cache

_WHOLE = re.compile(r"[+-]?[0-9]+\.0*")


def _without_spaces(text: str) -> str:
    return " ".join(text.split())  # of any kind: no-break space, tab, line end


def _composed(text: str) -> str:
    return unicodedata.normalize("NFKC", text)


def _without_invisible(text: str) -> str:
    return "".join(letter for letter in text if unicodedata.category(letter) not in ("Cf", "Cc") or letter.isspace())


_DIFFERENCES: dict[str, Callable[[str], str]] = {
    "white space": _without_spaces,
    "case": str.casefold,
    "Unicode form": _composed,
    "invisible characters": _without_invisible,
}


@lru_cache(maxsize=8_192)
def folded(text: str) -> str:
    """Bring all texts that look alike into one form.

    :param text: an id or a cell.
    :return: without invisible characters and white space at its ends, one blank for white space within it, composed
        (NFKC), in lower case. Nobody sees it.
    """
    if text.isascii() and text.isalnum():
        return text.lower()
    return _without_spaces(_composed(_without_invisible(_composed(text)).casefold()))


def difference(one: str, other: str) -> str:
    """Name the difference of two texts that look alike.

    :param one: a text.
    :param other: another, whose folded form, or whose number, is the same.
    :return: ``"white space"``, ``"case"``, ...; of several the names.
    """
    for name, leveled in _DIFFERENCES.items():
        if leveled(one) == leveled(other):
            return name
    if folded(one) != folded(other):
        return "the form of a number"
    return ", ".join([*_DIFFERENCES][:-1]) + " or invisible characters"


def look_alike(one: str, other: str) -> bool:
    """Whether two texts would be taken for the same.

    :param one: a text.
    :param other: another.
    :return: True for texts that differ by white space, case, Unicode form or invisible characters only, and for whole
        numbers such as ``1`` and ``1.0``.
    """
    return folded(one) == folded(other) or _whole(one) == _whole(other)


def _whole(text: str) -> str:
    """Write a whole number as pandas and Excel do where its column has no gaps."""
    return text.partition(".")[0] if _WHOLE.fullmatch(text) else text
