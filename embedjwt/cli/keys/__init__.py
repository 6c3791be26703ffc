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


for _each in (
    *(show.list_keys, show.plan),
    *(change.prepare, change.activate, change.rotate, change.revoke),
    *(show.export, adopt.import_key),
):
    command.add_command(_each)
