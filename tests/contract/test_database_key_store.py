"""What only databases have: encryption, migrations, and a server that can be lost."""

from __future__ import annotations

import base64
import hashlib
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import psycopg
import pytest
from broken_link import BrokenLink
from sqlalchemy import text
from store_kit import (
    ENCRYPTION_KEY,
    NOW,
    TIMING,
    check_signs,
    check_whole,
    in_processes,
    open_store,
    operator,
)

from embedjwt.database import MIGRATIONS, Database, Migration
from embedjwt.errors import KeysUnavailable, RingDamaged, StoreBusy
from embedjwt.keys import ring as transitions
from embedjwt.keys.database import DatabaseKeyStore
from embedjwt.keys.document import to_json
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.ring import Ring, new_ring
from embedjwt.keys.signer import generate
from postgres import PASSWORD, USER, PostgresServer
from running_service import free_port

OLD = ENCRYPTION_KEY
NEW = base64.urlsafe_b64encode(b"\xff" * 32).decode()
GIVES_UP_WITHIN = 15.0


def store_at(place: str, *keys: str) -> DatabaseKeyStore:
    return DatabaseKeyStore(Database(place), keys or (OLD,))


def change_by_hand(place: str, statement: str) -> None:
    with Database(place).exclusive("test") as held:
        held.connection.execute(text(statement))
        held.commit()


def rows(place: str, statement: str) -> list[tuple[Any, ...]]:
    with Database(place).reading() as connection:
        return [tuple(row) for row in connection.execute(text(statement))]


@contextmanager
def refused(*words: str, code: str | None = None) -> Iterator[None]:
    """Ends in an error that says these words and no password, soon."""
    began = time.monotonic()
    with pytest.raises(KeysUnavailable) as caught:
        yield
    assert time.monotonic() - began < GIVES_UP_WITHIN
    error = caught.value
    assert code is None or error.code == code
    for word in words:
        assert word in error.diagnostics()
    told = "".join(traceback.format_exception(error)) + repr(error) + error.diagnostics()
    assert PASSWORD not in told
    assert PostgresServer.credentials() not in told


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty database of either kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/keys.db"
    server: PostgresServer = request.getfixturevalue("postgres")
    return server.database()


@pytest.fixture
def store(place: str) -> DatabaseKeyStore:
    store = store_at(place)
    operator(store).init()
    return store


