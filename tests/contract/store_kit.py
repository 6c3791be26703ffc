"""Key stores by their place, and processes that use one at once. Run as a program by itself.

A place is a directory's path or a database's URL. Processes are forked from one that has imported
everything and has no threads, so that they begin together.
"""

from __future__ import annotations

import base64
import gc
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import structlog

from embedjwt.database import Database, Exclusive
from embedjwt.errors import EmbedJWTError
from embedjwt.keys import DirectoryKeyStore, files
from embedjwt.keys.database import DatabaseKeyStore
from embedjwt.keys.operations import Operator
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.store import Change, KeyStore
from embedjwt.keys.timing import Timing

NOW = 1_800_000_000
TIMING = Timing(rotate_every=86400, verifier_cache_ttl=3600, token_ttl=600, propagation_delay=60)
ENCRYPTION_KEY = base64.b64encode(bytes(range(32))).decode()


def open_store(place: str) -> KeyStore:
    """The store at a place, as another process would open it."""
    if "://" in place:
        return DatabaseKeyStore(Database(place), [ENCRYPTION_KEY])
    return DirectoryKeyStore(Path(place), None)


def operator(store: KeyStore, now: float = NOW) -> Operator:
    """Acts on it at a time."""
    return Operator(store, TIMING, "ES256", lambda: now, "test")


def check_signs(store: KeyStore, record: KeyRecord) -> None:
    """The private half makes signatures that the public half verifies."""
    token = store.signing_key(record).sign({"sub": "jane"})
    key = jwt.PyJWK(dict(record.jwk))
    assert jwt.decode(token, key, algorithms=[record.alg]) == {"sub": "jane"}
    assert jwt.get_unverified_header(token)["kid"] == record.kid


def check_whole(place: str) -> Ring:
    """The ring loads, one key is active, every key that may sign can, and changes go on."""
    store = open_store(place)
    ring = store.ring()
    assert len(ring.in_state("active")) == 1
    for record in ring.in_state("active", "next"):
        check_signs(store, record)
    operator(store, NOW + 10**6).prepare()
    assert store.ring().revision == ring.revision + 1
    return ring


