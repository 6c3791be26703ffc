"""What holds for sessions in either database: in SQLite, in PostgreSQL."""

from __future__ import annotations

import base64
import multiprocessing
import re
import traceback
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from structlog.testing import capture_logs

from embedjwt.database import MIGRATIONS, Database, sqlite
from embedjwt.errors import KeysUnavailable
from embedjwt.identity import Documents, Lookups, VerifiedClaims
from embedjwt.sessions import SessionRecord, SessionStore, record
from postgres import PostgresServer
from tests_support import FakeClock

NOW = 1_800_000_000
LEASE = 30
HOUR = 3600
RECORD = SessionRecord(
    source="keycloak",
    issuer="https://idp.example.com",
    sub="private-sub",
    sid="private-sid",
    documents=Documents(
        id_token=VerifiedClaims({"sub": "private-sub", "groups": ["private-group"]}),
        userinfo=VerifiedClaims({"name": "private\x00name"}),
        lookups=Lookups(email="private@example.com", teams=("private-team",)),
    ),
    created_at=NOW,
    expires_at=NOW + 300,
    ends_at=NOW + 8 * HOUR,
    refresh_token="private-token",
)
RENEWED = replace(RECORD, expires_at=NOW + 600, refresh_token="private-next-token")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/embedjwt.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store_at(place: str, clock: FakeClock) -> Callable[[], SessionStore]:
    """The store as another process would open it."""
    return lambda: SessionStore(Database(place), clock)


@pytest.fixture
def store(store_at: Callable[[], SessionStore]) -> SessionStore:
    return store_at()


def rows(place: str, statement: str) -> list[tuple[Any, ...]]:
    with Database(place).reading() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


def change_by_hand(place: str, statement: str) -> None:
    with Database(place).exclusive("test") as held:
        held.connection.execute(text(statement))
        held.commit()


def count(place: str, table: str) -> int:
    return int(rows(place, f"SELECT count(*) FROM {table}")[0][0])


class TestRecords:
    def test_all_processes_have_the_same(self, store: SessionStore, store_at: Any) -> None:
        session_id = store.create(RECORD)
        assert re.fullmatch(r"[\w-]{43}", session_id)
        for one in (store, store_at()):
            found = one.get(session_id)
            assert found is not None
            assert (found.record, found.version) == (RECORD, 1)
        assert session_id not in repr(found)
        assert "private" not in repr(found)

    def test_ids_and_keys_differ(self, store: SessionStore) -> None:
        ids = [store.create(RECORD) for _ in range(3)]
        keys = [found.key for found in map(store.get, ids) if found]
        assert len({*ids, *keys}) == 6

    def test_a_session_keeps_its_key(self, store: SessionStore) -> None:
        session_id = store.create(RECORD)
        before = store.get(session_id)
        assert store.replace(session_id, 1, RENEWED)
        after = store.get(session_id)
        assert before is not None
        assert after is not None
        assert (before.key, after.version) == (after.key, 2)

    @pytest.mark.parametrize("session_id", ["", "x", "é\x00", "\ud800", "a" * 100_000, "' OR 1=1"])
    def test_ids_that_are_none(self, store: SessionStore, session_id: str) -> None:
        store.create(RECORD)
        assert store.get(session_id) is None
        assert not store.begin_renewal(session_id, 1, LEASE)
        assert not store.replace(session_id, 1, RENEWED)
        assert not store.end(session_id)

    @pytest.mark.parametrize(
        "claims",
        [
            {"groups": [f"{number:0100}" for number in range(300)]},
            {"long": "é🙂" * 100_000},
            {"nul": "\x00", "\x00": ["\x00\x01\x7f"]},
        ],
        ids=["300 groups", "600 KB", "NUL"],
    )
    def test_odd_claims(self, store: SessionStore, claims: dict[str, Any]) -> None:
        odd = replace(
            RECORD,
            sub="s\x00ub",
            sid="s\x00id",
            refresh_token="t" * 200_000,
            documents=Documents(userinfo=VerifiedClaims(claims)),
        )
        session_id = store.create(odd)
        found = store.get(session_id)
        assert found is not None
        assert found.record == odd
        assert store.end_upstream("keycloak", sub="s\x00ub", sid="s\x00id") == 1

    def test_nothing_in_the_tables_can_be_read(self, place: str, store: SessionStore) -> None:
        session_id = store.create(RECORD)
        store.use_once("private-purpose", "private-value", NOW)
        found = rows(place, "SELECT * FROM embedjwt_session")
        found += rows(place, "SELECT * FROM embedjwt_used")
        texts = [str(value).encode() for row in found for value in row]
        record_bytes = base64.b64decode(rows(place, "SELECT record FROM embedjwt_session")[0][0])
        for data in (*texts, record_bytes):
            for secret in ("private", "keycloak", "example", session_id):
                assert secret.encode() not in data

    def test_equal_records_look_different(self, place: str, store: SessionStore) -> None:
        for _ in range(2):
            store.create(RECORD)
        sealed = [row[0] for row in rows(place, "SELECT record FROM embedjwt_session")]
        assert sealed[0][:16] != sealed[1][:16]


