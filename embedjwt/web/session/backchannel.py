"""``POST /session/backchannel-logout``: the provider says that a session has ended there."""

from __future__ import annotations

import structlog
from werkzeug.wrappers import Request, Response

from embedjwt.errors import RequestRefused, SessionRefused
from embedjwt.oidc.logout_token import LOGOUT_TYPES, LogoutToken, verify_logout_token
from embedjwt.oidc.own_login import OwnLogin
from embedjwt.oidc.signed import read_signed
from embedjwt.sources.claims import issuer_unknown

_log = structlog.get_logger("embedjwt.sessions")


def backchannel_logout(request: Request, own: OwnLogin, now: int) -> Response:
    """Ends what the logout token names (OpenID Connect Back-Channel Logout 1.0 section 2.6).

    200 where it has been done, also for a session that is gone already; 400 where the token is not
    one of ours to obey, or was sent before (section 2.8).
    """
    text = request.form.get("logout_token", "")
    try:
        found = _verified(text, own, now)
    except SessionRefused as refused:
        raise RequestRefused(refused.detail, hint=refused.hint, code=refused.code) from None
    results = [
        own.store.end_upstream(
            source, sub=token.sub, sid=token.sid, once=(token.jti, token.expires_at)
        )
        for source, token in found
    ]
    ended = [result for result in results if result is not None]
    if not ended:
        raise RequestRefused(
            "The logout token was used before.",
            code="logout_token_replayed",
            hint=f"source {found[0][0]!r} sent a jti that it had sent already",
        )
    _log.info("signed_out_upstream", source=found[0][0], sessions=sum(ended))
    return Response(status=200, headers={"Cache-Control": "no-store"})


def _verified(text: str, own: OwnLogin, now: int) -> list[tuple[str, LogoutToken]]:
    """The token, by each source that it is for: whose issuer and client it names."""
    issuer = read_signed(text, LOGOUT_TYPES).claims.get("iss")
    refusal = issuer_unknown("the logout token's iss is not the issuer of any oidc source")
    found: list[tuple[str, LogoutToken]] = []
    for provider in own.logins.providers.values():
        if provider.uses_id_token and provider.issuer == issuer:
            try:
                found.append((provider.name, verify_logout_token(provider, text, now)))
            except SessionRefused as refused:
                refusal = refused  # perhaps it is for our other client at this issuer
    if not found:
        raise refusal
    return found
