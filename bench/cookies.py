"""Gateway cookies of many people, made as the service makes them, without asking it."""

from __future__ import annotations

import time

from werkzeug.wrappers import Response

from bench.site import CLAIMS, Site
from embedjwt.config import load_settings
from embedjwt.gateway.sessions import GatewaySessions
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sessions import SessionCookie
from embedjwt.sessions.build import build_session_state


def open_sessions(site: Site, count: int) -> list[str]:
    """``name=value`` of the cookie of each, for the site's only Grafana."""
    settings = load_settings(site.config, {})
    state = build_session_state(settings)
    sessions = GatewaySessions(settings, state.store)
    cookie = SessionCookie(
        settings.gateway.cookie_name,
        state.cookie_keys,
        secure=True,
        samesite="lax",
        max_age=settings.session.lifetime,
        purpose="gateway",
    )
    now = int(time.time())
    cookies: list[str] = []
    for number in range(count):
        claims = VerifiedClaims(CLAIMS | {"sub": f"{number}", "preferred_username": f"p{number}"})
        documents = Documents(id_token=claims)
        upstream = UpstreamSession(settings.source[0].name, documents, now + 7200)
        record = sessions.describe(
            upstream, None, grafana=settings.grafana[0].url, host_app="", now=now
        )
        response = Response()
        cookie.set(response, state.store.create(record) or "")
        cookies.append(response.headers["Set-Cookie"].partition(";")[0])
    return cookies
