"""Short names of keys, which commands take in place of the whole ``kid``."""

from __future__ import annotations

from collections.abc import Iterable

from embedjwt.keys.ring import KeyRecord

_SHORTEST = 12


def names(keys: Iterable[KeyRecord]) -> dict[str, str]:
    """For each ``kid`` its beginning, as long as needed to tell it from the others."""
    kids = [key.kid for key in keys]
    length = _SHORTEST
    while len({kid[:length] for kid in kids}) < len(kids):
        length += 1
    return {kid: kid[:length] for kid in kids}
