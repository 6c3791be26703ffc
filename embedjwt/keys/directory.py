"""The embedded key store: a directory with private keys, the ring, and the published set.

``<kid>.pem`` one private key each (PKCS#8, mode 0600), ``ring.json`` states and times of all keys
with their public halves, ``jwks.json`` the published set, for Grafana's ``jwk_set_file``.
``ring.json`` decides: it is written after the private keys it needs, and ``jwks.json`` follows it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from embedjwt.errors import KeysUnavailable
from embedjwt.keys import files
from embedjwt.keys.jwk import Jwk, public_jwk
from embedjwt.keys.ring import (
    KeyRecord,
    Ring,
    entity_tag,
    jwk_set,
    new_ring,
    parse_ring,
    to_json,
)
from embedjwt.keys.signer import PrivateKey, SigningKey, generate

_KEY_FILE = r"[A-Za-z0-9_-]{43}\.pem"
_LEFT_OVER = re.compile(rf"{_KEY_FILE}|{files.TEMPORARY}")
_OURS = re.compile(rf"{_LEFT_OVER.pattern}|\.lock|ring\.json|jwks\.json|README\.md|\.gitignore")
_MAX_PASSPHRASE = 1023  # bytes; OpenSSL takes no more


@dataclass(frozen=True, slots=True)
class LoadedKeys:
    """What a store holds, at one moment. ``signing`` has the active keys, by ``kid``.

    ``jwks`` is the published set, serialised; ``etag`` its entity tag, without quotes.
    """

    ring: Ring
    signing: Mapping[str, SigningKey]
    jwks: bytes
    etag: str


class DirectoryKeyStore:
    """Signing keys in one directory, encrypted where a passphrase is given."""

    def __init__(self, path: Path, passphrase: bytes | None) -> None:
        self.path = path
        self._passphrase = passphrase
        if passphrase is not None and not 0 < len(passphrase) <= _MAX_PASSPHRASE:
            raise KeysUnavailable(
                f"the passphrase for {path} must have 1 to {_MAX_PASSPHRASE} bytes",
                hint="see [keys] passphrase_file",
            )

    @property
    def ring_file(self) -> Path:
        """Where states and times are; it changes whenever anything does."""
        return self.path / "ring.json"

    @property
    def jwks_file(self) -> Path:
        """Where the published set is, for Grafana's ``jwk_set_file``."""
        return self.path / "jwks.json"

    def init(self, algorithm: str, *, now: int, verifier_cache_ttl: int, rotate_every: int) -> Ring:
        """Make the first keys: one active, one next. Times in Unix seconds, spans in seconds.

        Of several processes one wins. Killed half-way, it can be run again, or has succeeded.
        Raises :class:`KeysUnavailable`, with code ``keys_exist`` where there is a ring already.
        """
        files.prepare_directory(
            self.path, may_close=lambda entry: bool(_OURS.fullmatch(entry.name))
        )
        with files.locked(self.path):
            self._refuse_existing()
            self._remove_left_overs()
            ring = new_ring(
                self._new_key(algorithm),
                self._new_key(algorithm),
                now=now,
                verifier_cache_ttl=verifier_cache_ttl,
                rotate_every=rotate_every,
            )
            files.write(self.ring_file, to_json(ring), files.PRIVATE)
            files.write(self.jwks_file, jwk_set(ring), files.PUBLIC)
        return ring

    def load(self) -> LoadedKeys:
        """The ring, the keys that sign, and the published set; repairs ``jwks.json`` if it differs.

        Raises :class:`KeysUnavailable` where anything is missing, damaged, or open to others. A
        directory that cannot be written loads, as long as there is nothing to repair.
        """
        ring = self.ring()
        self._repair_published(ring)
        # A next key is read as well: that it is of use must be known before it is needed.
        private = {key.kid: self._private_key(key) for key in ring.in_state("active", "next")}
        signing = {
            key.kid: SigningKey(key.kid, key.alg, private[key.kid])
            for key in ring.in_state("active")
        }
        jwks = jwk_set(ring)
        return LoadedKeys(ring, signing, jwks, entity_tag(jwks))

    def ring(self) -> Ring:
        """States, times and public halves, without a look at any private key.

        Raises :class:`KeysUnavailable`, with code ``keys_missing`` where there is no ring.
        """
        files.check_directory(self.path)
        if not files.present(self.ring_file):
            raise self._missing()
        return parse_ring(files.read_trusted(self.ring_file), str(self.ring_file))

    def fingerprint(self) -> tuple[int, int, int]:
        """Something that differs whenever the ring was replaced; costs one ``stat``."""
        try:
            info = self.ring_file.stat()
        except FileNotFoundError as error:
            raise self._missing() from error
        except OSError as error:
            raise files.unreadable(self.ring_file, error) from error
        return info.st_mtime_ns, info.st_ino, info.st_size

    def _missing(self) -> KeysUnavailable:
        hint = "`embedjwt init` in the configuration's directory makes the first keys"
        if files.present(self.jwks_file):
            hint = f"there were keys: restore {self.path} from a backup"
        return KeysUnavailable(f"{self.ring_file} does not exist", hint=hint, code="keys_missing")

    def _remove_left_overs(self) -> None:
        try:
            for entry in self.path.iterdir():
                if _LEFT_OVER.fullmatch(entry.name):
                    entry.unlink()
        except OSError as error:
            raise files.unwritable(self.path, error) from error

    def _refuse_existing(self) -> None:
        if files.present(self.ring_file):
            raise KeysUnavailable(
                f"{self.path} already holds keys, and they are kept",
                hint="`embedjwt keys list` shows them",
                code="keys_exist",
            )
        if files.present(self.jwks_file):
            # It is written after the ring: there was one, and its keys may be in use.
            raise KeysUnavailable(
                f"{self.path} holds published keys, but {self.ring_file.name} is gone",
                hint="restore it from a backup; to start anew, move the directory away",
                code="keys_exist",
            )

    def _new_key(self, alg: str) -> Jwk:
        private_key = generate(alg)
        jwk = public_jwk(private_key.public_key(), alg)
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if self._passphrase is not None:
            encryption = serialization.BestAvailableEncryption(self._passphrase)
        pem = private_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
        )
        files.write(self._key_file(jwk["kid"]), pem, files.PRIVATE)
        return jwk

    def _key_file(self, kid: str) -> Path:
        return self.path / f"{kid}.pem"

    def _private_key(self, record: KeyRecord) -> PrivateKey:
        path = self._key_file(record.kid)
        pem = files.read_private(path)
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
            key = serialization.load_pem_private_key(pem, self._passphrase)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            # Without its cause: a parser's message may quote what it read.
            cause = "the passphrase is wrong, or the file is damaged" if encrypted else "damaged"
            raise KeysUnavailable(
                f"{path} holds no private key that can be read: {cause}",
                hint="check [keys] passphrase_file" if encrypted else "restore it from a backup",
            ) from None
        if (
            not isinstance(key, PrivateKey)
            or public_jwk(key.public_key(), record.alg) != record.jwk
        ):
            raise KeysUnavailable(
                f"{path} holds another key than the ring says", hint="restore it from a backup"
            )
        return key

    def _repair_published(self, ring: Ring) -> None:
        if self._published() == jwk_set(ring):
            return
        try:
            with files.locked(self.path):
                current = jwk_set(self.ring())  # by now another process may have gone on
                if self._published() != current:
                    files.write(self.jwks_file, current, files.PUBLIC)
        except KeysUnavailable as error:
            raise KeysUnavailable(
                f"{self.jwks_file} does not hold the published keys, and cannot be repaired: "
                f"{error.detail}",
                hint=error.hint,
            ) from error

    def _published(self) -> bytes | None:
        return files.read_trusted(self.jwks_file) if files.present(self.jwks_file) else None
