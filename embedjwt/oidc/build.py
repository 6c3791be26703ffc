"""From the settings to the providers and the sessions they open."""

from __future__ import annotations

import time
from collections.abc import Callable

from embedjwt.config import OidcSource, Settings
from embedjwt.config.secrets import read_secret
from embedjwt.expressions import compile_expression
from embedjwt.oidc.logins import Logins
from embedjwt.oidc.own_login import OwnLogin
from embedjwt.oidc.provider import Provider
from embedjwt.oidc.redirects import redirect_uris
from embedjwt.rules import build_rules
from embedjwt.sessions import SessionCookie
from embedjwt.sessions.build import SessionState
from embedjwt.sources.calls import build_outbound
from embedjwt.sources.oidc import Opener, OwnSessions


def build_own_login(
    settings: Settings,
    state: SessionState,
    monotonic: Callable[[], float] = time.monotonic,
    clock: Callable[[], float] = time.time,
) -> OwnLogin:
    """embedjwt's own login, for settings that have an ``oidc`` source.

    Reads secret files, and asks no provider for anything. ``monotonic`` measures the age of what
    providers publish, ``clock`` gives Unix seconds. Raises ``ConfigError``.
    """
    sources = {s.name: s for s in settings.source if isinstance(s, OidcSource)}
    providers = build_providers(settings, monotonic)
    store, keys = state.store, state.cookie_keys
    cookie = SessionCookie(
        settings.session.cookie_name,
        keys,
        secure=settings.issuer.startswith("https:"),
        samesite=settings.session.cookie_samesite,
        max_age=settings.session.lifetime,
        clock=clock,
    )
    logins = Logins(
        providers,
        build_rules(settings),
        lifetime=settings.session.lifetime,
        refreshing=frozenset(s.name for s in sources.values() if s.use_refresh_token),
    )
    openers = {
        name: Opener(source.subject_prefix, providers[name].identity)
        for name, source in sources.items()
    }
    return OwnLogin(
        logins=logins,
        redirect_uris=redirect_uris(settings),
        store=store,
        cookie=cookie,
        sessions=OwnSessions(cookie, store, logins.renew, openers),
        cookie_keys=keys,
        auto_login=tuple(name for name, source in sources.items() if source.auto_login),
        signout_redirect_urls={
            name: source.signout_redirect_url
            for name, source in sources.items()
            if source.signout_redirect_url is not None
        },
    )


def build_providers(
    settings: Settings, monotonic: Callable[[], float] = time.monotonic
) -> dict[str, Provider]:
    """The providers of all ``oidc`` sources, by the source's name; ``ConfigError`` as above."""
    return {
        source.name: _provider(settings, source, f"source.{number}", monotonic)
        for number, source in enumerate(settings.source)
        if isinstance(source, OidcSource)
    }


def _provider(
    settings: Settings, source: OidcSource, key: str, monotonic: Callable[[], float]
) -> Provider:
    path = settings.admission_of(source).team_ids_attribute_path
    return Provider(
        name=source.name,
        client_id=source.client_id,
        client_secret=read_secret(
            f"{key}.client_secret", source.client_secret, source.client_secret_file
        ),
        issuer=source.issuer,
        auth_url=source.auth_url,
        token_url=source.token_url,
        api_url=source.api_url,
        teams_url=source.teams_url,
        jwk_set_url=source.jwk_set_url,
        team_ids_attribute_path=compile_expression(path) if path else None,
        scopes=source.requested_scopes,
        use_pkce=source.use_pkce,
        auth_style=source.auth_style,
        id_token_attribute_name=source.id_token_attribute_name,
        algorithms=source.algorithms,
        leeway=source.leeway,
        outbound=build_outbound(source, key, monotonic),
        clock=monotonic,
        timeout=source.timeout,
    )
