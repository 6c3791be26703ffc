"""``/session/me`` and ``/session/logout``: whose session this is, and its end."""

from __future__ import annotations

import hashlib
from typing import Any
from urllib.parse import urlencode, urlsplit

import structlog
from itsdangerous import BadData, URLSafeTimedSerializer
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from embedjwt.config import Settings
from embedjwt.errors import AdmissionRefused, MappingRefused, NoSession, UpstreamUnavailable
from embedjwt.identity import Identity
from embedjwt.oidc.own_login import OwnLogin
from embedjwt.oidc.provider import Provider
from embedjwt.service import Service
from embedjwt.web.guard import OriginRefused
from embedjwt.web.session import pages
from embedjwt.web.session.asked import same_origin, wants_page
from embedjwt.web.session.return_to import safe_return_to

LOGOUT = "/session/logout"

_SALT = "embedjwt logout"
_LIFE = 600
"""Seconds in which the provider must have sent the browser back."""

_log = structlog.get_logger("embedjwt.sessions")


class Account:
    """What a person, or the page that they look at, asks of their session."""

    def __init__(self, service: Service, own: OwnLogin) -> None:
        self._service = service
        self._settings: Settings = service.settings
        self._own = own
        self._state = URLSafeTimedSerializer(
            list(own.cookie_keys), salt=_SALT, signer_kwargs={"digest_method": hashlib.sha256}
        )

    def me(self, request: Request, now: int) -> dict[str, Any]:
        """Who is signed in. Raises ``NoSession``, and whatever a token would be refused with."""
        own = self._own.sessions.current(request, now)
        session = None if own is None else self._own.sessions.session(request, now)
        if own is None or session is None:
            raise NoSession("Nobody is signed in.")
        record = own.stored.record
        answer: dict[str, Any] = {
            "source": record.source,
            "expires_at": own.expires_at,
            "ends_at": record.ends_at,
            "renewable": record.refresh_token is not None,
            "server_time": now,
            "identity": None,
        }
        try:
            identity = self._service.admitted(session, self._service.target(None))
        except (MappingRefused, AdmissionRefused) as refused:
            return answer | {"denied": refused.code}
        return answer | {"identity": _shown(identity)}

    def logout_page(self, request: Request, now: int) -> Response:
        """``GET``: the way back from the provider; otherwise a page with the button."""
        if state := request.args.get("state"):
            return self._after(self._return_to(state))
        if self._own.live(request, now) is None:
            return pages.signed_out_page()
        return pages.logout_page(self._checked_return(request), form_actions=("https:", "http:"))

    def logout(self, request: Request) -> Response:
        """``POST``: end the session here, and tell where the provider's ends.

        A page's script gets JSON, a form is sent on (OpenID Connect RP-Initiated Logout 1.0).
        """
        self._check_forgery(request)
        return_to = self._checked_return(request)
        sources = self._own.end_all(request)
        url = self._end_session_url(sources[0], return_to) if len(sources) == 1 else None
        if wants_page(request):
            response = _see_other(url) if url else self._after(return_to)
        else:
            response = pages.json_answer({"signed_out": True, "end_session_url": url})
        self._own.cookie.delete(response)
        return response

    def _check_forgery(self, request: Request) -> None:
        """Another site's page must not sign people out."""
        if same_origin(request, self._settings.issuer):
            return
        if request.headers.get("Origin") not in self._settings.web.allowed_origins:
            raise OriginRefused(
                "pages of this origin may not sign people out",
                hint="add the page's exact origin to [web] allowed_origins",
            )

    def _checked_return(self, request: Request) -> str:
        return (
            safe_return_to(
                request.values.get("next", ""),
                issuer=self._settings.issuer,
                allowed_origins=self._settings.web.allowed_origins,
            )
            or ""
        )

    def _end_session_url(self, source: str, return_to: str) -> str | None:
        """Where the provider ends its own session.

        Without ``id_token_hint``: no token belongs into an address. ``client_id`` says who asks
        (section 2); the provider may ask the person whether they mean it.
        """
        provider = self._own.logins.providers.get(source)
        own = None if provider is None else self._configured(provider)
        if own is not None or provider is None:
            return own
        try:
            endpoint = provider.metadata().end_session_endpoint
        except UpstreamUnavailable:
            return None  # the session here ends all the same
        if endpoint is None:
            return None
        query = {
            "client_id": provider.client_id,
            "post_logout_redirect_uri": self._settings.issuer + LOGOUT,
            "state": self._state.dumps(return_to),
        }
        return f"{endpoint}{'&' if urlsplit(endpoint).query else '?'}{urlencode(query)}"

    def _configured(self, provider: Provider) -> str | None:
        return self._own.signout_redirect_urls.get(provider.name)

    def _return_to(self, state: str) -> str:
        try:
            return str(self._state.loads(state, max_age=_LIFE))
        except BadData:
            return ""

    def _after(self, return_to: str) -> Response:
        return _see_other(return_to) if return_to else pages.signed_out_page()


def _shown(identity: Identity) -> dict[str, Any]:
    return {
        "sub": identity.sub,
        "login": identity.login,
        "email": identity.email,
        "name": identity.name,
        "role": identity.role,
        "groups": list(identity.groups),
    }


def _see_other(url: str) -> Response:
    response: Response = redirect(url, code=303, Response=Response)
    return response
