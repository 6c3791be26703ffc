"""Which sessions were ended, as other processes with the same database learn it."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

from embedjwt.database import Database
from embedjwt.errors import KeysUnavailable
from embedjwt.identity import Documents, VerifiedClaims
from embedjwt.sessions import SessionRecord, SessionStore, row_key
from embedjwt.sessions.endings import Endings
from embedjwt.sessions.record import dump, load
from postgres import PostgresServer
from tests_support import FakeClock

NOW = 1_800_000_000
RECORD = SessionRecord(
    source="jwt",
    issuer="https://idp.example.com",
    sub="u1",
    sid="s1",
    documents=Documents(id_token=VerifiedClaims({"sub": "u1"})),
    created_at=NOW,
    expires_at=NOW + 300,
    ends_at=NOW + 300,
    refresh_token=None,
    grafana="https://grafana.example.com",
)


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/state.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store(place: str, clock: FakeClock) -> SessionStore:
    """Where one process changes sessions."""
    return SessionStore(Database(place), clock)


class Follower:
    """Another process; ``forgotten`` is what it was told, look by look."""

    def __init__(self, place: str) -> None:
        self.time = FakeClock(0.0)
        self.forgotten: list[Collection[str] | None] = []
        self.database = Database(place)
        self.endings = Endings(self.database, self.forgotten.append, self.time)

    def look(self) -> list[Collection[str] | None]:
        self.time.now += 0.5
        self.forgotten.clear()
        self.endings.look()
        return self.forgotten


@pytest.fixture
def follower(place: str, store: SessionStore) -> Follower:
    """It has looked once, and so forgotten whatever it may have known."""
    follower = Follower(place)
    assert follower.look() == [None]
    return follower


def create(store: SessionStore, **changes: object) -> str:
    session_id = store.create(replace(RECORD, **changes))
    assert session_id is not None
    return session_id


def test_whatever_ends_a_session_is_told_once(store: SessionStore, follower: Follower) -> None:
    one, two, three, four = (create(store) for _ in range(4))
    assert follower.look() == []
    store.end(one)
    store.end_key(row_key(two))
    assert follower.look() == [frozenset({row_key(one), row_key(two)})]
    store.end(one)
    assert follower.look() == []
    assert store.end_upstream("jwt", sub="u1", sid=None) == 2
    assert follower.look() == [frozenset({row_key(three), row_key(four)})]


def test_twice_a_second_and_no_more(store: SessionStore, follower: Follower) -> None:
    assert follower.endings.current
    store.end(create(store))
    follower.time.now += 0.4
    assert not follower.endings.due
    follower.endings.look()
    assert follower.forgotten == [None]
    follower.time.now += 0.1
    assert follower.endings.due
    assert follower.endings.current
    follower.time.now += 0.5
    assert not follower.endings.current


def test_a_thread_looks_for_who_cannot_wait(store: SessionStore, follower: Follower) -> None:
    session_id = create(store)
    follower.look()
    store.end(session_id)
    follower.time.now += 0.5
    for _ in range(20):
        follower.endings.wake()
    deadline = time.monotonic() + 5
    while not follower.forgotten and time.monotonic() < deadline:
        time.sleep(0.01)
    assert follower.forgotten == [frozenset({row_key(session_id)})]
    assert not follower.endings.due


def test_a_renewal_is_told_if_that_is_asked(store: SessionStore, follower: Follower) -> None:
    session_id = create(store)
    assert store.replace(session_id, 1, RECORD)
    assert follower.look() == []
    assert not store.replace(session_id, 1, RECORD, announced=True)
    assert follower.look() == []
    assert store.replace(session_id, 2, RECORD, announced=True)
    assert follower.look() == [frozenset({row_key(session_id)})]


def test_who_looked_too_long_ago_forgets_everything(
    store: SessionStore, follower: Follower, clock: FakeClock
) -> None:
    store.end(create(store))
    clock.now += 2 * 3600
    store.remove_expired()
    assert follower.look() == [None]
    assert follower.look() == []


def test_a_database_made_anew(tmp_path: Path, clock: FakeClock) -> None:
    """An SQLite file can be deleted, or exchanged for a backup, under a running process."""
    place = f"sqlite:///{tmp_path}/state.db"
    first = SessionStore(Database(place), clock)
    follower = Follower(place)
    first.end(create(first))
    follower.look()
    for file in tmp_path.glob("state.db*"):
        file.unlink()
    second = SessionStore(Database(place), clock)
    second.end(create(second))
    assert follower.look() == [None]
    assert follower.look() == []


def test_a_store_that_fails_leaves_nothing_to_believe(
    store: SessionStore, follower: Follower
) -> None:
    with store._database.exclusive("test") as held:
        held.connection.execute(text("DROP TABLE embedjwt_ended_count"))
        held.commit()
    with pytest.raises(KeysUnavailable):
        follower.look()
    follower.time.now += 0.5
    assert not follower.endings.current


def test_numbers_are_seen_in_the_order_of_commits(
    store: SessionStore, follower: Follower, place: str, clock: FakeClock
) -> None:
    """Many at once, and somebody who looks all the time misses none of them."""
    ids = [create(store) for _ in range(60)]
    seen: set[str] = set()
    done = threading.Event()

    def end(part: list[str]) -> None:
        mine = SessionStore(Database(place), clock)
        for session_id in part:
            mine.end(session_id)

    threads = [threading.Thread(target=end, args=(ids[n::4],)) for n in range(4)]
    for thread in threads:
        thread.start()
    while not done.is_set():
        if not any(thread.is_alive() for thread in threads):
            done.set()
        for keys in follower.look():
            assert keys is not None
            seen |= set(keys)
    assert seen == {row_key(session_id) for session_id in ids}


class TestTickets:
    def test_good_once_of_all_processes(
        self, store: SessionStore, place: str, clock: FakeClock
    ) -> None:
        ticket = create(store, redeem_until=NOW + 30)
        other = SessionStore(Database(place), clock)
        redeemed = [store.redeem(ticket), other.redeem(ticket), store.redeem(ticket)]
        assert redeemed == [replace(RECORD, redeem_until=NOW + 30), None, None]

    def test_one_of_many_at_once(self, store: SessionStore, place: str, clock: FakeClock) -> None:
        ticket = create(store, redeem_until=NOW + 30)
        barrier, won = threading.Barrier(6), []

        def redeem() -> None:
            mine = SessionStore(Database(place), clock)
            barrier.wait()
            won.append(mine.redeem(ticket) is not None)

        threads = [threading.Thread(target=redeem) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(won) == [False] * 5 + [True]

    def test_over(self, store: SessionStore, clock: FakeClock) -> None:
        ticket = create(store, redeem_until=NOW + 30)
        clock.now += 30
        assert store.redeem(ticket) is None

    def test_ended_upstream_before_it_was_redeemed(self, store: SessionStore) -> None:
        ticket = create(store, redeem_until=NOW + 30)
        store.end_upstream("jwt", sub=None, sid="s1")
        assert store.redeem(ticket) is None

    def test_a_session_is_none(self, store: SessionStore, follower: Follower) -> None:
        session_id = create(store)
        assert store.redeem(session_id) is None
        assert store.get(session_id) is not None
        assert follower.look() == []


def test_a_record_of_before_the_gateway_is_read() -> None:
    """Sessions outlive an upgrade."""
    fields = json.loads(dump(RECORD))
    for added in ("grafana", "host_app", "opened_by", "redeem_until"):
        del fields[added]
    assert load(json.dumps(fields).encode()) == replace(RECORD, grafana="")