class TestTime:
    @pytest.mark.parametrize(
        ("refresh_token", "age", "there"),
        [
            (None, 299, True),
            (None, 300, False),
            ("token", 300, True),
            ("token", 8 * HOUR - 1, True),
            ("token", 8 * HOUR, False),
            (None, -60, True),
            (None, -61, False),
            ("token", -61, False),
        ],
    )
    def test_how_long_a_session_is_there(
        self,
        store: SessionStore,
        clock: FakeClock,
        refresh_token: str | None,
        age: int,
        there: bool,
    ) -> None:
        session_id = store.create(replace(RECORD, refresh_token=refresh_token))
        clock.now += age
        assert (store.get(session_id) is not None) is there

    def test_the_absolute_end_comes_first(self, store: SessionStore, clock: FakeClock) -> None:
        session_id = store.create(replace(RECORD, expires_at=NOW + 10 * HOUR, refresh_token=None))
        clock.now += 8 * HOUR
        assert store.get(session_id) is None

    def test_a_clock_that_ran_ahead_is_told(self, store: SessionStore, clock: FakeClock) -> None:
        session_id = store.create(RECORD)
        clock.now -= HOUR
        with capture_logs() as logs:
            assert store.get(session_id) is None
        assert [(one["event"], "clock" in one["reason"]) for one in logs] == [
            ("session_refused", True)
        ]

    def test_what_has_expired_is_removed_later(
        self, place: str, store: SessionStore, clock: FakeClock
    ) -> None:
        for ends_at in (NOW + 1, NOW + 2 * HOUR):
            store.create(replace(RECORD, ends_at=ends_at))
        store.use_once("state", "early", NOW + 1)
        store.use_once("state", "late", NOW + 2 * HOUR)
        clock.now += HOUR
        assert store.remove_expired() == 0
        clock.now += 1
        assert store.remove_expired() == 2
        assert (count(place, "embedjwt_session"), count(place, "embedjwt_used")) == (1, 1)
        assert store.remove_expired() == 0

    def test_a_login_removes_some_of_it(
        self, place: str, store: SessionStore, clock: FakeClock
    ) -> None:
        store.create(RECORD)
        for table, columns, values in (
            ("embedjwt_session", "id_digest, version, renewing_until, kept_until, sub_digest,"
             " sid_digest, record", "'{0}', 1, 0, {0}, '', '', ''"),
            ("embedjwt_used", "value_digest, kept_until", "'{0}', {0}"),
        ):  # fmt: skip
            many = ", ".join(f"({values.format(number)})" for number in range(150))
            change_by_hand(place, f"INSERT INTO {table} ({columns}) VALUES {many}")
        for left in (50, 0, 0):
            session_id = store.create(RECORD)
            old = "WHERE kept_until < 1000"
            for table in ("embedjwt_session", "embedjwt_used"):
                assert count(place, f"{table} {old}") == left
        assert store.get(session_id) is not None
        assert count(place, "embedjwt_session") == 4


