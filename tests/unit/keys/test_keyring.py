"""The keys of a running service: they follow the store, and survive its failures."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import replace

import jwt
import pytest

from embedjwt.errors import KeysUnavailable
from embedjwt.keys import DirectoryKeyStore, KeyRing, Ring, files
from embedjwt.keys.ring import entity_tag, to_json

NOW = 1_800_000_000.0
SetStates = Callable[..., Ring]


class Clock:
    now = NOW

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(store: DirectoryKeyStore, clock: Clock) -> KeyRing:
    return KeyRing(store, "ES256", clock)


def test_signs_with_the_active_key_and_publishes_it(
    keys: KeyRing, store: DirectoryKeyStore
) -> None:
    key = keys.signing_key()
    assert key.kid == store.ring().in_state("active")[0].kid
    published = jwt.PyJWKSet.from_json(keys.current.jwks.decode())
    assert jwt.decode(key.sign({"sub": "a"}), published[key.kid], algorithms=["ES256"])
    assert keys.current.jwks == store.jwks_file.read_bytes()
    assert keys.current.etag == entity_tag(keys.current.jwks)
    assert keys.problem is None


def test_a_store_that_cannot_be_loaded_stops_the_start(
    store: DirectoryKeyStore, clock: Clock
) -> None:
    store.ring_file.unlink()
    with pytest.raises(KeysUnavailable) as refused:
        KeyRing(store, "ES256", clock)
    assert refused.value.code == "keys_missing"


@pytest.mark.parametrize(
    ("step", "noticed"),
    [(0.0, False), (0.99, False), (1.0, True), (3600.0, True), (-0.5, True), (-86400.0, True)],
)
def test_a_change_is_noticed_within_a_second(
    keys: KeyRing,
    store: DirectoryKeyStore,
    clock: Clock,
    set_states: SetStates,
    step: float,
    noticed: bool,
) -> None:
    old, etag = keys.signing_key().kid, keys.current.etag
    ring = set_states(store, "revoked", "active")
    clock.now += step
    assert keys.signing_key().kid == (ring.records[1].kid if noticed else old)
    assert (keys.current.etag != etag) == noticed
    assert len(json.loads(keys.current.jwks)["keys"]) == (1 if noticed else 2)


def _break_ring(store: DirectoryKeyStore) -> None:
    files.write(store.ring_file, b"{", files.PRIVATE)


def _lose_ring(store: DirectoryKeyStore) -> None:
    store.ring_file.unlink()


def _publish_nothing(store: DirectoryKeyStore) -> None:
    records = tuple(replace(key, state="removed") for key in store.ring().records)
    files.write(store.ring_file, to_json(Ring(records)), files.PRIVATE)


def _replace_key(store: DirectoryKeyStore) -> None:
    files.write(store.ring_file, store.ring_file.read_bytes(), files.PRIVATE)
    for path in store.path.glob("*.pem"):
        path.write_bytes(b"")


@pytest.mark.parametrize("harm", [_break_ring, _lose_ring, _publish_nothing, _replace_key])
def test_a_store_that_fails_leaves_the_last_good_keys(
    keys: KeyRing, store: DirectoryKeyStore, clock: Clock, harm: Callable[[DirectoryKeyStore], None]
) -> None:
    kid, body, etag = keys.signing_key().kid, keys.current.jwks, keys.current.etag
    good = {path: path.read_bytes() for path in store.path.iterdir()}
    harm(store)
    clock.now += 1
    assert (keys.signing_key().kid, keys.current.jwks, keys.current.etag) == (kid, body, etag)
    assert keys.problem is not None
    assert str(store.path) in keys.problem or "no key to publish" in keys.problem
    for path, data in good.items():
        files.write(path, data, files.PRIVATE)
    clock.now += 1
    assert keys.problem is None
    assert keys.signing_key().kid == kid


def test_a_key_that_was_refused_is_looked_at_again(
    keys: KeyRing, store: DirectoryKeyStore, clock: Clock
) -> None:
    """``chmod`` heals without any change to the ring."""
    files.write(store.ring_file, store.ring_file.read_bytes(), files.PRIVATE)
    for path in store.path.glob("*.pem"):
        path.chmod(0o644)
    clock.now += 1
    assert "chmod 600" in (keys.problem or "")
    for path in store.path.glob("*.pem"):
        path.chmod(0o600)
    clock.now += 1
    assert keys.problem is None


@pytest.mark.parametrize("states", [("retiring", "next"), ("revoked", "next")])
def test_without_an_active_key_nothing_is_signed(
    keys: KeyRing,
    store: DirectoryKeyStore,
    clock: Clock,
    set_states: SetStates,
    states: tuple[str, str],
) -> None:
    set_states(store, *states)
    clock.now += 1
    with pytest.raises(KeysUnavailable, match="no key may sign") as refused:
        keys.signing_key()
    assert str(store.path) not in refused.value.detail
    assert keys.current.jwks


def test_a_changed_algorithm_waits_for_its_key(
    store: DirectoryKeyStore, clock: Clock, set_states: SetStates
) -> None:
    keys = KeyRing(store, "EdDSA", clock)
    old = store.ring().records[0]
    assert keys.signing_key().kid == old.kid

    other = DirectoryKeyStore(store.path.parent / "other", None)
    other.init("EdDSA", now=int(NOW) + 100, verifier_cache_ttl=60, rotate_every=0)
    new = other.ring().records[0]
    (store.path / f"{new.kid}.pem").write_bytes((other.path / f"{new.kid}.pem").read_bytes())
    (store.path / f"{new.kid}.pem").chmod(0o600)
    ring = Ring((*store.ring().records, new))
    files.write(store.ring_file, to_json(ring), files.PRIVATE)
    clock.now += 1
    assert keys.signing_key().kid == new.kid
    assert KeyRing(store, "ES256", clock).signing_key().kid == old.kid
    assert KeyRing(store, "ES384", clock).signing_key().kid == new.kid, "the youngest goes on"


def test_threads_always_see_a_whole_set(
    store: DirectoryKeyStore, clock: Clock, set_states: SetStates
) -> None:
    keys = KeyRing(store, "ES256", clock)
    stop = threading.Event()
    wrong: list[object] = []

    def use() -> None:
        while not stop.is_set():
            try:
                current = keys.current
                kids = {key["kid"] for key in json.loads(current.jwks)["keys"]}
                if not current.signing or not set(current.signing) <= kids:
                    wrong.append(current)
                keys.signing_key()
            except Exception as error:
                wrong.append(error)

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    signed = set()
    for states in [("retiring", "active"), ("active", "next")] * 10:
        set_states(store, *states)
        clock.now += 1
        signed.add(keys.signing_key().kid)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert keys.problem is None
    assert signed == {key.kid for key in store.ring().records}
