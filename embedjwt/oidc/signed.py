"""A provider's signed tokens: their type, their signature, and what their claims must say."""

from __future__ import annotations

import base64
import json
import re
from dataclasses import replace
from typing import Any, cast

from jwt.utils import base64url_decode

from embedjwt.identity import VerifiedClaims
from embedjwt.oidc.provider import Provider
from embedjwt.sources.claims import ClaimsPolicy
from embedjwt.sources.compact import UnverifiedToken, parse_compact, type_not_accepted
from embedjwt.sources.jwt import JwtVerifier
from embedjwt.sources.strict_json import JSONRefused, strict_loads

_BASE64URL = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)


def read_signed(text: str, types: tuple[str, ...]) -> UnverifiedToken:
    """Take a token apart whose ``typ``, upper-cased, is one of ``types`` or left out.

    A token of another type was signed for another purpose (RFC 8725 section 3.11).
    """
    head, _, rest = text.partition(".")
    header = _header(head)
    if header is None or "typ" not in header:
        return parse_compact(text)
    typ = header.pop("typ")
    if not isinstance(typ, str) or typ.upper().removeprefix("APPLICATION/") not in types:
        raise type_not_accepted(f"typ must be left out or one of {', '.join(types)}")
    # The type is settled here, so the rest is read as of a token that has none.
    untyped = base64.urlsafe_b64encode(json.dumps(header).encode()).rstrip(b"=").decode()
    return replace(parse_compact(f"{untyped}.{rest}"), text=text)


def verify_signed(
    provider: Provider, token: UnverifiedToken, policy: ClaimsPolicy, now: int
) -> VerifiedClaims:
    """The claims of a token that the provider has signed and that satisfies ``policy``.

    ``SessionRefused`` says by its code what is wrong; a key that is not known yet is looked for.
    """
    verifier = JwtVerifier(
        name=provider.name,
        subject_prefix="",
        policy=policy,
        algorithms=provider.algorithms,
        keys=provider.keys,
    )
    session = verifier.verify(token, now, ambient=False).session
    return cast(VerifiedClaims, session.documents.id_token)


def _header(segment: str) -> dict[str, Any] | None:
    try:
        header = strict_loads(base64url_decode(segment)) if _BASE64URL.fullmatch(segment) else None
    except (JSONRefused, ValueError):
        return None
    return header if isinstance(header, dict) else None
