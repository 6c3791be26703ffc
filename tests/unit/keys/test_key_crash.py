"""A process killed while it makes or rotates keys: all of a change is there afterwards, or none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import get_args

from keys_support import NOW, PATHS, TIMING, check_whole, operate

from embedjwt.keys import DirectoryKeyStore, KeyRing, KeyState, Ring

# Children are forked from a process that has imported everything, so that the kill hits the work.
PRELUDE = """
import os, random, shutil, signal, sys, time
from pathlib import Path
import structlog
from embedjwt.keys import DirectoryKeyStore
from keys_support import NOW, TIMING, operate

structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
root = Path(sys.argv[1])
CALLS = "mkdir chmod open write fchmod fsync replace close unlink".split()
LONG_AFTER = NOW + 86400

def init(path):
    operate(DirectoryKeyStore(path, None)).init()

def rotate(path):
    operate(DirectoryKeyStore(path, None), clock=lambda: LONG_AFTER).rotate()

def revoke(path):
    store = DirectoryKeyStore(path, None)
    operate(store).revoke(store.ring().in_state("active")[0].kid, reason="leaked")

def advance(path):
    operate(DirectoryKeyStore(path, None), clock=lambda: NOW + 7 * 86400).advance()

def child_of(work, path):
    child = os.fork()
    if not child:
        try:
            work(path)
        except BaseException as error:
            os.write(2, repr(error).encode() + b"\\n")
            os._exit(1)
        os._exit(0)
    return child
"""

AT_EACH_CALL = """
def dying_at(number, work):
    def run(path):
        count = 0
        def dying(real):
            def call(*args, **named):
                nonlocal count
                count += 1
                if count == number:
                    os.kill(os.getpid(), signal.SIGKILL)
                return real(*args, **named)
            return call
        for name in CALLS:
            setattr(os, name, dying(getattr(os, name)))
        work(path)
    return run

for work in WORK:
    for number in range(1, 200):
        path = root / f"{work.__name__} {number:03}"
        if work is not init:
            shutil.copytree(root.parent / "before", path)
        status = os.waitpid(child_of(dying_at(number, work), path), 0)[1]
        if status == 0:
            break
        assert os.WTERMSIG(status) == signal.SIGKILL, status
"""

AT_RANDOM = """
chance = random.Random(7)
began = time.perf_counter()
init(root / "measured")
whole = time.perf_counter() - began
for number in range(20):
    child = child_of(init, root / f"{number:03}")
    time.sleep(chance.uniform(0, 2 * whole))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""

# The parent answers "checked" for each killed child: what is found is not what the next one leaves.
KILLED_IN_A_LOOP = """
chance = random.Random(7)
path = root / "jwks"

def forever(path):
    store = DirectoryKeyStore(path, None)
    clock = lambda: NOW + (time.time() - begin) * 4000  # in a second, retired keys may leave
    here = operate(store, clock=clock)
    while True:
        step = chance.choice(["activate", "prepare", "advance", "revoke"])
        if step == "activate":
            here.activate(force=True)
        elif step == "revoke":
            here.revoke(store.ring().in_state("active")[0].kid, reason="leaked")
        elif step == "prepare" and len(store.ring().in_state("next")) < 4:
            here.prepare()
        else:
            here.advance()

begin = time.time()
longest = 0.02
for _ in range(200):
    before = os.stat(path / "ring.json").st_ino
    child = child_of(forever, path)
    time.sleep(chance.uniform(0, longest))
    os.kill(child, signal.SIGKILL)
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status), "it ended before it was killed"
    # However busy the machine is: about every second child gets to change something.
    longest *= 1.1 if os.stat(path / "ring.json").st_ino == before else 0.9
    print("killed", flush=True)
    assert sys.stdin.readline() == "checked\\n"
"""


def stores_after(script: str, root: Path, work: str = "init,") -> list[DirectoryKeyStore]:
    root.mkdir()
    command = [sys.executable, "-c", f"{PRELUDE}WORK = ({work})\n{script}", str(root)]
    subprocess.run(command, check=True, timeout=120, env=PATHS)
    return [DirectoryKeyStore(path, None) for path in sorted(root.iterdir())]


def check_whole_or_made_anew(store: DirectoryKeyStore) -> None:
    if not store.ring_file.exists():
        assert not store.jwks_file.exists(), "keys were published that no ring knows"
        operate(store).init()
    loaded = check_whole(store)
    assert [key.state for key in loaded.ring.records] == ["active", "next"]
    private = {path.name for path in store.path.glob("*.pem")}
    assert private == {f"{key.kid}.pem" for key in loaded.ring.records}


def check_next_change(store: DirectoryKeyStore) -> Ring:
    """It succeeds, and leaves nothing of what the dead one had begun."""
    revision = store.ring().revision
    ring = operate(store).activate(force=True)
    assert ring.revision == revision + 1
    assert check_whole(store).ring == ring
    private = {path.name for path in store.path.glob("*.pem")}
    assert private == {f"{key.kid}.pem" for key in ring.in_state("next", "active")}
    assert not list(store.path.glob(".*.tmp"))
    return ring


def test_init_killed_at_each_system_call(tmp_path: Path) -> None:
    stores = stores_after(AT_EACH_CALL, tmp_path / "after")
    with_ring = [store.ring_file.exists() for store in stores]
    assert len(stores) > 20
    assert not with_ring[0]
    assert with_ring[-1]
    for store in stores:
        check_whole_or_made_anew(store)


def test_init_killed_at_random(tmp_path: Path) -> None:
    for store in stores_after(AT_RANDOM, tmp_path / "after"):
        check_whole_or_made_anew(store)


def test_changes_killed_at_each_system_call(tmp_path: Path) -> None:
    before = DirectoryKeyStore(tmp_path / "before", None)
    operate(before).init()
    operate(before, clock=lambda: NOW + TIMING.known_everywhere).rotate()
    old = check_whole(before)
    stores = stores_after(AT_EACH_CALL, tmp_path / "after", "rotate, revoke, advance")
    for work in ("rotate", "revoke", "advance"):
        mine = [store for store in stores if store.path.name.startswith(work)]
        done = [store.ring() != old.ring for store in mine]
        assert len(mine) > 20
        assert done == sorted(done), "once it is done, it stays done"
        assert {done[0], done[-1]} == {False, True}
    for store in stores:
        keys = KeyRing(store, "ES256", lambda: NOW, propagation_delay=120)
        assert keys.problem is None
        if keys.ring == old.ring:
            assert keys.current.jwks == old.jwks
        check_whole(store)
        check_next_change(store)


def test_changes_killed_200_times_at_random(tmp_path: Path) -> None:
    store = DirectoryKeyStore(tmp_path / "jwks", None)
    operate(store).init()
    pipe = subprocess.PIPE
    command = [sys.executable, "-c", PRELUDE + KILLED_IN_A_LOOP, str(tmp_path)]
    revision, changed, kills = store.ring().revision, 0, 0
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, env=PATHS) as killer:
        assert killer.stdin is not None
        assert killer.stdout is not None
        for line in killer.stdout:
            assert line == "killed\n"
            found = check_whole(store).ring.revision
            assert found >= revision
            changed += found > revision
            revision = check_next_change(store).revision
            kills += 1
            killer.stdin.write("checked\n")
            killer.stdin.flush()
    assert killer.returncode == 0
    assert kills == 200
    assert changed > 40, "many children got to change something"
    assert {key.state for key in store.ring().records} == {*get_args(KeyState)}
