"""Keys of a running service where the store is not what it was: gone back, or not quite whole."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace

import pytest
from keys_support import NOW, TIMING, operate, published

from embedjwt.errors import KeysExposed, KeysUnavailable
from embedjwt.keys import DirectoryKeyStore, KeyRing, files
from embedjwt.keys.document import to_json
from tests_support import FakeClock

P = TIMING.propagation_delay
Start = Callable[[], KeyRing]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(NOW)


@pytest.fixture
def start(store: DirectoryKeyStore, clock: FakeClock) -> Start:
    """A service that starts now; both of its clocks are one."""
    return lambda: KeyRing(store, "ES256", clock, propagation_delay=P, monotonic=clock)


def code(keys: KeyRing) -> str:
    with pytest.raises(KeysUnavailable) as problem:
        keys.check()
    assert problem.value.diagnostics() == keys.problem
    return problem.value.code


# A store that went back


def test_a_key_that_was_revoked_does_not_come_back(
    store: DirectoryKeyStore, start: Start, clock: FakeClock
) -> None:
    """A restored backup must not make verifiers trust a leaked key again."""
    backup = store.ring_file.read_bytes()
    leaked, heir = (key.kid for key in store.ring().records)
    keys = start()
    operate(store).revoke(leaked, reason="leaked")
    keys.refresh()
    files.write(store.ring_file, backup, files.PRIVATE)
    for _ in range(P):
        clock.now += 1
        keys.refresh()
        assert keys.signing_key().kid == heir
        assert leaked not in published(keys.current.jwks)
    assert code(keys) == "keys_went_back"
    assert f"embedjwt keys revoke {leaked}" in (keys.problem or "")
    clock.now += 1
    keys.refresh()
    for ask in (keys.signing_key, lambda: keys.current):
        with pytest.raises(KeysUnavailable) as refused:
            ask()
        assert refused.value.code == "keys_stale"
    operate(store).revoke(leaked, reason="revoked before the restore")
    keys.refresh()
    assert keys.problem is None
    assert keys.signing_key().kid == heir
    assert leaked not in published(keys.current.jwks)


def test_a_revocation_is_known_to_who_started_after_it(
    store: DirectoryKeyStore, start: Start
) -> None:
    backup = store.ring_file.read_bytes()
    leaked = store.ring().records[0].kid
    operate(store).revoke(leaked, reason="leaked")
    keys = start()
    files.write(store.ring_file, backup, files.PRIVATE)
    keys.refresh()
    assert code(keys) == "keys_went_back"


def test_a_store_without_a_key_whose_tokens_are_alive_is_not_followed(
    store: DirectoryKeyStore, start: Start, clock: FakeClock
) -> None:
    """They would be refused from then on; where it is meant, a restart accepts it."""
    keys = start()
    old, jwks = keys.signing_key().kid, keys.current.jwks
    other = DirectoryKeyStore(store.path.parent / "other", None)
    new = operate(other).init().records[0].kid
    shutil.copytree(other.path, store.path, dirs_exist_ok=True)
    for _ in range(P):
        clock.now += 1
        keys.refresh()
        assert keys.signing_key().kid == old
        assert keys.current.jwks == jwks
    assert code(keys) == "keys_went_back"
    assert "restart embedjwt" in (keys.problem or "")
    clock.now += 1
    with pytest.raises(KeysUnavailable) as refused:
        keys.signing_key()
    assert refused.value.code == "keys_stale"
    again = start()
    assert again.problem is None
    assert again.signing_key().kid == new


@pytest.mark.parametrize(
    ("state", "followed"), [("active", False), ("retiring", False), ("next", True)]
)
def test_a_ring_that_lacks_a_single_record(
    store: DirectoryKeyStore, start: Start, state: str, followed: bool
) -> None:
    """A key that retires has tokens as alive as those of the one that signs."""
    operate(store, alg="EdDSA").prepare()
    operate(store, alg="EdDSA").prepare()
    whole = operate(store, alg="EdDSA").activate(store.ring().records[1].kid, force=True)
    other = next(key for key in whole.records if key.alg == "EdDSA")
    spare = replace(other, state="active", activates_at=NOW)  # of another algorithm
    whole = replace(whole, records=(spare, *(key for key in whole.records if key != other)))
    files.write(store.ring_file, to_json(whole), files.PRIVATE)
    keys = start()
    lost = next(key for key in whole.records if key.state == state and key != spare)
    rest = replace(whole, records=tuple(key for key in whole.records if key != lost))
    files.write(store.ring_file, to_json(rest), files.PRIVATE)
    keys.refresh()
    assert keys.ring == (rest if followed else whole)
    if not followed:
        assert code(keys) == "keys_went_back"
        assert lost.kid in (keys.problem or "")
        # Had it gone on since, for so long that the dead are forgotten, it would be followed.
        on = replace(rest, revision=whole.revision + 1)
        files.write(store.ring_file, to_json(on), files.PRIVATE)
        keys.refresh()
        assert keys.ring == on


def test_a_store_that_only_lost_a_waiting_key_is_followed(
    store: DirectoryKeyStore, start: Start
) -> None:
    """It never signed: nothing that is alive needs it."""
    backup = store.ring_file.read_bytes()
    operate(store).prepare()
    keys = start()
    files.write(store.ring_file, backup, files.PRIVATE)
    keys.refresh()
    assert keys.ring == store.ring()
    assert len(keys.ring.records) == 2


# What is not needed yet


def test_a_waiting_key_that_cannot_be_used_does_not_keep_a_service_from_starting(
    store: DirectoryKeyStore, start: Start
) -> None:
    active, waiting = (key.kid for key in store.ring().records)
    file = store.path / f"{waiting}.pem"
    whole = file.read_bytes()
    file.unlink()
    keys = start()
    assert keys.signing_key().kid == active
    assert published(keys.current.jwks) == [active, waiting]
    with pytest.raises(KeysUnavailable, match="a key that waits cannot be used") as problem:
        keys.check()
    assert str(file) in problem.value.detail
    assert f"embedjwt keys revoke {waiting} --reason" in problem.value.hint
    keys.refresh()
    assert keys.problem == problem.value.diagnostics(), "for as long as it lasts"
    files.write(file, whole, files.PRIVATE)
    keys.refresh()
    assert keys.problem is None
    keys.check()


def test_what_the_hint_says_replaces_a_waiting_key(store: DirectoryKeyStore, start: Start) -> None:
    active, waiting = (key.kid for key in store.ring().records)
    (store.path / f"{waiting}.pem").unlink()
    keys = start()
    operate(store).revoke(waiting, reason="lost")
    keys.refresh()
    assert keys.problem is None
    assert keys.signing_key().kid == active
    assert [key.state for key in keys.ring.records] == ["active", "revoked", "next"]


def test_published_keys_that_cannot_be_repaired_do_not_keep_a_service_from_starting(
    store: DirectoryKeyStore, start: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = store.jwks_file.read_bytes()
    store.jwks_file.write_bytes(b'{"keys":[]}')

    def full(*_: object) -> None:
        raise KeysUnavailable("disk full", hint="free it")

    with monkeypatch.context() as patch:
        patch.setattr(files, "write", full)
        keys = start()
        assert keys.signing_key()
        assert keys.current.jwks == whole
        with pytest.raises(KeysUnavailable, match="cannot be repaired: disk full"):
            keys.check()
    assert json.loads(store.jwks_file.read_bytes()) == {"keys": []}
    keys.refresh()
    assert keys.problem is None
    assert store.jwks_file.read_bytes() == whole


@pytest.mark.parametrize("state", ["active", "next"])
@pytest.mark.parametrize("exposed", [True, False], ids=["exposed", "lost"])
def test_what_is_needed_or_may_be_known_to_others_keeps_a_service_from_starting(
    store: DirectoryKeyStore, start: Start, state: str, exposed: bool
) -> None:
    (key,) = (key for key in store.ring().records if key.state == state)
    file = store.path / f"{key.kid}.pem"
    if exposed:
        file.chmod(0o644)
        with pytest.raises(KeysExposed, match="read or changed by others"):
            start()
        file.chmod(0o600)
        assert start().problem is None
        return
    file.rename(store.path / "aside")
    if state == "active":
        with pytest.raises(KeysUnavailable, match="cannot be read"):
            start()
    else:
        assert "cannot be read" in (start().problem or "")
