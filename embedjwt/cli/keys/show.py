"""``embedjwt keys list``, ``plan`` and ``export``: looking, without changing anything."""

from __future__ import annotations

import json
import shutil
import sys
import textwrap
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from embedjwt.cli.common import (
    config_option,
    heading,
    json_option,
    print_json,
    refusals_shown,
    table,
    warn,
)
from embedjwt.cli.keys.names import abridged, names, printable, shortened
from embedjwt.cli.keys.timeline import bars, signs_until
from embedjwt.config import Settings, load_settings
from embedjwt.config.values import parse_duration
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.timing import Timing
from embedjwt.times import moment, span

_FIELDS = ("kid", "alg", "state", "published_at", "activates_at", "retires_at", "removes_at")
_MOST_ROWS = 20
_LONGEST_NAME = 20  # characters of an imported key's name, where room is short
_LONGEST_SPAN = 100 * 365 * 86400
_TIMES = ("published", "may sign from", "signs until", "leaves at")


class Span(click.ParamType[int]):
    """A duration such as ``90d`` or ``2y``, in seconds."""

    name = "SPAN"

    def convert(
        self, value: str | int, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        if isinstance(value, int):
            return value
        years = value.removesuffix("y")
        try:
            if years != value and years.isdecimal():
                seconds = int(years) * 365 * 86400
            else:
                seconds = parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}; or years, such as 2y", param, ctx)
        if seconds > _LONGEST_SPAN:
            self.fail(f"{value!r} is too long: at most 100y", param, ctx)
        return seconds


@click.command("list")
@config_option
@json_option
@refusals_shown
def list_keys(*, config: Path | None, as_json: bool) -> None:
    """Every key, its state and its times (UTC), and the same as a drawing.

    Times that lie ahead are those at which automatic rotation will act.
    """
    from embedjwt.keys.build import key_store, key_timing
    from embedjwt.keys.schedule import planned

    settings = load_settings(config)
    timing, store = key_timing(settings), key_store(settings)
    now, stored = int(time.time()), store.ring()
    ring = planned(stored, now, timing, settings.keys.algorithm)
    # Not of the planned ring, whose times are when keys will sign, not when they may.
    ready = {key.kid: key.may_sign_from(timing) for key in stored.in_state("next")}
    if as_json:
        print_json(
            {
                "keys": [_as_json(key) for key in ring.records],
                "rotate_from": min(ready.values(), default=None),
                "revision": ring.revision,
                "revocations": ring.revocations,
                "warnings": store.concerns(),
            }
        )
        return
    for concern in store.concerns():
        warn(concern)
    width = _width()
    shown, short = _worth_showing(ring), names(ring.records)
    if width is not None:
        short = {kid: abridged(name, _LONGEST_NAME) for kid, name in short.items()}
    header, rows = _fitting(shown, short, ready, timing, width)
    algorithms = "" if "alg" in header else f" ({', '.join(sorted({k.alg for k in shown}))})"
    heading(f"Keys in {store.location}{printable(algorithms)}")
    table(header, rows)
    if len(shown) < len(ring.records):
        click.echo(f"  and {len(ring.records) - len(shown)} older ones (--json lists them)")
    _tell_revoked(shown, short, width)
    click.echo()
    named = [(short[key.kid], key) for key in shown]
    for line in bars(named, now, timing, ready=ready, width=width and width - 2):
        click.echo(f"  {line}")
    click.echo()
    for sentence in _what_next(ring, ready, settings, now, timing):
        _say(sentence, width)


@click.command()
@config_option
@click.option(
    "--for", "span_", type=Span(), default="1y", show_default=True, help="How far ahead to look."
)
@json_option
@refusals_shown
def plan(*, config: Path | None, span_: int, as_json: bool) -> None:
    """What automatic rotation will do and when, for years ahead; no key is touched."""
    from embedjwt.keys.build import key_store, key_timing
    from embedjwt.keys.schedule import forecast

    settings = load_settings(config)
    timing, store = key_timing(settings), key_store(settings)
    ring, algorithm = store.ring(), settings.keys.algorithm
    now = int(time.time())
    until = now + span_
    steps = forecast(ring, now, timing, algorithm, until)
    # A forecast has a limit of its own. It is the limit that ended this one if nothing more comes
    # within two rotations after what was asked for.
    truncated = (
        timing.rotate_every > 0
        and bool(steps)
        and steps[-1].at < until
        and steps == forecast(ring, now, timing, algorithm, until + 2 * timing.rotate_every)
    )
    if as_json:
        rows = [{"at": s.at, "action": s.action, "kid": s.kid, "alg": s.alg} for s in steps]
        print_json({"steps": rows, "truncated": truncated, "warnings": store.concerns()})
        return
    for concern in store.concerns():
        warn(concern)
    width, short = _width(), names(ring.records)
    if width is not None:
        short = {kid: abridged(name, _LONGEST_NAME) for kid, name in short.items()}
    events = [(s.at, short.get(s.kid or "", s.kid or ""), s.alg, _VERBS[s.action]) for s in steps]
    for key in ring.published():
        ends = signs_until(key, timing)
        if key.signs_elsewhere and ends is not None and now <= ends < until:
            events.append((ends, short[key.kid], key.alg, "must sign no more elsewhere"))
    events.sort(key=lambda event: event[0])
    if events:
        table(
            ["when", "key", "alg", "what"],
            [[moment(at), name, printable(alg), what] for at, name, alg, what in events],
        )
    else:
        _say("nothing will happen by itself in that time", width)
    if truncated:
        _say(f"only the first {len(steps)} steps; ask for less with --for", width)
    if timing.rotate_every == 0:
        _say("rotate_every = 0: only 'embedjwt keys rotate' rotates", width)


