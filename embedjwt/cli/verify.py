"""``embedjwt verify``: what Grafana would do with a token."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

import click
import requests

from embedjwt.cli.common import (
    heading,
    json_option,
    pairs,
    print_json,
    read_json,
    refusals_shown,
    ticks,
    usage_error,
)
from embedjwt.cli.grafana_config import version_option
from embedjwt.errors import UpstreamUnavailable
from embedjwt.grafana.verifier import JwtAuthSettings, Verdict, read_ini
from embedjwt.grafana.verifier import verify as verify_token

_MAX_JWKS = 1024 * 1024


@click.command()
@click.argument("token")
@click.option("--grafana-ini", required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option("--jwks", "jwks_file", metavar="FILE", help="The key set  [default: as the ini says]")
@click.option("--now", type=int, metavar="SECONDS", help="Judge at this Unix time.")
@click.option(
    "--org", "orgs", metavar="NAME=ID", multiple=True, help="An organization Grafana has."
)
@version_option
@click.option("--config", "config", hidden=True, type=click.Path(path_type=Path))
@json_option
@refusals_shown
def command(
    *,
    token: str,
    grafana_ini: Path,
    jwks_file: str | None,
    now: int | None,
    orgs: tuple[str, ...],
    grafana_version: tuple[int, int],
    config: Path | None,
    as_json: bool,
) -> None:
    """What a Grafana with this grafana.ini would do with TOKEN ('-': standard input).

    Exit status 1: Grafana would not take it.
    """
    token = sys.stdin.read().strip() if token == "-" else token
    try:
        settings = read_ini(grafana_ini.read_text("utf-8"), version=grafana_version)
    except (OSError, UnicodeDecodeError) as error:
        usage_error(f"cannot read {grafana_ini}: {error}")
    jwks = _key_set(settings, jwks_file)
    verdict = verify_token(
        token, settings, jwks, now=int(time.time()) if now is None else now, orgs=_orgs(orgs)
    )
    print_json(verdict.as_json()) if as_json else _show(verdict)
    sys.exit(0 if verdict.accepted else 1)


def _key_set(settings: JwtAuthSettings, file: str | None) -> dict[str, Any]:
    if file is None and settings.jwk_set_file:
        file = settings.jwk_set_file
    if file is not None:
        jwks = read_json(file)
    elif settings.jwk_set_url:
        jwks = _fetch(settings.jwk_set_url)
    else:
        jwks = {"keys": []}  # key_file, or nothing at all: the model reads or reports it
    if not isinstance(jwks, dict):
        usage_error("the key set must be a JSON object with 'keys'")
    return jwks


def _fetch(url: str) -> Any:
    try:
        with requests.get(url, timeout=10, allow_redirects=False, stream=True) as answer:
            return json.loads(answer.raw.read(_MAX_JWKS, decode_content=True))
    except (requests.RequestException, ValueError, RecursionError) as error:
        raise UpstreamUnavailable(
            f"cannot get a key set from {url}", hint="save it and pass it with --jwks FILE"
        ) from error


def _orgs(pairs: tuple[str, ...]) -> dict[str, int]:
    orgs = {}
    for pair in pairs:
        name, _, number = pair.rpartition("=")
        if not name or not number.isdecimal():
            usage_error(f"--org {pair}: write it as 'Main Org.=1'")
        orgs[name] = int(number)
    return orgs


def _show(verdict: Verdict) -> None:
    ticks([(step.ok, step.text, step.source) for step in verdict.steps])
    heading("\n" + ("Grafana accepts it" if verdict.accepted else f"Refused: {verdict.reason}"))
    if not verdict.accepted:
        click.echo(f"  {verdict.detail}")
        return
    roles = ", ".join(f"{org}: {role}" for org, role in sorted(verdict.org_roles.items()))
    pairs(
        [
            ("login", verdict.login or "–"),
            ("email", verdict.email or "–"),
            ("name", verdict.name or "–"),
            ("role", verdict.role or "–"),
            ("server admin", "yes" if verdict.is_grafana_admin else "no"),
            ("org roles", roles or "–"),
            ("groups", ", ".join(verdict.groups) or "–"),
        ]
    )
