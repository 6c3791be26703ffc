"""``embedjwt check``: everything that start-up would find, without starting."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from embedjwt.cli.common import (
    config_option,
    error_json,
    json_option,
    print_json,
    refusals_shown,
    ticks,
    warn,
)
from embedjwt.config import load_settings
from embedjwt.errors import EmbedJWTError


@click.command()
@config_option
@json_option
@refusals_shown
def command(*, config: Path | None, as_json: bool) -> None:
    """Validate configuration, keys, key files and expressions; nothing is started or changed."""
    from embedjwt.service import build_service
    from embedjwt.sources import build_sources

    try:
        settings = load_settings(config)
        service = build_service(settings)
        kid = service.keys.signing_key().kid
        build_sources(settings)
    except EmbedJWTError as error:
        if as_json:
            print_json({"ok": False, "error": error_json(error)})
            sys.exit(1)
        raise
    concerns = service.concerns()
    if as_json:
        print_json({"ok": True, "warnings": concerns, "kid": kid})
        return
    sources = ", ".join(f"{source.name} ({source.type})" for source in settings.source)
    ticks(
        [
            (True, "configuration", settings.issuer),
            (True, "keys", f"{settings.keys.directory}, signing with {kid}"),
            (True, "session sources", sources),
            *(
                (True, f"grafana {t.name}", f"{t.url}, tokens live {settings.ttl(t)} s")
                for t in settings.grafana
            ),
        ]
    )
    for concern in concerns:
        warn(concern)