_VERBS = {
    "prepare": "is published",
    "activate": "signs, its predecessor retires",
    "remove": "leaves the key set",
}


@click.command()
@config_option
@json_option
@refusals_shown
def export(*, config: Path | None, as_json: bool) -> None:
    """Print the published key set (JWKS, RFC 7517), for jwk_set_file or another verifier."""
    from embedjwt.keys.build import key_store
    from embedjwt.keys.document import jwk_set

    print_json(json.loads(jwk_set(key_store(load_settings(config)).ring())))


def _as_json(key: KeyRecord) -> dict[str, Any]:
    row: dict[str, Any] = {field: getattr(key, field) for field in _FIELDS}
    if key.state == "revoked":
        row |= {"revoked_at": key.revoked_at, "reason": key.reason}
    if key.imported:
        row["imported"] = True
    return row


def _fitting(
    keys: Sequence[KeyRecord],
    short: Mapping[str, str],
    ready: Mapping[str, int],
    timing: Timing,
    width: int | None,
) -> tuple[list[str], list[list[str]]]:
    """Header and rows: whole names and all columns, or as much as ``width`` has room for."""
    whole = {key.kid: printable(key.kid) for key in keys}
    one_algorithm = len({key.alg for key in keys}) == 1
    # The drawing shows the times that a table leaves out.
    less = [(), ("published",), ("published", *(["alg"] if one_algorithm else ["leaves at"]))]
    less.append(("published", "alg", "leaves at", "may sign from"))
    choices = [(whole, less[0]), *((short, left_out) for left_out in less)]
    for shown_as, left_out in choices:
        lines = [_columns(key, shown_as[key.kid], ready, timing) for key in keys]
        kept = [name for name in ("kid", "alg", "state", *_TIMES) if name not in left_out]
        rows = [[line[name] for name in kept] for line in lines]
        widths = [max(len(row[i]) for row in [kept, *rows]) for i in range(len(kept))]
        if width is None or sum(widths) + 2 * len(widths) <= width:
            break
    return kept, rows


def _columns(key: KeyRecord, name: str, ready: Mapping[str, int], timing: Timing) -> dict[str, str]:
    signs_from = ready.get(key.kid, key.activates_at)
    times = (key.published_at, signs_from, signs_until(key, timing), key.removes_at)
    row = {"kid": name, "alg": printable(key.alg), "state": key.state}
    return row | {column: moment(at) for column, at in zip(_TIMES, times, strict=True)}


def _tell_revoked(keys: Sequence[KeyRecord], short: Mapping[str, str], width: int | None) -> None:
    revoked = [key for key in keys if key.state == "revoked"]
    if revoked:
        click.echo()
    for key in revoked:
        line = f"{short[key.kid]}  {moment(key.revoked_at)}  revoked: {printable(key.reason)}"
        click.echo(f"  {shortened(line, width and width - 2)}")


def _width() -> int | None:
    """Columns of the terminal; ``None`` where a program reads, which needs every text whole."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else None


def _say(sentence: str, width: int | None) -> None:
    """A sentence, wrapped at the edge of a terminal."""
    lines = [sentence] if width is None else textwrap.wrap(sentence, max(20, width - 2))
    for line in lines:
        click.echo(f"  {line}")


def _worth_showing(ring: Ring) -> list[KeyRecord]:
    """All that are published, and the youngest of those that are gone."""
    published = ring.published()
    gone = [key for key in ring.records if key not in published]
    room = max(0, _MOST_ROWS - len(published))
    kept = {key.kid for key in (*published, *gone[len(gone) - min(room, len(gone)) :])}
    return [key for key in ring.records if key.kid in kept]


def _what_next(
    ring: Ring, ready: Mapping[str, int], settings: Settings, now: int, timing: Timing
) -> list[str]:
    ahead = ring.moment(now) - now
    if ahead > timing.clock_skew:
        return [
            f"This machine's clock is {span(ahead)} behind the newest time in the ring: nothing "
            "rotates until it has caught up. Is the clock right?"
        ]
    return [_next_rotation(ring, settings, timing), _if_revoked(ready, now, timing)]


def _next_rotation(ring: Ring, settings: Settings, timing: Timing) -> str:
    if timing.rotate_every == 0:
        return "rotate_every = 0: 'embedjwt keys rotate' rotates."
    key = ring.signs(settings.keys.algorithm)
    known = key is not None and key.retires_at is not None
    when = f"{moment(key.retires_at)} UTC" if key is not None and known else "soon"
    return f"Rotates every {span(timing.rotate_every)}, next {when}."


def _if_revoked(ready: Mapping[str, int], now: int, timing: Timing) -> str:
    soonest = min(ready.values(), default=None)
    if soonest is None:
        return (
            "There is no next key: after a revocation panels fail for up to "
            f"{span(timing.known_everywhere)}."
        )
    if soonest > now:
        return (
            f"No next key is known everywhere before {moment(soonest)} UTC: a revocation before "
            "then makes panels fail."
        )
    return "A next key is known everywhere: after a revocation new tokens work at once."
