"""A process killed while it makes the first keys: all of them are there afterwards, or none."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from embedjwt.keys import DirectoryKeyStore

# Children are forked from a process that has imported everything, so that the kill hits `init`.
PRELUDE = """
import os, random, signal, sys, time
from pathlib import Path
from embedjwt.keys import DirectoryKeyStore

root = Path(sys.argv[1])
CALLS = "mkdir chmod open write fchmod fsync replace close unlink".split()

def init(path):
    store = DirectoryKeyStore(path, None)
    store.init("ES256", now=1_800_000_000, verifier_cache_ttl=3600, rotate_every=0)
"""

AT_EACH_CALL = """
def die_at(number):
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

for number in range(1, 200):
    child = os.fork()
    if not child:
        die_at(number)
        init(root / f"{number:03}")
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
"""

AT_RANDOM = """
chance = random.Random(7)
began = time.perf_counter()
init(root / "measured")
whole = time.perf_counter() - began
for number in range(20):
    child = os.fork()
    if not child:
        init(root / f"{number:03}")
        os._exit(0)
    time.sleep(chance.uniform(0, 2 * whole))
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
"""


def stores_after(script: str, root: Path) -> list[DirectoryKeyStore]:
    command = [sys.executable, "-c", PRELUDE + script, str(root)]
    subprocess.run(command, check=True, timeout=60)
    return [DirectoryKeyStore(path, None) for path in sorted(root.iterdir())]


def check_whole_or_made_anew(store: DirectoryKeyStore) -> None:
    if not store.ring_file.exists():
        assert not store.jwks_file.exists(), "keys were published that no ring knows"
        store.init("ES256", now=1_800_000_001, verifier_cache_ttl=3600, rotate_every=0)
    loaded = store.load()
    assert [key.state for key in loaded.ring.records] == ["active", "next"]
    assert store.jwks_file.read_bytes() == loaded.jwks
    private = {path.name for path in store.path.glob("*.pem")}
    assert private == {f"{key.kid}.pem" for key in loaded.ring.records}


def test_killed_at_each_system_call(tmp_path: Path) -> None:
    stores = stores_after(AT_EACH_CALL, tmp_path)
    with_ring = [store.ring_file.exists() for store in stores]
    assert len(stores) > 20
    assert not with_ring[0]
    assert with_ring[-1]
    for store in stores:
        check_whole_or_made_anew(store)


def test_killed_at_random(tmp_path: Path) -> None:
    for store in stores_after(AT_RANDOM, tmp_path):
        check_whole_or_made_anew(store)