class TestRenewal:
    def test_one_at_a_time(self, store: SessionStore, store_at: Any, clock: FakeClock) -> None:
        session_id = store.create(RECORD)
        assert store.begin_renewal(session_id, 1, LEASE)
        clock.now += LEASE - 0.1
        for other in (store, store_at()):
            assert not other.begin_renewal(session_id, 1, LEASE)
        found = store_at().get(session_id)
        assert found is not None  # others go on with what is there
        assert (found.version, found.record) == (1, RECORD)

    def test_each_session_has_its_own(self, store: SessionStore) -> None:
        assert all(store.begin_renewal(store.create(RECORD), 1, LEASE) for _ in range(2))

    def test_what_it_brought_is_kept(self, store: SessionStore, store_at: Any) -> None:
        session_id = store.create(RECORD)
        assert store.begin_renewal(session_id, 1, LEASE)
        assert store.replace(session_id, 1, RENEWED)
        found = store_at().get(session_id)
        assert found is not None
        assert (found.version, found.record) == (2, RENEWED)
        assert not store.begin_renewal(session_id, 1, LEASE)  # somebody who read it before
        assert not store.replace(session_id, 1, RECORD)
        assert store.begin_renewal(session_id, 2, LEASE)

    def test_who_dies_loses_the_lease(
        self, store: SessionStore, store_at: Any, clock: FakeClock
    ) -> None:
        session_id = store.create(RECORD)
        assert store_at().begin_renewal(session_id, 1, LEASE)
        clock.now += LEASE
        assert store.begin_renewal(session_id, 1, LEASE)
        assert not store.begin_renewal(session_id, 1, LEASE)
        assert store_at().replace(session_id, 1, RENEWED)  # only slow, after all
        assert not store.replace(session_id, 1, RECORD)

    @pytest.mark.parametrize(("back", "begun"), [(1, False), (60, False), (61, True), (HOUR, True)])
    def test_a_lease_does_not_wait_for_the_clock_to_come_back(
        self, store: SessionStore, clock: FakeClock, back: int, begun: bool
    ) -> None:
        session_id = store.create(RECORD)
        assert store.begin_renewal(session_id, 1, LEASE)
        clock.now -= back
        assert store.begin_renewal(session_id, 1, LEASE) is begun

    def test_it_changes_how_long_a_session_is_there(
        self, place: str, store: SessionStore, clock: FakeClock
    ) -> None:
        session_id = store.create(RECORD)
        assert store.replace(session_id, 1, replace(RECORD, refresh_token=None, sid="other"))
        assert store.end_upstream("keycloak", sub=None, sid="private-sid") == 0
        clock.now += 300
        assert store.get(session_id) is None
        clock.now += HOUR
        assert store.remove_expired() == 1


class TestEnd:
    def test_it_is_gone_everywhere(self, store: SessionStore, store_at: Any, place: str) -> None:
        session_id, other = store.create(RECORD), store.create(RECORD)
        assert store.get(session_id) is not None
        assert store_at().end(session_id)
        assert store.get(session_id) is None
        assert not store.end(session_id)
        assert store.get(other) is not None
        assert count(place, "embedjwt_session") == 1

    @pytest.mark.parametrize("how", ["end", "end_upstream"])
    def test_a_renewal_under_way_does_not_bring_it_back(
        self, store: SessionStore, store_at: Any, how: str
    ) -> None:
        session_id = store.create(RECORD)
        assert store.begin_renewal(session_id, 1, LEASE)
        if how == "end":
            assert store_at().end(session_id)
        else:
            assert store_at().end_upstream("keycloak", sub="private-sub", sid=None) == 1
        assert not store.replace(session_id, 1, RENEWED)
        assert not store.begin_renewal(session_id, 1, LEASE)
        assert store.get(session_id) is None

    @pytest.mark.parametrize(
        ("source", "sub", "sid", "ended"),
        [
            ("keycloak", "jane", None, {"jane 1", "jane 2", "jane"}),
            ("keycloak", None, "1", {"jane 1"}),
            ("keycloak", "jane", "1", {"jane 1", "jane"}),  # one may be of that sid, unknown to us
            ("keycloak", "joe", "1", {"joe"}),
            ("keycloak", "jane", "3", {"jane"}),
            ("keycloak", None, None, set()),
            ("keycloak", None, "", set()),
            ("keycloak", "", None, set()),
            ("keycloak", "1", "jane", set()),
            ("okta", "jane", None, {"okta jane 1"}),
            ("okta", None, "1", {"okta jane 1"}),
            ("other", "jane", "1", set()),
            ("keycloak", "JANE", None, set()),
        ],
    )
    def test_the_upstream_ends_them(
        self, store: SessionStore, source: str, sub: str | None, sid: str | None, ended: set[str]
    ) -> None:
        ids = {}
        for name in ("jane 1", "jane 2", "jane", "joe 3", "joe", "okta jane 1"):
            *from_okta, person = name.partition("okta ")[1:] if "okta" in name else (name,)
            whose, _, its_sid = person.partition(" ")
            where = "okta" if from_okta else "keycloak"
            ids[name] = store.create(replace(RECORD, source=where, sub=whose, sid=its_sid))
        assert store.end_upstream(source, sub=sub, sid=sid) == len(ended)
        assert {name for name, one in ids.items() if store.get(one) is None} == ended

    @pytest.mark.parametrize(
        ("sub", "sid", "record", "begins"),
        [
            (None, "1", {"sid": "1"}, False),
            (None, "1", {"sid": "2"}, True),
            ("jane", None, {}, False),
            ("joe", None, {}, True),
            ("jane", None, {"created_at": NOW + 1}, True),  # signed in again, after that
            ("jane", "1", {"sid": "2"}, True),
            ("jane", "1", {"sid": ""}, False),
            ("jane", None, {"created_at": NOW}, False),
        ],
    )
    def test_a_login_under_way_ends_too(
        self,
        store: SessionStore,
        sub: str | None,
        sid: str | None,
        record: dict[str, Any],
        begins: bool,
    ) -> None:
        before = replace(RECORD, source="keycloak", sub="jane", sid="", created_at=NOW - 5)
        store.end_upstream("keycloak", sub=sub, sid=sid)
        assert (store.create(replace(before, **record)) is not None) is begins

    def test_a_request_to_end_counts_once(self, store: SessionStore) -> None:
        session_id = store.create(replace(RECORD, source="keycloak", sub="jane"))
        once = ("jti", NOW + 60)
        assert store.end_upstream("keycloak", sub="jane", sid=None, once=once) == 1
        assert store.end_upstream("keycloak", sub="jane", sid=None, once=once) is None
        assert store.end_upstream("okta", sub="jane", sid=None, once=once) == 0
        assert store.get(session_id) is None

    def test_only_the_version_that_was_meant(self, store: SessionStore) -> None:
        session_id = store.create(RECORD)
        assert store.replace(session_id, 1, RECORD)
        assert not store.end(session_id, 1)
        assert store.get(session_id) is not None
        assert store.end(session_id, 2)

    def test_a_renewal_that_failed_is_tried_again_soon(self, store: SessionStore) -> None:
        session_id = store.create(RECORD)
        assert store.begin_renewal(session_id, 1, LEASE)
        store.postpone_renewal(session_id, 1, 0)
        assert store.begin_renewal(session_id, 1, LEASE)


