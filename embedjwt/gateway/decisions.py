"""What was decided for a cookie, so that the next request with it costs next to nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from embedjwt.gateway.rules import Reach
from embedjwt.tokens import EmbedToken

MAX_REMEMBERED = 16_384
"""Cookies; each takes about four kilobytes."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The header that goes on to Grafana, what its person may reach, and what it all stands on.

    ``header`` is as it goes on the wire, its name in lower case.
    ``sessions`` are the keys of those whose end is the end of this. ``source`` is for the log.
    """

    token: EmbedToken
    header: tuple[bytes, bytes]
    reach: Reach
    sessions: tuple[str, ...] = ()
    source: str = ""

    def holds(self, now: int, kid: str) -> bool:
        """Whether the token is fresh, and of the key that signs now."""
        return self.token.kid == kid and self.token.is_fresh(now)


class Decisions:
    """The decisions for at most so many cookies, by the cookie and the Grafana; the oldest go.

    Reading takes no lock.
    """

    def __init__(self, size: int = MAX_REMEMBERED) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: dict[tuple[str, str], Decision] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def get(self, cookie: str, grafana: str) -> Decision | None:
        """What was decided."""
        return self._kept.get((cookie, grafana))

    def put(
        self, cookie: str, grafana: str, decision: Decision, *, still: Callable[[], bool]
    ) -> None:
        """Remember it as the newest, if it ``still`` holds: no session that it stands on may have
        been ended, and forgotten here, since it was read."""
        name = (cookie, grafana)
        with self._lock:
            if not still():
                return
            self._kept.pop(name, None)
            self._kept[name] = decision
            while len(self._kept) > self._size:
                del self._kept[next(iter(self._kept))]

    def forget(self, sessions: Collection[str] | None) -> None:
        """Those that stand on any of these sessions; ``None``: all."""
        with self._lock:
            if sessions is None:
                self._kept.clear()
                return
            ended = frozenset(sessions)
            for name, decision in list(self._kept.items()):
                if not ended.isdisjoint(decision.sessions):
                    del self._kept[name]


_PATIENCE = 1.0
"""Seconds; to find out takes milliseconds, unless a provider is slow."""

_MAX_WAITING = 64


@dataclass(slots=True)
class _Turn:
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: int = 0


class Turns:
    """One at a time for each name: what the first finds out, the others need not.

    That is worth a second, and not for many: who has waited so long, or finds ``_MAX_WAITING``
    before it, goes on beside the others.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turns: dict[str, _Turn] = {}

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Wait for one's turn."""
        with self._lock:
            turn = self._turns.setdefault(name, _Turn())
            turn.waiting += 1
            patience = _PATIENCE if turn.waiting <= _MAX_WAITING else 0
        taken = turn.lock.acquire(timeout=patience)
        try:
            yield
        finally:
            if taken:
                turn.lock.release()
            with self._lock:
                turn.waiting -= 1
                if not turn.waiting:
                    del self._turns[name]
