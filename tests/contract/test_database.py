"""Databases by their URL: what is taken, what is told, and who else may read the file."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from embedjwt.database import Database
from embedjwt.errors import KeysUnavailable
from postgres import PASSWORD, USER, PostgresServer

SECRET = "tell-nobody"


@pytest.mark.parametrize(
    ("url", "location"),
    [
        (f"postgresql://jane:{SECRET}@db.internal/embedjwt", "postgresql://jane@db.internal/embedjwt"),
        (f"postgres://jane:{SECRET}@db:5433/x", "postgresql://jane@db:5433/x"),
        (f"postgresql://jane@db/x?password={SECRET}&sslmode=verify-full", "postgresql://jane@db/x"),
        (f"postgresql://jane:{SECRET}@a:1,b:2/x", "postgresql://jane@a:1,b:2/x"),
        (f"postgresql://jane:{SECRET}@[::1]:5432/x", "postgresql://jane@[::1]:5432/x"),
        ("postgresql:///x?host=/run/postgresql", "postgresql://%2Frun%2Fpostgresql/x"),
        (f"postgresql://jane%40corp:{SECRET}@db/x?sslpassword={SECRET}", "postgresql://jane%40corp@db/x"),
        ("sqlite:////var/lib/embedjwt.db", "sqlite:////var/lib/embedjwt.db"),
        ("sqlite:///keys.db", f"sqlite:///{Path.cwd()}/keys.db"),
    ],
)  # fmt: skip
def test_a_location_has_no_secret(url: str, location: str) -> None:
    database = Database(url)
    assert database.location == location
    assert SECRET not in repr(database)


@pytest.mark.parametrize(
    "url",
    [
        "",
        SECRET,
        f"mysql://jane:{SECRET}@db/x",
        f"postgresql+asyncpg://jane:{SECRET}@db/x",
        f"postgresql:jane:{SECRET}@db/x",
        f"postgresql://jane:a@{SECRET}@db/x",
        f"postgresql://jane:a/{SECRET}@db/x",
        f"postgresql://jane:12/{SECRET}@db/x",
        f"postgresql://jane:a@b:{SECRET}@db/x",
        f"postgresql://jane:%zz{SECRET}@db/x",
        f"postgresql://jane:a@b?{SECRET}=1@db/x",
        f"postgresql://jane@db:{SECRET}/x",
        f"postgresql://jane@db/x?nonsense={SECRET}",
        f"sqlite://{SECRET}",
        "sqlite://",
        "sqlite:///",
        "sqlite:///:memory:",
        "sqlite:////tmp/",
        f"sqlite:///file.db?key={SECRET}",
        "sqlite+pysqlite:///file.db",
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(KeysUnavailable) as caught:
        Database(url)
    assert caught.value.code == "database_unusable"
    assert caught.value.hint
    assert SECRET not in caught.value.diagnostics()
    assert caught.value.__cause__ is None


class TestPostgreSQL:
    def test_connections_are_bounded_and_few(self, postgres: PostgresServer) -> None:
        database = Database(postgres.database())
        at_once = threading.Barrier(5)

        def read() -> None:
            with database.reading() as connection:
                at_once.wait(10)
                assert connection.scalar(text("SHOW statement_timeout")) == "5s"
                assert connection.scalar(text("SHOW lock_timeout")) == "5s"

        threads = [threading.Thread(target=read) for _ in range(5)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        kept = postgres.sql(
            f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'"
            f" AND datname = '{database.location.rpartition('/')[2]}'"
        )
        assert kept == [(1,)]

    @pytest.mark.parametrize(
        ("configured", "used"),
        [("off", "on"), ("local", "on"), ("remote_write", "on"), ("remote_apply", "remote_apply")],
    )
    def test_a_commit_outlives_a_crash_of_the_server(
        self, postgres: PostgresServer, configured: str, used: str
    ) -> None:
        url = postgres.database()
        name = url.rpartition("/")[2]
        postgres.sql(f"ALTER DATABASE {name} SET synchronous_commit = {configured}")
        with Database(url).exclusive("test") as held:
            for _ in range(2):
                assert held.connection.scalar(text("SHOW synchronous_commit")) == used
                held.commit()

    def test_nothing_is_left_on_a_connection(self, postgres: PostgresServer) -> None:
        """A pooler such as PgBouncer gives it to others after each transaction."""
        database = Database(postgres.database())
        with database.exclusive("test") as held:
            pid = held.connection.scalar(text("SELECT pg_backend_pid()"))
            held.commit()
        for statement in (
            "SELECT current_setting('statement_timeout')",
            "SELECT count(*)::text FROM pg_locks WHERE locktype = 'advisory'",
            "SELECT count(*)::text FROM pg_prepared_statements",
        ):
            with database._engine.connect() as connection:
                assert connection.scalar(text("SELECT pg_backend_pid()")) == pid
                assert connection.scalar(text(statement)) == "0"

    def test_a_statement_that_takes_too_long(self, postgres: PostgresServer) -> None:
        database = Database(postgres.database())
        shorter = text("SET LOCAL statement_timeout = 100")
        with pytest.raises(KeysUnavailable) as caught, database.reading() as connection:
            connection.execute(shorter).connection.execute(text("SELECT pg_sleep(30)"))
        assert "statement timeout" in caught.value.detail

    def test_values_are_not_told(self, postgres: PostgresServer) -> None:
        database = Database(postgres.database())
        with pytest.raises(KeysUnavailable) as caught, database.exclusive("test") as held:
            held.connection.execute(
                text("INSERT INTO embedjwt_key_ring VALUES (2, 1, :secret, '')"),
                {"secret": SECRET},
            )
        assert "violates check constraint" in caught.value.detail
        assert SECRET not in caught.value.diagnostics()
        assert PASSWORD not in caught.value.diagnostics()
        assert caught.value.__suppress_context__

    def test_a_server_that_may_only_be_read(self, postgres: PostgresServer) -> None:
        url = postgres.database()
        with Database(url).reading():
            pass
        name = url.rpartition("/")[2]
        postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        with pytest.raises(KeysUnavailable) as caught, Database(url).exclusive("test") as held:
            held.connection.execute(text("DELETE FROM embedjwt_key_ring"))
        assert "primary" in caught.value.hint


class TestSQLite:
    @pytest.fixture
    def directory(self, tmp_path: Path) -> Path:
        directory = tmp_path / "database"
        directory.mkdir(mode=0o700)
        return directory

    @pytest.fixture
    def path(self, directory: Path) -> Path:
        return directory / "keys.db"

    @pytest.fixture(params=[0o000, 0o022, 0o777])
    def _umask(self, request: pytest.FixtureRequest) -> Iterator[None]:
        before = os.umask(request.param)
        yield
        os.umask(before)

    @pytest.mark.usefixtures("_umask")
    @pytest.mark.parametrize("journal", ["DELETE", "WAL"])
    def test_nobody_else_can_read_any_of_its_files(self, path: Path, journal: str) -> None:
        database = Database(f"sqlite:///{path}")
        with database.reading() as connection:
            connection.execute(text("ROLLBACK"))
            connection.execute(text(f"PRAGMA journal_mode = {journal}"))
            connection.execute(text("BEGIN"))
        with database.exclusive("test") as held:
            held.connection.execute(
                text("INSERT INTO embedjwt_private_key VALUES ('a', :long)"), {"long": "x" * 9999}
            )
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
            held.commit()
        assert len(modes) == (2 if journal == "DELETE" else 3)
        assert set(modes.values()) == {0o600}

    @pytest.mark.parametrize("suffix", ["", "-journal", "-wal", "-shm"])
    @pytest.mark.parametrize("mode", [0o644, 0o620, 0o602])
    def test_files_of_others_are_refused(self, path: Path, suffix: str, mode: int) -> None:
        path.touch(0o600)
        file = path.with_name(path.name + suffix)
        file.touch()
        file.chmod(mode)
        with pytest.raises(KeysUnavailable) as caught, Database(f"sqlite:///{path}").reading():
            pytest.fail("opened")
        assert f"chmod 600 '{file}'" in caught.value.hint

    def test_a_directory_that_others_can_write_is_refused(self, path: Path) -> None:
        path.parent.chmod(0o777)
        with pytest.raises(KeysUnavailable) as caught, Database(f"sqlite:///{path}").reading():
            pytest.fail("opened")
        assert "chmod go-w" in caught.value.hint

    @pytest.mark.parametrize(
        ("content", "words"),
        [(b"no database at all, but text", "is not a database"), (None, "not a plain file")],
    )
    def test_what_is_no_database(self, path: Path, content: bytes | None, words: str) -> None:
        if content is None:
            path.mkdir(mode=0o700)
        else:
            path.write_bytes(content * 100)
            path.chmod(0o600)
        with pytest.raises(KeysUnavailable) as caught, Database(f"sqlite:///{path}").reading():
            pytest.fail("opened")
        assert words in caught.value.detail

    def test_a_directory_that_is_not_there(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}/deeper/keys.db")
        with pytest.raises(KeysUnavailable) as caught, database.reading():
            pytest.fail("opened")
        assert "directory" in caught.value.hint

    def test_a_full_disk(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        with database.reading():
            pass

        def fill() -> None:
            with database.exclusive("test") as held:
                held.connection.execute(text("PRAGMA max_page_count = 1"))
                held.connection.execute(
                    text("INSERT INTO embedjwt_private_key VALUES ('a', :it)"), {"it": "x" * 99999}
                )

        with pytest.raises(KeysUnavailable) as caught:
            fill()
        assert "space" in caught.value.hint

    def test_a_file_that_was_replaced_is_noticed(self, path: Path) -> None:
        database = Database(f"sqlite:///{path}")
        with database.reading():
            pass
        backup = path.with_name("backup")
        backup.touch(0o600)
        with sqlite3.connect(path) as source, sqlite3.connect(backup) as target:
            source.backup(target)
            target.execute("INSERT INTO embedjwt_private_key VALUES ('restored', '')")
        source.close()
        target.close()
        backup.replace(path)
        with database.reading() as connection:
            assert connection.scalar(text("SELECT kid FROM embedjwt_private_key")) == "restored"

    def test_a_relative_path_stays_where_it_was(
        self, directory: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(directory)
        database = Database("sqlite:///keys.db")
        monkeypatch.chdir(tmp_path)
        with database.reading():
            assert (directory / "keys.db").exists()