def test_a_file_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    """Whoever deletes it signs people out, and no more."""
    tmp_path.chmod(0o700)
    file = tmp_path / "state.db"
    store = SessionStore(Database(f"sqlite:///{file}"), lambda: NOW)
    session_id = store.create(RECORD)
    file.unlink()
    with suppress(KeysUnavailable):  # the first to come finds the tables gone
        store.get(session_id)
    assert store.get(session_id) is None
    assert store.get(store.create(RECORD)) is not None


class TestKeys:
    """With a key that it does not hold, whoever may write to the database can make no session."""

    def store(self, place: str, *keys: bytes) -> SessionStore:
        return SessionStore(Database(place), lambda: NOW, keys)

    def test_without_the_key_nothing_opens(self, place: str) -> None:
        session_id = self.store(place, b"old" * 11).create(RECORD)
        assert self.store(place).get(session_id) is None
        assert self.store(place, b"other" * 7).get(session_id) is None
        planted = self.store(place).create(RECORD)
        assert self.store(place, b"old" * 11).get(planted) is None

    def test_keys_rotate(self, place: str) -> None:
        session_id = self.store(place, b"old" * 11).create(RECORD)
        both = self.store(place, b"old" * 11, b"new" * 11)
        assert both.get(session_id) is not None
        assert self.store(place, b"new" * 11).get(both.create(RECORD)) is not None


