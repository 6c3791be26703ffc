"""Private halves as rows of a database, encrypted; within a transaction of the caller's."""

from __future__ import annotations

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)
from sqlalchemy import Connection, column, delete, insert, select, table, update

from embedjwt.database import Database
from embedjwt.errors import KeysUnavailable
from embedjwt.keys.custody.encryption import Encryption
from embedjwt.keys.custody.pair import key_pair
from embedjwt.keys.custody.pem import MAY_SIGN
from embedjwt.keys.jwk import Jwk, public_jwk, thumbprint
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.signer import PrivateKey, SigningKey, signer

_TABLE = table("embedjwt_private_key", column("kid"), column("wrapped"))


class PrivateKeyRows:
    """Custody for one transaction: durable, or gone, together with it."""

    def __init__(self, database: Database, connection: Connection, encryption: Encryption) -> None:
        self._database = database
        self._connection = connection
        self._encryption = encryption

    def create(self, alg: str) -> Jwk:
        """Make a key pair."""
        private_key, jwk = key_pair(alg)
        self.adopt(private_key, jwk)
        return jwk

    def adopt(self, private_key: PrivateKey, jwk: Jwk) -> None:
        """Add a row."""
        der = private_key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        wrapped = self._encryption.encrypt(der)
        with self._database.explained():
            self._connection.execute(insert(_TABLE).values(kid=jwk["kid"], wrapped=wrapped))

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """Read a row, if it belongs to the record."""
        key = self._parsed(self._decrypted(record.kid, self._wrapped(record.kid)))
        if not isinstance(key, PrivateKey) or thumbprint(
            public_jwk(key.public_key(), record.alg)
        ) != thumbprint(record.jwk):
            raise KeysUnavailable(
                f"{self._row(record.kid)} is another one than the ring says",
                hint="restore the database from a backup",
            )
        return SigningKey(record.kid, record.alg, signer(key, record.alg))

    def prune(self, ring: Ring) -> None:
        """Delete the rows of keys that may not sign."""
        kept = [key.kid for key in ring.in_state(*MAY_SIGN)]
        with self._database.explained():
            self._connection.execute(delete(_TABLE).where(_TABLE.c.kid.not_in(kept)))

    def outdated(self) -> list[str]:
        """The ``kid`` of each row that is not encrypted with the newest key."""
        with self._database.explained():
            rows = self._connection.execute(select(_TABLE.c.kid, _TABLE.c.wrapped)).all()
        return [row.kid for row in rows if self._encryption.is_outdated(row.wrapped)]

    def rewrap(self) -> int:
        """Encrypt those with the newest key; returns how many there were."""
        outdated = self.outdated()
        for kid in outdated:
            self._rewrap(kid)
        return len(outdated)

    def _rewrap(self, kid: str) -> None:
        wrapped = self._encryption.encrypt(self._decrypted(kid, self._wrapped(kid)))
        with self._database.explained():
            self._connection.execute(
                update(_TABLE).where(_TABLE.c.kid == kid).values(wrapped=wrapped)
            )

    def _wrapped(self, kid: str) -> str:
        with self._database.explained():
            wrapped = self._connection.scalar(select(_TABLE.c.wrapped).where(_TABLE.c.kid == kid))
        if wrapped is None:
            raise KeysUnavailable(
                f"{self._row(kid)} is missing",
                hint=f"restore the database from a backup, or `embedjwt keys revoke {kid}`",
            )
        return str(wrapped)

    def _decrypted(self, kid: str, wrapped: str) -> bytes:
        der = self._encryption.decrypt(wrapped)
        if der is None:
            raise KeysUnavailable(
                f"{self._row(kid)} cannot be decrypted: the key that it was encrypted with is not "
                "among the encryption keys, or the row is damaged",
                hint="add that key again to the file that [keys] encryption_keys_file names, "
                "before the newest; it must stay there as long as rows are encrypted with it",
                code="encryption_key_missing",
            )
        return der

    @staticmethod
    def _parsed(der: bytes) -> object:
        try:
            return load_der_private_key(der, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            return None  # without the parser's message, which may quote what it read

    def _row(self, kid: str) -> str:
        return f"the private key of {kid} in {self._database.location}"
