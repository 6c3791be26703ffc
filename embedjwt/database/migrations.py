"""The tables, as a list of steps from nothing; each database says how far it has come.

Programs of several releases may share a database. One that is older than the database goes on as
long as ``oldest_reader`` allows it; nothing ever goes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, column, insert, inspect, select, table, text, update

from embedjwt.errors import KeysUnavailable


@dataclass(frozen=True, slots=True)
class Migration:
    """One step. ``statements`` must be right for PostgreSQL and for SQLite.

    ``oldest_reader``: the oldest version whose programs can work with the result.
    """

    version: int
    oldest_reader: int
    statements: tuple[str, ...]


MIGRATIONS: tuple[Migration, ...] = (
    Migration(
        version=1,
        oldest_reader=1,
        statements=(
            # keys/database.py: the ring as JSON, and private keys encrypted
            "CREATE TABLE embedjwt_key_ring ("
            " id INTEGER PRIMARY KEY CHECK (id = 1),"
            " revision BIGINT NOT NULL,"
            " digest TEXT NOT NULL,"
            " document TEXT NOT NULL)",
            "CREATE TABLE embedjwt_private_key (kid TEXT PRIMARY KEY, wrapped TEXT NOT NULL)",
        ),
    ),
    Migration(
        version=2,
        oldest_reader=1,  # whose programs know keys and leave the rest alone
        statements=(
            # sessions/store.py: digests of what is looked up, records encrypted, Unix seconds
            "CREATE TABLE embedjwt_session ("
            " id_digest TEXT PRIMARY KEY,"
            " version BIGINT NOT NULL,"
            " renewing_until BIGINT NOT NULL,"
            " kept_until BIGINT NOT NULL,"
            " sub_digest TEXT NOT NULL,"
            " sid_digest TEXT NOT NULL,"
            " record TEXT NOT NULL)",
            "CREATE INDEX embedjwt_session_kept_until ON embedjwt_session (kept_until)",
            "CREATE INDEX embedjwt_session_sub_digest ON embedjwt_session (sub_digest)",
            "CREATE INDEX embedjwt_session_sid_digest ON embedjwt_session (sid_digest)",
            "CREATE TABLE embedjwt_used ("
            " value_digest TEXT PRIMARY KEY,"
            " kept_until BIGINT NOT NULL)",
            "CREATE INDEX embedjwt_used_kept_until ON embedjwt_used (kept_until)",
            "CREATE TABLE embedjwt_secret (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
        ),
    ),
    Migration(
        version=3,
        oldest_reader=1,  # whose programs have no gateway; what they end, a gateway learns late
        statements=(
            # sessions/endings.py: which sessions were ended, numbered in the order of commits
            "CREATE TABLE embedjwt_ended ("
            " number BIGINT PRIMARY KEY,"
            " id_digest TEXT NOT NULL,"
            " kept_until BIGINT NOT NULL)",
            "CREATE INDEX embedjwt_ended_kept_until ON embedjwt_ended (kept_until)",
            "CREATE TABLE embedjwt_ended_count ("
            " id INTEGER PRIMARY KEY CHECK (id = 1),"
            " value BIGINT NOT NULL,"
            " origin TEXT NOT NULL)",
            "INSERT INTO embedjwt_ended_count (id, value, origin) VALUES (1, 0, '')",
        ),
    ),
)

_SCHEMA = table("embedjwt_schema", column("id"), column("version"), column("oldest_reader"))
_CREATE_SCHEMA = (
    "CREATE TABLE embedjwt_schema ("
    " id INTEGER PRIMARY KEY CHECK (id = 1),"
    " version INTEGER NOT NULL,"
    " oldest_reader INTEGER NOT NULL)"
)


def up_to_date(connection: Connection, migrations: Sequence[Migration]) -> bool:
    """Whether there is nothing to do.

    Raises :class:`KeysUnavailable` where a newer release has made tables that this one would
    misunderstand.
    """
    return _version(connection, migrations) >= migrations[-1].version


def migrate(connection: Connection, migrations: Sequence[Migration]) -> None:
    """Take the steps that are missing. Call under a lock; the caller commits."""
    version = _version(connection, migrations)
    for migration in migrations:
        if migration.version <= version:
            continue
        if migration.version == 1:
            connection.execute(text(_CREATE_SCHEMA))
            connection.execute(insert(_SCHEMA).values(id=1, version=0, oldest_reader=0))
        for statement in migration.statements:
            connection.execute(text(statement))
        connection.execute(
            update(_SCHEMA).values(version=migration.version, oldest_reader=migration.oldest_reader)
        )


def _version(connection: Connection, migrations: Sequence[Migration]) -> int:
    if not inspect(connection).has_table(_SCHEMA.name):
        return 0
    row = connection.execute(select(_SCHEMA.c.version, _SCHEMA.c.oldest_reader)).one_or_none()
    if row is None:
        raise KeysUnavailable(
            f"the table {_SCHEMA.name} is empty",
            hint="restore the database from a backup",
            code="database_unusable",
        )
    ours = migrations[-1].version
    if ours < row.oldest_reader:
        raise KeysUnavailable(
            f"a newer embedjwt has changed the database to schema version {row.version}, and "
            f"this one knows versions up to {ours}",
            hint=f"upgrade embedjwt to a release that knows schema version {row.version}",
            code="database_too_new",
        )
    return int(row.version)
