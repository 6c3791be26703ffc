"""``embedjwt keys prepare``, ``activate``, ``rotate`` and ``revoke``: changing the ring by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from embedjwt.cli.common import config_option, json_option, refusals_shown, warn
from embedjwt.cli.keys.result import Desk, yes_option
from embedjwt.errors import TransitionRefused
from embedjwt.keys import ring as transitions
from embedjwt.keys.ring import PUBLISHED, KeyRecord, Ring
from embedjwt.keys.timing import JWKS_MAX_AGE
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
        if chosen is not None and chosen.state == "next" and (wait := desk.wait(chosen)):
            url = f"{desk.jwk_set_url(desk.ring).partition('?')[0]}?v={desk.ring.revocations}"
            desk.confirm(
                [
                    f"{desk.name(chosen)} is not known everywhere before "
                    f"{moment(chosen.may_sign_from(desk.timing))} UTC.",
                    f"Until then, for up to {span(wait)}, every Grafana with an older key set "
                    "refuses all tokens:",
                    "its panels show a login page. A new query string ends that after a restart:",
                    f"  jwk_set_url = {url}-{desk.ring.revision + 1}",
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
        desk.tell(desk.operator.rotate())
    except TransitionRefused as error:
        desk.refused(error, desk.store.ring())


@click.command()
@click.argument("kids", metavar="KID...", nargs=-1, required=True)
@click.option("--reason", required=True, help="Why; kept with the key and in the audit trail.")
@yes_option
@config_option
@json_option
@refusals_shown
def revoke(
    *, kids: tuple[str, ...], reason: str, yes: bool, config: Path | None, as_json: bool
) -> None:
    """Take keys out of use and out of the key set at once: they are lost, or stolen.

    KID is a whole kid or its beginning. Where one of them signs, a next key that is not among them
    takes over. Name all stolen keys at once: then no stolen one is put to work.
    """
    desk = Desk.open(config, "keys revoke", as_json=as_json)
    keys = list({key.kid: key for key in map(desk.ring.find, kids)}.values())
    for key in keys:
        transitions.revoke(desk.ring, key.kid, desk.now, reason)  # refused before a question
    desk.confirm(_what_revoking_means(desk, keys), yes=yes)
    ring = desk.operator.revoke(*(key.kid for key in keys), reason=reason)
    trusted = [key for key in keys if key.state in PUBLISHED and not key.signs_elsewhere]
    desk.tell(ring, _what_remains(desk, ring) if trusted else [])
    if not ring.in_state("next"):
        warn("no key waits in reserve, for none could be made: run 'embedjwt keys prepare'")


def _what_revoking_means(desk: Desk, keys: Sequence[KeyRecord]) -> list[str]:
    lines = []
    for key in keys:
        name = desk.name(key)
        if key.state == "removed":
            lines.append(f"{name} is removed: nothing uses it, and nothing will fail.")
        elif key.state == "next":
            lines.append(f"{name} has signed nothing: nothing will fail. Another takes its place.")
        else:
            whose = (
                f"another program signed with {name}" if key.signs_elsewhere else f"{name} signed"
            )
            lines.append(
                f"Every token that {whose} is refused as soon as a Grafana has the new key"
            )
            lines.append("set: open panels need a new one.")
        if key.state == "active":
            lines += _who_signs_then(desk, keys)
    return lines


def _who_signs_then(desk: Desk, revoked: Sequence[KeyRecord]) -> list[str]:
    heir = desk.heir(without=revoked)
    wait = desk.timing.known_everywhere if heir is None else desk.wait(heir)
    if heir is not None and not wait:
        return [f"New ones are signed by {desk.name(heir)}, which every Grafana knows."]
    who = "a key yet to be made" if heir is None else desk.name(heir)
    return [
        f"New ones are signed by {who}, which Grafanas with an older key set do not know:",
        f"for up to {span(wait)} they refuse every token, and panels show a login page.",
    ]


def _what_remains(desk: Desk, ring: Ring) -> list[str]:
    timing = desk.timing
    until = desk.now + timing.propagation_delay + JWKS_MAX_AGE + timing.verifier_cache_ttl
    return [
        "What remains: a Grafana that cached the key set goes on trusting the key, and whatever a",
        f"thief signs with it, until {moment(until)} UTC at the latest (verifier_cache_ttl).",
        "To end that at once, give every Grafana this setting and restart it:",
        "",
        f"  jwk_set_url = {desk.jwk_set_url(ring)}",
        "",
        "'embedjwt grafana-config' prints it from now on. Running services follow within a second,",
        f"one that cannot read the keys within {span(timing.propagation_delay)}.",
    ]
