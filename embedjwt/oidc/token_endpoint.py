"""The token endpoint: a code or a refresh token against tokens (RFC 6749 sections 4.1.3 and 6)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.oidc.authorization import LoginAttempt
from embedjwt.oidc.provider import Provider
from embedjwt.outbound import Answer, unavailable
from embedjwt.sources.claims import MAX_TIME

_GRANT_REFUSED = frozenset({"invalid_grant", "bad_verification_code", "bad_refresh_token"})
"""RFC 6749 section 5.2, and GitHub's own two words for the same, which come with a 200."""

_VISIBLE = re.compile(r"[\x20-\x7e]+")
_WORD = re.compile(r"[a-z0-9_]{1,64}")


class GrantRefused(SessionRefused):
    """The code or the refresh token is used up, over or revoked: the person has to sign in."""

    code = "grant_refused"
    status = 401


@dataclass(frozen=True, slots=True)
class TokenResponse:
    """What came for a grant. ``expires_in`` is in seconds, ``None`` where nothing is said.

    ``id_token`` has not been verified.
    """

    id_token: str | None = field(repr=False)
    access_token: str = field(repr=False)
    expires_in: int | None
    refresh_token: str | None = field(repr=False)


def redeem_code(provider: Provider, code: str, attempt: LoginAttempt) -> TokenResponse:
    """The tokens for a code.

    ``GrantRefused`` where it is not taken; ``SessionRefused`` (``id_token_missing``) where an ID
    token was asked for and none came; ``UpstreamUnavailable`` for everything else.
    """
    form = {
        "grant_type": "authorization_code",
        "code": code,
        "redirect_uri": attempt.redirect_uri,
    }
    if provider.use_pkce:
        form["code_verifier"] = attempt.code_verifier
    tokens = _ask(provider, form)
    if provider.uses_id_token and tokens.id_token is None:
        raise SessionRefused(
            "The identity provider sent no ID token.",
            code="id_token_missing",
            hint=f"the token response of source {provider.name!r} has no "
            f"{provider.id_token_attribute_name!r}; is this an OpenID Connect client there?",
        )
    return tokens


def refresh(provider: Provider, refresh_token: str) -> TokenResponse:
    """Fresh tokens. Without a new refresh token in them the old one goes on (RFC 6749 section 6).

    ``GrantRefused`` where the session is over at the provider, else ``UpstreamUnavailable``.
    """
    return _ask(provider, {"grant_type": "refresh_token", "refresh_token": refresh_token})


def _ask(provider: Provider, form: dict[str, str]) -> TokenResponse:
    metadata = provider.metadata()
    url = metadata.token_endpoint
    answer = provider.client.post(
        url,
        form,
        deadline=provider.deadline(),
        from_data_of=provider.data_of(url),
        supported=metadata.token_endpoint_auth_methods,
    )
    return _tokens(provider, url, answer)


def _error(answer: Answer) -> str | None:
    """The ``error`` of an answer (section 5.2), "" where it is of another kind."""
    if not isinstance(answer.document, dict) or "error" not in answer.document:
        return None
    error = answer.document["error"]
    return error if isinstance(error, str) and _WORD.fullmatch(error) else ""


def _tokens(provider: Provider, url: str, answer: Answer) -> TokenResponse:
    error = _error(answer)
    if error in _GRANT_REFUSED:
        raise GrantRefused(
            "The identity provider does not continue this session.",
            hint=f"{provider.name!r} answered {error}: a code that was used or is over, a refresh "
            "token that was revoked, or a redirect_uri or client that it was not made for",
        )
    if answer.status != 200 or error is not None:
        raise _unusable(url, answer.status, error)
    if not isinstance(answer.document, dict):
        raise unavailable(url, "its answer is no JSON object")
    return TokenResponse(
        id_token=(
            _text(url, answer.document, provider.id_token_attribute_name)
            if provider.uses_id_token
            else None
        ),
        # NOTE: token_type is not looked at, as in golang.org/x/oauth2: some providers misname it.
        access_token=_required(url, answer.document, "access_token"),
        expires_in=_seconds(answer.document.get("expires_in")),
        refresh_token=_text(url, answer.document, "refresh_token"),
    )


def _unusable(url: str, status: int, error: str | None) -> UpstreamUnavailable:
    if error == "invalid_client":
        return unavailable(url, "it does not accept this client_id and client_secret")
    return unavailable(url, f"it answered {status}" + (f" and {error}" if error else ""))


def _required(url: str, document: dict[str, Any], name: str) -> str:
    text = _text(url, document, name)
    if text is None:
        raise unavailable(url, f"its answer has no {name}")
    return text


def _text(url: str, document: dict[str, Any], name: str) -> str | None:
    """A token (RFC 6749 appendix A.12); ``None`` where it is missing or empty."""
    value = document.get(name)
    if value is None or value == "":
        return None
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise unavailable(url, f"its answer's {name} is no text of visible characters")
    return value


def _seconds(value: Any) -> int | None:
    """A life, which some providers write as a text."""
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 12:
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or value > MAX_TIME:
        return None
    return max(0, int(value))
