"""``embedjwt verify``: what Grafana would do with a token."""

from __future__ import annotations

import functools
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import click
import requests
from urllib3.exceptions import NameResolutionError

from embedjwt.cli.common import (
    heading,
    json_option,
    pairs,
    print_json,
    read_json,
    refusals_shown,
    ticks,
    usage_error,
    warn,
)
from embedjwt.cli.grafana_config import version_option
from embedjwt.errors import UpstreamUnavailable
from embedjwt.grafana.jwt_settings import settings_for_version
from embedjwt.grafana.verifier import JwtAuthSettings, Verdict, read_ini
from embedjwt.grafana.verifier import verify as verify_token

_MAX_JWKS = 1024 * 1024
_TIMEOUT = 10  # seconds


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
    """What a Grafana with this grafana.ini would do with TOKEN.

    TOKEN may be a panel's URL with its auth_token, and '-' reads either from standard input.
    Exit status 1: Grafana would not take it.
    """
    settings = _settings(grafana_ini, grafana_version)
    token, in_url = _token(token)
    if in_url and not settings_for_version(settings).url_login:
        token = ""  # Grafana would not look there
    judge = functools.partial(
        verify_token,
        token,
        settings,
        now=int(time.time()) if now is None else now,
        orgs=_orgs(orgs),
    )
    verdict = judge({})  # many a refusal needs no key set
    if verdict.selected:
        verdict = judge(_key_set(settings, jwks_file))
    print_json(verdict.as_json()) if as_json else _show(verdict)
    sys.exit(0 if verdict.accepted else 1)


def _token(text: str) -> tuple[str, bool]:
    """The token itself, "" where a URL brings none, and whether it came in a URL."""
    try:
        text = (sys.stdin.read() if text == "-" else text).strip()
    except UnicodeDecodeError:
        usage_error("standard input holds no text")
    if "?" not in text and "://" not in text:
        return text, False
    try:
        return parse_qs(urlsplit(text).query).get("auth_token", [""])[0], True
    except ValueError:
        usage_error("TOKEN looks like a URL and is none")


def _settings(file: Path, version: tuple[int, int]) -> JwtAuthSettings:
    try:
        return read_ini(file.read_text("utf-8"), version=version, name=str(file))
    except OSError as error:
        usage_error(f"cannot read {file}: {error.strerror}")
    except UnicodeDecodeError:
        usage_error(f"{file} is not UTF-8 text")


def _key_set(settings: JwtAuthSettings, file: str | None) -> dict[str, Any]:
    """What the one configured source of keys holds, or the file that stands for it."""
    if file is not None:
        jwks = read_json(file)
    elif settings.jwk_set_url:
        jwks = _fetch(settings.jwk_set_url)
    elif settings.jwk_set_file and Path(settings.jwk_set_file).is_file():
        jwks = read_json(settings.jwk_set_file)
    elif settings.jwk_set_value:
        jwks = _parsed(settings.jwk_set_value, "jwk_set_value")
    else:
        (source,) = settings.key_sources
        why = "is not on this machine" if source == "jwk_set_file" else "is not read here"
        usage_error(f"{source} {why}: pass its keys, as a JSON key set, with --jwks FILE")
    if not isinstance(jwks, dict):
        usage_error("the key set must be a JSON object with 'keys'")
    return jwks


def _fetch(url: str) -> Any:
    body = b""
    try:
        with requests.get(url, timeout=_TIMEOUT, allow_redirects=False, stream=True) as answer:
            if answer.status_code != requests.codes.ok:
                raise _unavailable(url, f"it answers with status {answer.status_code}")
            for chunk in answer.iter_content(65536):
                body += chunk
                if len(body) > _MAX_JWKS:
                    raise _unavailable(url, "it answers with more than 1 MiB")
    except (requests.RequestException, ValueError) as error:
        raise _unavailable(url, _why(error)) from error
    return _parsed(body, url)


def _parsed(text: str | bytes, source: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _unavailable(source, "what it holds is not JSON") from error


def _unavailable(source: str, why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(
        f"no key set from {source}: {why}", hint="save it and pass it with --jwks FILE"
    )


def _why(error: Exception) -> str:
    """A failed request in a few words."""
    if isinstance(error, requests.exceptions.SSLError):
        return "TLS failed; is its certificate trusted on this machine?"
    if isinstance(error, requests.Timeout):
        return f"no answer within {_TIMEOUT} seconds"
    if isinstance(error, requests.ConnectionError):
        reason = getattr(error.args[0] if error.args else None, "reason", None)
        unknown = isinstance(reason, NameResolutionError)
        return "its host name is not known (DNS)" if unknown else "the connection fails"
    if isinstance(
        error, requests.exceptions.ChunkedEncodingError | requests.exceptions.ContentDecodingError
    ):
        return "the answer is damaged"
    return "that is not a URL to fetch from"


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
    for warning in verdict.warnings:
        warn(warning)
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
