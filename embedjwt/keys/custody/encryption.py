"""Private keys as text that only the holder of an encryption key can read (Fernet)."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.custody.seal import Seal

_BYTES = 32


class Encryption:
    """Encrypts with the newest of several keys, decrypts with any; so does its ``seal``.

    ``keys``: 32 random bytes each, in base64, standard or URL-safe; newest last. Raises
    :class:`KeysUnavailable`, with code ``encryption_key_invalid``, for anything else.
    """

    def __init__(self, keys: Sequence[str]) -> None:
        if not keys:
            raise _invalid("there is no key to encrypt the private keys in the database with")
        raw = [
            _parsed(key, f"encryption key {number} of {len(keys)}")
            for number, key in enumerate(keys, start=1)
        ]
        newest_first = [Fernet(base64.urlsafe_b64encode(key)) for key in reversed(raw)]
        self.seal = Seal(raw)
        self._newest = newest_first[0]
        self._all = MultiFernet(newest_first)

    def encrypt(self, data: bytes) -> str:
        """With the newest key."""
        return self._newest.encrypt(data).decode("ascii")

    def decrypt(self, encrypted: str) -> bytes | None:
        """With the key that fits; ``None`` where none does, or the text was changed."""
        return _decrypted(self._all, encrypted)

    def is_outdated(self, encrypted: str) -> bool:
        """Whether this was not encrypted with the newest key."""
        return _decrypted(self._newest, encrypted) is None


def _decrypted(keys: Fernet | MultiFernet, encrypted: str) -> bytes | None:
    try:
        return keys.decrypt(encrypted)
    except (InvalidToken, ValueError):  # what is not ASCII gets the latter
        return None


def _parsed(key: str, name: str) -> bytes:
    try:
        raw = base64.b64decode(key.strip().translate(str.maketrans("-_", "+/")), validate=True)
    except (ValueError, binascii.Error):
        raise _invalid(f"{name} is not base64") from None
    if len(raw) != _BYTES:
        raise _invalid(f"{name} has {len(raw)} bytes instead of {_BYTES}")
    return raw


def _invalid(what: str) -> KeysUnavailable:
    return KeysUnavailable(
        what,
        hint="openssl rand -base64 32 makes one; put it in the file that [keys] "
        "encryption_keys_file names, one a line, newest last",
        code="encryption_key_invalid",
    )
