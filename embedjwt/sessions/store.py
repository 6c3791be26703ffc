"""Sessions in the database, and what else several processes must agree on: one use, one secret."""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import structlog
from sqlalchemy import (
    ColumnElement,
    Connection,
    TableClause,
    and_,
    column,
    delete,
    insert,
    or_,
    select,
    table,
    text,
    update,
)

from embedjwt.database import Database
from embedjwt.errors import KeysUnavailable
from embedjwt.sessions.endings import ENDED, note_ended
from embedjwt.sessions.record import RecordUnreadable, SessionRecord, dump, load
from embedjwt.sessions.sealing import digest, row_key, seal, unseal

_ID_BYTES = 32
_SECRET_BYTES = 32

_MAX_SKEW = 60
"""Seconds by which the clocks of two processes may differ."""

_KEPT_LONGER = 3600
"""Seconds for which what has expired is still kept, for the clock may step back."""

_REMOVED_AT_ONCE = 100
"""Rows of each table: no login waits for the removal of many others' sessions."""

_SESSION = table(
    "embedjwt_session",
    *map(column, ("id_digest", "version", "renewing_until", "kept_until")),
    *map(column, ("sub_digest", "sid_digest", "record")),
)
_USED = table("embedjwt_used", column("value_digest"), column("kept_until"))
_SECRET = table("embedjwt_secret", column("name"), column("value"))
_USE = text(
    "INSERT INTO embedjwt_used (value_digest, kept_until) VALUES (:value_digest, :kept_until)"
    " ON CONFLICT DO NOTHING"
)

_NOTE = text(
    "INSERT INTO embedjwt_used (value_digest, kept_until) VALUES (:value_digest, :kept_until)"
    " ON CONFLICT (value_digest) DO UPDATE SET kept_until = excluded.kept_until"
)

_ENDINGS = "sessions ended upstream"
"""The lock of what must see each other: sessions that begin, and those that the upstream ends."""

_ENDING_KEPT = 3600
"""Seconds for which an ending is remembered; longer than any login takes."""

_log = structlog.get_logger("embedjwt.sessions")


@dataclass(frozen=True, slots=True)
class StoredSession:
    """A session as it was when it was read.

    ``key`` names it for as long as it lives, and is no secret; ``version`` grows with each renewal.
    """

    key: str
    version: int
    record: SessionRecord


