"""SQLite: one file, for processes on one machine; closed to all others from its first moment."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from pathlib import Path
from urllib.parse import quote

from sqlalchemy import Connection, Engine, NullPool, create_engine, text

from embedjwt.errors import KeysUnavailable

_WAIT = 5000
"""Milliseconds to wait for another process's lock."""

_WAIT_TO_READ = 2000
"""The same for who only reads: a commit takes no longer, and many may be waiting for the answer."""

_BESIDE = ("", "-journal", "-wal", "-shm")
_FOR_NOBODY_ELSE = 0o077
_WRITABLE_BY_OTHERS = 0o022

# The rollback journal, SQLite's default, is safe when processes are killed and leaves no copy of
# what was deleted; EXTRA makes a commit survive a loss of power as well.
_PRAGMAS = ("synchronous = EXTRA", "secure_delete = ON", "trusted_schema = OFF")


class SQLite:
    """An SQLite database by its URL: ``sqlite:///relative`` or ``sqlite:////absolute``."""

    def __init__(self, url: str) -> None:
        name = url.removeprefix("sqlite:///")
        if name in (url, "", ":memory:") or name.endswith("/") or {"?", "#"} & set(name):
            raise _unusable(
                "the database's URL names no file",
                'such as "sqlite:////var/lib/embedjwt/embedjwt.db"; it must outlive this process',
            )
        self._path = Path(name).absolute()
        self.location = f"sqlite:///{self._path}"
        self.generation = 0

    def engine(self) -> Engine:
        """Opens the file for each transaction: it may have been replaced by a backup of it."""
        return create_engine(
            "sqlite+pysqlite://", creator=self._connect, poolclass=NullPool, hide_parameters=True
        )

    def clock(self) -> float:
        """This machine's clock: all who share the file are on it."""
        return time.time()

    def begin(self, connection: Connection) -> None:
        """A transaction that takes no lock before it reads."""
        connection.execute(text(f"PRAGMA busy_timeout = {_WAIT_TO_READ}"))
        connection.execute(text("BEGIN"))

    def begin_exclusive(
        self,
        connection: Connection,
        name: str,  # noqa: ARG002
        *,
        wait: bool,
    ) -> None:
        """A transaction with the lock of the file, whatever its ``name``: there is only one."""
        connection.execute(text(f"PRAGMA busy_timeout = {_WAIT if wait else 0}"))
        connection.execute(text("BEGIN IMMEDIATE"))
        connection.execute(text(f"PRAGMA busy_timeout = {_WAIT}"))  # for readers, at the commit

    def _connect(self) -> sqlite3.Connection:
        try:
            if not self._path.exists():
                _make(self._path)
                self.generation += 1
            _check(self._path)
        except OSError as error:
            raise _unusable(
                f"{self._path} cannot be opened: {error.strerror}",
                "its directory must be there, and belong to the user that embedjwt runs as",
            ) from error
        connection = sqlite3.connect(
            f"file:{quote(str(self._path))}?mode=rw",
            uri=True,
            timeout=_WAIT / 1000,
            isolation_level=None,  # transactions begin and end where we say
            check_same_thread=False,
        )
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
        except sqlite3.Error:
            connection.close()
            raise
        return connection


def _make(path: Path) -> None:
    """An empty file under its name at once. SQLite gives the files beside it the same mode."""
    # Never open the file itself: to close it would drop the locks of this process's connections
    # (https://sqlite.org/howtocorrupt.html, section 2.2).
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(descriptor, 0o600)  # exactly this, whatever the umask took away
        os.close(descriptor)
        os.link(temporary, path)
    except FileExistsError:
        pass  # another process was faster
    finally:
        os.unlink(temporary)  # noqa: PTH108


def _check(path: Path) -> None:
    """Raises :class:`KeysUnavailable` where others can read or change the database."""
    directory = path.parent.stat()
    if directory.st_mode & _WRITABLE_BY_OTHERS:
        # They could put a journal beside the database, which SQLite would take for its own.
        raise _unusable(
            f"others can add files to {path.parent}",
            f"chmod go-w '{path.parent}', or put the database in a directory of its own",
        )
    for file in (path.with_name(path.name + end) for end in _BESIDE):
        try:
            info = file.stat()
        except FileNotFoundError:
            continue
        if not stat.S_ISREG(info.st_mode):
            raise _unusable(f"{file} is not a plain file", "name a file in database")
        if info.st_uid not in (os.geteuid(), 0):
            raise _unusable(
                f"{file} belongs to another user, who can change it",
                f"run embedjwt as its owner, or: chown $(id -u) '{file}'",
            )
        if info.st_mode & _FOR_NOBODY_ELSE:
            raise _unusable(f"{file} can be read or changed by others", f"chmod 600 '{file}'")


def _unusable(what: str, hint: str) -> KeysUnavailable:
    return KeysUnavailable(what, hint=hint, code="database_unusable")
