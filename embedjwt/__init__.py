"""embedjwt: from the SSO session a person already has to a short-lived JWT that Grafana accepts."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from flask import Flask

    from embedjwt.config import Settings

__version__ = "0.1.0"


def create_app(
    settings: Settings | None = None, *, clock: Callable[[], float] | None = None
) -> Flask:
    """The WSGI application; settings come from ``embedjwt.toml`` and environment unless given.

    A thread of it follows the key store and rotates keys when it is time;
    ``app.extensions["embedjwt.keeper"].stop()`` ends it.
    Raises :class:`embedjwt.errors.EmbedJWTError` where it could not serve safely.
    """
    from embedjwt.config import load_settings  # noqa: PLC0415  (the command line starts faster)
    from embedjwt.keys.keeper import Keeper  # noqa: PLC0415
    from embedjwt.service import build_service  # noqa: PLC0415
    from embedjwt.sources import build_sources  # noqa: PLC0415
    from embedjwt.web import build_app  # noqa: PLC0415

    settings = settings if settings is not None else load_settings()
    service = build_service(settings, clock)
    sources = build_sources(settings, clock=clock or time.time)
    app = build_app(service, sources)
    keeper = Keeper(service.keys, service.operator)
    app.extensions["embedjwt.keeper"] = keeper
    keeper.start()
    return app
