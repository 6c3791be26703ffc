"""``embedjwt keys import``: keys from another program, or a whole ring from a directory."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from embedjwt.cli.common import config_option, json_option, refusals_shown, usage_error, warn
from embedjwt.cli.keys.result import Desk, yes_option
from embedjwt.cli.keys.show import Span
from embedjwt.config.secrets import read_secret_file
from embedjwt.keys.foreign import ForeignKey, read_foreign
from embedjwt.keys.ring import refuse_known
from embedjwt.times import moment, span

_LONGEST = 3650 * 86400
_ALGORITHMS = ("ES256", "ES384", "RS256", "PS256", "EdDSA")


@click.command("import")
@click.argument("pem", type=click.Path(path_type=Path, dir_okay=False, exists=True), required=False)
@click.option(
    "--from-directory",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Move a whole ring from this directory into the configured store.",
)
@click.option(
    "--retiring",
    is_flag=True,
    help="Publish the key only; the other program goes on signing. A public key is enough.",
)
@click.option(
    "--signs-for",
    type=Span(),
    default="30d",
    show_default=True,
    help="With --retiring: how long the other program still signs.",
)
@click.option("--kid", help="The kid that the other program's tokens carry  [default: thumbprint]")
@click.option("--alg", type=click.Choice(_ALGORITHMS), help="[default: by the key; RSA: RS256]")
@click.option(
    "--passphrase-file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The passphrase of an encrypted PEM.",
)
@yes_option
@config_option
@json_option
@refusals_shown
def import_key(
    *,
    pem: Path | None,
    from_directory: Path | None,
    retiring: bool,
    signs_for: int,
    kid: str | None,
    alg: str | None,
    passphrase_file: Path | None,
    yes: bool,
    config: Path | None,
    as_json: bool,
) -> None:
    """Take over a key that Grafana trusts already, or move a ring into a database.

    \b
    embedjwt keys import minter.pem --kid my-key     it signs from now on
    embedjwt keys import minter.pem --kid my-key --retiring
                                                     both sign while you migrate
    embedjwt keys import --from-directory jwks       the configured store has it then
    """
    if (pem is None) == (from_directory is None):
        usage_error("name either a PEM file or --from-directory")
    if from_directory is not None:
        if retiring or kid or alg or passphrase_file:
            usage_error("--from-directory moves a ring as it is; leave the other options out")
        _move(from_directory, config=config, yes=yes, as_json=as_json)
    elif pem is not None:
        passphrase = None
        if passphrase_file is not None:
            passphrase = read_secret_file("--passphrase-file", passphrase_file).encode()
        if signs_for > _LONGEST:
            usage_error("--signs-for can be ten years at most")
        desk = Desk.open(config, "keys import", as_json=as_json, may_be_new=not retiring)
        signs_until = desk.now + signs_for if retiring else None
        key = read_foreign(pem, passphrase, alg=alg, kid=kid, private=not retiring)
        if key.open_to_others:
            warn(f"{pem} can be read by others: whoever has read it can sign in as anyone")
        _adopt(desk, key, signs_until, yes=yes)


def _adopt(desk: Desk, key: ForeignKey, signs_until: int | None, *, yes: bool) -> None:
    refuse_known(desk.ring, key.jwk)
    if signs_until is not None:
        desk.tell(
            desk.operator.adopt_retiring(key.jwk, signs_until=signs_until),
            [
                f"Tokens of the other program are accepted while it signs, until "
                f"{moment(signs_until)} UTC.",
                "Should it end sooner: 'embedjwt keys revoke' takes its key out of the set.",
            ],
        )
        return
    desk.confirm([*_what_adopting_means(desk, key)], yes=yes)
    desk.tell(desk.operator.adopt(key.private_key, key.jwk))


def _what_adopting_means(desk: Desk, key: ForeignKey) -> Iterator[str]:
    yield f"embedjwt signs with {key.jwk['kid']} from now on."
    yield "Do this only if your Grafana trusts this key already."
    if desk.ring.published():
        yield "A Grafana that reads the key set from embedjwt does not know it yet: it refuses"
        yield f"every token for up to {span(desk.timing.known_everywhere)}."
    timing, algorithm = desk.timing, desk.settings.keys.algorithm
    if timing.rotate_every and key.jwk["alg"] != algorithm:
        yield f"[keys] algorithm is {algorithm}: a key of that kind takes over once Grafanas that"
        yield f"read this key set know it, in {span(timing.known_everywhere)}. Set algorithm = "
        yield f'"{key.jwk["alg"]}", and rotate_every = 0, to keep this one.'
    elif timing.rotate_every:
        until = moment(desk.now + timing.rotate_every)
        yield f"The next one takes over {until} UTC (rotate_every)."


def _move(directory: Path, *, config: Path | None, yes: bool, as_json: bool) -> None:
    from embedjwt.keys.build import directory_store
    from embedjwt.keys.move import grace, move_ring

    desk = Desk.open(config, "keys import --from-directory", as_json=as_json, may_be_new=True)
    source = directory_store(desk.settings, path=directory)
    if desk.settings.key_store == "directory":
        usage_error(
            "the configured store is a directory too; set database = … in the configuration, then "
            "run this again"
        )
    desk.confirm(
        [
            f"{source.location} → {desk.store.location}. Services that run go on with the",
            f"directory for {span(grace(desk.timing))}, and then stop: restart them with the new",
            "configuration before. A rotation or revocation does not reach them until then.",
        ],
        yes=yes,
    )
    desk.tell(
        move_ring(source, desk.operator),
        [
            "Once every service runs with the new configuration, delete the directory: it still "
            "holds private keys."
        ],
    )
