"""Keeps the keys of a running service: follows the store, and rotates when it is time."""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Callable

import structlog

from embedjwt.errors import EmbedJWTError, StoreBusy, StoreReadOnly
from embedjwt.keys.keyring import KeyRing
from embedjwt.keys.operations import Operator, record_transitions
from embedjwt.keys.ring import KeyRecord, KeyState

_log = structlog.get_logger("embedjwt.keys")

_LOOK_EVERY = 0.5  # seconds; a change is noticed within one
_RETRY_AFTER = 60.0  # and twice as long after each failure
_LONGEST_RETRY = 3600.0
_TIDY_EVERY = 3600.0


class Keeper:
    """Looks twice a second; every process has one, and whichever is first does what is due.

    A transition that has to wait is made only after this very process has watched for the whole
    wait, by a clock that nobody sets. So neither a clock that was put forward nor a restart ever
    makes a key sign, or leave, too early.
    """

    def __init__(
        self,
        keys: KeyRing,
        operator: Operator,
        *,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = keys
        self._operator = operator
        self._monotonic = monotonic
        self._first_seen: dict[tuple[str, KeyState], float] = {}
        self._not_before = self._tidy_at = monotonic()
        self._failures = 0
        self._told: str | None = None
        self._ring = keys.ring
        self._busy_since: float | None = None
        self._told_read_only = False
        self._stop = threading.Event()
        self._witness()

    def start(self) -> None:
        """Run in a thread of its own from now on, and after a fork in the child as well."""
        reference = weakref.ref(self)

        def again() -> None:
            keeper = reference()
            if keeper is not None and not keeper._stop.is_set():
                keeper._stop = threading.Event()  # the parent's may have been locked
                keeper._keys.after_fork()
                keeper._run_in_thread()

        os.register_at_fork(after_in_child=again)
        self._run_in_thread()

    def stop(self) -> None:
        """End the thread, at the latest after what it is doing now."""
        self._stop.set()

    def tick(self) -> None:
        """Look once, and do what is due."""
        self._look()
        now = self._monotonic()
        if now < self._not_before:
            return
        try:
            if self._operator.due(self._keys.ring, self._seen):
                self._operator.advance(self._seen, wait=False)
                self._look(acted=True)
            if now >= self._tidy_at:
                self._tidy_at = now + _TIDY_EVERY
                self._operator.tidy()
            self._failures, self._busy_since = 0, None
        except StoreBusy as error:
            self._wait_for_others(now, error)
        except StoreReadOnly as error:
            # Another process rotates, or nobody; metrics and `check` tell of a rotation overdue.
            self._not_before = now + _LONGEST_RETRY
            if not self._told_read_only:
                self._told_read_only = True
                _log.info("keys_followed_only", detail=error.detail)
        except EmbedJWTError as error:
            wait = min(_RETRY_AFTER * 2**self._failures, _LONGEST_RETRY)
            self._not_before, self._failures = now + wait, self._failures + 1
            _log.warning("key_rotation_failed", detail=error.detail, hint=error.hint)

    def _wait_for_others(self, now: float, error: StoreBusy) -> None:
        """Another process is at it; only where that lasts is something wrong."""
        if self._busy_since is None:
            self._busy_since = now
        if now - self._busy_since > _RETRY_AFTER:
            self._busy_since = now
            _log.warning("key_store_busy", detail=error.detail, hint=error.hint)

    def _look(self, *, acted: bool = False) -> None:
        self._keys.refresh()
        self._witness()
        self._tell(acted=acted)

    def _seen(self, key: KeyRecord) -> float:
        now = self._monotonic()
        return now - self._first_seen.get((key.kid, key.state), now)

    def _witness(self) -> None:
        now = self._monotonic()
        self._first_seen = {
            (key.kid, key.state): self._first_seen.get((key.kid, key.state), now)
            for key in self._keys.ring.records
        }

    def _tell(self, *, acted: bool) -> None:
        problem = self._keys.problem
        if problem != self._told:
            self._told = problem
            if problem is None:
                _log.info("key_store_recovered")
            else:
                _log.error("key_store_problem", detail=problem)
        before, ring = self._ring, self._keys.ring
        self._ring = ring
        if ring.revision < before.revision:
            _log.warning("key_store_went_back", revision=ring.revision, was=before.revision)
        elif ring.revision > before.revision and not acted:
            # Who acted may have had no log; here it is on record what was done, and by whom.
            record_transitions(before, ring, observed=True)

    def _run_in_thread(self) -> None:
        threading.Thread(target=self._run, name="embedjwt-keys", daemon=True).start()

    def _run(self) -> None:
        while not self._stop.wait(_LOOK_EVERY):
            try:
                self.tick()
            except Exception:
                _log.exception("key_keeper_failed")
