"""Seals: what is written beside a document, and shows who can have written it. Pure."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from embedjwt.errors import KeysUnavailable, RingDamaged

_PURPOSE = b"embedjwt key ring"
_SECRET_BYTES = 32
_NAME_BYTES = 8


class Seal:
    """Seals with the newest of several encryption keys, verifies with any; newest last.

    A seal is ``<name of the key>.<HMAC-SHA256>``; secret and name are derived from the encryption
    key (HKDF-SHA256, RFC 5869). Without keys it is a SHA-256, which shows damage, and no author.
    Who can change the database can still put back an older document with its own seal.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        derived = [_derived(key) for key in keys]
        self._secrets = dict(derived)
        self._newest = derived[-1][0] if derived else ""

    def of(self, document: str) -> str:
        """With the newest key."""
        return self._made(self._newest, document)

    def is_outdated(self, seal: str) -> bool:
        """Whether this was not made with the newest key."""
        return _name(seal) != self._newest

    def verify(self, seal: str, document: str, source: str) -> None:
        """Refuse a document that nobody who holds one of the keys has sealed.

        Raises :class:`RingDamaged` where one of our keys shows that it was changed. A key that is
        not ours raises :class:`KeysUnavailable`, with code ``encryption_key_missing``: those who
        have it go on from there, so what we knew before gets old. A seal without a key is no
        exception where there are keys, for anyone can make one: a ring that was made without
        encryption keys never gets any, and has to be made anew.
        """
        name = _name(seal)
        if name != self._newest and name not in self._secrets:
            raise _unknown(source, name)
        if not hmac.compare_digest(self._made(name, document).encode(), seal.encode()):
            raise RingDamaged(
                f"{source} was changed by something else than embedjwt",
                hint="restore it from a backup; do not edit it by hand",
            )

    def _made(self, name: str, document: str) -> str:
        if not name:
            return hashlib.sha256(document.encode()).hexdigest()
        return f"{name}.{hmac.digest(self._secrets[name], document.encode(), 'sha256').hex()}"


def _derived(key: bytes) -> tuple[str, bytes]:
    size = _SECRET_BYTES + _NAME_BYTES
    derived = HKDF(algorithm=SHA256(), length=size, salt=None, info=_PURPOSE).derive(key)
    return derived[_SECRET_BYTES:].hex(), derived[:_SECRET_BYTES]


def _name(seal: str) -> str:
    return seal.rpartition(".")[0]


def _unknown(source: str, name: str) -> KeysUnavailable:
    if not name:
        return KeysUnavailable(
            f"{source} was written without an encryption key, as anyone could",
            hint="if you have just set [keys] encryption_keys_file, unset it: a ring gets its "
            "encryption keys when it is made; otherwise restore the database from a backup",
            code="encryption_key_missing",
        )
    return KeysUnavailable(
        f"{source} was written with an encryption key that is not among ours",
        hint="add that key again to the file that [keys] encryption_keys_file names, before the "
        "newest; it must stay there until `embedjwt check` no longer asks for it",
        code="encryption_key_missing",
    )
