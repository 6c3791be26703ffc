"""``embedjwt init``: a configuration, new or carried over from Grafana, and the first keys."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embedjwt.cli.common import (
    heading,
    json_option,
    log_to_standard_error,
    print_json,
    refusals_shown,
    tick,
    usage_error,
)
from embedjwt.cli.new_files import already_there, new_files
from embedjwt.config import DEFAULT_FILE, ConfigError, Problem, Settings, load_settings
from embedjwt.config.template import TEMPLATE
from embedjwt.errors import EmbedJWTError, KeysUnavailable
from embedjwt.keys.build import directory_store, key_store, operator
from embedjwt.keys.files import present
from embedjwt.keys.store import KeyStore

if TYPE_CHECKING:
    from embedjwt.grafana.importing import Import

_MAX_FILE = 1024 * 1024  # bytes; Grafana's own, with all its comments, has about 100,000


@click.command()
@click.argument("directory", type=click.Path(path_type=Path, file_okay=False), default=".")
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file to write  [default: DIRECTORY/embedjwt.toml]",
)
@click.option(
    "--from-grafana",
    "grafana_files",
    metavar="FILE",
    multiple=True,
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="Carry the OAuth sections of a grafana.ini, or of a file of GF_… variables, over. "
    "May be given several times.",
)
@json_option
@refusals_shown
def command(
    *, directory: Path, config: Path | None, grafana_files: tuple[Path, ...], as_json: bool
) -> None:
    """Write DIRECTORY/embedjwt.toml and DIRECTORY/jwks/ with the first signing keys.

    Nothing is asked and nothing is overwritten; what is missing is added. The file explains
    every setting; 'embedjwt check' in DIRECTORY passes at once.

    With --from-grafana the file holds what your Grafana does today: the same people, with the
    same roles. The command says where each setting went, and what is left for you to do.
    """
    log_to_standard_error()
    file = config or directory / DEFAULT_FILE
    if grafana_files:
        _carry_over(grafana_files, file, as_json=as_json)
        return
    directory = file.parent
    wrote_file = not present(file)
    if wrote_file:
        with new_files() as write:
            write(file, TEMPLATE)
    store, made_keys = _keys(load_settings(file))
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


def _carry_over(grafana_files: tuple[Path, ...], file: Path, *, as_json: bool) -> None:
    from embedjwt.cli.import_report import import_json, show_import
    from embedjwt.grafana.importing import import_grafana
    from embedjwt.grafana.oauth_settings import read_grafana_files

    if present(file):
        raise already_there(file)
    texts = [(path.name, _text(path)) for path in grafana_files]
    imported = import_grafana(read_grafana_files(texts))
    with new_files() as write:
        for name, secret in imported.secrets.items():
            write(file.parent / name, secret + "\n")
        settings, problems = _settings(imported, file)
        store, made_keys = _keys(settings)
        write(file, imported.text)
    if as_json:
        print_json(import_json(imported, problems, file, store.location))
        return
    tick(True, str(file), "written")
    for name in imported.secrets:
        tick(True, str(file.parent / name), "the client secret, for you alone to read")
    tick(True, store.location, "first keys made" if made_keys else "was there, kept")
    show_import(imported, problems, file)


def _text(path: Path) -> str:
    """A file of Grafana's, whole; ends with status 2 where it cannot be one."""
    try:
        with path.open("rb") as file:
            data = file.read(_MAX_FILE + 1)
        if len(data) > _MAX_FILE:
            usage_error(f"{path} is larger than {_MAX_FILE // 1024 // 1024} MiB: no grafana.ini")
        text = data.decode()
    except OSError as error:
        usage_error(f"cannot read {path}: {error.strerror}")
    except UnicodeDecodeError:
        usage_error(f"{path} is no text in UTF-8")
    if "\0" in text:
        usage_error(f"{path} is no text: it holds zero bytes")
    return text


def _settings(imported: Import, file: Path) -> tuple[Settings, tuple[Problem, ...]]:
    """The settings that the keys are made under, and what 'embedjwt check' will say of the file."""
    import os
    import tomllib

    from embedjwt.config import parse_settings

    base = file.parent.absolute()
    try:
        raw = tomllib.loads(imported.text)
        return parse_settings(raw, os.environ, base=base, origin=file), ()
    except ConfigError as error:
        problems = error.problems
    stand_in = tomllib.loads(TEMPLATE)
    keys_only = {k: v for k, v in os.environ.items() if k.startswith(_OF_KEYS)}
    return parse_settings(stand_in, keys_only, base=base, origin=file), problems


_OF_KEYS = ("EMBEDJWT_KEYS__", "EMBEDJWT_DATABASE")


def _keys(settings: Settings) -> tuple[KeyStore, bool]:
    """The key store, and whether its first keys were made just now."""
    store = key_store(settings)
    _refuse_beside_a_directory(settings)
    return store, _make_keys(store, settings)


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


def _make_keys(store: KeyStore, settings: Settings) -> bool:
    try:
        operator(settings, store, "init").init()
    except KeysUnavailable as error:
        if error.code != "keys_exist":
            raise
        store.ring()  # raises where there is only a remainder of one
        return False
    return True
