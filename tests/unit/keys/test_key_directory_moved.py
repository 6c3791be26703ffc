"""A directory that keys have moved away from: used for a while, changed no more, then refused."""

from __future__ import annotations

import pytest
from keys_support import NOW, operate, start, verify

from embedjwt.errors import KeysUnavailable
from embedjwt.keys import DirectoryKeyStore, KeyRing, files
from tests_support import FakeClock


class Clocked(DirectoryKeyStore):
    """By a clock that only a test moves."""

    time = FakeClock(NOW)

    def clock(self) -> float:
        return float(self.time())


@pytest.fixture
def moved(store: DirectoryKeyStore) -> Clocked:
    """Its keys have gone into a database; here they may be used for an hour."""
    clocked = Clocked(store.path, None)
    clocked.time = FakeClock(NOW)
    with clocked.changing():
        clocked.move_to("postgresql://db.internal/embedjwt", NOW + 3600)
    return clocked


def test_keys_that_have_moved_are_used_here_and_changed_only_there(moved: Clocked) -> None:
    store = moved
    keys = start(store)
    assert verify(keys.signing_key().sign({"sub": "ada"}), keys.current.jwks) == {"sub": "ada"}
    with pytest.raises(KeysUnavailable, match=r"moved to postgresql://db\.internal") as problem:
        keys.check()
    assert problem.value.code == "keys_moved"
    assert "2027-01-15 09:00 UTC" in problem.value.hint, "set database, and restart before"
    assert any("postgresql://db.internal" in concern for concern in store.concerns())
    before = store.ring_file.read_bytes()
    here, kid = operate(store), store.ring().records[0].kid
    for work in (
        here.init,
        here.prepare,
        here.rotate,
        here.advance,
        here.tidy,
        lambda: here.revoke(kid, reason="leaked"),
    ):
        with pytest.raises(KeysUnavailable, match=r"moved to postgresql://db\.internal") as refused:
            work()
        assert refused.value.code == "keys_moved"
        assert str(store.moved_file) in refused.value.hint
    assert store.ring_file.read_bytes() == before


def test_a_directory_that_keys_have_moved_away_from_comes_to_an_end(moved: Clocked) -> None:
    """Who was forgotten must not sign for ever with keys that live on elsewhere."""
    clock = moved.time
    keys = KeyRing(moved, "ES256", clock, propagation_delay=120, monotonic=clock)
    for _ in range(60):
        clock.now += 60
        keys.refresh()
        assert keys.signing_key()
    assert clock.now == NOW + 3600
    clock.now += 120
    keys.refresh()
    assert keys.signing_key(), "for propagation_delay"
    clock.now += 1
    with pytest.raises(KeysUnavailable) as refused:
        keys.signing_key()
    assert refused.value.code == "keys_stale"
    assert "moved to postgresql://db.internal" in refused.value.hint
    for look in (moved.version, lambda: start(moved)):
        with pytest.raises(KeysUnavailable) as refused:
            look()
        assert refused.value.code == "keys_moved"
    moved.moved_file.unlink()
    keys.refresh()
    assert keys.problem is None
    assert keys.signing_key(), "the move is undone"
    operate(moved).prepare()


def test_a_running_service_hears_of_the_move(store: DirectoryKeyStore) -> None:
    """The ring is the same file as before."""
    keys = start(store)
    with store.changing():
        store.move_to("postgresql://db.internal/embedjwt", 2**33)
    keys.refresh()
    with pytest.raises(KeysUnavailable) as problem:
        keys.check()
    assert problem.value.code == "keys_moved"


NOTES = [
    *(b"", b"{", b"[]", b"{}", b"null", b'{"location": "x"}', b"\xff"),
    *(b'{"location": "x", "until": 1e999}', b"[" * 100_000),
]


@pytest.mark.parametrize("note", NOTES)
def test_a_note_that_says_nothing_ends_it_at_once(store: DirectoryKeyStore, note: bytes) -> None:
    files.write(store.moved_file, note, files.PRIVATE)
    with pytest.raises(KeysUnavailable, match="moved to another place") as refused:
        start(store)
    assert refused.value.code == "keys_moved"
    assert f"remove {store.moved_file}" in refused.value.hint
