"""PostgreSQL: connections that never wait for ever, and locks that a transaction holds."""

from __future__ import annotations

import hashlib
import re
import time
from typing import Any, TypeVar
from urllib.parse import quote

import psycopg
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict
from sqlalchemy import Connection, Engine, QueuePool, create_engine, text

from embedjwt.database.failures import standby
from embedjwt.errors import KeysUnavailable, StoreBusy

_T = TypeVar("_T")

_WAIT = 5000
"""Milliseconds the server may take for a statement, or for a lock."""

_HOLD = 60_000
"""Milliseconds after which the server takes the lock from a client that stands still."""

_LONGEST_SILENCE = 7.0
"""Seconds until a server that should have given up itself by then is taken for dead."""

_CONNECT: dict[str, Any] = {
    "connect_timeout": 3,
    "keepalives": 1,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 2,
    "tcp_user_timeout": 5000,
    "application_name": "embedjwt",
    "client_encoding": "utf8",
    "target_session_attrs": "read-write",
}

# For one transaction each, so that nothing is left on a connection that a pooler such as PgBouncer
# gives to others. For its sake also no prepared statements and no session's locks.
_LIMITS = text(
    "SELECT set_config('statement_timeout', :wait, true), set_config('lock_timeout', :wait, true),"
    " set_config('idle_in_transaction_session_timeout', :hold, true),"
    # A commit must outlive the server's crash; remote_apply, which is more, stays.
    " set_config('synchronous_commit', CASE current_setting('synchronous_commit')"
    " WHEN 'remote_apply' THEN 'remote_apply' ELSE 'on' END, true),"
    " extract(epoch FROM clock_timestamp()) AS now, pg_is_in_recovery() AS standby"
).bindparams(wait=str(_WAIT), hold=str(_HOLD))
_LOCK = text("SELECT pg_advisory_xact_lock(:number)")
_TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(:number)")


class PostgreSQL:
    """A PostgreSQL database by its URL, in libpq's own words (section 34.1.1.2 of its manual)."""

    generation = 0

    def __init__(self, url: str) -> None:
        self._parameters = _parsed(url)
        self.location = _location(self._parameters)
        self._told: tuple[float, float] | None = None

    def engine(self) -> Engine:
        """Keeps one connection, for the thread that looks at the database all the time."""
        return create_engine(
            "postgresql+psycopg://",
            creator=self._connect,
            poolclass=QueuePool,
            pool_size=1,
            max_overflow=4,
            pool_timeout=_WAIT / 1000,
            pool_pre_ping=True,
            hide_parameters=True,
            isolation_level="READ COMMITTED",
            use_native_hstore=False,
        )

    def begin(self, connection: Connection) -> None:
        """A transaction with bounded waits.

        Raises :class:`KeysUnavailable` on a standby, for what it says may be old. The connection is
        dropped: the next one may lead to the primary.
        """
        row = connection.execute(_LIMITS).one()
        if row.standby:
            connection.invalidate()
            raise standby(self.location)
        self._told = float(row.now), time.monotonic()

    def clock(self) -> float | None:
        """The server's clock, as it was when last asked and has gone on since."""
        if self._told is None:
            return None
        now, at = self._told
        return now + time.monotonic() - at

    def begin_exclusive(self, connection: Connection, name: str, *, wait: bool) -> None:
        """A transaction with the lock of that name."""
        self.begin(connection)
        if wait:
            connection.execute(_LOCK, {"number": _number(name)})
        elif not connection.scalar(_TRY_LOCK, {"number": _number(name)}):
            raise StoreBusy(f"another process holds {self.location}", hint="try again")

    def _connect(self) -> _Connection:
        return _Connection.connect(prepare_threshold=None, **{**_CONNECT, **self._parameters})


class _Connection(psycopg.Connection[Any]):
    """Gives up where the server neither answers nor closes the connection."""

    def wait(self, gen: PQGen[_T], interval: float = 0.1, timeout: float | None = None) -> _T:
        limit = _LONGEST_SILENCE if timeout is None else timeout
        try:
            return super().wait(gen, interval, limit)
        except psycopg.errors._WaitTimeout:
            self.close()  # what it was doing may still be done; nobody can tell
            raise psycopg.OperationalError(f"no answer within {limit:g} s") from None


def _parsed(url: str) -> dict[str, Any]:
    try:
        parameters = conninfo_to_dict(url)
    except psycopg.Error:  # without its text, which may quote the password
        raise _unusable("is not a valid PostgreSQL URL") from None
    # What follows an unescaped character in a password is taken for a host, port or database.
    if any("@" in str(parameters.get(name, "")) for name in ("host", "port", "dbname")):
        raise _unusable('has an "@" too many')
    if not re.fullmatch(r"[\d,]*", str(parameters.get("port", ""))):
        raise _unusable("has a port that is no number")
    return parameters


def _unusable(what: str) -> KeysUnavailable:
    return KeysUnavailable(
        f"the database's URL {what}",
        hint="postgresql://user:password@host:port/database; in the user and the password write "
        "special characters as %40 for @, %2F for /, %3A for :, %23 for #, %3F for ?, %25 for %",
        code="database_unusable",
    )


def _location(parameters: dict[str, Any]) -> str:
    """As a URL for people, which has only what is known to be no secret."""
    user, host, port, name = (
        str(parameters.get(key, "")) for key in ("user", "host", "port", "dbname")
    )
    hosts, ports = host.split(","), port.split(",")
    if len(ports) < len(hosts):
        ports = [port] * len(hosts)
    at = ",".join(map(_address, hosts, ports))
    return "".join(
        (
            "postgresql://",
            f"{quote(user, safe='')}@" if user else "",
            at,
            f"/{quote(name)}" if name else "",
        )
    )


def _address(host: str, port: str) -> str:
    shown = f"[{host}]" if ":" in host else quote(host, safe="")  # a socket's directory as %2Frun
    return f"{shown}:{port}" if port else shown


def _number(name: str) -> int:
    digest = hashlib.sha256(f"embedjwt {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
