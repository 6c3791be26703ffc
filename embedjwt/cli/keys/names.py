"""Texts from the key ring on a screen: short names of keys, nothing unprintable, nothing too long.

A ring may come from a backup or a shared database: what it says must not steer a terminal.
"""

from __future__ import annotations

from collections.abc import Iterable

from embedjwt.keys.ring import KeyRecord

_SHORTEST = 12


def names(keys: Iterable[KeyRecord]) -> dict[str, str]:
    """For each ``kid`` its beginning, as long as needed to tell it from the others, printable.

    Commands take it in place of the whole ``kid``.
    """
    kids = {key.kid for key in keys}
    length = _SHORTEST
    while len({kid[:length] for kid in kids}) < len(kids):
        length += 1
    return {kid: printable(kid[:length]) for kid in kids}


def printable(text: str) -> str:
    """``text`` with what is not printable escaped as in Python: ``\\x1b``."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def shortened(text: str, width: int | None) -> str:
    """``text``, its end cut off where it is wider than ``width`` characters; ``None``: whole."""
    if width is None or len(text) <= width:
        return text
    return text[: max(0, width - 1)] + "…"


def abridged(name: str, width: int) -> str:
    """``name``, its middle left out where it is wider: long names differ at both ends."""
    if len(name) <= width:
        return name
    head = (width - 1) // 2
    return f"{name[:head]}…{name[len(name) - (width - 1 - head) :]}"
