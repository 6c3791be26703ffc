"""Transactions on the database: one that reads, and one that holds all others off."""

from __future__ import annotations

import os
import time
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol

from sqlalchemy import Connection, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import Pool

from embedjwt.database import migrations as schema
from embedjwt.database.failures import commit_unknown, explained, outcome_unknown
from embedjwt.database.migrations import MIGRATIONS, Migration
from embedjwt.errors import KeysUnavailable, StoreBusy

_PATIENCE = 30.0
"""Seconds to wait for whoever holds a lock, in attempts that the backend bounds."""


class Backend(Protocol):
    """What PostgreSQL and SQLite do differently."""

    @property
    def location(self) -> str:
        """The URL without its secrets."""

    @property
    def generation(self) -> int:
        """Another number once the database was made anew, as an SQLite file that was deleted."""

    def engine(self) -> Engine:
        """Connects when first used."""

    def clock(self) -> float | None:
        """Unix seconds by the database's clock; ``None`` before the first transaction."""

    def begin(self, connection: Connection) -> None:
        """A transaction that reads."""

    def begin_exclusive(self, connection: Connection, name: str, *, wait: bool) -> None:
        """A transaction that at most one holds under this name; for some seconds at most.

        Raises :class:`StoreBusy`, or an error that :func:`explained` makes one.
        """


class Database:
    """The database at a URL: ``postgresql://…``, ``postgres://…``, or ``sqlite:///path``.

    Connects when first used, and then makes or migrates the tables. Can be used by many threads,
    and after a fork. Every failure is a :class:`KeysUnavailable` that says what to do; none takes
    longer than some seconds.
    """

    def __init__(self, url: str, *, migrations: Sequence[Migration] = MIGRATIONS) -> None:
        self._backend = _backend(url)
        self._migrations = tuple(migrations)
        self._migrated: int | None = None  # the backend's generation when that was done
        self._engine = self._backend.engine()
        weakref.finalize(self, self._engine.dispose)
        _databases.add(self)

    def __repr__(self) -> str:
        return f"Database({self.location!r})"

    @property
    def location(self) -> str:
        """The URL without its secrets, for people."""
        return self._backend.location

    def clock(self) -> float:
        """Unix seconds by the clock that all who share the database go by; seldom asks it."""
        now = self._backend.clock()
        while now is None:
            with self.reading():
                now = self._backend.clock()
        return now

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A short transaction that changes nothing."""
        with self.explained():
            self._migrate()
            with self._engine.connect() as connection:
                self._backend.begin(connection)
                yield connection

    @contextmanager
    def exclusive(self, name: str, *, wait: bool = True) -> Iterator[Exclusive]:
        """A transaction that at most one process has under this name; rolled back by default.

        Raises :class:`StoreBusy` where another has it: at once, or with ``wait`` after a while.
        """
        with self.explained():
            self._migrate()
            with self._engine.connect() as connection:
                held = Exclusive(self._backend, connection, name, wait)
                schema.up_to_date(held.connection, self._migrations)
                yield held

    def explained(self) -> AbstractContextManager[None]:
        """Makes errors of SQLAlchemy and its drivers :class:`KeysUnavailable`."""
        return explained(self.location)

    def _migrate(self) -> None:
        """Once for each process; only who finds work to do needs the right to do it."""
        if self._migrated == self._backend.generation:
            return
        with self._engine.connect() as connection:
            self._backend.begin(connection)
            current = schema.up_to_date(connection, self._migrations)
        if not current:
            with self._engine.connect() as connection:
                held = Exclusive(self._backend, connection, "migrations", wait=True)
                schema.migrate(held.connection, self._migrations)
                held.commit()
        self._migrated = self._backend.generation

    def _after_fork(self) -> None:
        # The parent goes on with these connections: to close them here would end its transactions.
        _abandoned.append(self._engine.pool)
        self._engine.dispose(close=False)


class Exclusive:
    """A transaction under a lock. After :meth:`commit` the next use takes the lock anew."""

    def __init__(self, backend: Backend, connection: Connection, name: str, wait: bool) -> None:
        self._backend = backend
        self._connection = connection
        self._name = name
        self._wait = wait

    @property
    def connection(self) -> Connection:
        """The connection, with the lock held. Others may have been at it since the last commit."""
        deadline = time.monotonic() + _PATIENCE
        while not self._connection.in_transaction():
            try:
                with explained(self._backend.location):
                    self._backend.begin_exclusive(self._connection, self._name, wait=self._wait)
            except KeysUnavailable as error:
                self._connection.rollback()
                late = time.monotonic() > deadline
                if late or not self._wait or not isinstance(error, StoreBusy):
                    raise
        return self._connection

    def commit(self) -> None:
        """Make the changes durable.

        Raises :class:`KeysUnavailable`, with code ``database_commit_unknown`` where the connection
        was lost before the answer came: then they may have been made, or not.
        """
        try:
            self._connection.commit()
        except DBAPIError as error:
            if outcome_unknown(error):
                raise commit_unknown(self._backend.location) from None
            raise


def _backend(url: str) -> Backend:
    scheme = url.partition(":")[0]
    if scheme in ("postgresql", "postgres"):
        from embedjwt.database.postgresql import PostgreSQL  # noqa: PLC0415

        return PostgreSQL(url)
    if scheme == "sqlite":
        from embedjwt.database.sqlite import SQLite  # noqa: PLC0415

        return SQLite(url)
    raise KeysUnavailable(
        "the database's URL begins with neither postgresql:// nor sqlite:///",
        hint='such as "postgresql://embedjwt@db.internal/embedjwt"; see database in the settings',
        code="database_unusable",
    )


_databases: weakref.WeakSet[Database] = weakref.WeakSet()
_abandoned: list[Pool] = []


def _after_fork() -> None:
    for database in list(_databases):
        database._after_fork()


os.register_at_fork(after_in_child=_after_fork)
