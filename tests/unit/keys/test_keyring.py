"""The keys of a running service: they follow the store, and survive its failures for a while."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from keys_support import NOW, TIMING, load, operate, published, verify

from embedjwt.errors import KeysUnavailable, RingDamaged
from embedjwt.keys import DirectoryKeyStore, KeyRing, Ring, SigningKey, files
from embedjwt.keys.document import entity_tag, to_json
from embedjwt.keys.ring import KeyRecord
from tests_support import FakeClock

P = TIMING.propagation_delay
JUST_NOW = 2  # seconds within which requests leave looking to others
SetStates = Callable[..., Ring]
Harm = Callable[[DirectoryKeyStore], None]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def monotonic() -> FakeClock:
    return FakeClock(5.0)


MakeKeys = Callable[..., KeyRing]


@pytest.fixture
def make_keys(store: DirectoryKeyStore, clock: FakeClock, monotonic: FakeClock) -> MakeKeys:
    def make(alg: str = "ES256") -> KeyRing:
        return KeyRing(store, alg, clock, propagation_delay=P, monotonic=monotonic)

    return make


@pytest.fixture
def keys(make_keys: MakeKeys) -> KeyRing:
    return make_keys()


@pytest.fixture
def passes(clock: FakeClock, monotonic: FakeClock) -> Callable[[float], None]:
    """Time, by both clocks."""

    def let(seconds: float) -> None:
        clock.now += seconds
        monotonic.now += seconds

    return let


def test_signs_with_the_active_key_and_publishes_it(
    keys: KeyRing, store: DirectoryKeyStore
) -> None:
    key = keys.signing_key()
    assert key.kid == store.ring().in_state("active")[0].kid
    assert verify(key.sign({"sub": "a"}), keys.current.jwks) == {"sub": "a"}
    assert keys.current.jwks == store.jwks_file.read_bytes()
    assert keys.current.etag == entity_tag(keys.current.jwks)
    assert keys.ring == store.ring()
    assert keys.problem is None


def test_a_store_that_cannot_be_loaded_stops_the_start(
    store: DirectoryKeyStore, make_keys: MakeKeys
) -> None:
    store.ring_file.unlink()
    with pytest.raises(KeysUnavailable) as refused:
        make_keys()
    assert refused.value.code == "keys_missing"


@pytest.mark.parametrize("wall", [0.0, 1.0, -0.5, -86400.0, 86400.0])
def test_a_look_takes_up_what_changed(
    keys: KeyRing, store: DirectoryKeyStore, clock: FakeClock, set_states: SetStates, wall: float
) -> None:
    old, etag = keys.signing_key().kid, keys.current.etag
    ring = set_states(store, "revoked", "active")
    assert (keys.signing_key().kid, keys.current.etag) == (old, etag), "nobody has looked"
    clock.now += wall
    keys.refresh()
    assert keys.signing_key().kid == ring.records[1].kid
    assert keys.current.etag != etag
    assert published(keys.current.jwks) == [ring.records[1].kid]
    assert keys.ring == ring


# How old a view may be

NOTICED = [
    pytest.param(P, P, False, id="as-old-as-may-be"),
    pytest.param(P + 1, P + 1, True, id="older"),
    pytest.param(86400, 1, True, id="wall-put-forward-or-asleep"),
    pytest.param(P + 1, 0, True, id="wall-alone"),
    pytest.param(0, P + 1, True, id="monotonic-alone"),
    pytest.param(-86400, 1, False, id="wall-put-back"),
    pytest.param(-86400, P, False, id="wall-put-back-for-as-long-as-may-be"),
    pytest.param(-86400, P + 1, True, id="wall-put-back-hides-nothing"),
]


@pytest.mark.parametrize(("wall", "mono", "looks"), NOTICED)
@pytest.mark.parametrize("asked", ["signing_key", "current"])
def test_a_view_that_is_old_by_either_clock_is_renewed_when_it_is_used(
    keys: KeyRing,
    store: DirectoryKeyStore,
    clock: FakeClock,
    monotonic: FakeClock,
    set_states: SetStates,
    wall: float,
    mono: float,
    looks: bool,
    asked: str,
) -> None:
    old = keys.signing_key().kid
    new = set_states(store, "revoked", "active").records[1].kid
    clock.now += wall
    monotonic.now += mono
    if asked == "signing_key":
        assert keys.signing_key().kid == (new if looks else old)
    else:
        assert published(keys.current.jwks) == ([new] if looks else [old, new])


@pytest.mark.parametrize(("wall", "mono", "stale"), NOTICED)
def test_a_view_that_cannot_be_renewed_is_not_used_for_longer(
    keys: KeyRing,
    store: DirectoryKeyStore,
    clock: FakeClock,
    monotonic: FakeClock,
    passes: Callable[[float], None],
    wall: float,
    mono: float,
    stale: bool,
) -> None:
    store.ring_file.rename(store.path / "aside")
    clock.now += wall
    monotonic.now += mono
    if not stale:
        assert keys.signing_key()
        assert keys.current
        return
    for ask in (keys.signing_key, lambda: keys.current):
        with pytest.raises(KeysUnavailable) as refused:
            ask()
        assert refused.value.code == "keys_stale"
        assert str(store.path) not in refused.value.detail
        assert f"propagation_delay, {P} s" in refused.value.hint
        assert str(store.ring_file) in refused.value.hint
    assert keys.ring, "for the operator"
    (store.path / "aside").rename(store.ring_file)
    passes(JUST_NOW + 0.5)
    assert keys.signing_key()
    assert keys.current
    assert keys.problem is None


def test_each_look_begins_the_wait_anew(
    keys: KeyRing, store: DirectoryKeyStore, passes: Callable[[float], None]
) -> None:
    for _ in range(3):
        passes(P)
        keys.refresh()
        assert keys.age == 0
    store.ring_file.unlink()
    passes(P)
    keys.refresh()
    assert keys.age == P
    assert keys.signing_key()
    passes(1)
    with pytest.raises(KeysUnavailable, match="could not be read for so long"):
        keys.signing_key()


def _break_ring(store: DirectoryKeyStore) -> None:
    files.write(store.ring_file, b"{", files.PRIVATE)


def _lose_ring(store: DirectoryKeyStore) -> None:
    store.ring_file.unlink()


def _newer_release(store: DirectoryKeyStore) -> None:
    files.write(store.ring_file, b'{"version": 3, "keys": []}', files.PRIVATE)


def _open_ring(store: DirectoryKeyStore) -> None:
    files.write(store.ring_file, store.ring_file.read_bytes(), 0o666)


def _publish_nothing(store: DirectoryKeyStore) -> None:
    records = tuple(replace(key, state="removed") for key in store.ring().records)
    files.write(store.ring_file, to_json(Ring(records)), files.PRIVATE)


def _replace_key(store: DirectoryKeyStore) -> None:
    files.write(store.ring_file, store.ring_file.read_bytes(), files.PRIVATE)
    for path in store.path.glob("*.pem"):
        path.write_bytes(b"")


def _no_active(store: DirectoryKeyStore) -> None:
    first, second = store.ring().records
    retired = replace(first, state="retiring", retires_at=NOW)
    files.write(store.ring_file, to_json(Ring((retired, second))), files.PRIVATE)


@pytest.mark.parametrize(
    ("harm", "for_ever"),
    [
        (_no_active, True),
        (_break_ring, True),
        (_publish_nothing, True),
        (_lose_ring, False),
        (_newer_release, False),
        (_open_ring, False),
        (_replace_key, False),
    ],
)
def test_a_store_that_fails_leaves_the_last_good_keys(
    keys: KeyRing,
    store: DirectoryKeyStore,
    passes: Callable[[float], None],
    harm: Harm,
    for_ever: bool,
) -> None:
    """Without limit only where the ring itself was seen to become damaged.

    Nobody can change it from there.
    """
    kid, body, etag = keys.signing_key().kid, keys.current.jwks, keys.current.etag
    good = {path: path.read_bytes() for path in store.path.iterdir()}
    harm(store)
    passes(JUST_NOW)
    keys.refresh()
    passes(P - JUST_NOW)
    keys.refresh()
    assert (keys.signing_key().kid, keys.current.jwks, keys.current.etag) == (kid, body, etag)
    assert str(store.path) in (keys.problem or "")
    passes(JUST_NOW + 1)
    if for_ever:
        for _ in range(10):
            passes(86400)
            assert (keys.signing_key().kid, keys.current.etag) == (kid, etag)
    else:
        with pytest.raises(KeysUnavailable) as refused:
            keys.signing_key()
        assert refused.value.code == "keys_stale"
    for path, data in good.items():
        files.write(path, data, files.PRIVATE)
    keys.refresh()
    assert keys.problem is None
    assert (keys.signing_key().kid, keys.current.etag) == (kid, etag)


@pytest.mark.parametrize("harm", [_break_ring, _publish_nothing, _no_active])
@pytest.mark.parametrize(("wall", "mono"), [(2.5, 0), (0, 2.5), (-86400, 2.5), (P, P)])
def test_damage_that_was_not_seen_to_happen_gives_no_more_time(
    keys: KeyRing,
    store: DirectoryKeyStore,
    clock: FakeClock,
    monotonic: FakeClock,
    passes: Callable[[float], None],
    harm: Harm,
    wall: float,
    mono: float,
) -> None:
    """Between the last look and the damage another may have revoked the key that signs here."""
    harm(store)
    clock.now += wall
    monotonic.now += mono
    keys.refresh()
    assert keys.signing_key(), "for propagation_delay"
    for _ in range(P):
        passes(1)
        keys.refresh()
    passes(1)
    for ask in (keys.signing_key, lambda: keys.current):
        with pytest.raises(KeysUnavailable) as refused:
            ask()
        assert refused.value.code == "keys_stale"


def test_damage_that_ends_in_another_failure_gives_no_more_time(
    keys: KeyRing, store: DirectoryKeyStore, passes: Callable[[float], None]
) -> None:
    _break_ring(store)
    keys.refresh()
    passes(10)
    keys.refresh()
    _lose_ring(store)
    passes(10)
    keys.refresh()
    _break_ring(store)
    for _ in range(P):
        passes(1)
        keys.refresh()
    with pytest.raises(KeysUnavailable) as refused:
        keys.signing_key()
    assert refused.value.code == "keys_stale"


@pytest.mark.parametrize(
    ("harm", "says"),
    [(_break_ring, "not JSON"), (_no_active, "no key that signs")],
)
def test_a_damaged_ring_stops_the_start(
    store: DirectoryKeyStore, make_keys: MakeKeys, harm: Harm, says: str
) -> None:
    harm(store)
    with pytest.raises(RingDamaged, match=says):
        make_keys()


def test_a_damaged_ring_that_is_restored_is_followed_again(
    keys: KeyRing, store: DirectoryKeyStore, passes: Callable[[float], None], set_states: SetStates
) -> None:
    whole = store.ring_file.read_bytes()
    _break_ring(store)
    keys.refresh()
    passes(86400)
    keys.refresh()
    files.write(store.ring_file, whole, files.PRIVATE)
    ring = set_states(store, "revoked", "active")
    keys.refresh()
    assert keys.signing_key().kid == ring.records[1].kid
    assert keys.problem is None


def test_a_key_that_was_refused_is_looked_at_again(keys: KeyRing, store: DirectoryKeyStore) -> None:
    """``chmod`` heals without any change to the ring."""
    files.write(store.ring_file, store.ring_file.read_bytes(), files.PRIVATE)
    for path in store.path.glob("*.pem"):
        path.chmod(0o644)
    keys.refresh()
    assert "chmod 600" in (keys.problem or "")
    for path in store.path.glob("*.pem"):
        path.chmod(0o600)
    keys.refresh()
    assert keys.problem is None


# Where the new signing key cannot be read


def _close(store: DirectoryKeyStore, kid: str) -> None:
    (store.path / f"{kid}.pem").chmod(0o644)


def test_the_predecessor_goes_on_as_long_as_others_wait_for_us(
    keys: KeyRing,
    store: DirectoryKeyStore,
    passes: Callable[[float], None],
    set_states: SetStates,
) -> None:
    old, new = (key.kid for key in set_states(store, "retiring", "active").records)
    _close(store, new)
    for _ in range(P):
        keys.refresh()
        assert keys.signing_key().kid == old
        assert set(published(keys.current.jwks)) == {old, new}
        assert "chmod 600" in (keys.problem or "")
        passes(1)
    assert keys.signing_key().kid == old
    passes(1)
    keys.refresh()
    with pytest.raises(KeysUnavailable) as refused:
        keys.signing_key()
    assert refused.value.code == "keys_stale"
    assert "chmod 600" in refused.value.hint
    assert set(published(keys.current.jwks)) == {old, new}, "what is published is up to date"
    (store.path / f"{new}.pem").chmod(0o600)
    keys.refresh()
    assert keys.signing_key().kid == new


def test_a_revoked_key_does_not_go_on_even_where_the_new_one_cannot_be_read(
    keys: KeyRing, store: DirectoryKeyStore, set_states: SetStates
) -> None:
    old, new = (key.kid for key in set_states(store, "revoked", "active").records)
    _close(store, new)
    keys.refresh()
    with pytest.raises(KeysUnavailable, match="no key may sign") as refused:
        keys.signing_key()
    assert str(store.path) not in refused.value.detail
    assert published(keys.current.jwks) == [new]
    assert old not in keys.current.signing
    (store.path / f"{new}.pem").chmod(0o600)
    keys.refresh()
    assert keys.signing_key().kid == new


def test_a_next_key_that_cannot_be_read_is_told_while_it_is_not_needed(
    keys: KeyRing, store: DirectoryKeyStore, passes: Callable[[float], None]
) -> None:
    old = keys.signing_key().kid
    new = operate(store).prepare().records[-1].kid
    _close(store, new)
    for _ in range(3):
        keys.refresh()
        assert "chmod 600" in (keys.problem or "")
        assert keys.signing_key().kid == old
        assert new in published(keys.current.jwks)
        passes(P)


def test_a_changed_algorithm_waits_for_its_key(
    store: DirectoryKeyStore, make_keys: MakeKeys
) -> None:
    keys = make_keys("EdDSA")
    old = store.ring().records[0]
    assert keys.signing_key().kid == old.kid

    other = DirectoryKeyStore(store.path.parent / "other", None)
    new = operate(other, alg="EdDSA", clock=lambda: NOW + 100).init().records[0]
    (store.path / f"{new.kid}.pem").write_bytes((other.path / f"{new.kid}.pem").read_bytes())
    (store.path / f"{new.kid}.pem").chmod(0o600)
    ring = Ring((*store.ring().records, new))
    files.write(store.ring_file, to_json(ring), files.PRIVATE)
    keys.refresh()
    assert keys.signing_key().kid == new.kid
    assert make_keys("ES256").signing_key().kid == old.kid
    assert make_keys("ES384").signing_key().kid == new.kid, "the youngest goes on"


# Others at the same time


class Racing(DirectoryKeyStore):
    """Another process changes the keys between our look at the ring and at a private half."""

    def __init__(self, store: DirectoryKeyStore, change: Callable[[], object]) -> None:
        super().__init__(store.path, None)
        self._change: Callable[[], object] | None = change

    def signing_key(self, record: KeyRecord) -> SigningKey:
        change, self._change = self._change, None
        if change is not None:
            change()
        return super().signing_key(record)


def _rotated(store: DirectoryKeyStore) -> Callable[[], object]:
    return lambda: operate(store, clock=lambda: NOW + TIMING.known_everywhere).rotate()


def test_a_service_can_start_in_the_middle_of_a_rotation(store: DirectoryKeyStore) -> None:
    loaded = load(Racing(store, _rotated(store)))
    assert loaded.ring == store.ring()
    assert list(loaded.signing) == [store.ring().in_state("active")[0].kid]


def test_a_look_in_the_middle_of_a_rotation_is_made_good_by_the_next(
    store: DirectoryKeyStore, clock: FakeClock, monotonic: FakeClock
) -> None:
    racing = Racing(store, lambda: None)
    keys = KeyRing(racing, "ES256", clock, propagation_delay=P, monotonic=monotonic)
    operate(store).prepare()
    racing._change = _rotated(store)
    keys.refresh()
    assert verify(keys.signing_key().sign({"sub": "ada"}), keys.current.jwks)
    keys.refresh()
    assert keys.problem is None
    assert keys.ring == store.ring()
    assert keys.signing_key().kid == store.ring().in_state("active")[0].kid


def test_a_look_that_takes_long_does_not_pass_for_a_new_one(
    store: DirectoryKeyStore, clock: FakeClock, monotonic: FakeClock
) -> None:
    """What was true when it began may be P old when it ends."""

    class Slow(DirectoryKeyStore):
        seconds = 0.0

        def version(self) -> tuple[int, int, int]:
            found = super().version()
            monotonic.now += self.seconds
            return found

    slow = Slow(store.path, None)
    keys = KeyRing(slow, "ES256", clock, propagation_delay=P, monotonic=monotonic)
    slow.seconds = P + 1
    keys.refresh()
    assert keys.age == P + 1
    with pytest.raises(KeysUnavailable, match="could not be read for so long"):
        keys.signing_key()


def test_requests_look_only_where_nobody_has_tried(
    store: DirectoryKeyStore, clock: FakeClock, monotonic: FakeClock
) -> None:
    """Each would wait for a store that does not answer, until no thread is left."""

    class Dead(DirectoryKeyStore):
        dead = False
        looks = 0

        def version(self) -> tuple[int, int, int]:
            self.looks += 1
            if self.dead:
                raise KeysUnavailable("no answer")
            return super().version()

    dead = Dead(store.path, None)
    keys = KeyRing(dead, "ES256", clock, propagation_delay=P, monotonic=monotonic)
    dead.dead = True
    monotonic.now += P + 1
    dead.looks = 0
    for wait, looks in ((0.0, 1), (0.0, 1), (JUST_NOW, 1), (0.5, 2), (1.0, 2)):
        monotonic.now += wait
        for ask in (keys.signing_key, lambda: keys.current):
            with pytest.raises(KeysUnavailable, match="could not be read for so long"):
                ask()
        assert dead.looks == looks
    keys.refresh()
    assert dead.looks == 3, "whoever keeps the keys always looks"
    dead.dead = False
    monotonic.now += JUST_NOW + 0.5
    assert keys.signing_key()
    assert keys.current
    assert dead.looks == 4


class Stuck(DirectoryKeyStore):
    """While it is ``stuck``, a look has ``entered`` and waits until it may ``go_on``."""

    def __init__(self, path: Path) -> None:
        super().__init__(path, None)
        self.stuck = False
        self.entered, self.go_on = threading.Event(), threading.Event()

    def version(self) -> tuple[int, int, int]:
        if self.stuck:
            self.entered.set()
            assert self.go_on.wait(10)
        return super().version()

    def look(self, keys: KeyRing) -> threading.Thread:
        """A thread that has begun to look."""
        self.stuck = True
        thread = threading.Thread(target=keys.refresh)
        thread.start()
        assert self.entered.wait(10)
        return thread


def test_while_one_thread_looks_the_others_do_not_wait(
    store: DirectoryKeyStore, clock: FakeClock, monotonic: FakeClock
) -> None:
    stuck = Stuck(store.path)
    keys = KeyRing(stuck, "ES256", clock, propagation_delay=P, monotonic=monotonic)
    thread = stuck.look(keys)
    keys.refresh()
    assert keys.signing_key()
    monotonic.now += P + 1
    began = time.monotonic()
    for _ in range(20):
        with pytest.raises(KeysUnavailable) as refused:
            keys.signing_key()
        assert refused.value.code == "keys_stale"
    assert time.monotonic() - began < 3, "one may wait a little, the rest must not"
    stuck.go_on.set()
    thread.join()
    stuck.stuck = False
    keys.refresh()
    assert keys.signing_key()


def test_a_request_after_a_sleep_waits_for_the_look_of_another_thread(
    store: DirectoryKeyStore, clock: FakeClock, monotonic: FakeClock
) -> None:
    stuck = Stuck(store.path)
    keys = KeyRing(stuck, "ES256", clock, propagation_delay=P, monotonic=monotonic)
    monotonic.now += P + 1
    thread = stuck.look(keys)
    threading.Timer(0.02, stuck.go_on.set).start()
    assert keys.signing_key()
    assert keys.current
    thread.join()


def test_threads_always_see_a_whole_set(
    keys: KeyRing, store: DirectoryKeyStore, clock: FakeClock, set_states: SetStates
) -> None:
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
        keys.refresh()
        clock.now += 1
        signed.add(keys.signing_key().kid)
    stop.set()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert keys.problem is None
    assert signed == {key.kid for key in store.ring().records}
