"""The key store in a database that replicas share: one row for the ring, one for each private key.

A change of the ring and of the private halves it needs is one transaction, under one lock, and
replaces the very ring that was read: whoever loses the lock in between changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
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
from embedjwt.keys.custody.seal import Seal
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

    ``digest`` is the document's :class:`Seal`: a database that was restored from a backup counts
    revisions again that it has had before.
    """

    revision: int
    digest: str


class DatabaseKeyStore:
    """A ring in one row. Private halves are rows, encrypted, or in other ``custody``.

    ``encryption_keys``: as :class:`Encryption` takes them. They also seal the ring, so that nobody
    who can only write the database can publish a key. With other custody there may be none, and
    then anyone who can write the ring can; a ring that was made without them is refused with them.
    """

    def __init__(
        self, database: Database, encryption_keys: Sequence[str], custody: Custody | None = None
    ) -> None:
        self._database = database
        self._custody = custody
        needed = custody is None or encryption_keys
        self._encryption = Encryption(encryption_keys) if needed else None
        self._seal = Seal(()) if self._encryption is None else self._encryption.seal

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
        return self.verified(self._row(*_RING.c))

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
            f"rows in {self.location} that do not use the newest encryption key yet: {outdated}; "
            "keep the older ones until a running service has renewed them"
        ]

    def tidy(self, ring: Ring) -> None:  # noqa: ARG002  # all that follows from it is in its row
        """Renew with the newest encryption key what is older."""
        if self.outdated():
            self.rewrap(wait=False)

    @contextmanager
    def changing(self, *, wait: bool = True) -> Iterator[DatabaseChange]:
        """Hold the ring still, by a lock that ends with the transaction."""
        with self._database.exclusive(_LOCK, wait=wait) as held:
            # Also the row: for someone at a database prompt, who does not know the lock.
            yield DatabaseChange(self, self._database, held, _held_row(held.connection, wait))

    def custody(self, connection: Connection) -> Custody:
        """Private halves, within a transaction where they are rows."""
        if self._custody is not None:
            return self._custody
        return PrivateKeyRows(self._database, connection, cast(Encryption, self._encryption))

    def outdated(self) -> int:
        """How many rows, the ring's and private halves, do not use the newest encryption key."""
        with self._database.reading() as connection:
            digest = connection.scalar(_select(_RING.c.digest))
            outdated = int(digest is not None and self._seal.is_outdated(str(digest)))
            custody = self.custody(connection)
            if isinstance(custody, PrivateKeyRows):
                outdated += len(custody.outdated())
        return outdated

    def rewrap(self, *, wait: bool = True) -> int:
        """Renew those with the newest encryption key; returns how many there were."""
        with self._database.exclusive(_LOCK, wait=wait) as held:
            renewed = self._reseal(held.connection, wait)
            custody = self.custody(held.connection)
            if isinstance(custody, PrivateKeyRows):
                renewed += custody.rewrap()
            held.commit()
        return renewed

    def sealed(self, document: str, revision: int) -> RingVersion:
        """The version that a document will be."""
        return RingVersion(revision, self._seal.of(document))

    def verified(self, row: Row[Any]) -> Ring:
        """The ring in its row. Raises what :meth:`Seal.verify` and :func:`parse_ring` raise."""
        source = f"the key ring in {self.location}"
        document = str(row.document)
        self._seal.verify(str(row.digest), document, source)
        ring = parse_ring(document.encode(), source)
        if ring.revision != row.revision:
            raise RingDamaged(
                f"{source} has another revision than its row says",
                hint="restore it from a backup; do not edit it by hand",
            )
        return ring

    def _reseal(self, connection: Connection, wait: bool) -> int:
        row = _held_row(connection, wait)
        if row is None or not self._seal.is_outdated(str(row.digest)):
            return 0
        self.verified(row)
        if not _replaced(connection, _version(row), self.sealed(row.document, row.revision)):
            raise _conflict(self.location)
        return 1

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
        self.ring: Ring | None = None if row is None else store.verified(row)
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
        new = self._store.sealed(document, revision)
        connection = self._held.connection
        if self._seen is None:
            try:
                connection.execute(insert(_RING).values(id=1, document=document, **asdict(new)))
            except IntegrityError:
                raise _conflict(self._store.location) from None
            return new
        if not _replaced(connection, self._seen, new, document=document):
            raise _conflict(self._store.location)
        return new


def _select(*columns: ColumnElement[Any]) -> Select[Any]:
    return select(*columns).where(_RING.c.id == 1)


def _held_row(connection: Connection, wait: bool) -> Row[Any] | None:
    return connection.execute(_select(*_RING.c).with_for_update(nowait=not wait)).one_or_none()


def _replaced(connection: Connection, seen: RingVersion, new: RingVersion, **document: str) -> bool:
    changed = connection.execute(
        update(_RING)
        .where(_RING.c.id == 1, _RING.c.revision == seen.revision, _RING.c.digest == seen.digest)
        .values(**asdict(new), **document)
    )
    return changed.rowcount == 1


def _version(row: Row[Any]) -> RingVersion:
    return RingVersion(row.revision, row.digest)


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