class TestEncryption:
    def test_private_keys_cannot_be_read_in_the_tables(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        dump = str(rows(place, "SELECT * FROM embedjwt_key_ring"))
        dump += str(rows(place, "SELECT * FROM embedjwt_private_key"))
        assert len(rows(place, "SELECT * FROM embedjwt_private_key")) == 2
        assert "PRIVATE" not in dump
        assert '"d"' not in dump
        # Tokens that begin with the version and time of Fernet, and nothing in clear.
        for (wrapped,) in rows(place, "SELECT wrapped FROM embedjwt_private_key"):
            assert base64.urlsafe_b64decode(str(wrapped))[0] == 0x80
            assert b"\x06\x07\x2a\x86\x48" not in base64.urlsafe_b64decode(str(wrapped))

    def test_another_key_opens_nothing(self, place: str, store: DatabaseKeyStore) -> None:
        record = store.ring().records[0]
        with refused("encryption_keys_file", record.kid, code="encryption_key_missing"):
            store_at(place, NEW).signing_key(record)

    def test_a_key_is_replaced_without_a_gap(self, place: str, store: DatabaseKeyStore) -> None:
        ring = store.ring()
        seen = store.version()

        def check(*keys: str) -> None:
            assert store_at(place, *keys).ring() == ring
            for record in ring.records:
                check_signs(store_at(place, *keys), record)

        for keys, outdated in (((OLD,), 0), ((NEW, OLD), 0), ((OLD, NEW), 3)):
            assert store_at(place, *keys).outdated() == outdated
            check(*keys)
        both = store_at(place, OLD, NEW)
        assert len(both.concerns()) == 1
        assert (both.rewrap(), both.rewrap(), both.outdated()) == (3, 0, 0)
        assert both.concerns() == []
        assert both.version() != seen
        for keys in ((NEW, OLD), (OLD, NEW), (NEW,)):
            check(*keys)
        for record in ring.records:
            with refused("encryption_keys_file", code="encryption_key_missing"):
                store.signing_key(record)
        with refused("encryption_keys_file", code="encryption_key_missing"):
            store.ring()

    def test_a_service_does_it_by_itself(self, place: str, store: DatabaseKeyStore) -> None:
        ring = store.ring()
        operator(store_at(place, OLD, NEW)).tidy()
        assert store_at(place, NEW).ring() == ring
        check_signs(store_at(place, NEW), ring.records[0])

    def test_a_change_on_the_way_renews_the_ring(self, place: str, store: DatabaseKeyStore) -> None:
        operator(store_at(place, OLD, NEW)).prepare()
        assert (store_at(place, OLD, NEW).outdated(), store_at(place, NEW, OLD).outdated()) == (
            2,
            2,
        )
        assert operator(store_at(place, NEW, OLD)).prepare().revision == 3
        assert store_at(place, OLD, NEW).rewrap() == 4

    @pytest.mark.parametrize("wrapped", ["ü", "", "gAAAA", "\U0001f511" * 99])
    def test_a_row_that_is_no_ciphertext(
        self, place: str, store: DatabaseKeyStore, wrapped: str
    ) -> None:
        change_by_hand(place, f"UPDATE embedjwt_private_key SET wrapped = '{wrapped}'")
        record = store.ring().records[0]
        with refused("or the row is damaged", record.kid, code="encryption_key_missing"):
            store.signing_key(record)
        assert store.outdated() == 2
        with refused("or the row is damaged", code="encryption_key_missing"):
            store.rewrap()

    def test_what_cannot_be_opened_is_left_alone(self, place: str, store: DatabaseKeyStore) -> None:
        everything = (
            "SELECT kid, wrapped FROM embedjwt_private_key UNION ALL"
            " SELECT document, digest FROM embedjwt_key_ring ORDER BY 1"
        )
        before = rows(place, everything)
        with refused("encryption_keys_file"):
            store_at(place, NEW).rewrap()
        assert rows(place, everything) == before

    def test_rows_cannot_change_places(self, place: str, store: DatabaseKeyStore) -> None:
        first, second = store.ring().records
        wrapped = dict(rows(place, "SELECT kid, wrapped FROM embedjwt_private_key"))
        for one, other in ((first, second), (second, first)):
            change_by_hand(
                place,
                f"UPDATE embedjwt_private_key SET wrapped = '{wrapped[other.kid]}'"
                f" WHERE kid = '{one.kid}'",
            )
        for record in (first, second):
            with refused("another one than the ring says"):
                store.signing_key(record)

    def test_a_row_that_is_gone(self, place: str, store: DatabaseKeyStore) -> None:
        change_by_hand(place, "DELETE FROM embedjwt_private_key")
        with refused("is missing", "restore"):
            store.signing_key(store.ring().records[0])

    @pytest.mark.parametrize(
        "keys",
        [
            [],
            [""],
            ["not base64 at all!"],
            [base64.b64encode(b"x" * 31).decode()],
            [base64.b64encode(b"x" * 33).decode()],
            ["0" * 64],
            [OLD, "s3cret-but-short"],
        ],
    )
    def test_unusable_keys_are_refused(self, tmp_path: Path, keys: list[str]) -> None:
        with pytest.raises(KeysUnavailable) as caught:
            DatabaseKeyStore(Database(f"sqlite:///{tmp_path}/keys.db"), keys)
        assert caught.value.code == "encryption_key_invalid"
        told = caught.value.diagnostics()
        assert "openssl rand -base64 32" in told
        assert "encryption_keys_file" in told
        assert not [key for key in keys if key and key in told]

    def test_keys_as_openssl_and_fernet_write_them(self, place: str) -> None:
        raw = bytes([0xFB, 0xFF] * 16)  # has + and / in the standard alphabet
        standard, url_safe = base64.b64encode(raw), base64.urlsafe_b64encode(raw)
        assert standard != url_safe
        operator(store_at(place, standard.decode())).init()
        store = store_at(place, f"{url_safe.decode()}\n")
        check_signs(store, store.ring().records[0])


def forge(place: str, digest: Callable[[str, str], str]) -> None:
    """Publish a key of one's own, as someone who has the database but no encryption key."""
    store = store_at(place)
    mine = public_jwk(generate("ES256").public_key(), "ES256")
    ring = transitions.prepare(store.ring(), mine, NOW, TIMING)
    document = to_json(ring).decode()
    (before,) = rows(place, "SELECT digest FROM embedjwt_key_ring")[0]
    with Database(place).exclusive("test") as held:
        held.connection.execute(
            text("UPDATE embedjwt_key_ring SET digest = :digest, document = :document"),
            {"digest": digest(document, before), "document": document},
        )
        held.commit()


def sha256(document: str) -> str:
    return hashlib.sha256(document.encode()).hexdigest()


class TestSeal:
    @pytest.mark.parametrize(
        ("digest", "error"),
        [
            (lambda document, _: sha256(document), KeysUnavailable),
            (lambda document, _: f"0011223344556677.{sha256(document)}", KeysUnavailable),
            (lambda _, before: before, RingDamaged),
            (lambda document, before: f"{before.split('.')[0]}.{sha256(document)}", RingDamaged),
            (lambda _, before: f"{before.split('.')[0]}.ü", RingDamaged),
            (lambda _, before: f"{before.split('.')[0]}.", RingDamaged),
            (lambda _, before: before.split(".")[1], KeysUnavailable),
            (lambda *_: "", KeysUnavailable),
            (lambda *_: ".", KeysUnavailable),
        ],
    )
    def test_who_has_no_encryption_key_publishes_nothing(
        self,
        place: str,
        store: DatabaseKeyStore,
        digest: Callable[[str, str], str],
        error: type[KeysUnavailable],
    ) -> None:
        forge(place, digest)
        forged = rows(place, "SELECT * FROM embedjwt_key_ring")
        for keys in ((OLD,), (OLD, NEW), (NEW, OLD)):
            reader = store_at(place, *keys)
            for act in (reader.ring, operator(reader).prepare):
                with pytest.raises(KeysUnavailable) as caught:
                    act()
                # As damaged only where a key of ours shows it: from there nobody goes on.
                assert type(caught.value) is error
                assert caught.value.hint
            with suppress(KeysUnavailable):
                reader.rewrap()
            assert rows(place, "SELECT * FROM embedjwt_key_ring") == forged
        with pytest.raises(error):
            store_at(place, OLD, NEW).rewrap()

    def test_the_newest_key_may_be_given_twice(self, place: str, store: DatabaseKeyStore) -> None:
        twice = store_at(place, OLD, NEW, OLD)
        assert (twice.outdated(), twice.ring()) == (0, store.ring())

    def test_with_private_halves_elsewhere(self, place: str) -> None:
        def store(*keys: str) -> DatabaseKeyStore:
            return DatabaseKeyStore(Database(place), keys, Mock())

        with store(OLD).changing() as change:
            ring = change.commit(open_ring())
        assert store(OLD).ring() == store(OLD, NEW).ring() == ring
        assert (store(OLD, NEW).outdated(), store(OLD, NEW).rewrap()) == (1, 1)
        assert (store(NEW).ring(), store(NEW).outdated()) == (ring, 0)
        for keys in ((OLD,), ()):
            with refused("not among ours", code="encryption_key_missing"):
                store(*keys).ring()

    def test_without_any_key_only_damage_is_found(self, place: str) -> None:
        store = DatabaseKeyStore(Database(place), [], Mock())
        with store.changing() as change:
            ring = change.commit(open_ring())
        (digest, document) = rows(place, "SELECT digest, document FROM embedjwt_key_ring")[0]
        assert digest == sha256(str(document))
        assert (store.ring(), store.outdated(), store.rewrap()) == (ring, 0, 0)
        with refused("as anyone could", code="encryption_key_missing"):
            DatabaseKeyStore(Database(place), [NEW], Mock()).ring()
        change_by_hand(place, "UPDATE embedjwt_key_ring SET digest = 'x'")
        with pytest.raises(RingDamaged):
            store.ring()


class TestRing:
    def test_an_edited_document_is_refused(self, place: str, store: DatabaseKeyStore) -> None:
        change_by_hand(
            place,
            "UPDATE embedjwt_key_ring SET document = replace(document, 'next', 'revoked')",
        )
        with pytest.raises(RingDamaged):
            store.ring()

    def test_a_revision_that_is_not_the_documents(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        change_by_hand(place, "UPDATE embedjwt_key_ring SET revision = 7")
        with pytest.raises(RingDamaged):
            store.ring()

    def test_who_lost_the_lock_between_two_commits_changes_nothing(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        with refused("keys list", code="keys_conflict"), store.changing() as change:
            assert change.ring is not None
            ring = change.commit(change.ring)
            other = operator(open_store(place)).prepare()
            jwk = change.custody.create("ES256")
            change.commit(ring)
        assert store.ring() == other
        assert not rows(place, f"SELECT 1 FROM embedjwt_private_key WHERE kid = '{jwk['kid']}'")
        check_whole(place)

    def test_a_database_restored_from_a_backup_has_another_version(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        backup = rows(place, "SELECT revision, digest, document FROM embedjwt_key_ring")[0]
        operator(store).prepare()
        seen = store.version()
        with Database(place).exclusive("test") as held:
            held.connection.execute(
                text("UPDATE embedjwt_key_ring SET revision = :r, digest = :d, document = :t"),
                dict(zip("rdt", backup, strict=True)),
            )
            held.commit()
        operator(store).prepare()
        assert store.ring().revision == 2
        assert store.version() != seen

    def test_private_halves_elsewhere(self, place: str) -> None:
        elsewhere = Mock()
        store = DatabaseKeyStore(Database(place), [], elsewhere)
        with store.changing() as change:
            assert change.custody is elsewhere
            made = open_ring()
            committed = change.commit(made)
        elsewhere.prune.assert_called_once_with(committed)
        assert store.signing_key(made.records[0]) is elsewhere.signing_key.return_value
        assert (store.outdated(), store.rewrap()) == (0, 0)
        assert not rows(place, "SELECT * FROM embedjwt_private_key")

    def test_private_halves_elsewhere_that_stay(self, place: str) -> None:
        elsewhere = Mock()
        elsewhere.prune.side_effect = KeysUnavailable("the HSM is away", hint="plug it in")
        store = DatabaseKeyStore(Database(place), [], elsewhere)
        with refused("HSM is away", code="keys_unfinished"), store.changing() as change:
            change.commit(open_ring())
        assert store.ring().revision == 1

    def test_a_fork_shares_no_connection(self, place: str, store: DatabaseKeyStore) -> None:
        assert in_processes(place, "share_after_fork", 2) == [{"shared": True}] * 2

    def test_a_fork_ends_no_change_of_its_parent(self, place: str, store: DatabaseKeyStore) -> None:
        assert in_processes(place, "fork_while_changing") == [{"revision": 2}]
        check_whole(place)


def open_ring() -> Ring:
    """A ring of keys whose private halves nobody has."""
    first, second = (public_jwk(generate("ES256").public_key(), "ES256") for _ in range(2))
    return new_ring(first, second, NOW, TIMING)


class TestMigrations:
    NEXT = MIGRATIONS[-1].version + 1
    MORE = ("CREATE TABLE embedjwt_more (id INTEGER)",)
    COMPATIBLE = (*MIGRATIONS, Migration(NEXT, 1, MORE))
    BREAKING = (*MIGRATIONS, Migration(NEXT, NEXT, MORE))

    def version(self, place: str) -> tuple[Any, ...]:
        return rows(place, "SELECT version, oldest_reader FROM embedjwt_schema")[0]

    def test_a_newer_release_goes_on_from_what_is_there(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        ring = store.ring()
        newer = DatabaseKeyStore(Database(place, migrations=self.COMPATIBLE), [OLD])
        assert newer.ring() == ring
        assert rows(place, "SELECT * FROM embedjwt_more") == []
        assert self.version(place) == (self.NEXT, 1)

    def test_an_older_release_goes_on_while_it_may(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        with Database(place, migrations=self.COMPATIBLE).reading():
            pass
        operator(store).prepare()
        assert operator(store_at(place)).prepare().revision == 3
        assert self.version(place) == (self.NEXT, 1)

    def test_an_older_release_stops_where_it_must(
        self, place: str, store: DatabaseKeyStore
    ) -> None:
        with Database(place, migrations=self.BREAKING).reading():
            pass
        with refused("upgrade embedjwt", code="database_too_new"):
            store_at(place).ring()
        with refused("upgrade embedjwt", code="database_too_new"):
            operator(store).prepare()  # had begun before the change

    def test_a_step_that_fails_leaves_nothing(self, place: str, store: DatabaseKeyStore) -> None:
        half = (*self.MORE, "CREATE NONSENSE")
        broken = Database(place, migrations=(*MIGRATIONS, Migration(self.NEXT, 1, half)))
        for _ in range(2):
            with refused(), broken.reading():
                pytest.fail("goes on without its tables")
        with refused():
            rows(place, "SELECT * FROM embedjwt_more")
        check_whole(place)

    def test_a_user_who_may_not_make_tables(self, postgres: PostgresServer) -> None:
        place = postgres.database()
        name = place.rpartition("/")[2]
        postgres.sql(f"DROP ROLE IF EXISTS least; CREATE ROLE least LOGIN PASSWORD '{PASSWORD}'")
        postgres.sql("REVOKE CREATE ON SCHEMA public FROM PUBLIC", name)
        least = postgres.url(name, "least")
        with refused("GRANT", "permission denied"):
            store_at(least).ring()
        operator(store_at(place)).init()
        with refused("GRANT", "permission denied"):
            store_at(least).ring()
        grant = "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO least"
        postgres.sql(grant, name)
        check_whole(least)


class TestServer:
    @pytest.fixture
    def place(self, postgres: PostgresServer) -> str:
        return postgres.database()

    def test_lost_and_found(self, postgres: PostgresServer, store: DatabaseKeyStore) -> None:
        ring = store.ring()
        record = ring.records[0]

        def change_meanwhile() -> None:
            with store.changing() as change:
                change.custody.create("ES256")
                postgres.stop()
                change.commit(ring)

        try:
            with refused("reachable"):
                change_meanwhile()
            for ask in (store.ring, store.version, lambda: store.signing_key(record)):
                with refused("reachable"):
                    ask()
        finally:
            postgres.start()
        assert store.ring() == ring
        check_signs(store, record)

    def test_a_server_that_stands_still(
        self, postgres: PostgresServer, place: str, store: DatabaseKeyStore
    ) -> None:
        with postgres.paused(), refused("reachable"):
            store.version()
        assert store.ring().revision == 1

    def test_connections_that_the_server_closed(
        self, postgres: PostgresServer, store: DatabaseKeyStore
    ) -> None:
        postgres.sql(
            f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{USER}'"
        )
        assert store.ring().revision == 1

    @pytest.mark.parametrize("delivered", [True, False])
    def test_a_commit_without_an_answer(
        self, postgres: PostgresServer, place: str, store: DatabaseKeyStore, delivered: bool
    ) -> None:
        name = place.rpartition("/")[2]
        with BrokenLink(postgres.port, b"COMMIT\0", deliver=delivered) as link:
            through = store_at(postgres.url(name, port=link.port))
            assert through.ring() == store.ring()
            with refused("may or may not", "keys list", code="database_commit_unknown"):
                operator(through).prepare()
        with store.changing():  # waits until the server has noticed
            assert store.ring().revision == (2 if delivered else 1)
        check_whole(place)

    def test_a_lock_that_stays(self, postgres: PostgresServer, place: str) -> None:
        store = store_at(place)
        operator(store).init()
        with psycopg.connect(postgres.url(place.rpartition("/")[2])) as person:
            person.execute("SELECT * FROM embedjwt_key_ring FOR UPDATE")
            with pytest.raises(StoreBusy), store.changing(wait=False):
                pytest.fail("held by another")
            assert store.ring().revision == 1

    def test_a_ring_that_someone_made_without_the_lock(
        self, postgres: PostgresServer, place: str
    ) -> None:
        store = store_at(place)
        made = open_ring()
        with refused(code="keys_conflict"), store.changing() as change:
            postgres.sql(
                "INSERT INTO embedjwt_key_ring VALUES (1, 1, '', '')", place.rpartition("/")[2]
            )
            change.commit(made)

    def test_the_clock_is_the_servers(
        self, place: str, store: DatabaseKeyStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = time.time()
        monkeypatch.setattr(time, "time", lambda: real + 10**6)
        assert abs(store.clock() - real) < 60
        assert abs(store_at(place).clock() - real) < 60

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda url: url.replace("%40", "%41"), ("password authentication failed", "pg_hba")),
            (lambda url: f"{url}_not", ("does not exist", "createdb")),
            (lambda url: url.replace("127.0.0.1", "nowhere.invalid"), ("reachable",)),
            (lambda url: f"{url}?sslmode=require", ("SSL", "sslmode")),
        ],
    )
    def test_what_to_do(
        self, place: str, change: Callable[[str], str], words: tuple[str, ...]
    ) -> None:
        with refused(*words):
            store_at(change(place)).ring()

    def test_nobody_listens(self, postgres: PostgresServer) -> None:
        with refused("refused", "reachable"):
            store_at(postgres.url("test", port=free_port())).ring()
