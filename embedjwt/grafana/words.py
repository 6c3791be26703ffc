"""What a token or a key set says, made fit for a sentence on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

_LONGEST = 60
_MOST = 5


def shown(text: str) -> str:
    """On one line, without control characters, and never long: whoever made it is not trusted."""
    plain = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text[:_LONGEST])
    return (f"{plain}…" if len(text) > _LONGEST else plain) or '""'


def listed(texts: Sequence[str]) -> str:
    """Several of them, the first few by name."""
    more = len(texts) - _MOST
    first = ", ".join(shown(text) for text in texts[:_MOST])
    return f"{first} and {more} more" if more > 0 else first