class TestDamage:
    @pytest.mark.parametrize(
        "change",
        [
            "record = ''",
            "record = 'no base64 é'",
            "record = 'AAAA'",
            "record = substr(record, 1, length(record) - 4)",
            "record = 'AAAA' || substr(record, 5)",
            "record = substr(record, 1, 40) || 'AAAA' || substr(record, 45)",
            "version = 2",
        ],
    )
    def test_a_row_that_was_changed_is_no_session(
        self, place: str, store: SessionStore, change: str
    ) -> None:
        ids = [store.create(RECORD) for _ in range(2)]
        change_by_hand(place, f"UPDATE embedjwt_session SET {change}")
        with capture_logs() as logs:
            assert [store.get(one) for one in ids] == [None, None]
        assert [one["event"] for one in logs] == ["session_refused"] * 2
        assert all("changed" in one["reason"] for one in logs)
        assert not any(secret in str(logs) for secret in ("private", *ids))

    def test_a_row_under_the_id_of_another(self, place: str, store: SessionStore) -> None:
        """Who can write the database cannot give somebody's session to somebody else."""
        jane, joe = store.create(RECORD), store.create(replace(RECORD, sub="joe"))
        keys = [found.key for found in map(store.get, (jane, joe)) if found]
        for old, new in ((keys[0], "aside"), (keys[1], keys[0]), ("aside", keys[1])):
            change_by_hand(
                place,
                f"UPDATE embedjwt_session SET id_digest = '{new}' WHERE id_digest = '{old}'",
            )
        with capture_logs():
            assert [store.get(jane), store.get(joe)] == [None, None]

    def test_an_old_row_that_was_put_back(self, place: str, store: SessionStore) -> None:
        session_id = store.create(RECORD)
        ((old,),) = rows(place, "SELECT record FROM embedjwt_session")
        assert store.replace(session_id, 1, RENEWED)
        change_by_hand(place, f"UPDATE embedjwt_session SET record = '{old}'")
        with capture_logs():
            assert store.get(session_id) is None

    def test_kept_longer_by_hand(self, place: str, store: SessionStore, clock: FakeClock) -> None:
        session_id = store.create(RECORD)
        change_by_hand(place, f"UPDATE embedjwt_session SET kept_until = {NOW * 2}")
        clock.now += 8 * HOUR
        assert store.get(session_id) is None

    def test_a_newer_release_wrote_it(
        self, store: SessionStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as newer:
            newer.setattr(record, "FORMAT", record.FORMAT + 1)
            session_id = store.create(RECORD)
        with capture_logs() as logs:
            assert store.get(session_id) is None
        assert [(one["event"], "release" in one["reason"]) for one in logs] == [
            ("session_refused", True)
        ]
        assert store.end(session_id)


class TestOneUse:
    def test_only_the_first_time(self, store: SessionStore, store_at: Any) -> None:
        assert store.use_once("state", "a\x00é", NOW + 60)
        for again in (store, store_at()):
            assert not again.use_once("state", "a\x00é", NOW + 60)
        assert store.use_once("jti", "a\x00é", NOW + 60)
        assert store.use_once("state", "b", NOW + 60)

    @pytest.mark.parametrize("expires_at", [0, NOW - 30, NOW + 60])
    def test_remembered_for_longer_than_it_lives(
        self, store: SessionStore, clock: FakeClock, expires_at: int
    ) -> None:
        """Its reader may allow for clocks that differ, and ours may step back."""
        assert store.use_once("state", "a", expires_at)
        clock.now = max(NOW, expires_at) + HOUR - 1
        store.remove_expired()
        clock.now = NOW - HOUR
        assert not store.use_once("state", "a", expires_at)


class TestSecrets:
    def test_the_same_for_all(self, store: SessionStore, store_at: Any) -> None:
        secret = store.secret("login attempts")
        assert len(secret) == 32
        assert store_at().secret("login attempts") == secret
        assert store.secret("cookies") != secret

    def test_made_once(self, store_at: Any) -> None:
        with ThreadPoolExecutor(6) as threads:
            made = list(threads.map(lambda _: store_at().secret("cookies"), range(6)))
        assert len(set(made)) == 1

    @pytest.mark.parametrize("value", ["", "0f" * 8, "zz" * 32, "é"])
    def test_a_damaged_one_is_not_used(self, place: str, store: SessionStore, value: str) -> None:
        store.secret("cookies")
        change_by_hand(place, f"UPDATE embedjwt_secret SET value = '{value}'")
        with pytest.raises(KeysUnavailable) as caught:
            store.secret("cookies")
        assert caught.value.code == "database_unusable"
        assert "embedjwt_secret" in caught.value.hint
        assert not value or value not in caught.value.diagnostics()


class Start:
    """Where all processes wait for each other."""

    barrier: Any = None


def race(given: tuple[str, list[str]]) -> list[tuple[bool, bool, bool]]:
    """What one process wins of each session's renewal, replacement, and one use."""
    place, ids = given
    store = SessionStore(Database(place), lambda: NOW)
    store.get(ids[0])
    won = []
    for session_id in ids:
        Start.barrier.wait(30)
        begun = store.begin_renewal(session_id, 1, LEASE)
        used = store.use_once("state", session_id, NOW + 60)
        Start.barrier.wait(30)
        won.append((begun, store.replace(session_id, 1, RENEWED), used))
    return won


class TestRaces:
    def test_of_many_processes_one_wins(self, place: str, store: SessionStore) -> None:
        ids = [store.create(RECORD) for _ in range(15)]
        context = multiprocessing.get_context("spawn")
        with context.Pool(4, setattr, (Start, "barrier", context.Barrier(4))) as processes:
            won = processes.map(race, [(place, ids)] * 4, chunksize=1)
        for session in zip(*won, strict=True):
            assert [sum(kind) for kind in zip(*session, strict=True)] == [1, 1, 1]

    def test_of_many_threads_one_wins(self, store: SessionStore) -> None:
        with ThreadPoolExecutor(8) as threads:
            for _ in range(5):
                session_id = store.create(RECORD)
                begun = threads.map(
                    lambda _, one=session_id: store.begin_renewal(one, 1, LEASE), range(8)
                )
                assert sum(begun) == 1
                used = threads.map(
                    lambda _, one=session_id: store.use_once("state", one, NOW), range(8)
                )
                assert sum(used) == 1

    def test_whatever_comes_first_it_stays_ended(self, store: SessionStore) -> None:
        with ThreadPoolExecutor(6) as threads:
            for person in "abcde":
                record, renewed = replace(RECORD, sub=person), replace(RENEWED, sub=person)
                ids = [store.create(record) for _ in range(3)]
                acts = [threads.submit(store.replace, one, 1, renewed) for one in ids]
                acts += [
                    threads.submit(store.end_upstream, "keycloak", sub=person, sid=None)
                    for _ in range(2)
                ]
                acts.append(threads.submit(store.remove_expired))
                ended = sum(act.result() for act in acts[3:5])
                assert ended == 3
                assert [store.get(one) for one in ids] == [None] * 3


class TestDatabase:
    def test_it_grows_from_one_that_had_only_keys(self, place: str, store: SessionStore) -> None:
        with Database(place, migrations=MIGRATIONS[:1]).reading():
            pass
        session_id = store.create(RECORD)
        assert store.get(session_id) is not None

    def test_programs_that_only_know_keys_go_on(self, place: str, store: SessionStore) -> None:
        older = Database(place, migrations=MIGRATIONS[:1])
        with older.exclusive("keys"):
            pass
        store.create(RECORD)
        for one in (older, Database(place, migrations=MIGRATIONS[:1])):
            with one.exclusive("keys") as held:
                held.connection.execute(text("DELETE FROM embedjwt_private_key"))
                held.commit()

    @pytest.mark.parametrize(
        ("pragma", "words"), [("query_only = ON", "writable"), ("max_page_count = 1", "space")]
    )
    def test_sqlite_cannot_be_written(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pragma: str, words: str
    ) -> None:
        store = SessionStore(Database(f"sqlite:///{tmp_path}/a.db"), lambda: NOW)
        session_id = store.create(RECORD)
        monkeypatch.setattr(sqlite, "_PRAGMAS", (*sqlite._PRAGMAS, pragma))
        large = replace(RECORD, documents=Documents(VerifiedClaims({"a": "private" * 20_000})))
        check_unusable(lambda: store.create(large), words)
        check_unusable(lambda: store.replace(session_id, 1, large), words)
        found = store.get(session_id)
        assert found is not None  # whoever is signed in goes on
        assert found.record == RECORD

    def test_postgresql_cannot_be_written(self, postgres: PostgresServer) -> None:
        place = postgres.database()
        store = SessionStore(Database(place), lambda: NOW)
        session_id = store.create(RECORD)
        name = place.rpartition("/")[2]
        postgres.sql(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
        another = SessionStore(Database(place), lambda: NOW)
        check_unusable(lambda: another.create(RECORD), "primary")
        assert store.get(session_id) is not None

    def test_a_refused_row_is_not_told(self, postgres: PostgresServer) -> None:
        place = postgres.database()
        store = SessionStore(Database(place), lambda: NOW)
        store.secret("cookies")
        change_by_hand(place, "ALTER TABLE embedjwt_session ADD CHECK (length(record) < 9)")
        change_by_hand(place, "ALTER TABLE embedjwt_used ADD CHECK (kept_until < 9)")
        check_unusable(lambda: store.create(RECORD), "log")
        check_unusable(lambda: store.use_once("private", "private", NOW), "log")


def check_unusable(act: Callable[[], object], *words: str) -> None:
    """Ends in the database's own error, which tells nothing of the person or the row."""
    with pytest.raises(KeysUnavailable) as caught:
        act()
    assert caught.value.code == "database_unusable"
    assert all(word in caught.value.hint for word in words)
    told = "".join(traceback.format_exception(caught.value)) + caught.value.diagnostics()
    assert "private-" not in told
    assert "row contains" not in told
