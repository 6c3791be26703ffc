"""What a database's failure means, and what to do about it; never a password or a value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError, InvalidRequestError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from embedjwt.errors import KeysUnavailable, StoreBusy

_BUSY = {
    "55P03",  # lock_not_available
    "40001",  # serialization_failure
    "40P01",  # deadlock_detected
    "SQLITE_BUSY",
    "SQLITE_LOCKED",
}

_REACHABLE = "the server must run, and be reachable at this address: see database in the settings"
_SIGN_IN = "see the user and password in database, and pg_hba.conf on the server"
_NO_DATABASE = "make it, e.g. with: createdb --owner=embedjwt embedjwt"
_RIGHTS = (
    "as the database's owner: GRANT USAGE, CREATE ON SCHEMA public to this user; without CREATE, "
    "let its owner make the tables, and GRANT SELECT, INSERT, UPDATE, DELETE on them"
)
_FULL = "free space on the database's disk; nothing was changed"
_READ_ONLY = "connect to the primary, e.g. with target_session_attrs=read-write in the URL"
_TABLES = "restore the database from a backup, or name the right one in database"
_WAIT = "try again; where it lasts, look at what the server is doing"

# A class of SQLSTATEs is found by its first two characters (PostgreSQL's appendix A).
_HINTS = {
    "08": _REACHABLE,
    "22021": "make the database anew, with the encoding UTF8",
    "25006": _READ_ONLY,
    "28": _SIGN_IN,
    "3D": _NO_DATABASE,
    "3F": "see search_path of this user: it names no schema that is there",
    "42501": _RIGHTS,
    "42": _TABLES,
    "53100": _FULL,
    "53300": "raise max_connections of the server, or run fewer workers",
    "57014": _WAIT,
    "57": _REACHABLE,
    "SQLITE_CANTOPEN": "its directory must be writable for the user that embedjwt runs as",
    "SQLITE_CORRUPT": "restore the file from a backup",
    "SQLITE_ERROR": _TABLES,
    "SQLITE_FULL": _FULL,
    "SQLITE_IOERR": "see the kernel's log; the disk may be failing",
    "SQLITE_NOTADB": "the file is no SQLite database, or damaged: name another, or restore it",
    "SQLITE_READONLY": "file and directory must be writable for the user that embedjwt runs as",
}

# While connecting there is no SQLSTATE, only text, perhaps in the server's language.
_TEXTS = (
    (r"password|authentication|pg_hba\.conf|role .* does not exist", _SIGN_IN),
    (r"database .* does not exist", _NO_DATABASE),
    (r"too many|remaining connection slots", _HINTS["53300"]),
    (r"certificate|SSL", "see sslmode and sslrootcert in database, and the server's certificate"),
    (r"read-only|read-write", _READ_ONLY),
)


@contextmanager
def explained(location: str) -> Iterator[None]:
    """Raises errors of SQLAlchemy and its drivers as :class:`KeysUnavailable`."""
    try:
        yield
    except (DBAPIError, PoolTimeout, InvalidRequestError) as error:
        # Without its cause, which may hold the row that was refused.
        raise _explanation(error, location) from None


def outcome_unknown(error: DBAPIError) -> bool:
    """Whether a commit that failed so may have succeeded: nobody said that it had not."""
    code = _code(error)
    return code == "" or code.startswith(("08", "57", "SQLITE_IOERR"))


def commit_unknown(location: str) -> KeysUnavailable:
    """What to say of such a commit."""
    return KeysUnavailable(
        f"the connection to {location} was lost during a commit: what was asked for may or may "
        "not have been changed",
        hint="look before you repeat it, for keys with `embedjwt keys list`",
        code="database_commit_unknown",
    )


def standby(location: str) -> KeysUnavailable:
    """What to say of a server that follows another one, and may lag behind it."""
    return _unusable(location, "the server is a standby", _READ_ONLY)


def _explanation(error: SQLAlchemyError, location: str) -> KeysUnavailable:
    if isinstance(error, PoolTimeout):
        return _unusable(location, "all connections are in use", _WAIT)
    if not isinstance(error, DBAPIError):
        return _unusable(location, "the connection is lost", _REACHABLE)
    code, message = _code(error), _message(error)
    if code.startswith(tuple(_BUSY)):
        return StoreBusy(f"another process holds {location}", hint="try again")
    return _unusable(location, message, _hint(code, message))


def _unusable(location: str, what: str, hint: str) -> KeysUnavailable:
    return KeysUnavailable(f"{location}: {what}", hint=hint, code="database_unusable")


def _code(error: DBAPIError) -> str:
    """The SQLSTATE, or SQLite's name of the error; empty where there is none."""
    for name in ("sqlstate", "sqlite_errorname"):
        code = getattr(error.orig, name, None)
        if code is not None:
            return str(code)
    return ""


def _message(error: DBAPIError) -> str:
    """What the server said in one line, without the details that quote rows."""
    primary = getattr(getattr(error.orig, "diag", None), "message_primary", None)
    lines = str(primary or error.orig).strip().splitlines()
    return lines[0] if lines else "failed"


def _hint(code: str, message: str) -> str:
    for text, hint in _TEXTS if not code else ():
        if re.search(text, message):
            return hint
    known = [start for start in _HINTS if code.startswith(start)]
    if known:
        return _HINTS[max(known, key=len)]
    return "see the database server's log" if code else _REACHABLE
