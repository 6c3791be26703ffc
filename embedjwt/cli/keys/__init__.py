"""``embedjwt keys``: what is in the key ring, and everything that may be done to it."""

from __future__ import annotations

import click

from embedjwt.cli.keys import adopt, change, show


@click.group()
def command() -> None:
    """List, plan, rotate, revoke, export and import signing keys.

    \b
    A key goes next (published, waits) → active (signs) → retiring (published,
    for the tokens it signed) → removed. 'embedjwt serve' does all of this by
    itself every [keys] rotate_every; these commands do it by hand.
    """


# At most 64 characters each: what a terminal of 80 columns has room for.
for _each, _in_short in (
    (show.list_keys, "Every key, its state and its times, as a table and a drawing."),
    (show.plan, "What automatic rotation will do and when; no key is touched."),
    (change.prepare, "Publish one more next key."),
    (change.activate, "Let a next key sign now."),
    (change.rotate, "Hand over to the next key and publish its successor."),
    (change.revoke, "Take a lost or stolen key out of use at once."),
    (show.export, "Print the published key set (JWKS)."),
    (adopt.import_key, "Take over a key Grafana trusts, or move a whole ring."),
):
    _each.short_help = _in_short
    command.add_command(_each)
