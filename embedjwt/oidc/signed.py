"""A provider's signed tokens: their type, their signature, and what their claims must say."""

from __future__ import annotations

from collections.abc import Collection
from typing import cast

from embedjwt.identity import VerifiedClaims
from embedjwt.oidc.provider import Provider
from embedjwt.sources.claims import ClaimsPolicy
from embedjwt.sources.compact import UnverifiedToken, parse_compact
from embedjwt.sources.jwt import JwtVerifier

MAX_LENGTH = 256 * 1024
"""Characters. These come in bodies, not in header fields: hundreds of groups fit in."""


def read_signed(text: str, types: Collection[str]) -> UnverifiedToken:
    """Take a token apart whose ``typ``, upper-cased, is one of ``types`` or left out.

    A token of another type was signed for another purpose (RFC 8725 section 3.11).
    """
    return parse_compact(text, types=types, max_length=MAX_LENGTH)


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
