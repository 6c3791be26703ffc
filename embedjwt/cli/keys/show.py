"""``embedjwt keys list``, ``plan`` and ``export``: looking, without changing anything."""

from __future__ import annotations

import json
import shutil
import sys
import time
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
)
from embedjwt.cli.keys.names import names
from embedjwt.cli.keys.timeline import bars
from embedjwt.config import Settings, load_settings
from embedjwt.config.values import parse_duration
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.timing import Timing
from embedjwt.times import moment, span

_FIELDS = ("kid", "alg", "state", "published_at", "activates_at", "retires_at", "removes_at")
_MOST_ROWS = 20
_WITH_WHOLE_NAMES = 140  # columns


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
                return int(years) * 365 * 86400
            return parse_duration(value)
        except ValueError as error:
            self.fail(f"{value!r} {error}; or years, such as 2y", param, ctx)


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
    now = int(time.time())
    ring = planned(store.ring(), now, timing, settings.keys.algorithm)
    if as_json:
        ready = [key.may_sign_from(timing) for key in ring.in_state("next")]
        print_json(
            {
                "keys": [_as_json(key) for key in ring.records],
                "rotate_from": min(ready, default=None),
                "revision": ring.revision,
                "revocations": ring.revocations,
            }
        )
        return
    heading(f"Keys in {store.location}")
    shown = _worth_showing(ring)
    short = names(ring.records)
    table(
        ["kid", "alg", "state", "published", "may sign from", "signs until", "leaves at"],
        [_row(key, key.kid if _is_wide() else short[key.kid], timing) for key in shown],
    )
    if len(shown) < len(ring.records):
        click.echo(f"  and {len(ring.records) - len(shown)} older ones (--json lists them)")
    click.echo()
    for line in bars([(short[key.kid], key) for key in shown], now, timing):
        click.echo(f"  {line}")
    click.echo(f"\n  {_what_next(ring, settings, now, timing)}")


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
    timing, ring = key_timing(settings), key_store(settings).ring()
    now = int(time.time())
    steps = forecast(ring, now, timing, settings.keys.algorithm, now + span_)
    if as_json:
        rows = [{"at": s.at, "action": s.action, "kid": s.kid, "alg": s.alg} for s in steps]
        print_json({"steps": rows})
        return
    short = names(ring.records)
    verbs = {
        "prepare": "is published",
        "activate": "signs, its predecessor retires",
        "remove": "leaves the key set",
    }
    table(
        ["when", "key", "alg", "what"],
        [
            [moment(s.at), short.get(s.kid or "", s.kid or ""), s.alg, verbs[s.action]]
            for s in steps
        ],
    )
    if not steps:
        click.echo("  nothing will happen by itself in that time")
    if timing.rotate_every == 0:
        click.echo("  rotate_every = 0: only 'embedjwt keys rotate' rotates")


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


def _row(key: KeyRecord, name: str, timing: Timing) -> list[str]:
    signs_from = key.may_sign_from(timing) if key.state == "next" else key.activates_at
    times = (key.published_at, signs_from, key.retires_at, key.removes_at)
    state = f"revoked: {key.reason}" if key.reason else key.state
    return [name, key.alg, state, *(moment(time) for time in times)]


def _is_wide() -> bool:
    """Whether whole names fit, or a program reads along."""
    return not sys.stdout.isatty() or shutil.get_terminal_size().columns >= _WITH_WHOLE_NAMES


def _worth_showing(ring: Ring) -> list[KeyRecord]:
    """All that are published, and the youngest of those that are gone."""
    published = ring.published()
    gone = [key for key in ring.records if key not in published]
    room = max(0, _MOST_ROWS - len(published))
    kept = {key.kid for key in (*published, *gone[len(gone) - min(room, len(gone)) :])}
    return [key for key in ring.records if key.kid in kept]


def _what_next(ring: Ring, settings: Settings, now: int, timing: Timing) -> str:
    ahead = ring.moment(now) - now
    if ahead > timing.clock_skew:
        return (
            f"This machine's clock is {span(ahead)} behind the newest time in the ring: nothing "
            "rotates until it has caught up. Is the clock right?"
        )
    waiting = [key for key in ring.in_state("next") if key.may_sign_from(timing) <= now]
    safe = (
        "A next key is known everywhere: 'keys revoke' would be felt by nobody but the thief."
        if waiting
        else "No next key is known everywhere yet: after a revocation panels would fail meanwhile."
    )
    if timing.rotate_every == 0:
        return f"rotate_every = 0: 'embedjwt keys rotate' rotates. {safe}"
    key = ring.signs(settings.keys.algorithm)
    when = "" if key is None or key.retires_at is None else f" {moment(key.retires_at)}"
    return f"Rotates every {span(timing.rotate_every)}, next{when or ' soon'}. {safe}"
