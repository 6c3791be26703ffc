"""Each key's life as a bar over a common axis of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import NamedTuple

import click

from embedjwt.keys.ring import KeyRecord
from embedjwt.keys.timing import Timing
from embedjwt.times import moment

_WIDTH = 60
_NARROWEST = 30  # below, the axis has no room for its times
_WAITS, _READY, _SIGNS, _FOREIGN, _LEAVES = "░", "▒", "█", "▚", "─"
_MEANINGS = {
    _WAITS: "not yet known everywhere",
    _READY: "may sign",
    _SIGNS: "signs",
    _FOREIGN: "another program signs",
    _LEAVES: "published for its last tokens",
}
_COLOURS = {"active": "green", "next": "cyan", "retiring": "yellow", "revoked": "red"}


class _Life(NamedTuple):
    """When what a key does begins, in Unix seconds; ``None``: never, as far as is known."""

    published: int
    ready: int
    signs: int | None
    until: int | None
    leaves: int | None
    foreign: bool


def bars(
    keys: Sequence[tuple[str, KeyRecord]],
    now: int,
    timing: Timing,
    *,
    ready: Mapping[str, int] | None = None,
    width: int | None = None,
) -> Iterator[str]:
    """Lines: an axis, a bar for each key with its name, and what the shades mean.

    A key without an end is drawn to the right edge. ``ready``: from when ``next`` keys may sign, by
    their ``kid``, for a planned time in a key says nothing of that. ``width``: of a line.
    """
    lives = [(name, key, _life(key, timing, ready or {})) for name, key in keys]
    shown = [(name, key, life) for name, key, life in lives if life is not None]
    if not shown:
        return
    times = (life[:-1] for _, _, life in shown)
    known = [time for life in times for time in life if time is not None]
    start, newest = min(known), max(*known, now + 1)
    end = newest + max(60, (newest - start) // 20)
    pad = max(len(name) for name, _, _ in shown) + 2
    cells = _WIDTH if width is None else max(_NARROWEST, min(_WIDTH, width - pad))
    yield " " * pad + click.style(_axis(start, end, now, cells), dim=True)
    drawn = [(name, key, _bar(life, start, end, cells)) for name, key, life in shown]
    for name, key, bar in drawn:
        yield f"{name:<{pad}}{click.style(bar, fg=_COLOURS.get(key.state))}"
    used = {cell for _, _, bar in drawn for cell in bar}
    meanings = [f"{shade} {text}" for shade, text in _MEANINGS.items() if shade in used]
    for line in _lines(meanings, None if width is None else width - pad):
        yield " " * pad + click.style(line, dim=True)


def signs_until(key: KeyRecord, timing: Timing) -> int | None:
    """When a key ceases to sign; what another program signs with, when that must cease."""
    if not key.signs_elsewhere or key.removes_at is None:
        return key.retires_at
    return max(key.published_at or 0, key.removes_at - timing.overlap)


def _life(key: KeyRecord, timing: Timing, ready: Mapping[str, int]) -> _Life | None:
    if key.published_at is None:
        return None
    known = ready.get(key.kid, key.published_at + timing.known_everywhere)
    # Without an end of its signing, the time in a next key is no plan but a 'not before'.
    plan = key.state != "next" or key.retires_at is not None
    return _Life(
        key.published_at,
        known,
        key.activates_at if plan else None,
        signs_until(key, timing) if plan else None,
        key.removes_at,
        key.signs_elsewhere,
    )


def _bar(life: _Life, start: int, end: int, cells: int) -> str:
    # Whole numbers: times in a ring may be beyond what a float can hold.
    edges = [start + (end - start) * cell // cells for cell in range(cells + 1)]
    return "".join(_shade(life, first, last) for first, last in pairwise(edges)).rstrip()


def _shade(life: _Life, first: int, last: int) -> str:
    """The most telling of what happens from ``first`` to ``last``: short spans must not vanish."""
    if not _overlaps(first, last, life.published, life.leaves):
        return " "
    if life.signs is not None and _overlaps(first, last, life.signs, life.until):
        return _FOREIGN if life.foreign else _SIGNS
    waits_until = life.ready if life.signs is None else min(life.ready, life.signs)
    if _overlaps(first, last, life.published, waits_until):
        return _WAITS
    return _LEAVES if life.until is not None and first >= life.until else _READY


def _overlaps(first: int, last: int, begin: int, end: int | None) -> bool:
    return begin < last and (end is None or first < end)


def _axis(start: int, end: int, now: int, cells: int) -> str:
    """The first and the last moment, and where now is between them."""
    length = end - start
    form = "%H:%M" if length < 86400 else "%m-%d %H:%M" if length < 3 * 86400 else "%Y-%m-%d"
    left, right, label = moment(start, form), moment(end, form), "now"
    here = min(cells - 1, max(0, (now - start) * cells // length))
    line = list(f"{left} ".ljust(cells - len(right) - 1, "·") + f" {right}")
    at = min(max(here, len(left) + 1), cells - len(right) - len(label) - 1)
    line[at : at + len(label)] = label
    return "".join(line)


def _lines(parts: Sequence[str], width: int | None) -> list[str]:
    """``parts`` in as few lines as ``width`` allows, none of them broken."""
    lines: list[str] = []
    for part in parts:
        if lines and (width is None or len(lines[-1]) + 3 + len(part) <= width):
            lines[-1] += f"   {part}"
        else:
            lines.append(part)
    return lines
