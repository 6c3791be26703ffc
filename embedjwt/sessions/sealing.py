"""What the database sees of a session: only who has the session's id can find and read its row."""

from __future__ import annotations

import base64
import hashlib
import json
import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

_PURPOSE = b"embedjwt session record"
_KEY_BYTES = 32
_NONCE_BYTES = 12


def row_key(session_id: str) -> str:
    """The SHA-256 of an id, in hex: names its row, and does not lead back to it."""
    return hashlib.sha256(_bytes(session_id)).hexdigest()


def seal(session_id: str, version: int, data: bytes, secret: bytes | None = None) -> str:
    """Encrypt for the holder of the id, and for the row and version it is written to.

    AES-256-GCM; its key is derived from the id (HKDF-SHA256, RFC 5869), so that neither the
    database nor its backups can be read without the cookies of the people in it. With a ``secret``
    that the database does not hold, whoever may write to it can make nobody's session either.
    """
    nonce = os.urandom(_NONCE_BYTES)
    sealed = _cipher(session_id, secret).encrypt(nonce, data, _place(session_id, version))
    return base64.b64encode(nonce + sealed).decode("ascii")


def unseal(session_id: str, version: int, sealed: str, secret: bytes | None = None) -> bytes | None:
    """What was sealed; ``None`` where it was changed, or comes from another row, version or
    secret."""
    try:
        raw = base64.b64decode(sealed, validate=True)
        nonce, data = raw[:_NONCE_BYTES], raw[_NONCE_BYTES:]
        return _cipher(session_id, secret).decrypt(nonce, data, _place(session_id, version))
    except (InvalidTag, ValueError):
        return None


def digest(*words: str) -> str:
    """A name to look up by that cannot be read; a word that can be guessed can be recognised."""
    return hashlib.sha256(json.dumps(words).encode("ascii")).hexdigest()


def _cipher(session_id: str, secret: bytes | None) -> AESGCM:
    key = HKDF(algorithm=SHA256(), length=_KEY_BYTES, salt=secret, info=_PURPOSE)
    return AESGCM(key.derive(_bytes(session_id)))


def _place(session_id: str, version: int) -> bytes:
    return f"{row_key(session_id)} {version}".encode("ascii")


def _bytes(session_id: str) -> bytes:
    return session_id.encode("utf-8", "surrogatepass")  # whatever a cookie held
