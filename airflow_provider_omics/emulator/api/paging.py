"""Pages of a list, and the tokens between them."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterable
from typing import TypeVar

from airflow_provider_omics.emulator.errors import validation_error

Item = TypeVar("Item")


def start_of_page(list_name: str, token: str | None) -> int:
    """Read a token.

    :param list_name: name of the list that the token must belong to.
    :param token: ``startingToken`` of the request.
    :return: the position of the last item of the page before; -1 without a token.
    :raises ServiceError: the token is not one of this list.
    """
    if token is None:
        return -1
    try:
        name, position = base64.urlsafe_b64decode(token.encode()).decode().rsplit(":", 1)
        if name == list_name:
            return int(position)
    except (binascii.Error, UnicodeError, ValueError):
        pass
    raise validation_error(f"Invalid startingToken: {token}")


def cut_page(
    list_name: str, items: Iterable[Item], position: Callable[[Item], int], size: int
) -> tuple[list[Item], dict[str, str]]:
    """Take one page.

    :param list_name: name of the list that the token is for.
    :param items: the items after the page before, by position; no more are taken than the page needs.
    :param position: returns the position of an item.
    :param size: most items on the page.
    :return: the page, and ``{"nextToken": ...}`` when there is more, else ``{}``.
    """
    page: list[Item] = []
    for item in items:
        if len(page) == size:
            token = base64.urlsafe_b64encode(f"{list_name}:{position(page[-1])}".encode()).decode()
            return page, {"nextToken": token}
        page.append(item)
    return page, {}
