"""The compact form of a JWT (RFC 7519 section 3), taken apart without believing any of it."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from embedjwt.errors import SessionRefused
from embedjwt.identity import UnverifiedClaims
from embedjwt.strict_json import JSONRefused, strict_loads

MAX_TOKEN_LENGTH = 16 * 1024
"""Characters. Web servers commonly allow 8 or 16 KiB for a header field."""

MAX_KID_LENGTH = 256

ACCEPTED_TYPES = ("JWT", "AT+JWT")
"""``typ`` of ID tokens and of access tokens (RFC 9068 section 2.1), upper-cased.

RFC 8725 section 3.11: another type, such as ``logout+jwt``, was signed for another purpose.
"""

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class UnverifiedToken:
    """A token whose form is right. Nothing in it has been verified.

    ``alg`` is what the token says; it chooses nothing by itself.
    """

    text: str
    alg: str
    kid: str | None
    claims: UnverifiedClaims


def parse_compact(
    text: str,
    *,
    types: Collection[str] = ACCEPTED_TYPES,
    max_length: int = MAX_TOKEN_LENGTH,
) -> UnverifiedToken:
    """Take a token apart; ``SessionRefused`` where its form is not exactly right.

    ``types`` are the accepted values of ``typ``, upper-cased; it may always be left out.
    """
    if len(text) > max_length:
        raise SessionRefused(
            "The token is too long.",
            code="token_too_large",
            hint=f"at most {max_length} characters; have the provider leave out claims",
        )
    segments = text.split(".")
    if len(segments) != 3:
        raise malformed(
            "a signed JWT has three parts divided by dots; opaque tokens have none and encrypted "
            "ones (JWE) five"
        )
    header = _json_object(segments[0], "header")
    claims = _json_object(segments[1], "payload")
    _decode(segments[2], "signature")
    _check_critical(header)
    _check_type(header, types)
    return UnverifiedToken(
        text=text,
        alg=_alg(header),
        kid=_kid(header),
        claims=UnverifiedClaims(claims),
    )


def malformed(hint: str) -> SessionRefused:
    """The refusal of something that is no JWT."""
    return SessionRefused("The token is not a well-formed JWT.", code="token_malformed", hint=hint)


def type_not_accepted(hint: str) -> SessionRefused:
    """The refusal of a token that was signed for another purpose than a session."""
    return SessionRefused(
        "The token is of a type that is not accepted.", code="token_type_not_accepted", hint=hint
    )


def _json_object(segment: str, part: str) -> dict[str, Any]:
    try:
        value = strict_loads(_decode(segment, part))
    except JSONRefused as error:
        raise malformed(f"the {part} was refused: {error}") from None
    if not isinstance(value, dict):
        raise malformed(f"the {part} is no JSON object")
    return value


def _decode(segment: str, part: str) -> bytes:
    """Base64url without padding or white space (RFC 7515 section 2)."""
    try:
        if not _BASE64URL.fullmatch(segment):
            raise binascii.Error
        return base64.urlsafe_b64decode(segment + "=" * (-len(segment) % 4))
    except binascii.Error:
        raise malformed(f"the {part} is not base64url without padding") from None


def _check_critical(header: dict[str, Any]) -> None:
    # RFC 7515 section 4.1.11: an extension we do not know must not be ignored; we know none.
    # b64 (RFC 7797) is refused even where crit forgets to name it.
    if "crit" in header or "b64" in header:
        raise SessionRefused(
            "The token uses an extension that is not supported.",
            code="critical_header_unknown",
            hint="no crit extension (RFC 7515 section 4.1.11) is supported",
        )


def _check_type(header: dict[str, Any], types: Collection[str]) -> None:
    if "typ" not in header:
        return
    typ = header["typ"]
    # RFC 7515 section 4.1.9: case-insensitive, and "application/" may be left out.
    if not isinstance(typ, str) or typ.upper().removeprefix("APPLICATION/") not in types:
        raise type_not_accepted(f"the header's typ must be left out, or one of {', '.join(types)}")


def _alg(header: dict[str, Any]) -> str:
    alg = header.get("alg")
    if not isinstance(alg, str):
        raise malformed("the header's alg is missing or no text")
    return alg


def _kid(header: dict[str, Any]) -> str | None:
    if "kid" not in header:
        return None
    kid = header["kid"]
    if not isinstance(kid, str) or len(kid) > MAX_KID_LENGTH:
        raise malformed(f"the header's kid must be a text of at most {MAX_KID_LENGTH} characters")
    return kid
