"""Key stores in a directory of their own, and rings with states of any kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from keys_support import NOW, operate
from structlog.testing import LogCapture
from structlog.typing import EventDict

from embedjwt import audit
from embedjwt.keys import DirectoryKeyStore, KeyState, Ring, files, keeper, operations
from embedjwt.keys.document import to_json


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "jwks"


@pytest.fixture
def make_store(directory: Path) -> Callable[..., DirectoryKeyStore]:
    """A store with its first keys in it."""

    def make(alg: str = "ES256", passphrase: bytes | None = None) -> DirectoryKeyStore:
        store = DirectoryKeyStore(directory, passphrase)
        operate(store, alg=alg).init()
        return store

    return make


@pytest.fixture
def store(make_store: Callable[..., DirectoryKeyStore]) -> DirectoryKeyStore:
    return make_store()


@pytest.fixture
def set_states() -> Callable[..., Ring]:
    """Gives a stored ring's keys other states, as a rotation would."""

    def change(store: DirectoryKeyStore, *states: KeyState) -> Ring:
        old = store.ring()
        records = zip(old.records, states, strict=True)
        ring = Ring(
            tuple(
                replace(key, state=state, retires_at=key.retires_at or NOW + 1)
                for key, state in records
            ),
            old.revision + 1,
        )
        files.write(store.ring_file, to_json(ring), files.PRIVATE)
        return ring

    return change


@pytest.fixture
def logs(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[EventDict]]:
    """What is logged from now on, except by applications that other tests have left running."""
    others = set(threading.enumerate()) - {threading.current_thread()}
    captured = LogCapture()

    def of_this_test(_logger: Any, _method: str, event: EventDict) -> EventDict:
        if threading.current_thread() in others:
            raise structlog.DropEvent
        return event

    structlog.reset_defaults()
    structlog.configure(processors=[of_this_test, captured])
    for module in (audit, keeper, operations):  # the old ones may remember where they wrote
        monkeypatch.setattr(module, "_log", structlog.get_logger())
    yield captured.entries
    structlog.reset_defaults()
