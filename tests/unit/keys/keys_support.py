"""Constants and small builders that the tests of keys import."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any

import jwt

from embedjwt.keys import DirectoryKeyStore, KeyRecord, KeyRing, KeyState, LoadedKeys, Ring
from embedjwt.keys.jwk import Jwk
from embedjwt.keys.operations import Operator
from embedjwt.keys.store import KeyStore
from embedjwt.keys.timing import Timing

NOW = 1_800_000_000

TIMING = Timing(rotate_every=86400, verifier_cache_ttl=3600, token_ttl=300, propagation_delay=120)


PATHS = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
"""The environment of a child process that imports what its parent can."""


def now() -> float:
    return NOW


def operate(
    store: KeyStore,
    *,
    alg: str = "ES256",
    clock: Callable[[], float] = now,
    timing: Timing = TIMING,
    actor: str = "test",
) -> Operator:
    return Operator(store, timing, alg, clock, actor)


def start(store: KeyStore, alg: str = "ES256") -> KeyRing:
    """The keys of a service that starts now; raises what keeps it from starting."""
    return KeyRing(store, alg, now, propagation_delay=TIMING.propagation_delay)


def load(store: KeyStore, alg: str = "ES256") -> LoadedKeys:
    """What a service that starts now has; raises whatever is wrong with it."""
    keys = start(store, alg)
    keys.check()
    return keys.current


def published(jwks: bytes) -> list[str]:
    return [key["kid"] for key in json.loads(jwks)["keys"]]


def verify(token: str, jwks: bytes) -> dict[str, Any]:
    """The claims, by a library that knows only the published set."""
    key = jwt.PyJWKSet.from_json(jwks.decode())[jwt.get_unverified_header(token)["kid"]]
    return jwt.decode(token, key, algorithms=[key.algorithm_name])


def check_whole(store: DirectoryKeyStore) -> LoadedKeys:
    """It loads, one key signs for all to verify, and the files are those of the ring."""
    loaded = load(store)
    (active,) = loaded.ring.in_state("active")
    assert list(loaded.signing) == [active.kid]
    assert verify(loaded.signing[active.kid].sign({"sub": "ada"}), loaded.jwks) == {"sub": "ada"}
    assert store.jwks_file.read_bytes() == loaded.jwks
    return loaded


def ring_of(jwks: Sequence[Jwk], *states: KeyState) -> Ring:
    """One key in each state; all of their times are ``NOW``."""
    pairs = zip(jwks, states, strict=False)
    return Ring(tuple(KeyRecord(j["kid"], j["alg"], s, NOW, NOW, NOW, NOW, j) for j, s in pairs))
