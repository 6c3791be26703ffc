"""Keys that another program made: read from PEM, checked, and given the names they had there."""

from __future__ import annotations

import stat
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.jwk import Jwk, PublicKey, is_kid, public_jwk
from embedjwt.keys.signer import RSA_BITS, PrivateKey

_MOST_BYTES = 64 * 1024
_OF_CURVE = {"secp256r1": "ES256", "secp384r1": "ES384"}
_RSA = ("RS256", "PS256")


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """A key from elsewhere. ``open_to_others``: its file could be read by other users."""

    jwk: Jwk
    open_to_others: bool
    _private_key: PrivateKey | None = field(repr=False)

    @property
    def private_key(self) -> PrivateKey:
        """The private half. Raises :class:`KeysUnavailable` where only the public half is known."""
        if self._private_key is None:
            raise _unusable("the file holds a public key; a key that is to sign needs its private")
        return self._private_key


def read_foreign(
    path: Path, passphrase: bytes | None, *, alg: str | None, kid: str | None, private: bool
) -> ForeignKey:
    """The key in a PEM file; with ``private`` its private half must be in it.

    Raises :class:`KeysUnavailable` for anything that embedjwt could not sign with, or publish.
    """
    try:
        pem = path.read_bytes()[: _MOST_BYTES + 1]
        mode = path.stat().st_mode
    except OSError as error:
        raise _unusable(f"{path} cannot be read: {error.strerror}") from error
    private_key = None
    if b"PRIVATE KEY" in pem:
        private_key = _private_key(path, pem, passphrase)
        public: object = private_key.public_key()
    elif private:
        raise _unusable(f"{path} holds no private key, and a key that signs needs one")
    else:
        public = _public_key(path, pem)
    if not isinstance(public, PublicKey):
        raise _unusable(f"{path} holds a key of a kind that embedjwt does not sign with")
    jwk = dict(public_jwk(public, _algorithm(path, public, alg)))
    if kid is not None:
        if not is_kid(kid):
            raise _unusable("--kid must be 1 to 255 printable characters", "see the tokens' header")
        jwk["kid"] = kid
    readable = bool(mode & (stat.S_IRGRP | stat.S_IROTH)) and private_key is not None
    return ForeignKey(jwk, readable, private_key)


def _private_key(path: Path, pem: bytes, passphrase: bytes | None) -> PrivateKey:
    encrypted = b"ENCRYPTED" in pem
    if encrypted and passphrase is None:
        raise _unusable(f"{path} is encrypted", "name its passphrase with --passphrase-file")
    try:
        key = load_pem_private_key(pem, passphrase if encrypted else None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        # Without its cause: a parser's message may quote what it read.
        cause = "the passphrase is wrong, or it is damaged" if encrypted else "it is damaged"
        hint = "check --passphrase-file" if encrypted else "export it again from where it is used"
        raise _unusable(f"{path} holds no private key that can be read: {cause}", hint) from None
    if not isinstance(key, PrivateKey):
        raise _unusable(f"{path} holds a key of a kind that embedjwt does not sign with")
    return key


def _public_key(path: Path, pem: bytes) -> object:
    try:
        return load_pem_public_key(pem)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        hint = "of a certificate, take the key: openssl x509 -pubkey -noout -in FILE"
        raise _unusable(f"{path} holds no key in PEM", hint) from None


def _algorithm(path: Path, key: PublicKey, wanted: str | None) -> str:
    if isinstance(key, rsa.RSAPublicKey):
        if key.key_size < RSA_BITS:
            raise _unusable(f"{path} has {key.key_size} bits; RSA needs {RSA_BITS} or more")
        possible: tuple[str, ...] = _RSA
    elif isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name not in _OF_CURVE:
            raise _unusable(
                f"{path} is on the curve {key.curve.name}; P-256 and P-384 are possible"
            )
        possible = (_OF_CURVE[key.curve.name],)
    else:
        possible = ("EdDSA",)
    if wanted is not None and wanted not in possible:
        offer = " or ".join(possible)
        raise _unusable(
            f"{path} cannot sign {wanted}, only {offer}", f"leave --alg out, or {offer}"
        )
    return wanted or possible[0]


def _unusable(
    detail: str, hint: str = "give a PEM file with an EC (P-256, P-384), RSA or Ed25519 key"
) -> KeysUnavailable:
    return KeysUnavailable(detail, hint=hint, code="key_unusable")
