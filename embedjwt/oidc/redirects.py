"""Where providers send people back to."""

from __future__ import annotations

from urllib.parse import quote

from embedjwt.config import OidcSource, Settings


def redirect_uris(settings: Settings) -> dict[str, str]:
    """What each provider has to have registered, by the source's name.

    Each has its own where there are several, so that none can answer for another (RFC 9700 section
    4.4.2).
    """
    names = [source.name for source in settings.source if isinstance(source, OidcSource)]
    callback = f"{settings.issuer}/session/callback"
    if len(names) == 1:
        return {names[0]: callback}
    return {name: f"{callback}/{quote(name, safe='')}" for name in names}
