"""Who is asking? Session sources recognise an upstream session and verify it."""

from __future__ import annotations

import time
from collections.abc import Callable

from embedjwt.config import OidcSource
from embedjwt.config.model import Settings
from embedjwt.sources.build import configured_sources
from embedjwt.sources.chain import SessionSource, SourceChain

__all__ = ["SessionSource", "SourceChain", "build_sources", "check_sources"]


def build_sources(
    settings: Settings,
    *,
    monotonic: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
) -> SourceChain:
    """The chain that the settings describe.

    Reads key and secret files, and fetches nothing: remote keys are asked for when the first token
    comes. ``monotonic`` counts seconds and never goes back; it measures the age of remote keys.
    ``clock`` gives Unix seconds, for our own sessions.
    ``ConfigError`` names everything that cannot be used, ``KeysUnavailable`` a state store that
    cannot.
    """
    own_login = state = None
    signs_in = any(isinstance(source, OidcSource) for source in settings.source)
    # Imported here, for many installations have neither, and both need a database.
    if signs_in or settings.behind_gateway:
        from embedjwt.sessions.build import build_session_state  # noqa: PLC0415

        state = build_session_state(settings, clock)
    if signs_in and state is not None:
        from embedjwt.oidc.build import build_own_login  # noqa: PLC0415

        own_login = build_own_login(settings, state, monotonic, clock)
    own = None if own_login is None else own_login.sessions
    return SourceChain(configured_sources(settings, monotonic, own), own_login, state)


def check_sources(settings: Settings) -> None:
    """Everything that :func:`build_sources` would refuse, without opening the state store.

    A state store that whoever checks would make might not belong to whoever serves.
    """
    configured_sources(settings, time.monotonic, None)
    signs_in = any(isinstance(source, OidcSource) for source in settings.source)
    if signs_in:
        from embedjwt.oidc.build import build_providers  # noqa: PLC0415

        build_providers(settings)
    if signs_in or settings.behind_gateway:
        from embedjwt.sessions.build import check_session_state  # noqa: PLC0415

        check_session_state(settings)
