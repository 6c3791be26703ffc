"""New key pairs, whose names are fit for a command line."""

from __future__ import annotations

from embedjwt.keys.jwk import Jwk, public_jwk
from embedjwt.keys.signer import PrivateKey, generate


def key_pair(alg: str) -> tuple[PrivateKey, Jwk]:
    """A new private key, and its public half."""
    while True:
        private_key = generate(alg)
        jwk = public_jwk(private_key.public_key(), alg)
        if is_fit(jwk["kid"]):
            return private_key, jwk


def is_fit(kid: str) -> bool:
    """Whether ``embedjwt keys revoke KID`` takes it for no option, as one thumbprint in 64."""
    return not kid.startswith("-")
