"""``embedjwt keys``: what is in the key ring."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import click

from embedjwt.cli.common import config_option, json_option, print_json, refusals_shown, table
from embedjwt.config import load_settings

_FIELDS = ("kid", "alg", "state", "published_at", "activates_at", "retires_at", "removes_at")


@click.group()
def command() -> None:
    """List and export signing keys."""


@command.command("list")
@config_option
@json_option
@refusals_shown
def list_keys(*, config: Path | None, as_json: bool) -> None:
    """Every key, its state and its times (UTC)."""
    from embedjwt.service import key_store

    ring = key_store(load_settings(config)).ring()
    rows = [{field: getattr(key, field) for field in _FIELDS} for key in ring.records]
    if as_json:
        print_json({"keys": rows})
        return
    table(
        [field.removesuffix("_at") for field in _FIELDS],
        [[_cell(field, row[field]) for field in _FIELDS] for row in rows],
    )


@command.command("export")
@config_option
@json_option
@refusals_shown
def export(*, config: Path | None, as_json: bool) -> None:
    """Print the published key set (JWKS, RFC 7517), for jwk_set_file or another verifier."""
    from embedjwt.keys.ring import jwk_set
    from embedjwt.service import key_store

    print_json(json.loads(jwk_set(key_store(load_settings(config)).ring())))


def _cell(field: str, value: str | int | None) -> str:
    if value is None:
        return "–"
    if field.endswith("_at"):
        return datetime.fromtimestamp(int(value), UTC).strftime("%Y-%m-%d %H:%M")
    return str(value)
