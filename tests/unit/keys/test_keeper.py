"""The keeper of a running service: follows, rotates when due, and trusts no clock that is set."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, MutableMapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import pytest
from keys_support import NOW, PATHS, TIMING, check_whole, operate

from embedjwt.keys import DirectoryKeyStore, KeyRing, files
from embedjwt.keys.directory import DirectoryChange
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.keeper import Keeper
from embedjwt.keys.ring import KeyRecord
from embedjwt.keys.signer import generate
from embedjwt.keys.timing import Timing
from tests_support import FakeClock

KNOWN, OVERLAP, EVERY = TIMING.known_everywhere, TIMING.overlap, TIMING.rotate_every
DAYS = 86400
Logs = list[MutableMapping[str, Any]]


class Attempts(DirectoryKeyStore):
    """Counts how often anyone wanted to change it."""

    count = 0

    def changing(self, *, wait: bool = True) -> AbstractContextManager[DirectoryChange]:
        self.count += 1
        return super().changing(wait=wait)


@dataclass
class World:
    """A store, two clocks that only a test moves, and the keepers of as many processes."""

    store: DirectoryKeyStore
    wall: FakeClock = field(default_factory=lambda: FakeClock(NOW))
    monotonic: FakeClock = field(default_factory=lambda: FakeClock(1000.0))
    timing: Timing = TIMING
    keepers: list[Keeper] = field(default_factory=list)

    def start(self, alg: str = "ES256") -> Keeper:
        """One more process."""
        keys = KeyRing(
            self.store,
            alg,
            self.wall,
            propagation_delay=self.timing.propagation_delay,
            monotonic=self.monotonic,
        )
        operator = operate(
            self.store, alg=alg, clock=self.wall, timing=self.timing, actor="service"
        )
        self.keepers.append(Keeper(keys, operator, monotonic=self.monotonic))
        return self.keepers[-1]

    def restart(self) -> None:
        self.keepers.clear()
        self.start()

    def let(self, seconds: float, look_every: float = 60) -> None:
        """Time passes by both clocks, and every keeper looks from time to time."""
        while seconds > 0:
            step = min(seconds, look_every)
            self.wall.now += step
            self.monotonic.now += step
            seconds -= step
            self.tick()

    def set_wall_forward(self, seconds: float) -> None:
        self.wall.now += seconds
        self.tick()

    def tick(self) -> None:
        for keeper in self.keepers:
            keeper.tick()

    def states(self) -> list[str]:
        return [key.state for key in self.store.ring().records]

    def key(self, number: int) -> KeyRecord:
        return self.store.ring().records[number]


@pytest.fixture
def world(store: DirectoryKeyStore) -> World:
    return World(store)


def events(logs: Logs, name: str) -> Logs:
    return [entry for entry in logs if entry["event"] == name]


# Following and rotating


def test_a_change_is_taken_up_by_one_look(world: World, logs: Logs) -> None:
    keeper = world.start()
    keys = keeper._keys
    ring = operate(world.store).prepare()
    assert keys.ring != ring
    keeper.tick()
    assert keys.ring == ring
    operate(world.store).revoke(ring.records[0].kid, reason="leaked")
    keeper.tick()
    assert keys.signing_key().kid == ring.records[1].kid
    assert events(logs, "key_rotation_failed") == []


def test_keys_rotate_when_it_is_time(world: World) -> None:
    world.start()
    world.tick()
    world.let(EVERY - TIMING.lead - 1)
    assert world.states() == ["active", "next"]
    world.let(1)
    assert world.states() == ["active", "next", "next"]
    assert world.key(2).published_at == NOW + EVERY - TIMING.lead
    world.let(TIMING.lead - 1)
    assert world.states() == ["active", "next", "next"]
    world.let(1)
    assert world.states() == ["retiring", "active", "next"]
    assert world.key(0).retires_at == world.key(1).activates_at == NOW + EVERY
    world.let(OVERLAP - 1)
    assert world.states() == ["retiring", "active", "next"]
    world.let(1)
    assert world.states() == ["removed", "active", "next"]
    check_whole(world.store)


def test_weeks_of_rotation_keep_one_key_that_signs_and_one_that_waits(world: World) -> None:
    world.start()
    for day in range(1, 25):
        world.let(DAYS)
        assert world.states()[-3:] == ["retiring", "active", "next"], day
    loaded = check_whole(world.store)
    assert len(loaded.ring.in_state("removed")) == 20
    assert len(list(world.store.path.glob("*.pem"))) == 2


def test_every_transition_is_in_the_audit_trail(world: World, logs: Logs) -> None:
    world.start()
    world.let(EVERY + OVERLAP)
    first, second, third = (key.kid for key in world.store.ring().records)
    trail = events(logs, "key_transition")
    assert [(e["kid"], e["before"], e["after"], e["revision"]) for e in trail] == [
        (third, None, "next", 2),
        (first, "active", "retiring", 3),
        (second, "next", "active", 3),
        (first, "retiring", "removed", 4),
    ]
    assert {(e["audit"], e["actor"], e["alg"]) for e in trail} == {(True, "service", "ES256")}


def test_another_algorithm_takes_over_by_an_ordinary_rotation(world: World) -> None:
    world.start("EdDSA")
    world.tick()
    assert [(key.alg, key.state) for key in world.store.ring().records] == [
        ("ES256", "active"),
        ("ES256", "next"),
        ("EdDSA", "next"),
        ("EdDSA", "next"),
    ]
    world.let(KNOWN - 1)
    assert world.states() == ["active", "next", "next", "next"]
    world.let(1)
    assert world.states() == ["retiring", "removed", "active", "next"]


@pytest.mark.parametrize("days", [1, 40])
def test_without_a_period_only_dead_keys_are_removed(world: World, days: int) -> None:
    world.timing = replace(TIMING, rotate_every=0)
    operate(world.store, timing=world.timing).activate(force=True)
    before = world.store.ring()
    world.start()
    world.tick()
    world.let(OVERLAP - 1)
    assert world.store.ring() == before
    world.let(1)
    assert world.states() == ["removed", "active", "next"]
    world.let(days * DAYS, look_every=3600)
    assert world.states() == ["removed", "active", "next"]


# Clocks and restarts


def test_a_wall_clock_put_forward_ends_no_wait(world: World) -> None:
    world.start()
    world.tick()
    world.set_wall_forward(10 * DAYS)
    assert world.states() == ["active", "next", "next"], "a key may always be published"
    world.set_wall_forward(10 * DAYS)
    for _ in range(3):
        world.set_wall_forward(10 * DAYS)
        assert world.states() == ["active", "next", "next"]
    world.let(KNOWN - 1)
    assert world.states() == ["active", "next", "next"]
    world.let(1)
    assert world.states() == ["retiring", "active", "next"]
    world.let(OVERLAP - 1)
    # By the wall clock it is the new key's time as well; one more is published.
    world.set_wall_forward(10 * DAYS)
    assert world.states()[:2] == ["retiring", "active"]
    world.let(1)
    assert world.states()[:2] == ["removed", "active"]


def test_a_wall_clock_put_back_delays_and_never_hastens(world: World) -> None:
    world.start()
    world.let(EVERY)
    assert world.states() == ["retiring", "active", "next"]
    world.wall.now -= DAYS
    world.let(OVERLAP)
    assert world.states() == ["retiring", "active", "next"]
    assert world.key(0).retires_at == NOW + EVERY
    world.set_wall_forward(DAYS)
    assert world.states() == ["removed", "active", "next"]


def test_a_restart_begins_to_watch_anew(world: World) -> None:
    world.start()
    world.let(EVERY - 1)
    world.restart()
    world.let(KNOWN - 1)
    assert world.states() == ["active", "next", "next"], "overdue, and yet"
    world.restart()
    world.let(KNOWN - 1)
    assert world.states() == ["active", "next", "next"]
    world.let(1)
    assert world.states() == ["retiring", "active", "next"]
    world.let(OVERLAP - 1)
    world.restart()
    world.let(OVERLAP - 1)
    assert world.states() == ["retiring", "active", "next"]
    world.let(1)
    assert world.states() == ["removed", "active", "next"]


def test_what_happened_before_it_was_seen_is_not_counted(world: World) -> None:
    """A key counts from when this process first saw it, whatever its record says."""
    world.start()
    world.let(EVERY - KNOWN)  # its own key has been published in time
    keeper = world.start()
    world.keepers = [keeper]
    world.let(KNOWN - 60)
    assert world.states() == ["active", "next", "next"]
    world.let(60)
    assert world.states() == ["retiring", "active", "next"]


def test_a_key_with_which_others_sign_stays_however_the_wall_clock_is_set(world: World) -> None:
    jwk = public_jwk(generate("ES256").public_key(), "ES256")
    operate(world.store).adopt_retiring({**jwk, "kid": "theirs"}, signs_until=NOW + DAYS)
    world.start()
    world.tick()
    world.set_wall_forward(10 * DAYS)
    world.let(OVERLAP - 1)
    assert world.key(2).state == "retiring", "the other program's last token may be alive"
    world.let(1)
    assert world.key(2).state == "removed"


def test_a_key_with_which_others_sign_leaves_although_services_restart(world: World) -> None:
    jwk = public_jwk(generate("ES256").public_key(), "ES256")
    operate(world.store).adopt_retiring({**jwk, "kid": "theirs"}, signs_until=NOW + 20 * DAYS)
    world.start()
    for _ in range(20):
        world.let(DAYS - 1, look_every=600)
        world.restart()
        world.let(1)
    world.let(OVERLAP - 1)
    assert world.store.ring().find("theirs").state == "retiring", "wall clock"
    world.let(1)
    assert world.store.ring().find("theirs").state == "removed"


# Several at once


def test_of_many_keepers_one_acts(world: World, logs: Logs) -> None:
    for _ in range(4):
        world.start()
    world.let(EVERY + OVERLAP)
    assert world.states() == ["removed", "active", "next"]
    assert world.store.ring().revision == 4, "published, handed over, removed: each once"
    trail = events(logs, "key_transition")
    mine = [entry for entry in trail if "observed" not in entry]
    assert len(mine) == len({(entry["kid"], entry["after"]) for entry in mine}) == 4
    observed = [entry for entry in trail if "observed" in entry]
    assert len(observed) == 3 * len(mine), "in the logs of the others, too"
    assert events(logs, "key_rotation_failed") == []
    assert len({keeper._keys.signing_key().kid for keeper in world.keepers}) == 1


@pytest.mark.parametrize("turn", range(5))
def test_of_keepers_that_look_in_the_same_moment_one_acts(
    world: World, logs: Logs, turn: int
) -> None:
    keepers = [world.start() for _ in range(4)]
    world.let(EVERY - 1)
    world.wall.now += 1
    world.monotonic.now += 1
    together = threading.Barrier(len(keepers))

    def look(keeper: Keeper) -> None:
        together.wait(10)
        keeper.tick()

    threads = [threading.Thread(target=look, args=(keeper,)) for keeper in keepers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    world.tick()
    assert world.states() == ["retiring", "active", "next"]
    assert world.store.ring().revision == 3
    assert events(logs, "key_rotation_failed") == []
    assert {keeper._keys.ring.revision for keeper in keepers} == {3}


def test_while_another_process_changes_the_store_nothing_is_said(world: World, logs: Logs) -> None:
    world.start()
    world.let(EVERY - 1)
    logs.clear()
    with world.store.changing():
        world.let(30, look_every=0.5)
        assert world.states() == ["active", "next", "next"]
    assert logs == []
    world.tick()
    assert world.states() == ["retiring", "active", "next"], "without waiting a minute"


def test_a_store_that_is_held_for_more_than_a_minute_is_told(world: World, logs: Logs) -> None:
    world.start()
    world.let(EVERY - 1)
    logs.clear()
    with world.store.changing():
        world.let(1 + 60, look_every=0.5)
        assert logs == []
        world.let(60, look_every=0.5)
        (told,) = logs
        assert (told["event"], told["log_level"]) == ("key_store_busy", "warning")
        assert ".lock" in told["detail"]
        assert "fuser" in told["hint"]
    world.tick()
    assert world.states() == ["retiring", "active", "next"]
    world.wall.now += EVERY
    logs.clear()
    with world.store.changing():
        world.let(30, look_every=0.5)
    assert events(logs, "key_store_busy") == [], "a new wait counts from its own beginning"


@pytest.mark.parametrize("acts", ["activate", "prepare", "revoke"])
def test_what_others_did_is_in_the_log_of_every_service(
    world: World, logs: Logs, acts: str
) -> None:
    """A command's own log is often a terminal that is gone."""
    world.start()
    world.tick()
    other = operate(world.store, actor="keys revoke (ada@laptop)")
    if acts == "activate":
        other.activate(force=True)
    elif acts == "prepare":
        other.prepare()
    else:
        other.revoke(world.key(0).kid, reason="leaked")
    done = events(logs, "key_transition")
    logs.clear()
    world.tick()
    seen = events(logs, "key_transition")
    assert seen == [{**entry, "observed": True} for entry in done]
    assert {entry["actor"] for entry in seen} == {"keys revoke (ada@laptop)"}
    logs.clear()
    world.let(10)
    assert logs == [], "once"