def in_processes(place: str, action: str, count: int = 1) -> list[dict[str, Any]]:
    """What each process says of an action below."""
    done = subprocess.run(
        [sys.executable, __file__, place, action, str(count)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


@dataclass
class _Counting:
    """A store that counts what was committed."""

    store: KeyStore
    commits: int = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self.store, name)

    @contextmanager
    def changing(self, *, wait: bool = True) -> Iterator[Change]:
        with self.store.changing(wait=wait) as change:
            commit = change.commit

            def counted(ring: Ring) -> Ring:
                committed = commit(ring)
                self.commits += 1
                return committed

            change.commit = counted  # type: ignore[method-assign]
            yield change


def _init(place: str) -> dict[str, Any]:
    try:
        operator(open_store(place)).init()
    except EmbedJWTError as error:
        return {"error": error.code, "kids": _kids(place)}
    return {"error": None, "kids": _kids(place)}


def _kids(place: str) -> list[str]:
    return [key.kid for key in open_store(place).ring().records]


def _rotate(place: str) -> dict[str, Any]:
    """Rotates by command and by schedule, at times that all processes go through."""
    store = _Counting(open_store(place))
    refused: dict[str, int] = {}
    for turn in range(1, 7):
        acting = operator(store, NOW + turn * 10 * TIMING.known_everywhere)  # type: ignore[arg-type]
        for act in (acting.rotate, acting.advance):
            try:
                act()
            except EmbedJWTError as error:
                refused[error.code] = refused.get(error.code, 0) + 1
            assert len(store.ring().in_state("active")) == 1
    return {"commits": store.commits, "refused": refused}


def _die_after_create(place: str) -> dict[str, Any]:
    with open_store(place).changing() as change:
        change.custody.create("ES256")
        os.kill(os.getpid(), signal.SIGKILL)
    return {}


def _die_before_commit(place: str) -> dict[str, Any]:
    _patch_commit(lambda real: lambda *given: os.kill(os.getpid(), signal.SIGKILL))
    operator(open_store(place), NOW + 10**5).rotate()
    return {}


def _die_after_commit(place: str) -> dict[str, Any]:
    def dying(real: Callable[..., None]) -> Callable[..., None]:
        def call(*given: Any) -> None:
            real(*given)
            os.kill(os.getpid(), signal.SIGKILL)

        return call

    _patch_commit(dying)
    operator(open_store(place), NOW + 10**5).rotate()
    return {}


def _patch_commit(patched: Callable[[Callable[..., None]], Callable[..., Any]]) -> None:
    """Puts something else where a change becomes durable: COMMIT, or the new ring.json."""
    Exclusive.commit = patched(Exclusive.commit)  # type: ignore[method-assign]
    write = files.write

    def ring_patched(path: Path, data: bytes, mode: int) -> None:
        (patched(write) if path.name == "ring.json" else write)(path, data, mode)

    files.write = ring_patched


def _rotate_for_ever(place: str) -> dict[str, Any]:
    store = open_store(place)
    now = float(max(key.published_at or 0 for key in store.ring().records))
    while True:
        now += 10 * TIMING.known_everywhere
        operator(store, now).rotate()


def _share_after_fork(place: str) -> dict[str, Any]:
    """The store of the parent, in the child and in the parent at once."""
    store = open_store(place)
    wanted = store.ring()
    child = os.fork()
    for _ in range(30):
        assert store.ring() == wanted
    if not child:
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert store.ring() == wanted
    return {"shared": True}


def _fork_while_changing(place: str) -> dict[str, Any]:
    """A child ends, in good order, while a thread of its parent is in the middle of a change."""
    store = open_store(place)
    held, ended = threading.Event(), threading.Event()

    def change_slowly() -> None:
        with store.changing() as change:
            assert change.ring is not None
            change.custody.create("ES256")
            held.set()
            ended.wait(20)
            change.commit(change.ring)

    thread = threading.Thread(target=change_slowly)
    thread.start()
    held.wait(20)
    if not (child := os.fork()):
        store.ring()
        gc.collect()
        sys.exit()  # which collects the rest
    assert os.waitpid(child, 0)[1] == 0
    ended.set()
    thread.join()
    return {"revision": store.ring().revision}


_ACTIONS: Mapping[str, Callable[[str], dict[str, Any]]] = {
    "init": _init,
    "rotate": _rotate,
    "die_after_create": _die_after_create,
    "die_before_commit": _die_before_commit,
    "die_after_commit": _die_after_commit,
    "rotate_for_ever": _rotate_for_ever,
    "share_after_fork": _share_after_fork,
    "fork_while_changing": _fork_while_changing,
}


def _all_at_once(place: str, action: str, count: int) -> None:
    gate, opened = os.pipe()
    children = []
    for _ in range(count):
        child = os.fork()
        if not child:
            os.close(opened)
            os.read(gate, 1)  # until the parent closes its end
            line = json.dumps(_ACTIONS[action](place)) + "\n"
            os.write(sys.stdout.fileno(), line.encode())
            os._exit(0)
        children.append(child)
    os.close(opened)
    ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    wanted = -signal.SIGKILL if action.startswith("die_") else 0
    assert ends == [wanted] * count, ends


def _kill_at_random(place: str, count: int) -> None:
    chance = random.Random(count)
    for _ in range(count):
        child = os.fork()
        if not child:
            _rotate_for_ever(place)
        time.sleep(chance.uniform(0.05, 0.3))
        os.kill(child, signal.SIGKILL)
        assert os.WIFSIGNALED(os.waitpid(child, 0)[1])


def _drop(*_: Any) -> Any:
    raise structlog.DropEvent


if __name__ == "__main__":
    structlog.configure(processors=[_drop])
    if sys.argv[2] == "die_at_random":
        _kill_at_random(sys.argv[1], int(sys.argv[3]))
    else:
        _all_at_once(sys.argv[1], sys.argv[2], int(sys.argv[3]))
