"""A real PostgreSQL server of one's own, for tests: made in a second, and lost at will."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from running_service import free_port
from tests_support import need

USER = "embedjwt"
PASSWORD = "s3cr:t/p@ss?w#rd%41"
"""Has everything that must be escaped in a URL."""

_SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "16MB",
    "max_connections": "60",
    "autovacuum": "off",
}


class PostgresServer:
    """A cluster in a temporary directory. ``binaries``: where ``initdb`` and ``postgres`` are.

    With a ``primary``, its hot standby.
    """

    def __init__(self, binaries: Path, root: Path, primary: PostgresServer | None = None) -> None:
        self._binaries = binaries
        self._root = root
        self._data = root / "data"
        self._port = free_port()
        self._names = count(1)
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL refuses to run as root.
        self._user = _unprivileged() if os.geteuid() == 0 else None
        if self._user is not None:
            shutil.chown(root, self._user)
        if primary is None:
            self._make()
            self.start()
            self.sql(f"CREATE ROLE {USER} LOGIN PASSWORD '{PASSWORD}'")
        else:
            self._copy(primary)
            self.start()

    def database(self, owner: str = USER) -> str:
        """The URL of a new, empty database, which ``owner`` may do anything with."""
        name = f"test_{next(self._names)}"
        self.sql(f"CREATE DATABASE {name} OWNER {owner}")
        return self.url(name, owner)

    def url(self, database: str, user: str = USER, *, port: int | None = None) -> str:
        """The URL of a database, with the password that all users have."""
        return f"postgresql://{self.credentials(user)}@127.0.0.1:{port or self._port}/{database}"

    @staticmethod
    def credentials(user: str = USER) -> str:
        """User and password as in a URL."""
        return f"{user}:{quote(PASSWORD, safe='')}"

    @property
    def port(self) -> int:
        """Where it listens, also after a restart."""
        return self._port

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Run a statement as superuser; returns its rows, if any."""
        with psycopg.connect(self.url(database, "postgres"), autocommit=True) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def start(self) -> None:
        """Start, and wait until it takes connections."""
        settings = (f"-c{name}={value}" for name, value in _SETTINGS.items())
        log = (self._root / "log").open("ab")
        with log:
            self._process = subprocess.Popen(
                [
                    *(self._binaries / "postgres", f"-D{self._data}", f"-p{self._port}"),
                    *(f"-k{self._root}", *settings),
                ],
                user=self._user,
                cwd=self._root,
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while True:
            try:
                self.sql("SELECT 1")
            except psycopg.OperationalError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)
            else:
                return

    def stop(self) -> None:
        """Shut down at once, as in a crash; transactions that are under way are lost."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(timeout=20)
            self._process = None

    @contextmanager
    def standby(self) -> Iterator[PostgresServer]:
        """A hot standby of this server, which holds all that is in it now."""
        with _directory() as root:
            standby = PostgresServer(self._binaries, root, self)
            try:
                yield standby
            finally:
                standby.stop()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """All its processes stand still: connections stay open, and nobody answers."""
        stopped: list[int] = []
        try:
            for pid in self._pids():
                os.kill(pid, signal.SIGSTOP)
                stopped.append(pid)
            yield
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)

    def _make(self) -> None:
        password = self._root / "password"
        password.write_text(PASSWORD)
        if self._user is not None:
            shutil.chown(password, self._user)
        subprocess.run(
            [
                *(self._binaries / "initdb", f"-D{self._data}", "-Upostgres", "-EUTF8"),
                *("--locale=C", "--auth=scram-sha-256", f"--pwfile={password}", "--no-sync"),
            ],
            user=self._user,
            cwd=self._root,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _copy(self, primary: PostgresServer) -> None:
        subprocess.run(
            [
                *(self._binaries / "pg_basebackup", f"-D{self._data}", "--write-recovery-conf"),
                *("--checkpoint=fast", "--no-sync", "-d", primary.url("postgres", "postgres")),
            ],
            user=self._user,
            cwd=self._root,
            check=True,
            capture_output=True,
            timeout=60,
        )

    def _pids(self) -> list[int]:
        assert self._process is not None
        main = self._process.pid
        children = Path(f"/proc/{main}/task/{main}/children").read_text().split()
        return [main, *map(int, children)]


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A PostgreSQL server; skips where there is none, which in CI is a failure."""
    binaries = _find()
    need("postgresql", binaries is not None, "apt install postgresql")
    assert binaries is not None
    with _directory() as root:
        server = PostgresServer(binaries, root)
        try:
            yield server
        finally:
            server.stop()


@contextmanager
def _directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="embedjwt-pg-"))  # short, for the name of its socket
    try:
        yield root
    finally:
        shutil.rmtree(root)


def _find() -> Path | None:
    on_path = shutil.which("initdb")
    if on_path is not None:
        # Debian has links to single programs there; all of them are where they lead.
        return Path(on_path).resolve().parent
    found = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(found, key=lambda path: float(path.parts[-3]), default=None)
    return None if newest is None else newest.parent


def _unprivileged() -> str:
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"
