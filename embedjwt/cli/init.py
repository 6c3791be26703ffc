"""``embedjwt init``: a commented configuration and the first keys."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path

import click

from embedjwt.cli.common import (
    heading,
    json_option,
    log_to_standard_error,
    print_json,
    refusals_shown,
    tick,
)
from embedjwt.config import DEFAULT_FILE, Settings, load_settings
from embedjwt.config.template import TEMPLATE
from embedjwt.errors import EmbedJWTError, KeysUnavailable
from embedjwt.keys.build import directory_store, key_store, operator
from embedjwt.keys.files import make_parents
from embedjwt.keys.store import KeyStore


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write  [default: DIRECTORY/embedjwt.toml]",
)
@json_option
@refusals_shown
def command(*, directory: Path, config: Path | None, as_json: bool) -> None:
    """Write DIRECTORY/embedjwt.toml and DIRECTORY/jwks/ with the first signing keys.

    Nothing is asked and nothing is overwritten; what is missing is added. The file explains
    every setting; 'embedjwt check' in DIRECTORY passes at once.
    """
    log_to_standard_error()
    file = config or directory / DEFAULT_FILE
    directory = file.parent
    wrote_file = _write_template(file)
    settings = load_settings(file)
    store = key_store(settings)
    _refuse_beside_a_directory(settings)
    made_keys = _make_keys(store, settings)
    if not wrote_file and not made_keys:
        raise EmbedJWTError(
            f"{directory} is already set up: {file} and its keys are there",
            hint="nothing was changed; run 'embedjwt check', or name another directory",
            code="already_initialised",
        )
    if as_json:
        print_json({"config": str(file), "jwks": store.location})
        return
    tick(True, str(file), "written" if wrote_file else "was there, kept")
    tick(True, store.location, "first keys made" if made_keys else "was there, kept")
    heading("\nNext")
    if directory != Path():
        click.echo(f"  0. cd {directory}")
    click.echo(f"  1. edit {file.name}: your issuer, session source and Grafana")
    click.echo("  2. embedjwt check            is it right?")
    click.echo("  3. embedjwt grafana-config   what to paste into grafana.ini")
    click.echo("  4. embedjwt serve")


def _write_template(file: Path) -> bool:
    try:
        make_parents(file)
        # For its owner only: secrets may be written into it.
        with open(file, "x", encoding="utf-8", opener=_private) as new:
            new.write(TEMPLATE)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            file.unlink(missing_ok=True)  # a part of it would be taken for the whole
        raise EmbedJWTError(
            f"cannot write {file}: {error.strerror}",
            hint="name a directory that you may write to, with space in it",
        ) from error
    return True


def _refuse_beside_a_directory(settings: Settings) -> None:
    """New keys in a database, with others in use in the directory, would be known to no Grafana."""
    if settings.key_store == "database":
        with suppress(KeysUnavailable):
            store = directory_store(settings)
            if store.ring().published() and not store.moved_file.exists():
                raise EmbedJWTError(
                    f"{settings.keys.directory} holds keys that may be in use",
                    hint=f"embedjwt keys import --from-directory {settings.keys.directory} moves "
                    "them into the database; or move the directory away",
                    code="keys_elsewhere",
                )


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _make_keys(store: KeyStore, settings: Settings) -> bool:
    try:
        operator(settings, store, "init").init()
    except KeysUnavailable as error:
        if error.code != "keys_exist":
            raise
        store.ring()  # raises where there is only a remainder of one
        return False
    return True
