"""The authorization request and its response (RFC 6749 section 4.1, OpenID Connect Core 3.1.2)."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import urlencode, urlsplit, urlunsplit

from werkzeug.datastructures import MultiDict

from embedjwt.errors import EmbedJWTError, RequestRefused
from embedjwt.oidc.provider import Metadata, Provider

LIFE = 600
"""Seconds in which a login must come to its end."""

Display = Literal["page", "popup", "iframe"]

_NEEDS_A_PERSON = frozenset(
    {"login_required", "interaction_required", "consent_required", "account_selection_required"}
)
"""OpenID Connect Core 3.1.2.6: what ``prompt=none`` is answered where nobody is signed in."""

_ERROR = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class LoginAttempt:
    """One login on its way: what only the browser that began it may bring to an end.

    ``source`` is the provider's name, ``prompt`` is "" or ``"none"`` …, ``expires_at`` in Unix
    seconds. ``display`` is where the login shows, ``opener_origin`` whom a popup or frame reports
    to, ``return_to`` where a page goes afterwards. ``clicked``: the person asked for it.
    ``silent``: no page is wanted where nobody is signed in. ``replaces`` names the session that the
    browser had before, which ends with the login.
    """

    source: str
    state: str = field(repr=False)
    nonce: str = field(repr=False)
    code_verifier: str = field(repr=False)
    redirect_uri: str
    prompt: str
    expires_at: int
    return_to: str
    display: Display
    opener_origin: str
    clicked: bool
    silent: bool = False
    replaces: str = ""


class AuthorizationDenied(EmbedJWTError):
    """The provider has answered, with an error instead of a code.

    ``code`` is ``login_required`` where a person has to do something at the provider,
    ``access_denied``, or ``authorization_failed``; ``error`` is the provider's own word.
    """

    code = "authorization_failed"
    status = 401

    def __init__(self, error: str, *, description: str = "") -> None:
        self.error = error if _ERROR.fullmatch(error) else "unknown"
        detail, code = _meaning(self.error)
        said = "".join(character for character in description if character.isprintable())[:200]
        super().__init__(
            detail,
            hint=f"the provider answered {self.error}" + (f": {said}" if said else ""),
            code=code,
        )


def new_attempt(
    provider_name: str,
    *,
    redirect_uri: str,
    prompt: str,
    now: int,
    return_to: str,
    display: Display,
    opener_origin: str,
    clicked: bool,
    silent: bool = False,
    replaces: str = "",
) -> LoginAttempt:
    """An attempt with secrets nobody can guess; ``now`` is in Unix seconds."""
    return LoginAttempt(
        source=provider_name,
        state=secrets.token_urlsafe(32),
        nonce=secrets.token_urlsafe(32),
        code_verifier=secrets.token_urlsafe(96),  # 128 characters, RFC 7636 section 4.1's longest
        redirect_uri=redirect_uri,
        prompt=prompt,
        expires_at=now + LIFE,
        return_to=return_to,
        display=display,
        opener_origin=opener_origin,
        clicked=clicked,
        silent=silent,
        replaces=replaces,
    )


def authorization_url(provider: Provider, metadata: Metadata, attempt: LoginAttempt) -> str:
    """Where the browser goes to sign in. A query that the endpoint has stays (RFC 6749 3.1)."""
    ours = {
        "response_type": "code",
        "client_id": provider.client_id,
        "redirect_uri": attempt.redirect_uri,
        "state": attempt.state,
    }
    if provider.scopes:
        ours["scope"] = " ".join(provider.scopes)
    if provider.uses_id_token:
        ours["nonce"] = attempt.nonce
    if provider.use_pkce:
        ours["code_challenge"] = _s256(attempt.code_verifier)
        ours["code_challenge_method"] = "S256"
    if attempt.prompt:
        ours["prompt"] = attempt.prompt
    parts = urlsplit(metadata.authorization_endpoint)
    # Section 3.1: no parameter may be there twice.
    theirs = [pair for pair in parts.query.split("&") if pair and pair.split("=")[0] not in ours]
    return urlunsplit(parts._replace(query="&".join([*theirs, urlencode(ours)]), fragment=""))


def authorization_code(
    attempt: LoginAttempt,
    metadata: Metadata,
    params: Mapping[str, Sequence[str]] | MultiDict[str, str],
) -> str:
    """The code in the parameters that the redirect URI was called with.

    Nothing is read before ``state`` has shown that this browser began the login and ``iss`` that
    the provider it went to is the one that answers (RFC 9207 section 2.4): otherwise an error, too,
    might be anybody's. ``RequestRefused`` (``state_mismatch``, ``issuer_mismatch``,
    ``authorization_response_invalid``), or ``AuthorizationDenied`` where the provider said no.
    """
    values = params.to_dict(flat=False) if isinstance(params, MultiDict) else params
    state = values.get("state", ())
    if len(state) != 1 or not hmac.compare_digest(state[0].encode(), attempt.state.encode()):
        raise RequestRefused(
            "This answer does not belong to a login that began here.",
            code="state_mismatch",
            hint="state is missing or another one: a forged or repeated callback, or two logins "
            "at once; begin again",
        )
    if any(len(value) != 1 for value in values.values()):
        raise _invalid("a parameter came twice")
    # RFC 6749 section 3.1: a parameter without a value counts as left out.
    given = {name: value[0] for name, value in values.items() if value[0]}
    _check_issuer(metadata, given.get("iss"), given.keys())
    if "error" in given:
        raise AuthorizationDenied(given["error"], description=given.get("error_description", ""))
    if "code" not in given:
        raise _invalid("it holds neither a code nor an error")
    return given["code"]


def _check_issuer(metadata: Metadata, iss: str | None, given: Collection[str]) -> None:
    # An error without iss is let through, for canaille 0.3 sends it so: it gives nothing away,
    # while a code sent to the wrong provider would (RFC 9700 section 4.4).
    required = metadata.iss_parameter_supported and "error" not in given
    if not metadata.issuer or (iss is None and not required):
        return
    if iss != metadata.issuer:
        raise RequestRefused(
            "Another identity provider answered than the one that was asked.",
            code="issuer_mismatch",
            hint=f"iss must be {metadata.issuer!r} (RFC 9207), and is missing or another",
        )


def _meaning(error: str) -> tuple[str, str]:
    if error in _NEEDS_A_PERSON:
        return "The identity provider needs the person to sign in there.", "login_required"
    if error == "access_denied":
        return "The identity provider, or the person, refused access.", "access_denied"
    return "The identity provider could not sign the person in.", "authorization_failed"


def _invalid(hint: str) -> RequestRefused:
    return RequestRefused(
        "The identity provider's answer is not usable.",
        code="authorization_response_invalid",
        hint=hint,
    )


def _s256(verifier: str) -> str:
    """RFC 7636 section 4.2."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
