"""Private halves as PEM: one file each in the embedded store's directory (PKCS#8, mode 0600)."""

from __future__ import annotations

import re
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from embedjwt.errors import KeysUnavailable
from embedjwt.keys import files
from embedjwt.keys.custody.pair import key_pair
from embedjwt.keys.jwk import Jwk, public_jwk, thumbprint
from embedjwt.keys.ring import KeyRecord, KeyState, Ring
from embedjwt.keys.signer import PrivateKey, SigningKey, signer

FILE_NAME = r"[A-Za-z0-9_-]{43}\.pem"
"""A file is named by the thumbprint of its key, also where the key's ``kid`` is another."""

MAX_PASSPHRASE = 1023
"""Bytes; OpenSSL takes no more."""

MAY_SIGN: tuple[KeyState, ...] = ("next", "active")
"""States whose private halves are kept."""


class PemFiles:
    """Private halves in one directory, encrypted where a passphrase is given."""

    def __init__(self, path: Path, passphrase: bytes | None) -> None:
        self._path = path
        self._passphrase = passphrase
        if passphrase is not None and not 0 < len(passphrase) <= MAX_PASSPHRASE:
            raise KeysUnavailable(
                f"the passphrase for {path} must have 1 to {MAX_PASSPHRASE} bytes",
                hint="see [keys] passphrase_file",
            )

    def create(self, alg: str) -> Jwk:
        """Make a key pair; its file is on the disk when this returns."""
        private_key, jwk = key_pair(alg)
        self.adopt(private_key, jwk)
        return jwk

    def adopt(self, private_key: PrivateKey, jwk: Jwk) -> None:
        """Write a private half."""
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if self._passphrase is not None:
            encryption = serialization.BestAvailableEncryption(self._passphrase)
        pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        files.write(self._file(jwk), pem, files.PRIVATE)

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """Read a private half, if it belongs to the record and is closed to others."""
        return SigningKey(record.kid, record.alg, signer(self.private_key(record), record.alg))

    def private_key(self, record: KeyRecord) -> PrivateKey:
        """The private half itself, for moving it into another store."""
        path = self._file(record.jwk)
        key = self._parsed(path, files.read_private(path))
        if not isinstance(key, PrivateKey) or thumbprint(
            public_jwk(key.public_key(), record.alg)
        ) != thumbprint(record.jwk):
            raise KeysUnavailable(
                f"{path} holds another key than the ring says", hint="restore it from a backup"
            )
        return key

    def prune(self, ring: Ring) -> None:
        """Remove the files of keys that may not sign, and what dead writers left behind.

        A ring whose keys are not all here may be an old one that was put back: what it does not
        name may be the keys in use, and stays.
        """
        kept = {self._file(key.jwk) for key in ring.in_state(*MAY_SIGN)}
        ended = [self._file(key.jwk).name for key in ring.records if key.state not in MAY_SIGN]
        belongs = all(files.present(file) for file in kept)
        names = [FILE_NAME] if belongs else [re.escape(name) for name in ended]
        files.remove_others(self._path, kept, "|".join([files.TEMPORARY, *names]))

    def _file(self, jwk: Jwk) -> Path:
        return self._path / f"{thumbprint(jwk)}.pem"

    def _parsed(self, path: Path, pem: bytes) -> object:
        encrypted = b"ENCRYPTED" in pem.split(b"\n", 1)[0]
        if encrypted and self._passphrase is None:
            raise KeysUnavailable(
                f"{path} is encrypted, and there is no passphrase",
                hint="set [keys] passphrase_file",
            )
        if self._passphrase is not None and not encrypted:
            raise KeysUnavailable(
                f"{path} is not encrypted, although a passphrase is configured",
                hint="remove [keys] passphrase_file, or encrypt the file with "
                "openssl pkcs8 -topk8 -v2 aes-256-cbc",
            )
        try:
            return serialization.load_pem_private_key(pem, self._passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Without its cause: a parser's message may quote what it read.
            cause = "the passphrase is wrong, or the file is damaged" if encrypted else "damaged"
            raise KeysUnavailable(
                f"{path} holds no private key that can be read: {cause}",
                hint="check [keys] passphrase_file" if encrypted else "restore it from a backup",
            ) from None
