"""``embedjwt check``: everything that start-up would find, without starting."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NoReturn

import click

from embedjwt.cli.common import (
    config_option,
    error_json,
    json_option,
    print_error,
    print_json,
    refusals_shown,
    ticks,
    warn,
)
from embedjwt.config import Settings, load_settings
from embedjwt.errors import EmbedJWTError


@click.command()
@config_option
@json_option
@refusals_shown
def command(*, config: Path | None, as_json: bool) -> None:
    """Validate configuration, keys, key files and expressions; nothing is started or changed."""
    from embedjwt.oidc.redirects import redirect_uris
    from embedjwt.service import build_service
    from embedjwt.sources import check_sources

    errors: list[EmbedJWTError] = []
    try:
        settings = load_settings(config)
    except EmbedJWTError as error:
        _refuse([error], as_json=as_json)
    service = None
    try:
        service = build_service(settings)
        service.keys.signing_key()
        service.keys.check()
    except EmbedJWTError as error:
        errors.append(error)
    try:
        check_sources(settings)
    except EmbedJWTError as error:
        errors.append(error)
    if service is None or errors:
        _refuse(errors, as_json=as_json)
    kid = service.keys.signing_key().kid
    concerns = service.concerns()
    if as_json:
        uris = redirect_uris(settings)
        print_json({"ok": True, "warnings": concerns, "kid": kid, "redirect_uris": uris})
        return
    sources = ", ".join(f"{source.name} ({source.type})" for source in settings.source)
    redirects = redirect_uris(settings)
    ticks(
        [
            (True, "configuration", settings.issuer),
            (True, "keys", f"{service.operator.store.location}, signing with {kid}"),
            (True, "session sources", sources),
            *((True, f"register at {name}", uri) for name, uri in redirects.items()),
            *(
                (True, f"grafana {t.name}", f"{t.url}, tokens live {settings.ttl(t)} s")
                for t in settings.grafana
            ),
            *((True, "gateway", text) for text in _gateway(settings)),
        ]
    )
    for concern in concerns:
        warn(concern)


def _gateway(settings: Settings) -> Iterator[str]:
    """Which Grafanas are behind it, and what people may reach there."""
    behind = ", ".join(target.name for target in settings.behind_gateway)
    if not behind:
        return
    rules = len(settings.gateway.rule)
    allowed = f"{rules} rules of yours" if rules else "the default rules"
    log = ", only logged" if settings.gateway.rule_mode == "log" else ""
    yield f"{settings.gateway.proxy} in front of {behind}, {allowed}{log}"


def _refuse(errors: list[EmbedJWTError], *, as_json: bool) -> NoReturn:
    if as_json:
        told = [error_json(error) for error in errors]
        print_json({"ok": False, "error": told[0], "errors": told})
    else:
        for error in errors:
            print_error(error)
    sys.exit(1)
