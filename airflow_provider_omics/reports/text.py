"""Text of users, tools and services on a page: shown as it is, with what cannot be seen written out."""

from __future__ import annotations


def visible(text: str) -> str:
    r"""Write characters that have no shape of their own as escapes: a name must not pass for another one.

    Those are control characters, marks that turn the writing direction or have no width, unusual spaces, lone
    surrogates, and code points that are not assigned.

    :param text: any text.
    :return: the same where all of it can be seen; else with ``\u202e`` and the like in the place of the others.
    """
    if text.isprintable():
        return text
    return "".join(
        letter if letter.isprintable() else letter.encode("unicode_escape").decode("ascii") for letter in text
    )