class SessionStore:
    """Sessions that all processes with the same database share.

    ``clock`` gives Unix seconds and should be the same for all of them, such as
    :meth:`Database.clock`. ``keys``, newest last, are secrets that the database does not hold: with
    one, whoever may write to the database can still make nobody's session. Every method raises the
    errors of :class:`Database`; none of them, and nothing that is logged, tells an id, a claim or a
    token. Nothing is cached.
    """

    def __init__(
        self, database: Database, clock: Callable[[], float], keys: Sequence[bytes] = ()
    ) -> None:
        self._database = database
        self._clock = clock
        self._keys: Sequence[bytes | None] = tuple(keys) or (None,)

    def create(self, record: SessionRecord) -> str | None:
        """Keep a new session. Returns its id, which is a secret: only its cookie has it.

        256 random bits in base64url. ``None`` where the upstream has ended the session, or all of
        the person, since ``created_at``: while the login was under way. Also removes some of what
        has expired.
        """
        session_id = secrets.token_urlsafe(_ID_BYTES)
        with self._changing(_ENDINGS) as connection:
            if _ended_since(connection, record):
                return None
            values = self._columns(session_id, 1, record)
            connection.execute(insert(_SESSION).values(id_digest=row_key(session_id), **values))
            self._remove_expired(connection)
        return session_id

    def get(self, session_id: str) -> StoredSession | None:
        """The session with this id, ``None`` where there is none (any more). Costs one small query.

        One whose ``expires_at`` is past is returned while its refresh token can still renew it. A
        row that was changed, or that a newer release wrote, is logged and no session: the person
        signs in again.
        """
        key = row_key(session_id)
        wanted = select(_SESSION.c.version, _SESSION.c.record).where(_SESSION.c.id_digest == key)
        with self._database.reading() as connection:
            row = connection.execute(wanted).one_or_none()
        if row is None:
            return None
        record = self._opened(session_id, row.version, row.record)
        if record is None or not self._is_in_time(key, record):
            return None
        return StoredSession(key, row.version, record)

    def begin_renewal(self, session_id: str, version: int, lease: int) -> bool:
        """Whether the caller, and at most one, may renew this version now.

        Who has not replaced it within ``lease`` seconds loses that right to the next who asks. The
        leases of all callers should be the same.
        """
        key = row_key(session_id)
        with self._changing(_lock(key)) as connection:
            now = self._clock()
            begun = connection.execute(
                update(_SESSION)
                .where(
                    _SESSION.c.id_digest == key,
                    _SESSION.c.version == version,
                    or_(
                        _SESSION.c.renewing_until <= int(now),
                        # begun before the clock stepped back
                        _SESSION.c.renewing_until > math.ceil(now + lease + _MAX_SKEW),
                    ),
                )
                .values(renewing_until=math.ceil(now + lease))
            )
            return begun.rowcount == 1

    def postpone_renewal(self, session_id: str, version: int, pause: int) -> None:
        """After a renewal that failed: somebody may try again in ``pause`` seconds."""
        key = row_key(session_id)
        with self._changing(_lock(key)) as connection:
            connection.execute(
                update(_SESSION)
                .where(_SESSION.c.id_digest == key, _SESSION.c.version == version)
                .values(renewing_until=math.ceil(self._clock() + pause))
            )

    def replace(
        self,
        session_id: str,
        version: int,
        record: SessionRecord,
        *,
        pause: int = 0,
        announced: bool = False,
    ) -> bool:
        """Keep what a renewal brought; the next version may be renewed in ``pause`` seconds.

        ``announced``: whoever remembers the session is told to look at it anew. ``False``, with
        nothing kept, where the session has ended or another replaced this version: an ended
        session never comes back.
        """
        key = row_key(session_id)
        begins = math.ceil(self._clock() + pause) if pause else 0
        values = self._columns(session_id, version + 1, record) | {"renewing_until": begins}
        with self._changing(_lock(key)) as connection:
            replaced = connection.execute(
                update(_SESSION)
                .where(_SESSION.c.id_digest == key, _SESSION.c.version == version)
                .values(**values)
            )
            if replaced.rowcount == 1 and announced:
                note_ended(connection, [key], int(self._clock()))
            return replaced.rowcount == 1

    def end(self, session_id: str, version: int | None = None) -> bool:
        """Forget a session, or only if it is still of a ``version``. ``False`` where it was not."""
        return self.end_key(row_key(session_id), version)

    def end_key(self, key: str, version: int | None = None) -> bool:
        """The same by :attr:`StoredSession.key`, of which nobody can learn the id."""
        matches = [_SESSION.c.id_digest == key]
        if version is not None:
            matches.append(_SESSION.c.version == version)
        with self._changing(_lock(key)) as connection:
            return self._forgotten(connection, and_(*matches)) == 1

    def end_upstream(
        self,
        source: str,
        *,
        sub: str | None,
        sid: str | None,
        once: tuple[str, int] | None = None,
    ) -> int | None:
        """Forget what the upstream has ended; returns how many sessions that were.

        With ``sid`` those of that upstream session, with ``sub`` those of that person at this
        source, with both those of the person that are of that session or of none that is known,
        with neither none (OpenID Connect Back-Channel Logout 1.0 section 2.7). A login that is
        under way is ended as well (:meth:`create`). ``once`` is what names the request, and until
        when it may come again: ``None`` is returned, and nothing ended, where it has.
        """
        by_sub = _SESSION.c.sub_digest == digest("sub", source, sub or "")
        by_sid = _SESSION.c.sid_digest == digest("sid", source, sid or "")
        without_sid = _SESSION.c.sid_digest == digest("sid", source, "")
        if not sub and not sid:
            return 0
        match = by_sub if not sid else by_sid if not sub else and_(by_sub, or_(by_sid, without_sid))
        # One at a time: two that deleted the same rows in another order would wait for each other.
        with self._changing(_ENDINGS) as connection:
            if once is not None and not self._used(
                connection, "ended", f"{source} {once[0]}", once[1]
            ):
                return None
            # A login under way is found by its sid, or else by its person.
            endings = [("sid", sid)] if sid else []
            endings += [("sub without sid" if sid else "sub", sub)] if sub else []
            kept_until = int(self._clock()) + _ENDING_KEPT
            for kind, value in endings:
                name = digest("ended", kind, source, value)
                connection.execute(_NOTE, {"value_digest": name, "kept_until": kept_until})
            self._remove_expired(connection)
            return self._forgotten(connection, match)

    def redeem(self, ticket: str) -> SessionRecord | None:
        """What a ticket is good for, the first time only, of all processes; ``None`` after that.

        A ticket is the id of a record with ``redeem_until``; of any other nothing is said or done.
        """
        stored = self.get(ticket)
        if stored is None or stored.record.redeem_until is None:
            return None
        with self._changing(_lock(stored.key)) as connection:
            gone = delete(_SESSION).where(_SESSION.c.id_digest == stored.key)
            return stored.record if connection.execute(gone).rowcount == 1 else None

    def use_once(self, purpose: str, value: str, expires_at: int) -> bool:
        """``True`` the first time only, of all processes; remembered until ``expires_at`` at least.

        The caller refuses a value that has expired, by itself.
        """
        with self._changing(f"used {digest(purpose, value)}") as connection:
            self._remove_expired(connection)
            return self._used(connection, purpose, value, expires_at)

    def remove_expired(self) -> int:
        """Forget some of what has expired a while ago; returns how many rows that were."""
        with self._changing("sessions removed") as connection:
            return self._remove_expired(connection)

    def secret(self, name: str) -> bytes:
        """32 random bytes, made when somebody first asks for this name, and the same for all.

        Unlike sessions, whoever can read the database can read them.
        """
        with self._database.reading() as connection:
            value = _secret(connection, name)
        if value is None:
            with self._changing(f"secret {name}") as connection:
                value = _secret(connection, name)
                if value is None:
                    value = secrets.token_hex(_SECRET_BYTES)
                    connection.execute(insert(_SECRET).values(name=name, value=value))
        return self._parsed_secret(name, value)

    def _forgotten(self, connection: Connection, match: ColumnElement[bool]) -> int:
        """End what matches, and write down what that was; returns how many."""
        ended = delete(_SESSION).where(match).returning(_SESSION.c.id_digest)
        keys = connection.execute(ended).scalars().all()
        note_ended(connection, keys, int(self._clock()))
        return len(keys)

    def _used(self, connection: Connection, purpose: str, value: str, expires_at: int) -> bool:
        """Whether this is the first time."""
        name = digest(purpose, value)
        kept_until = max(expires_at, int(self._clock()))
        used = connection.execute(_USE, {"value_digest": name, "kept_until": kept_until})
        return used.rowcount == 1

    def _columns(
        self, session_id: str, version: int, record: SessionRecord
    ) -> dict[str, str | int]:
        return {
            "version": version,
            "renewing_until": 0,
            "kept_until": record.usable_until,
            "sub_digest": digest("sub", record.source, record.sub),
            "sid_digest": digest("sid", record.source, record.sid),
            "record": seal(session_id, version, dump(record), self._keys[-1]),
        }

    def _opened(self, session_id: str, version: int, sealed: str) -> SessionRecord | None:
        opened = (unseal(session_id, version, sealed, key) for key in reversed(self._keys))
        data = next((found for found in opened if found is not None), None)
        if data is None:
            reason = "its row was changed by something else than embedjwt, or [session] secret_keys"
        else:
            try:
                return load(data)
            except RecordUnreadable:
                reason = "another release of embedjwt wrote it"
        _log.warning("session_refused", key=row_key(session_id), reason=reason)
        return None

    @contextmanager
    def _changing(self, lock: str) -> Iterator[Connection]:
        with self._database.exclusive(lock) as held:
            yield held.connection
            held.commit()

    def _is_in_time(self, key: str, record: SessionRecord) -> bool:
        now = int(self._clock())
        if now < record.created_at - _MAX_SKEW:
            # Made while the clock was ahead, it would now live that much too long.
            _log.warning("session_refused", key=key, reason="made in the future: see the clocks")
            return False
        return now < record.usable_until

    def _remove_expired(self, connection: Connection) -> int:
        before = int(self._clock()) - _KEPT_LONGER
        _remove(connection, ENDED, "number", before)
        sessions = _remove(connection, _SESSION, "id_digest", before)
        return sessions + _remove(connection, _USED, "value_digest", before)

    def _parsed_secret(self, name: str, value: str) -> bytes:
        try:
            secret = bytes.fromhex(value)
        except ValueError:
            secret = b""
        if len(secret) != _SECRET_BYTES:
            raise KeysUnavailable(
                f"the secret {name!r} in {self._database.location} is damaged",
                hint="delete its row in embedjwt_secret, and a new one is made; what was signed "
                "with it is then refused",
                code="database_unusable",
            )
        return secret