def test_a_store_that_went_back_is_told(world: World, logs: Logs) -> None:
    world.start()
    backup = world.store.ring_file.read_bytes()
    operate(world.store).prepare()
    world.tick()
    logs.clear()
    files.write(world.store.ring_file, backup, files.PRIVATE)
    world.let(10)
    (told,) = logs
    assert (told["event"], told["log_level"]) == ("key_store_went_back", "warning")
    assert (told["revision"], told["was"]) == (1, 2)


# Failures


def test_who_may_not_write_follows_and_says_so_once(
    world: World, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store = store = Attempts(world.store.path, None)
    reader = world.start()
    with monkeypatch.context() as patch:
        patch.setattr(os, "access", lambda *_, **__: False)
        world.let(EVERY, look_every=30)
        assert 24 <= store.count <= 25, "once an hour, also when a key is due"
        (told,) = logs
        assert (told["event"], told["log_level"]) == ("keys_followed_only", "info")
        assert str(store.path) in told["detail"]
    ring = operate(DirectoryKeyStore(store.path, None)).prepare()
    world.tick()
    assert reader._keys.ring == ring
    world.let(KNOWN)
    assert world.states() == ["retiring", "active", "next"], "as soon as it may, it rotates"


def test_a_waiting_key_that_is_lost_is_replaced_before_its_turn(world: World, logs: Logs) -> None:
    lost = world.key(1).kid
    (world.store.path / f"{lost}.pem").unlink()
    world.start()
    world.let(EVERY - TIMING.lead)
    assert world.states() == ["active", "next", "next", "next"], "two that can sign"
    world.let(TIMING.lead)
    assert world.states() == ["retiring", "next", "active", "next"]
    assert world.keepers[0]._keys.signing_key().kid == world.key(2).kid
    (problem,) = events(logs, "key_store_problem")
    assert f"embedjwt keys revoke {lost}" in problem["detail"]
    operate(world.store).revoke(lost, reason="lost")
    world.tick()
    assert len(events(logs, "key_store_recovered")) == 1


def test_a_store_that_cannot_be_written_is_tried_again_after_a_while(
    world: World, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.store = store = Attempts(world.store.path, None)
    world.start()
    world.let(EVERY - 1)
    logs.clear()
    store.count = 0
    tried: list[float] = []
    real = os.open

    def refused(path: Any, flags: int, *args: Any, **named: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR):
            raise OSError(errno.EROFS, os.strerror(errno.EROFS), str(path))
        return real(path, flags, *args, **named)

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", refused)
        for second in range(3 * 3600):
            world.let(1, look_every=1)
            if store.count > len(tried):
                tried.append(second)
            assert len(events(logs, "key_rotation_failed")) == len(tried) == store.count
    gaps = [later - sooner for sooner, later in pairwise(tried)]
    assert tried[0] == 0, "at once"
    assert gaps[:6] == [60, 120, 240, 480, 960, 1920], "each failure doubles it"
    assert max(gaps) <= 3600
    failure = events(logs, "key_rotation_failed")[0]
    assert failure["log_level"] == "warning"
    assert "Read-only file system" in failure["detail"]
    assert failure["hint"]
    assert world.states() == ["active", "next", "next"]
    assert world.keepers[0]._keys.signing_key(), "it goes on"
    world.let(3600)
    assert world.states() == ["retiring", "active", "next"]


def test_a_problem_of_the_store_is_told_once_and_so_is_its_end(world: World, logs: Logs) -> None:
    world.start()
    whole = world.store.ring_file.read_bytes()
    world.store.ring_file.write_bytes(b"{")
    world.let(300, look_every=0.5)
    (problem,) = events(logs, "key_store_problem")
    assert problem["log_level"] == "error"
    assert "ring.json is not JSON" in problem["detail"]
    assert events(logs, "key_store_recovered") == []
    world.store.ring_file.write_bytes(whole)
    world.let(300, look_every=0.5)
    assert len(events(logs, "key_store_problem")) == len(events(logs, "key_store_recovered")) == 1


def test_what_a_killed_process_left_is_tidied(world: World) -> None:
    def leave() -> list[str]:
        world.store.jwks_file.write_bytes(b'{"keys":[]}')
        names = [f"{world.key(0).kid}.pem", ".ring.json.0123456789abcdef.tmp"]
        for name in names:
            (world.store.path / name).write_text("left")
        return names

    def left() -> list[str]:
        return [name for name in names if (world.store.path / name).exists()]

    operate(world.store).activate(force=True)
    assert world.states() == ["retiring", "active", "next"]
    names = leave()
    world.start()
    world.tick()
    assert left() == [], "at the start"
    check_whole(world.store)
    leave()
    world.let(3599)
    assert left() == names
    world.let(1)
    assert left() == [], "within an hour"
    check_whole(world.store)


# The thread


def until(happened: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_the_thread_looks_and_outlives_what_goes_wrong(world: World, logs: Logs) -> None:
    class Odd(DirectoryKeyStore):
        wrong = False

        def version(self) -> tuple[int, int, int]:
            if self.wrong:
                self.wrong = False
                raise RuntimeError("a bug")
            return super().version()

    world.store = odd = Odd(world.store.path, None)
    keeper = world.start()
    others = set(threading.enumerate())
    odd.wrong = True
    keeper.start()
    until(lambda: events(logs, "key_keeper_failed"))
    ring = operate(world.store).prepare()
    until(lambda: keeper._keys.ring == ring)
    keeper.stop()
    until(lambda: set(threading.enumerate()) <= others)


FORKING = """
import os, sys, threading, time
from pathlib import Path
from embedjwt.keys import DirectoryKeyStore, KeyRing, files
from embedjwt.keys.keeper import Keeper
from keys_support import operate

store = DirectoryKeyStore(Path(sys.argv[1]), None)
keys = KeyRing(store, "ES256", time.time, propagation_delay=120)
keeper = Keeper(keys, operate(store))
stopped = Keeper(keys, operate(store))
for each in (keeper, stopped):
    each.start()
stopped.stop()
keys._lock.acquire()  # as a thread of the parent may hold it in the moment of the fork
child = os.fork()
if child:
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
names = [thread.name for thread in threading.enumerate()]
assert names.count("embedjwt-keys") == 1, names
ring = operate(store).prepare()
end = time.monotonic() + 10
while keys.ring != ring:
    assert time.monotonic() < end
    time.sleep(0.02)
os._exit(0)
"""


def test_after_a_fork_the_child_looks_too(store: DirectoryKeyStore) -> None:
    command = [sys.executable, "-c", FORKING, str(store.path)]
    subprocess.run(command, check=True, timeout=30, env=PATHS)
