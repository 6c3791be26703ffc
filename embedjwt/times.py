"""Times and spans as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def moment(time: float | None, form: str = "%Y-%m-%d %H:%M") -> str:
    """A time in UTC, to the minute; a dash for none. ``time`` is in Unix seconds.

    ``form`` as :meth:`datetime.strftime` has it. Python knows no year after 9999.
    """
    if time is None:
        return "–"
    try:
        return datetime.fromtimestamp(time, UTC).strftime(form)
    except (OverflowError, ValueError, OSError):
        return "in a far future"


def span(seconds: float) -> str:
    """A span in its two largest units: ``1 h 8 min``; at least a second."""
    rest = max(1, round(seconds))
    parts = []
    for unit, size in _UNITS:
        count, rest = divmod(rest, size)
        if count:
            parts.append(f"{count} {unit}")
    return " ".join(parts[:2])
