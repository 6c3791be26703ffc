"""Which sessions were ended, or have changed, told to every process that remembers some of them."""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress

from sqlalchemy import Connection, column, insert, select, table, text, update

from embedjwt.database import Database
from embedjwt.errors import EmbedJWTError

KEPT = 60
"""Seconds for which an ending can be read at least; who comes too late forgets everything."""

LOOK_EVERY = 0.5
"""Seconds."""

MAX_AGE = 1.0
"""Seconds for which what was last read holds: so long a session that was ended may live on."""

ENDED = table("embedjwt_ended", *map(column, ("number", "id_digest", "kept_until")))
_COUNT = table("embedjwt_ended_count", column("value"), column("origin"))
_ADD = text("UPDATE embedjwt_ended_count SET value = value + :added RETURNING value")


def note_ended(connection: Connection, keys: Sequence[str], now: int) -> None:
    """Write down that these sessions (``StoredSession.key``) end, or change, with the transaction.

    Whoever writes holds the row of the count until its commit, so the numbers become visible in
    their order, and nobody who has read one finds a lower one later.
    """
    if not keys:
        return
    last = int(connection.execute(_ADD, {"added": len(keys)}).scalar_one())
    numbers = range(last - len(keys) + 1, last + 1)
    rows = [
        {"number": number, "id_digest": key, "kept_until": now + KEPT}
        for number, key in zip(numbers, keys, strict=True)
    ]
    connection.execute(insert(ENDED), rows)


class Endings:
    """Follows them, at most twice a second and only while somebody asks.

    ``forget`` is called with the keys of sessions that were ended, or with ``None`` where that
    cannot be told. ``monotonic`` counts seconds and never goes back.
    """

    def __init__(
        self,
        database: Database,
        forget: Callable[[Collection[str] | None], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._database = database
        self._forget = forget
        self._monotonic = monotonic
        self._lock = threading.Lock()
        self._looked_at = float("-inf")
        self._origin = ""
        self._last = -1

    @property
    def position(self) -> tuple[str, int]:
        """Another one after each ending that was read, before ``forget`` is called."""
        return self._origin, self._last

    @property
    def due(self) -> bool:
        """Whether it is time to :meth:`look`."""
        return self._monotonic() - self._looked_at >= LOOK_EVERY

    @property
    def current(self) -> bool:
        """Whether what is remembered may be believed without looking."""
        return self._monotonic() - self._looked_at < MAX_AGE

    def wake(self) -> None:
        """Let a thread of its own :meth:`look`, for who cannot wait. Its failure shows in that
        nothing is :attr:`current` for long."""
        if not self._lock.locked():
            threading.Thread(target=self._try, name="embedjwt-endings", daemon=True).start()

    def _try(self) -> None:
        with suppress(EmbedJWTError):
            self.look()

    def look(self) -> None:
        """Read what is new, if it is time. Where another thread is at it, wait only if needed.

        Raises the errors of :class:`Database`; then nothing is :attr:`current` for long.
        """
        if not self.due or not self._lock.acquire(blocking=not self.current):
            return
        try:
            if self.due:
                self._read()
        finally:
            self._lock.release()

    def _read(self) -> None:
        began = self._monotonic()  # what is committed later, a later look will find
        with self._database.reading() as connection:
            last, origin = connection.execute(select(_COUNT.c.value, _COUNT.c.origin)).one()
            known = origin != "" and origin == self._origin
            new = _since(connection, self._last, last) if known else None
        self._origin, self._last = origin or self._named(), last
        if new is None or new:
            self._forget(new)
        self._looked_at = began

    def _named(self) -> str:
        """Give the count a name, by which one of another database, made anew, is told from it."""
        with self._database.exclusive("endings named") as held:
            unnamed = update(_COUNT).where(_COUNT.c.origin == "")
            held.connection.execute(unnamed.values(origin=secrets.token_hex(16)))
            origin = held.connection.execute(select(_COUNT.c.origin)).scalar_one()
            held.commit()
        return str(origin)


def _since(connection: Connection, before: int, last: int) -> Collection[str] | None:
    """The keys after a number up to another; ``None`` where not all of them are there any more."""
    if last == before:
        return frozenset()
    wanted = select(ENDED.c.id_digest).where(ENDED.c.number > before, ENDED.c.number <= last)
    keys = connection.execute(wanted).scalars().all()
    return frozenset(keys) if len(keys) == last - before else None
