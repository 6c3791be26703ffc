"""``/session/login`` and ``/session/callback``: from the provider's session to one of ours."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import urlsplit

import structlog
from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from embedjwt.errors import EmbedJWTError, RequestRefused, SessionRefused
from embedjwt.identity import UpstreamSession
from embedjwt.oidc.authorization import (
    AuthorizationDenied,
    LoginAttempt,
    authorization_code,
    authorization_url,
    new_attempt,
)
from embedjwt.oidc.own_login import OwnLogin
from embedjwt.service import Service
from embedjwt.sources.oidc import RENEW_BEFORE
from embedjwt.web.session import pages
from embedjwt.web.session.asked import LoginAsked, in_frame, read_login
from embedjwt.web.session.attempts import AttemptCookies

_log = structlog.get_logger("embedjwt.sessions")


class Login:
    """Asks the provider silently first (``prompt=none``): most people are signed in there already.

    Where they are not, only a person's own click leads to the provider's login, and never inside a
    frame, where providers refuse to show it.
    """

    def __init__(self, service: Service, own: OwnLogin, attempts: AttemptCookies) -> None:
        settings = service.settings
        self._service = service
        self._issuer = settings.issuer
        self._origins = settings.web.allowed_origins
        self._own = own
        self._attempts = attempts
        # Chromium holds a form's redirects to form-action, and providers redirect to each other.
        on_http = urlsplit(settings.issuer).scheme == "http"
        self._form_actions = ("https:", "http:") if on_http else ("https:",)

    def start(self, request: Request, now: int) -> Response:
        """``GET``: sign in, silently if possible. ``POST``: the click on one of our pages."""
        asked = read_login(request, issuer=self._issuer, allowed_origins=self._origins)
        try:
            return self._started(request, asked, now)
        except EmbedJWTError as error:
            return self._failed(error, asked)

    def _started(self, request: Request, asked: LoginAsked, now: int) -> Response:
        source = self._source(asked)
        if source is None:
            # Nobody can be asked silently before it is known whom to ask.
            return self._nobody("", asked) if asked.silent else self._choice(asked)
        if self._signed_in(request, source, asked, now):
            return self._done(asked)
        provider = self._own.logins.providers[source]
        if request.method == "POST" and asked.clicked:
            return self._send_off(request, source, asked, now, prompt="")
        if provider.uses_id_token:
            return self._send_off(request, source, asked, now, prompt="none")
        # Plain OAuth 2.0 knows no silent question.
        if asked.clicked:
            return self._send_off(request, source, asked, now, prompt="")
        return self._nobody(source, asked)

    def callback(self, request: Request, now: int, at: str | None = None) -> Response:
        """The provider's answer. The login it belongs to ends here, whatever the answer is.

        ``at`` is the end of the path, which with several providers names one of them.
        """
        attempt = self._attempts.get(request)
        if in_frame(request):  # wherever it began, no login may show here
            attempt = replace(attempt, display="iframe", clicked=False)
        if attempt.source not in self._own.redirect_uris:
            raise RequestRefused("This provider is no longer configured.", code="source_unknown")
        if attempt.redirect_uri != self._own.redirect_uris.get(attempt.source) or (
            at != (attempt.source if len(self._own.redirect_uris) > 1 else None)
        ):
            # One provider must not hand on what another was asked for (RFC 9700 section 4.4.2).
            raise RequestRefused(
                "Another identity provider answered than the one that was asked.",
                code="issuer_mismatch",
                hint="with several providers each has a redirect URI of its own; 'embedjwt check' "
                "prints them",
            )
        try:
            response = self._answered(request, attempt, now)
        except EmbedJWTError as error:
            response = self._failed(error, _asked_before(attempt))
        self._attempts.delete(response, attempt)
        return response

    def _answered(self, request: Request, attempt: LoginAttempt, now: int) -> Response:
        provider = self._own.logins.providers[attempt.source]
        try:
            code = authorization_code(attempt, provider.metadata(), request.args)
        except AuthorizationDenied as denied:
            if denied.code != "login_required" or attempt.prompt != "none":
                raise
            return self._not_signed_in(request, attempt, now)
        with self._own.logins.place(attempt.source):
            # Only now: whoever makes up answers shall not fill the store with them.
            if not self._own.store.use_once("login", attempt.state, attempt.expires_at):
                raise RequestRefused(
                    "This sign-in has been completed already.",
                    code="login_replayed",
                    hint="the same callback came twice: a reload, or a stolen address",
                )
            record = self._own.logins.complete(attempt, code, now)
        # Whoever the provider vouches for now, it is not on the word of before that they go on.
        self._own.end_current(request, attempt.replaces)
        self._admit(self._own.sessions.opened_by(record))
        session_id = self._own.store.create(record)
        if session_id is None:
            raise SessionRefused("The identity provider has ended this session meanwhile.")
        _log.info("signed_in", source=attempt.source, expires_at=record.expires_at)
        response = self._done(_asked_before(attempt))
        self._own.cookie.set(response, session_id)
        return response

    def _admit(self, session: UpstreamSession) -> None:
        """Whoever may see no Grafana of ours is told so here, as Grafana's login would do it."""
        refusal: EmbedJWTError | None = None
        for target in self._service.settings.grafana:
            try:
                self._service.admitted(session, target)
            except EmbedJWTError as error:
                refusal = refusal or error
            else:
                return
        if refusal is not None:
            raise refusal

    def _not_signed_in(self, request: Request, attempt: LoginAttempt, now: int) -> Response:
        asked = _asked_before(attempt)
        if attempt.clicked and attempt.display != "iframe" and not attempt.silent:
            return self._send_off(request, attempt.source, asked, now, prompt="")
        return self._nobody(attempt.source, asked)

    def _nobody(self, source: str, asked: LoginAsked) -> Response:
        """Nobody is signed in at the provider, and no click has asked for its login."""
        if asked.silent:
            if asked.display == "page" and asked.return_to:
                return _see_other(_with_error(asked.return_to, "login_required"))
            return self._told("login_required", asked)
        if asked.display == "iframe":
            return pages.framed_page(source, asked.opener_origin, framed_by=self._origins)
        return self._choice(asked, source)

    def _send_off(
        self, request: Request, source: str, asked: LoginAsked, now: int, *, prompt: str
    ) -> Response:
        provider = self._own.logins.providers[source]
        attempt = new_attempt(
            source,
            redirect_uri=self._own.redirect_uris[source],
            prompt=prompt,
            now=now,
            return_to=asked.return_to,
            display=asked.display,
            opener_origin=asked.opener_origin,
            clicked=asked.clicked,
            silent=asked.silent,
            replaces=self._own.current_key(request),
        )
        response = _see_other(authorization_url(provider, provider.metadata(), attempt))
        self._attempts.set(request, response, attempt)
        return response

    def _source(self, asked: LoginAsked) -> str | None:
        """The provider to go to; ``None`` where the person has to choose."""
        providers = self._own.logins.providers
        if asked.source:
            if asked.source not in providers:
                raise RequestRefused(
                    "There is no provider of this name.",
                    code="source_unknown",
                    hint=f"source must be one of: {', '.join(providers)}",
                )
            return asked.source
        candidates = list(providers) if len(providers) == 1 else self._own.auto_login
        return candidates[0] if len(candidates) == 1 else None

    def _signed_in(self, request: Request, source: str, asked: LoginAsked, now: int) -> bool:
        """Whether there is nothing to do. ``prompt=none`` asks the provider in any case: that is
        how a session without a refresh token is renewed."""
        if asked.silent:
            return False
        own = self._own.live(request, now)
        same = own is not None and own.stored.record.source == source
        return same and own is not None and own.expires_at - now > RENEW_BEFORE

    def _choice(self, asked: LoginAsked, source: str | None = None) -> Response:
        names = [source] if source is not None else list(self._own.logins.providers)
        if asked.display == "iframe":
            return pages.framed_page("", asked.opener_origin, framed_by=self._origins)
        hidden = {
            "next": asked.return_to,
            "display": asked.display,
            "origin": asked.opener_origin,
        }
        return pages.choice_page(
            names,
            {name: value for name, value in hidden.items() if value},
            form_actions=self._form_actions,
        )

    def _done(self, asked: LoginAsked) -> Response:
        if asked.display == "page":
            return _see_other(asked.return_to) if asked.return_to else pages.signed_in_page()
        return self._told("signed_in", asked)

    def _failed(self, error: EmbedJWTError, asked: LoginAsked) -> Response:
        """Whoever waits for it is told: a popup's opener, a frame's parent, or the page that asked
        silently. Otherwise a person reads the error page."""
        back = asked.silent and asked.display == "page" and asked.return_to
        if asked.display == "page" and not back:
            raise error
        log = _log.error if error.status >= 500 else _log.info
        log(
            "login_failed",
            source=asked.source,
            code=error.code,
            detail=error.detail,
            hint=error.hint,
        )
        if back:
            return _see_other(_with_error(asked.return_to, error.code))
        return self._told("failed", asked, code=error.code)

    def _told(
        self, status: pages.Status, asked: LoginAsked, *, code: str | None = None
    ) -> Response:
        return pages.result_page(
            status,
            asked.opener_origin,
            asked.return_to if status == "signed_in" else "",
            asked.display,
            code=code,
            framed_by=self._origins if asked.display == "iframe" else (),
        )


def _asked_before(attempt: LoginAttempt) -> LoginAsked:
    return LoginAsked(
        source=attempt.source,
        return_to=attempt.return_to,
        display=attempt.display,
        opener_origin=attempt.opener_origin,
        clicked=attempt.clicked,
        silent=attempt.silent,
    )


def _see_other(url: str) -> Response:
    response: Response = redirect(url, code=303, Response=Response)
    return response


def _with_error(url: str, code: str) -> str:
    """An address with ``error`` in its query, as an authorization response has it."""
    parts = urlsplit(url)
    query = "&".join(part for part in (parts.query, f"error={code}") if part)
    return parts._replace(query=query).geturl()
