"""``type = "cookie"``: the signed session cookie of a host application."""

from __future__ import annotations

import datetime
import hashlib
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flask.json.tag import TaggedJSONSerializer
from itsdangerous import BadData, BadPayload, URLSafeTimedSerializer
from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.expressions import Expression, ExpressionError
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sources.carrier import Cookie, Places
from embedjwt.sources.claims import read_time
from embedjwt.strict_json import JSONRefused, strict_loads

MAX_COOKIE_LENGTH = 8 * 1024
"""Characters; browsers stop at 4 KiB. A signed payload may inflate to a thousand times that (zlib),
which only the host application itself can bring about."""

MAX_SKEW = 60
"""Seconds by which the host application's clock may run ahead of ours."""


@dataclass(frozen=True, slots=True)
class SigningScheme:
    """How a kind of cookie is signed, in itsdangerous' words."""

    salt: str
    key_derivation: str
    digest_method: str
    serializer: Any = None


FORMATS = {
    # flask.sessions.SecureCookieSessionInterface
    "flask": SigningScheme("cookie-session", "hmac", "sha1", TaggedJSONSerializer()),
    # itsdangerous.URLSafeTimedSerializer
    "itsdangerous": SigningScheme("itsdangerous", "django-concat", "sha1"),
}


class SignedCookie:
    """A session source: a cookie that the host application signed with itsdangerous.

    ``keys`` are newest last; each of them verifies. ``max_age`` is in seconds. A valid cookie in
    which nobody is signed in (``claims_path`` finds null or an empty object) is no session.
    """

    def __init__(
        self,
        *,
        name: str,
        subject_prefix: str,
        cookie_name: str,
        keys: Sequence[bytes],
        scheme: SigningScheme,
        max_age: int,
        claims_path: Expression,
    ) -> None:
        self.name = name
        self._subject_prefix = subject_prefix
        self._cookie = Cookie(cookie_name)
        self._max_age = max_age
        self._claims_path = claims_path
        self._serializer = URLSafeTimedSerializer(
            list(keys),
            salt=scheme.salt,
            serializer=scheme.serializer,
            signer_kwargs={
                "key_derivation": scheme.key_derivation,
                "digest_method": getattr(hashlib, scheme.digest_method),
            },
        )

    @property
    def places(self) -> Places:
        """The cookie."""
        return self._cookie.places

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The session in the cookie; ``None`` without the cookie, or where nobody is signed in."""
        value = self._cookie.read(request)
        if value is None:
            return None
        payload, signed_at = self._verify(value)
        self._check_age(signed_at, now)
        claims = self._claims(payload)
        if not claims:
            return None
        return UpstreamSession(
            source=self.name,
            documents=Documents(id_token=VerifiedClaims(claims)),
            expires_at=self._expiry(claims, signed_at, now),
            ambient=True,
            subject_prefix=self._subject_prefix,
        )

    def _verify(self, value: str) -> tuple[Any, int]:
        if len(value) > MAX_COOKIE_LENGTH:
            raise SessionRefused(
                "The session cookie is too long.",
                code="cookie_too_large",
                hint=f"at most {MAX_COOKIE_LENGTH} characters",
            )
        try:
            # Without max_age: that would ask the wall clock.
            payload, signed_at = self._serializer.loads(value, return_timestamp=True)
        except BadPayload:
            raise SessionRefused(
                "The session cookie cannot be read.",
                code="cookie_malformed",
                hint=f"source {self.name!r}: its signature is right, its payload is not of the "
                "configured format",
            ) from None
        except (BadData, ValueError, OverflowError, OSError):
            raise SessionRefused(
                "The session cookie's signature is not valid.",
                code="signature_invalid",
                hint=f"source {self.name!r}: compare secret_keys, salt, key_derivation and "
                "digest_method with the host application's",
            ) from None
        return payload, int(signed_at.timestamp())

    def _check_age(self, signed_at: int, now: int) -> None:
        if signed_at > now + MAX_SKEW:
            raise SessionRefused(
                "The session cookie is not valid yet.",
                code="cookie_not_yet_valid",
                hint=f"it was signed more than {MAX_SKEW} s in the future; compare the clocks",
            )
        if now >= signed_at + self._max_age:
            raise _expired(f"it was signed longer than max_age ({self._max_age} s) ago")

    def _claims(self, payload: Any) -> dict[str, Any] | None:
        try:
            found = self._claims_path.search(_plain(payload))
        except ExpressionError:
            raise _unusable(f"claims_path of source {self.name!r} failed on it") from None
        except JSONRefused as error:
            raise _unusable(f"its content was refused: {error}") from None
        if found is None or isinstance(found, dict):
            return found
        raise _unusable(f"claims_path of source {self.name!r} must find an object, or null")

    def _expiry(self, claims: Mapping[str, Any], signed_at: int, now: int) -> int:
        end = signed_at + self._max_age
        if claims.get("exp") is not None:
            end = min(end, read_time(claims, "exp"))
        if now >= end:
            raise _expired("the exp among its claims is past")
        return end


def _plain(payload: Any) -> Any:
    """The payload as JSON has it; Flask's format also knows tuples, dates, UUIDs and bytes."""
    try:
        text = json.dumps(payload, default=_as_json)
    except (TypeError, ValueError, RecursionError):
        raise JSONRefused("not plain data") from None
    return strict_loads(text)


def _as_json(value: Any) -> Any:
    """Dates as JWTs have them, UUIDs as texts; what JSON cannot say becomes null."""
    if isinstance(value, datetime.datetime):
        return int(value.timestamp())
    if isinstance(value, uuid.UUID):
        return str(value)
    return None


def _expired(hint: str) -> SessionRefused:
    return SessionRefused("The session cookie has expired.", code="cookie_expired", hint=hint)


def _unusable(hint: str) -> SessionRefused:
    return SessionRefused(
        "The session cookie holds no usable claims.", code="cookie_claims_invalid", hint=hint
    )
