"""Key stores in a directory of their own, and rings with states of any kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from embedjwt.keys import DirectoryKeyStore, KeyState, Ring, files
from embedjwt.keys.ring import to_json

NOW = 1_800_000_000


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "jwks"


@pytest.fixture
def make_store(directory: Path) -> Callable[..., DirectoryKeyStore]:
    """A store with its first keys in it."""

    def make(alg: str = "ES256", passphrase: bytes | None = None) -> DirectoryKeyStore:
        store = DirectoryKeyStore(directory, passphrase)
        store.init(alg, now=NOW, verifier_cache_ttl=3600, rotate_every=86400)
        return store

    return make


@pytest.fixture
def store(make_store: Callable[..., DirectoryKeyStore]) -> DirectoryKeyStore:
    return make_store()


@pytest.fixture
def set_states() -> Callable[..., Ring]:
    """Gives a stored ring's keys other states, as a rotation would."""

    def change(store: DirectoryKeyStore, *states: KeyState) -> Ring:
        records = zip(store.ring().records, states, strict=True)
        ring = Ring(
            tuple(
                replace(key, state=state, retires_at=key.retires_at or NOW + 1)
                for key, state in records
            )
        )
        files.write(store.ring_file, to_json(ring), files.PRIVATE)
        return ring

    return change
