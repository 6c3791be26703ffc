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
        answer = {"ok": True, "warnings": concerns, "kid": kid, "redirect_uris": uris}
        print_json(answer | {"gateway": dict(_gateway(settings))})
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
            *((True, what, text) for what, text in _gateway(settings)),
        ]
    )
    for concern in concerns:
        warn(concern)


def _gateway(settings: Settings) -> Iterator[tuple[str, str]]:
    """Who asks there, for which Grafanas, and what people may reach of them."""
    for target in settings.behind_gateway:
        peers = ", ".join(settings.web.trusted_proxies) or "nobody"
        yield f"gateway {target.name}", f"{settings.gateway.proxy} at {peers} asks for {target.url}"
    if settings.behind_gateway and not settings.gateway.rule:
        yield "gateway rules", "the default: panels for Viewers, everything for Editors and Admins"
    for number, rule in enumerate(settings.gateway.rule if settings.behind_gateway else ()):
        lists = {"roles": rule.roles, "groups": rule.groups, "of": rule.origins, "at": rule.grafana}
        who = "; ".join(f"{name} {', '.join(names)}" for name, names in lists.items() if names)
        only = f", only {', '.join(rule.dashboards)}" if rule.dashboards else ""
        yield f"gateway rule {number}", f"{who or 'everybody'}: {', '.join(rule.allow)}{only}"


def _refuse(errors: list[EmbedJWTError], *, as_json: bool) -> NoReturn:
    if as_json:
        told = [error_json(error) for error in errors]
        print_json({"ok": False, "error": told[0], "errors": told})
    else:
        for error in errors:
            print_error(error)
    sys.exit(1)
