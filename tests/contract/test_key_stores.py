"""What holds for every key store: in a directory, in SQLite, in PostgreSQL."""

from __future__ import annotations

from abc import ABC, abstractmethod
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text
from store_kit import NOW, check_signs, check_whole, in_processes, open_store, operator

from embedjwt.database import Database
from embedjwt.errors import KeysUnavailable, RingDamaged, StoreBusy, TransitionRefused
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.ring import Ring
from embedjwt.keys.signer import generate
from embedjwt.keys.store import KeyStore
from postgres import PostgresServer

LATER = NOW + 10**5


class KeyStoreContract(ABC):
    """Subclasses say where the store is."""

    @abstractmethod
    @pytest.fixture
    def place(self) -> str:
        """A path or a URL, at which nothing is yet."""

    @abstractmethod
    def damage(self, place: str) -> None:
        """Cut the stored ring in two."""

    @pytest.fixture
    def empty(self, place: str) -> KeyStore:
        return open_store(place)

    @pytest.fixture
    def store(self, empty: KeyStore) -> KeyStore:
        operator(empty).init()
        return empty

    @pytest.mark.parametrize("ask", ["ring", "version"])
    def test_without_a_ring(self, empty: KeyStore, ask: str) -> None:
        with pytest.raises(KeysUnavailable) as caught:
            getattr(empty, ask)()
        assert "embedjwt init" in caught.value.hint

    def test_nothing_can_be_done_without_a_ring(self, empty: KeyStore) -> None:
        for act in (operator(empty).rotate, operator(empty).prepare, operator(empty).advance):
            with pytest.raises(KeysUnavailable) as caught:
                act()
            assert caught.value.code == "keys_missing"

    def test_the_first_keys(self, place: str, store: KeyStore) -> None:
        ring = open_store(place).ring()
        assert [key.state for key in ring.records] == ["active", "next"]
        assert ring.revision == 1
        assert check_whole(place) == ring

    def test_the_first_keys_are_made_once(self, store: KeyStore) -> None:
        before = store.ring()
        with pytest.raises(KeysUnavailable) as caught:
            operator(store).init()
        assert caught.value.code == "keys_exist"
        assert store.ring() == before

    def test_a_ring_is_read_as_it_was_committed(self, place: str, store: KeyStore) -> None:
        acting = operator(store, LATER)
        private_key = generate("RS256")
        acting.adopt(private_key, {**public_jwk(private_key.public_key(), "RS256"), "kid": "old ü"})
        acting.revoke(acting.prepare().records[-1].kid, reason='said "so", at 5 % – \\ü')
        removed = operator(store, LATER + 10**5).rotate()
        with store.changing() as change:
            odd = replace(removed, revision=99, revocations=removed.revocations + 7)
            committed = change.commit(odd)
            assert change.ring == committed
        assert committed == replace(odd, revision=removed.revision + 1)
        assert open_store(place).ring() == committed
        assert {key.imported for key in committed.records} == {True, False}
        assert any(key.revoked_at and key.reason for key in committed.records)

    def test_the_version_differs_after_every_change(self, place: str, store: KeyStore) -> None:
        seen = [store.version()]
        for act in (
            operator(store).prepare,
            operator(store, LATER).rotate,
            lambda: operator(store, LATER).revoke(store.ring().records[-1].kid, reason="test"),
        ):
            act()
            assert store.version() == store.version() == open_store(place).version()
            seen.append(store.version())
        assert len(set(seen)) == len(seen)

    def test_private_halves_end_with_their_keys(self, store: KeyStore) -> None:
        active, waiting = store.ring().records
        ring = operator(store, LATER).rotate()
        assert ring.find(active.kid).state == "retiring"
        check_signs(store, waiting)
        operator(store, LATER).revoke(waiting.kid, reason="test")
        for gone in (active, waiting):
            with pytest.raises(KeysUnavailable):
                store.signing_key(gone)

    def test_a_private_half_of_another_key_is_refused(self, store: KeyStore) -> None:
        other = public_jwk(generate("ES256").public_key(), "ES256")
        with pytest.raises(KeysUnavailable):
            store.signing_key(replace(store.ring().records[0], jwk=other))

    def test_a_change_that_fails_changes_nothing(self, place: str, store: KeyStore) -> None:
        before = store.ring()
        with suppress(ZeroDivisionError), store.changing() as change:
            jwk = change.custody.create("ES256")
            raise ZeroDivisionError
        assert open_store(place).ring() == before
        operator(store).tidy()
        made = replace(before.records[0], kid=jwk["kid"], jwk=jwk)
        with pytest.raises(KeysUnavailable):
            store.signing_key(made)
        check_whole(place)

    def test_a_change_can_be_committed_in_steps(self, place: str, store: KeyStore) -> None:
        other = operator(store, NOW + 10)
        with store.changing() as change:
            assert change.ring is not None
            first = change.commit(change.ring)
            jwk = change.custody.create("ES256")
            record = replace(first.records[-1], kid=jwk["kid"], jwk=jwk)
            second = change.commit(replace(first, records=(*first.records, record)))
        assert (first.revision, second.revision) == (2, 3)
        check_signs(open_store(place), record)
        assert other.prepare().revision == 4

    def test_a_ring_without_published_keys_is_refused(self, store: KeyStore) -> None:
        before = store.ring()
        with pytest.raises(KeysUnavailable), store.changing() as change:
            change.commit(Ring(()))
        assert store.ring() == before

    def test_who_does_not_wait_is_told(self, place: str, store: KeyStore) -> None:
        with store.changing():
            for other in (store, open_store(place)):
                with pytest.raises(StoreBusy), other.changing(wait=False):
                    pytest.fail("two hold the ring")
            assert store.ring().revision == 1  # reading goes on
        with open_store(place).changing(wait=False) as change:
            assert change.ring == store.ring()

    def test_the_first_ring_is_held_as_well(self, place: str, empty: KeyStore) -> None:
        with empty.changing() as change:
            assert change.ring is None
            with pytest.raises(StoreBusy), open_store(place).changing(wait=False):
                pytest.fail("two make the first ring")

    def test_threads_share_a_store(self, store: KeyStore) -> None:
        def work(number: int) -> None:
            for turn in range(3):
                with suppress(TransitionRefused):  # where another has just rotated
                    operator(store, LATER * (1 + number + turn)).rotate()
                store.version()
                assert len(store.ring().in_state("active")) == 1

        with ThreadPoolExecutor(4) as threads:
            assert list(threads.map(work, range(4))) == [None] * 4
        assert store.ring().revision > 3

    def test_of_many_processes_one_makes_the_first_keys(self, place: str) -> None:
        said = in_processes(place, "init", 8)
        assert sorted(str(one["error"]) for one in said) == ["None"] + ["keys_exist"] * 7
        assert len({tuple(one["kids"]) for one in said}) == 1
        check_whole(place)

    def test_of_many_processes_one_makes_each_change(self, place: str, store: KeyStore) -> None:
        said = in_processes(place, "rotate", 5)
        assert sum(one["commits"] for one in said) == store.ring().revision - 1
        assert store.ring().revision > 6
        assert {code for one in said for code in one["refused"]} <= {"key_too_young"}
        check_whole(place)

    @pytest.mark.parametrize(
        ("action", "changed"),
        [("die_after_create", False), ("die_before_commit", False), ("die_after_commit", True)],
    )
    def test_killed_in_a_change(
        self, place: str, store: KeyStore, action: str, changed: bool
    ) -> None:
        before = store.ring()
        in_processes(place, action)
        assert check_whole(place).revision == before.revision + changed

    def test_killed_at_random(self, place: str, store: KeyStore) -> None:
        in_processes(place, "die_at_random", 8)
        check_whole(place)

    def test_a_damaged_ring_cannot_be_changed(self, place: str, store: KeyStore) -> None:
        self.damage(place)
        with pytest.raises(RingDamaged):
            store.ring()
        with pytest.raises(RingDamaged), store.changing():
            pytest.fail("a damaged ring can be changed")
        with pytest.raises(RingDamaged):
            operator(store).init()


class TestDirectory(KeyStoreContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return str(tmp_path / "jwks")

    def damage(self, place: str) -> None:
        file = Path(place, "ring.json")
        file.write_bytes(file.read_bytes()[:200])


class DatabaseContract(KeyStoreContract):
    def damage(self, place: str) -> None:
        with Database(place).exclusive("test") as held:
            held.connection.execute(
                text("UPDATE embedjwt_key_ring SET document = substr(document, 1, 200)")
            )
            held.commit()


class TestSQLite(DatabaseContract):
    @pytest.fixture
    def place(self, tmp_path: Path) -> str:
        return f"sqlite:///{tmp_path}/keys.db"


class TestPostgreSQL(DatabaseContract):
    @pytest.fixture
    def place(self, postgres: PostgresServer) -> str:
        return postgres.database()
