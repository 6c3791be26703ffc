"""The key store in a database that replicas share: one row for the ring, one for each private key.

A change of the ring and of the private halves it needs is one transaction, under one lock, and
replaces the very ring that was read: whoever loses the lock in between changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, cast

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    column,
    insert,
    select,
    table,
    update,
)
from sqlalchemy.exc import IntegrityError

from embedjwt.database import Database, Exclusive
from embedjwt.errors import KeysUnavailable, RingDamaged
from embedjwt.keys.custody.encryption import Encryption
from embedjwt.keys.custody.rows import PrivateKeyRows
from embedjwt.keys.document import jwk_set, parse_ring, to_json
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.signer import SigningKey
from embedjwt.keys.store import Custody

_LOCK = "keys"
_RING = table(
    "embedjwt_key_ring", column("id"), column("revision"), column("digest"), column("document")
)


@dataclass(frozen=True, slots=True)
class RingVersion:
    """Which ring it is.

    ``digest`` is the SHA-256 of the document: a database that was restored from a backup counts
    revisions again that it has had before.
    """

    revision: int
    digest: str


class DatabaseKeyStore:
    """A ring in one row. Private halves are rows, encrypted, or in other ``custody``.

    ``encryption_keys``: as :class:`Encryption` takes them; none are needed with other custody.
    """

    def __init__(
        self, database: Database, encryption_keys: Sequence[str], custody: Custody | None = None
    ) -> None:
        self._database = database
        self._custody = custody
        self._encryption = Encryption(encryption_keys) if custody is None else None

    @property
    def location(self) -> str:
        """The database's URL without its secrets."""
        return self._database.location

    def clock(self) -> float:
        """The database's clock."""
        return self._database.clock()

    def version(self) -> RingVersion:
        """Differs whenever the ring was replaced; costs one small query."""
        return _version(self._row(_RING.c.revision, _RING.c.digest))

    def ring(self) -> Ring:
        """States, times and public halves.

        Raises :class:`KeysUnavailable`, with code ``keys_missing`` where there is no ring.
        """
        return _parsed(self._row(*_RING.c), self.location)

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """The private half of a key, ready to sign."""
        if self._custody is not None:
            return self._custody.signing_key(record)
        with self._database.reading() as connection:
            return self.custody(connection).signing_key(record)

    def settle(self, ring: Ring) -> None:
        """Nothing: all that follows from a ring is written with it."""

    def concerns(self) -> list[str]:
        """Encryption keys that must not be removed yet."""
        outdated = self.outdated()
        if not outdated:
            return []
        return [
            f"private keys in {self.location} that are not encrypted with the newest encryption "
            f"key: {outdated}; keep the older ones until a running service has done it"
        ]

    def tidy(self, ring: Ring) -> None:  # noqa: ARG002  # all that follows from it is in its row
        """Encrypt with the newest encryption key what is not."""
        if self.outdated():
            self.rewrap(wait=False)

    @contextmanager
    def changing(self, *, wait: bool = True) -> Iterator[DatabaseChange]:
        """Hold the ring still, by a lock that ends with the transaction."""
        with self._database.exclusive(_LOCK, wait=wait) as held:
            # Also the row: for someone at a database prompt, who does not know the lock.
            row = held.connection.execute(
                _select(*_RING.c).with_for_update(nowait=not wait)
            ).one_or_none()
            yield DatabaseChange(self, self._database, held, row)

    def custody(self, connection: Connection) -> Custody:
        """Private halves, within a transaction where they are rows."""
        if self._encryption is not None:
            return PrivateKeyRows(self._database, connection, self._encryption)
        return cast(Custody, self._custody)

    def outdated(self) -> int:
        """How many private halves are not encrypted with the newest encryption key."""
        if self._encryption is None:
            return 0
        with self._database.reading() as connection:
            rows = PrivateKeyRows(self._database, connection, self._encryption)
            return len(rows.outdated())

    def rewrap(self, *, wait: bool = True) -> int:
        """Encrypt those with the newest encryption key; returns how many there were."""
        if self._encryption is None:
            return 0
        with self._database.exclusive(_LOCK, wait=wait) as held:
            rows = PrivateKeyRows(self._database, held.connection, self._encryption)
            outdated = rows.outdated()
            for kid in outdated:
                rows.rewrap(kid)
            held.commit()
        return len(outdated)

    def _row(self, *columns: ColumnElement[Any]) -> Row[Any]:
        with self._database.reading() as connection:
            row = connection.execute(_select(*columns)).one_or_none()
        if row is None:
            raise KeysUnavailable(
                f"{self.location} holds no keys yet",
                hint="`embedjwt init` makes the first ones",
                code="keys_missing",
            )
        return row


class DatabaseChange:
    """A database's ring, held still. After a commit it is held anew for the next step."""

    def __init__(
        self, store: DatabaseKeyStore, database: Database, held: Exclusive, row: Row[Any] | None
    ) -> None:
        self.ring: Ring | None = None if row is None else _parsed(row, store.location)
        self._seen = None if row is None else _version(row)
        self._store = store
        self._database = database
        self._held = held

    @property
    def custody(self) -> Custody:
        """Private halves that come and go with the next commit."""
        return self._store.custody(self._held.connection)

    def commit(self, ring: Ring) -> Ring:
        """Replace the ring that was read, and delete private halves, in one transaction."""
        ring = replace(ring, revision=1 if self.ring is None else self.ring.revision + 1)
        jwk_set(ring)  # refused here where nothing would be published
        with self._database.explained():
            custody = self.custody
            version = self._replace(to_json(ring).decode("ascii"), ring.revision)
            if isinstance(custody, PrivateKeyRows):
                custody.prune(ring)
            self._held.commit()
        self.ring, self._seen = ring, version
        if not isinstance(custody, PrivateKeyRows):
            _prune(custody, ring)
        return ring

    def _replace(self, document: str, revision: int) -> RingVersion:
        new = RingVersion(revision, _digest(document))
        values = {"revision": new.revision, "digest": new.digest, "document": document}
        connection = self._held.connection
        if self._seen is None:
            try:
                connection.execute(insert(_RING).values(id=1, **values))
            except IntegrityError:
                raise _conflict(self._store.location) from None
            return new
        changed = connection.execute(
            update(_RING)
            .where(
                _RING.c.id == 1,
                _RING.c.revision == self._seen.revision,
                _RING.c.digest == self._seen.digest,
            )
            .values(values)
        )
        if changed.rowcount != 1:
            raise _conflict(self._store.location)
        return new


def _select(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).where(_RING.c.id == 1)


def _version(row: Row[Any]) -> RingVersion:
    return RingVersion(row.revision, row.digest)


def _parsed(row: Row[Any], location: str) -> Ring:
    source = f"the key ring in {location}"
    document = str(row.document)
    ring = parse_ring(document.encode(), source)
    if (ring.revision, _digest(document)) != (row.revision, row.digest):
        raise RingDamaged(
            f"{source} was changed by something else than embedjwt",
            hint="restore it from a backup; do not edit it by hand",
        )
    return ring


def _digest(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()


def _prune(custody: Custody, ring: Ring) -> None:
    try:
        custody.prune(ring)
    except KeysUnavailable as error:
        raise KeysUnavailable(
            f"the keys are changed as asked, but the rest failed: {error.detail}",
            hint=f"{error.hint}; the next change finishes it",
            code="keys_unfinished",
        ) from error


def _conflict(location: str) -> KeysUnavailable:
    return KeysUnavailable(
        f"another process changed the keys in {location} meanwhile",
        hint="nothing was changed by this one; see `embedjwt keys list`, and try again",
        code="keys_conflict",
    )
