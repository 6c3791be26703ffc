"""Each key's life as a bar over a common axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import click

from embedjwt.keys.ring import KeyRecord
from embedjwt.keys.timing import Timing

_WIDTH = 60
_WAITS, _READY, _SIGNS, _LEAVES = "░", "▒", "█", "─"


def bars(keys: Sequence[tuple[str, KeyRecord]], now: int, timing: Timing) -> Iterator[str]:
    """Lines: an axis, a bar for each key with its name, and what the shades mean.

    A key without an end is drawn to the right edge.
    """
    published = [(name, key) for name, key in keys if key.published_at is not None]
    if not published:
        return
    known = [time for _, key in published for time in _times(key, timing) if time is not None]
    start = min(known)
    end = max(*known, now + 1) + max(60, (max(*known, now) - start) // 20)
    pad = max(len(name) for name, _ in published)
    yield " " * (pad + 2) + click.style(_axis(start, end, now), dim=True)
    for name, key in published:
        cells = _bar(key, start, end, timing)
        yield f"{name:<{pad}}  {click.style(cells, fg=_COLOURS.get(key.state))}"
    legend = (
        f"{_WAITS} published, not yet known everywhere   {_READY} may sign   {_SIGNS} signs   "
        f"{_LEAVES} published for its last tokens"
    )
    yield " " * (pad + 2) + click.style(legend, dim=True)


_COLOURS = {"active": "green", "next": "cyan", "retiring": "yellow", "revoked": "red"}


def _times(key: KeyRecord, timing: Timing) -> tuple[int | None, ...]:
    ready = key.may_sign_from(timing) if key.state == "next" else None
    return key.published_at, ready, key.activates_at, key.retires_at, key.removes_at


def _bar(key: KeyRecord, start: int, end: int, timing: Timing) -> str:
    published, _, signs, until, leaves = _times(key, timing)
    ready = key.may_sign_from(timing)
    cells = []
    for cell in range(_WIDTH):
        first, last = (start + (end - start) * (cell + edge) / _WIDTH for edge in (0, 1))
        # The most telling of what happens within the cell: short spans must not vanish.
        shade = " "
        if _overlaps(first, last, published, leaves):
            shade = _LEAVES if until is not None and first >= until else _READY
            if _overlaps(first, last, published, min(ready, signs if signs is not None else ready)):
                shade = _WAITS
            if signs is not None and _overlaps(first, last, signs, until):
                shade = _SIGNS
        cells.append(shade)
    return "".join(cells).rstrip()


def _overlaps(first: float, last: float, begin: int | None, end: int | None) -> bool:
    if begin is None or last <= begin:
        return False
    return end is None or first < end


def _axis(start: int, end: int, now: int) -> str:
    """The first and the last moment, and where now is between them."""
    left, right = (_day(time, end - start) for time in (start, end))
    here = min(_WIDTH - 1, max(0, int((now - start) / (end - start) * _WIDTH)))
    line = list(f"{left} ".ljust(_WIDTH - len(right) - 1, "·") + f" {right}")
    label = "now"
    at = min(max(here, len(left) + 1), _WIDTH - len(right) - len(label) - 1)
    line[at : at + len(label)] = label
    return "".join(line)


def _day(time: int, length: int) -> str:
    form = "%H:%M" if length < 86400 else "%m-%d %H:%M" if length < 3 * 86400 else "%Y-%m-%d"
    return datetime.fromtimestamp(time, UTC).strftime(form)
