"""``preset = "aws-alb"``: what an AWS Application Load Balancer says of who signed in at it.

https://docs.aws.amazon.com/elasticloadbalancing/latest/application/listener-authenticate-users.html
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm
from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sources.alb_keys import AlbKeys
from embedjwt.sources.carrier import Carrier, Places
from embedjwt.sources.claims import ClaimsPolicy, claim_invalid, issuer_unknown, read_time
from embedjwt.sources.compact import UnverifiedToken, malformed, parse_compact
from embedjwt.strict_json import strict_loads

ALGORITHM = "ES256"

_SEGMENT = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)
_ES256 = ECAlgorithm(ECAlgorithm.SHA256)


class AlbVerifier:
    """What the tokens of one issuer must look like, and which load balancers may sign them.

    ``keys`` are by the ARN of a load balancer; ``policy.audience`` are the client ids that the load
    balancers have at the issuer.
    """

    def __init__(
        self, *, name: str, subject_prefix: str, policy: ClaimsPolicy, keys: Mapping[str, AlbKeys]
    ) -> None:
        self.name = name
        self._subject_prefix = subject_prefix
        self._policy = policy
        self._header_policy = replace(policy, require=())
        self._keys = keys

    def verify(
        self, text: str, token: UnverifiedToken, header: Mapping[str, Any], now: int
    ) -> UpstreamSession:
        """The session of a token; ``SessionRefused`` says by its code what is wrong with it."""
        keys = self._signer_keys(token, header)
        # Before a key is asked for: the header is all that says when the token ends.
        told = {"iss": header["iss"], "exp": header.get("exp"), "aud": header.get("client")}
        self._header_policy.check(told, now)
        claims = self._verified_claims(text, token, keys)
        # The header is signed as well, and the payload need not repeat what it says.
        self._policy.check({**told, **claims, "aud": told["aud"]}, now)
        ends = [read_time(part, "exp") for part in (header, claims) if "exp" in part]
        return UpstreamSession(
            source=self.name,
            documents=Documents(id_token=claims),
            expires_at=min(ends),
            ambient=True,
            subject_prefix=self._subject_prefix,
        )

    def _signer_keys(self, token: UnverifiedToken, header: Mapping[str, Any]) -> AlbKeys:
        if token.alg != ALGORITHM:
            raise SessionRefused(
                "The token's algorithm is not accepted here.",
                code="algorithm_not_allowed",
                hint=f"a load balancer signs with {ALGORITHM}",
            )
        signer = header.get("signer")
        keys = self._keys.get(signer) if isinstance(signer, str) else None
        if keys is None:
            raise SessionRefused(
                "The token was signed by another load balancer.",
                code="signer_unknown",
                hint=f"its signer is not among those of source {self.name!r} (signer); compare "
                "the ARN to the character",
            )
        return keys

    def _verified_claims(self, text: str, token: UnverifiedToken, keys: AlbKeys) -> VerifiedClaims:
        key = keys.key(token.kid)
        signed, _, signature = text.rpartition(".")
        if not _verifies(key, signed, signature):
            raise SessionRefused(
                "The token's signature is not valid.",
                code="signature_invalid",
                hint=f"the load balancer's key is another than the one that signed, in source "
                f"{self.name!r}",
            )
        return VerifiedClaims(token.claims)


class AlbTokens:
    """A session source: the ``x-amzn-oidc-data`` of one header, by issuer."""

    def __init__(self, carrier: Carrier, verifiers: Mapping[str, AlbVerifier]) -> None:
        self._carrier = carrier
        self._verifiers = verifiers

    @property
    def name(self) -> str:
        """The names of all of them."""
        return "+".join(verifier.name for verifier in self._verifiers.values())

    @property
    def places(self) -> Places:
        """Where its carrier looks."""
        return self._carrier.places

    def session(self, request: Request, now: int) -> UpstreamSession | None:
        """The session of the token in the header; ``None`` where there is none."""
        text = self._carrier.read(request)
        if text is None:
            return None
        token, header = _parse(text)
        issuer = header.get("iss")
        verifier = self._verifiers.get(issuer) if isinstance(issuer, str) else None
        if verifier is None:
            known = ", ".join(repr(name) for name in self._verifiers)
            raise issuer_unknown(f"the header's iss must be exactly {known}")
        if token.claims.get("iss", issuer) != issuer:
            raise claim_invalid("iss", "is another in the payload than in the header")
        return verifier.verify(text, token, header, now)


def _parse(text: str) -> tuple[UnverifiedToken, dict[str, Any]]:
    """The token and its header. Other than RFC 7515 has it, its parts end with padding."""
    parts = text.split(".")
    if not all(_is_padded(part) for part in parts):
        raise malformed("a part is not base64url with all of its padding")
    token = parse_compact(text.replace("=", ""))
    return token, strict_loads(base64.urlsafe_b64decode(parts[0]))


def _is_padded(part: str) -> bool:
    return len(part) % 4 == 0 and _SEGMENT.fullmatch(part) is not None


def _verifies(key: ec.EllipticCurvePublicKey, signed: str, signature: str) -> bool:
    """Whether the signature is of this text, padding included."""
    try:
        return bool(_ES256.verify(signed.encode(), key, base64.urlsafe_b64decode(signature)))
    except (binascii.Error, ValueError):
        return False
