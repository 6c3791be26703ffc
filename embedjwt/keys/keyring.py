"""The keys of a running service: always the newest that could be read."""

from __future__ import annotations

import threading
from collections.abc import Callable

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.directory import DirectoryKeyStore, LoadedKeys
from embedjwt.keys.signer import SigningKey

_CHECK_EVERY = 1.0  # seconds


class KeyRing:
    """Keys shared by all threads; follows the store, at most one look a second.

    Raises :class:`KeysUnavailable` when made, where the store cannot be loaded. Afterwards a store
    that fails leaves the last good keys in use, and :attr:`problem` says why.
    """

    def __init__(
        self, store: DirectoryKeyStore, algorithm: str, clock: Callable[[], float]
    ) -> None:
        self._store = store
        self._algorithm = algorithm
        self._clock = clock
        self._lock = threading.Lock()
        self._problem: KeysUnavailable | None = None
        self._checked_at = clock()
        self._fingerprint = store.fingerprint()
        self._loaded = store.load()

    @property
    def current(self) -> LoadedKeys:
        """All of one moment, for whoever needs two parts that belong together."""
        self.reload_if_changed()
        return self._loaded

    def signing_key(self) -> SigningKey:
        """The key that signs now.

        It is the active one of the configured algorithm. Where there is none yet, because the
        configured algorithm was changed and no rotation has followed, the youngest active key goes
        on signing: it is the one that verifiers know. Raises :class:`KeysUnavailable`, where no
        key is active.
        """
        loaded = self.current
        key = loaded.ring.active(self._algorithm)
        if key is None:
            active = loaded.ring.in_state("active")
            if not active:
                raise KeysUnavailable(
                    "no key may sign", hint="`embedjwt keys list` shows their states"
                )
            key = max(active, key=lambda record: record.activates_at or 0)
        return loaded.signing[key.kid]

    @property
    def problem(self) -> str | None:
        """Why the store cannot be read at present; for the operator, it names paths."""
        self.reload_if_changed()
        return None if self._problem is None else self._problem.diagnostics()

    def reload_if_changed(self) -> None:
        """Take up what changed in the store; every other method does so by itself."""
        now = self._clock()
        if 0 <= now - self._checked_at < _CHECK_EVERY:  # a clock that went back ends the wait
            return
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it; what we hold is good meanwhile
        try:
            self._checked_at = now
            # Taken before loading: what changes while we read is taken up next time.
            fingerprint = self._store.fingerprint()
            if fingerprint != self._fingerprint:
                self._loaded = self._store.load()
                self._fingerprint = fingerprint
            self._problem = None
        except KeysUnavailable as error:
            self._problem = error
        finally:
            self._lock.release()