def _lock(key: str) -> str:
    return f"session {key}"


def _ended_since(connection: Connection, record: SessionRecord) -> bool:
    """Whether the upstream has ended this since the login began; a ``sid`` never comes again."""
    by_sid = _USED.c.value_digest == digest("ended", "sid", record.source, record.sid)
    kinds = ["sub"] if record.sid else ["sub", "sub without sid"]
    names = [digest("ended", kind, record.source, record.sub) for kind in kinds]
    by_sub = and_(
        _USED.c.value_digest.in_(names),
        _USED.c.kept_until >= record.created_at + _ENDING_KEPT,
    )
    match = or_(by_sid, by_sub) if record.sid else by_sub
    return connection.execute(select(_USED.c.value_digest).where(match)).first() is not None


def _remove(connection: Connection, rows: TableClause, name: str, before: int) -> int:
    key = rows.c[name]
    expired = (
        select(key)
        .where(rows.c.kept_until <= before)
        .order_by(rows.c.kept_until)
        .limit(_REMOVED_AT_ONCE)
        .with_for_update(skip_locked=True)  # never waits for others; SQLite has no such clause
    )
    return connection.execute(delete(rows).where(key.in_(expired))).rowcount


def _secret(connection: Connection, name: str) -> str | None:
    value = connection.scalar(select(_SECRET.c.value).where(_SECRET.c.name == name))
    return None if value is None else str(value)
