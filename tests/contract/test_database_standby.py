"""A standby may lag behind its primary: nothing is read from it, whatever leads there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import text
from store_kit import ENCRYPTION_KEY, check_whole, open_store, operator

from embedjwt.database import Database
from embedjwt.errors import KeysUnavailable
from embedjwt.keys.database import DatabaseKeyStore
from postgres import USER, PostgresServer


@pytest.fixture(scope="module")
def name(postgres: PostgresServer) -> str:
    """The name of a database with keys in it."""
    place = postgres.database()
    operator(open_store(place)).init()
    return place.rpartition("/")[2]


@pytest.fixture
def standby(postgres: PostgresServer, name: str) -> Iterator[PostgresServer]:
    with postgres.standby() as server:
        assert server.sql("SELECT pg_is_in_recovery()") == [(True,)]
        yield server


def test_of_several_servers_the_primary_is_found(
    postgres: PostgresServer, standby: PostgresServer, name: str
) -> None:
    hosts = f"127.0.0.1:{standby.port},127.0.0.1:{postgres.port}"
    place = f"postgresql://{postgres.credentials()}@{hosts}/{name}"
    with Database(place).reading() as connection:
        assert connection.scalar(text("SELECT inet_server_port()")) == postgres.port
    check_whole(place)


@pytest.mark.parametrize("attributes", ["", "?target_session_attrs=any"], ids=["default", "any"])
def test_a_standby_is_refused_until_it_is_the_primary(
    standby: PostgresServer, name: str, attributes: str
) -> None:
    store = DatabaseKeyStore(Database(f"{standby.url(name)}{attributes}"), [ENCRYPTION_KEY])
    asked: tuple[Callable[[], object], ...] = (
        store.ring,
        store.version,
        store.clock,
        operator(store).prepare,
    )
    for ask in asked:
        with pytest.raises(KeysUnavailable) as refused:
            ask()
        assert refused.value.code == "database_unusable"
        assert "target_session_attrs=read-write" in refused.value.hint
    kept = f"SELECT count(*) FROM pg_stat_activity WHERE usename = '{USER}'"
    deadline = time.monotonic() + 5
    while standby.sql(kept) != [(0,)]:
        assert time.monotonic() < deadline, "a connection to the standby is kept"
    assert standby.sql("SELECT pg_promote()") == [(True,)]
    assert operator(store).prepare().revision == store.ring().revision
