"""``embedjwt keys prepare``, ``activate``, ``rotate`` and ``revoke``: changing the ring by hand."""

from __future__ import annotations

import time
from pathlib import Path

import click

from embedjwt.cli.common import config_option, json_option, refusals_shown
from embedjwt.cli.keys.result import Desk, yes_option
from embedjwt.errors import TransitionRefused
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.times import moment, span


@click.command()
@config_option
@json_option
@refusals_shown
def prepare(*, config: Path | None, as_json: bool) -> None:
    """Publish one more next key; it may sign once every Grafana must know it."""
    desk = Desk.open(config, "keys prepare", as_json=as_json)
    desk.tell(desk.operator.prepare())


@click.command()
@click.argument("kid", required=False)
@click.option("--force", is_flag=True, help="Even if Grafanas do not know the key yet.")
@yes_option
@config_option
@json_option
@refusals_shown
def activate(
    *, kid: str | None, force: bool, yes: bool, config: Path | None, as_json: bool
) -> None:
    """Let a next key sign now (KID or its beginning; default: the one whose turn it is).

    The key that signed so far retires. Without --force this is refused until every Grafana must
    know the new key.
    """
    desk = Desk.open(config, "keys activate", as_json=as_json)
    if force:
        chosen = desk.ring.find(kid) if kid is not None else desk.heir()
        if chosen is not None and (wait := desk.wait(chosen)):
            desk.confirm(
                [
                    f"{desk.name(chosen)} is not known everywhere before "
                    f"{moment(chosen.may_sign_from(desk.timing))} UTC.",
                    f"Until then, for up to {span(wait)}, every Grafana with an older key set "
                    "refuses all tokens: its panels show a login page.",
                    "A new query string on its jwk_set_url, such as ?v=2, and a restart end that.",
                ],
                yes=yes,
            )
    desk.tell(desk.operator.activate(kid, force=force))


@click.command()
@click.option("--if-due", is_flag=True, help="Only what [keys] rotate_every asks for; for cron.")
@config_option
@json_option
@refusals_shown
def rotate(*, if_due: bool, config: Path | None, as_json: bool) -> None:
    """Hand over to the next key now, and publish its successor. No token fails.

    Refused while the next key is not known everywhere; it says when it will be. Safe beside a
    running service, and from cron. With --if-due it does what the service would do by itself.
    """
    desk = Desk.open(config, "keys rotate", as_json=as_json)
    if if_due:
        desk.operator.advance()
        desk.tell(desk.store.ring())
        return
    try:
        ring = desk.operator.rotate()
    except TransitionRefused:
        desk.tell_prepared(desk.store.ring())
        raise
    desk.tell(ring)


@click.command()
@click.argument("kid")
@click.option("--reason", required=True, help="Why; kept with the key and in the audit trail.")
@yes_option
@config_option
@json_option
@refusals_shown
def revoke(*, kid: str, reason: str, yes: bool, config: Path | None, as_json: bool) -> None:
    """Take a key out of use and out of the key set at once: it is lost, or stolen.

    KID is a whole kid or its beginning. Where the key signs, a next one takes over.
    """
    desk = Desk.open(config, "keys revoke", as_json=as_json)
    key = desk.ring.find(kid)
    desk.confirm(_what_revoking_means(desk, key), yes=yes)
    ring = desk.operator.revoke(key.kid, reason=reason)
    desk.tell(ring, [] if key.state == "removed" else _what_remains(desk, ring))


def _what_revoking_means(desk: Desk, key: KeyRecord) -> list[str]:
    name = desk.name(key)
    if key.state in ("removed", "revoked"):
        return [f"{name} is {key.state}: nothing uses it, and nothing will fail."]
    if key.state == "next":
        return [f"{name} has signed nothing: nothing will fail. Another key takes its place."]
    lines = [f"Every token that {name} signed is refused as soon as a Grafana has the new key set."]
    if key.state == "retiring":
        last = key.may_leave_from(desk.timing) - int(time.time())
        return [*lines, f"Its last tokens would have died within {span(max(1, last))} anyway."]
    heir = desk.heir()
    wait = desk.timing.known_everywhere if heir is None else desk.wait(heir)
    if heir is not None and not wait:
        return [*lines, f"New ones are signed by {desk.name(heir)}, which every Grafana knows."]
    who = "a key yet to be made" if heir is None else desk.name(heir)
    return [
        *lines,
        f"New ones are signed by {who}, which Grafanas with an older key set do not know: for up "
        f"to {span(wait)} they refuse every token, and panels show a login page.",
    ]


def _what_remains(desk: Desk, ring: Ring) -> list[str]:
    timing = desk.timing
    until = time.time() + timing.propagation_delay + timing.jwks_max_age + timing.verifier_cache_ttl
    return [
        "What remains: a Grafana that cached the key set goes on trusting the key, and whatever a",
        f"thief signs with it, until {moment(until)} UTC at the latest (verifier_cache_ttl).",
        "To end that at once, give every Grafana this setting and restart it:",
        "",
        f"  jwk_set_url = {desk.jwk_set_url(ring)}",
        "",
        "'embedjwt grafana-config' prints it from now on. Running services follow within a second,",
        f"one that cannot read the keys within {span(desk.timing.propagation_delay)}.",
    ]
