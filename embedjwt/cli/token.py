"""``embedjwt token``: the token a person with given claims would get."""

from __future__ import annotations

import time
from pathlib import Path

import click

from embedjwt.cli.common import (
    config_option,
    grafana_option,
    json_option,
    print_json,
    read_claims,
    refusals_shown,
    settings_and_target,
    source_option,
    source_or_first,
)
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims


@click.command()
@config_option
@grafana_option
@source_option
@click.option(
    "--claims", required=True, metavar="FILE", help="ID token claims, as JSON ('-': stdin)."
)
@json_option
@refusals_shown
def command(
    *, config: Path | None, grafana: str | None, source_name: str | None, claims: str, as_json: bool
) -> None:
    """Issue the token that a person with these upstream claims would get.

    Whoever can read the signing keys can run this; mapping and admission hold as for anybody.
    """
    from embedjwt.service import build_service

    settings, target = settings_and_target(config, grafana)
    documents = Documents(id_token=VerifiedClaims(read_claims(claims)))
    source = source_or_first(settings, source_name)
    session = UpstreamSession(source.name, documents, subject_prefix=source.subject_prefix)
    token = build_service(settings).token(session, target)
    if as_json:
        expires_in = token.expires_in(int(time.time()))
        print_json({"token": token.token, "expires_in": expires_in, "claims": dict(token.claims)})
    else:
        click.echo(token.token)
