"""A document that somebody else publishes, kept, and fetched again when it has to be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from embedjwt.errors import UpstreamUnavailable
from embedjwt.outbound import failed, unavailable

MAX_AGE = 300
"""Seconds after which a document is fetched again when next needed."""

COOLDOWN = 30
"""Seconds without a fetch for something it lacks, whoever sends it, after any fetch has ended."""

RETRY_AFTER = 5
"""Seconds without a new attempt after one that failed."""

MAX_STALE = 86400
"""Seconds for which the old document serves while the provider does not answer."""

T = TypeVar("T")


@dataclass(slots=True)
class _Fetch:
    """A fetch under way. ``deadline`` is when nobody waits for it any longer.

    ``turn`` is taken, for good, by the one request that waits for it with something unknown.
    """

    deadline: float
    done: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)
    for_unknown: bool = False


class Remote(Generic[T]):
    """A document behind a URL, safe to share between threads.

    ``load`` is called with a deadline on ``clock``, in one thread at a time, and raises
    ``UpstreamUnavailable``. ``timeout`` is how many seconds a request waits for it at most;
    ``url`` is for the operator to read.
    The old document serves on while a fetch fails, for at most ``MAX_STALE`` seconds.
    """

    def __init__(
        self,
        load: Callable[[float], T],
        *,
        url: str,
        clock: Callable[[], float],
        timeout: float,
    ) -> None:
        self._load = load
        self._url = url
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._fetch: _Fetch | None = None
        self._document: T | None = None
        self._loaded_at = 0.0
        self._ended_at: float | None = None
        self._sought_at: float | None = None  # the end of the last fetch for something unknown
        self._failure: str | None = None

    def current(self) -> T:
        """The document, at most twice ``MAX_AGE`` old where the provider answers.

        ``UpstreamUnavailable`` where there is none, or only one older than ``MAX_STALE``.
        The same object as before where nothing changed.
        """
        age = self._clock() - self._loaded_at
        if self._document is None or age >= MAX_AGE:
            # A request waits for what it cannot do without, but not for a provider that is known to
            # fail: then the old document serves, or the request fails at once. One request asks
            # again, and where there is no old document it waits for the answer.
            failing = self._failure is not None
            fetch = self._refresh(self._ended_at, RETRY_AFTER if failing else 0)
            if fetch is None:
                pass
            elif failing:
                if self._document is None and fetch.turn.acquire(blocking=False):
                    self._wait(fetch)
            elif self._document is None or age >= 2 * MAX_AGE:
                self._wait(fetch)
        document, failure = self._document, self._failure
        if document is None or self._clock() - self._loaded_at >= MAX_STALE:
            raise failed(failure) if failure else unavailable(self._url, "it took too long")
        return document

    def after_unknown(self) -> T:
        """The document, fetched anew unless that was done for this reason within ``COOLDOWN``."""
        failing = self._failure is not None
        fetch = self._refresh(self._sought_at, COOLDOWN)
        if fetch:
            fetch.for_unknown = True
        # Anybody can make up something unknown. So one request waits for a fetch, none for a
        # provider that is known to fail, and the others look into what there is.
        if fetch and not failing and fetch.turn.acquire(blocking=False):
            self._wait(fetch)
        return self.current()

    def _refresh(self, last: float | None, pause: float) -> _Fetch | None:
        """The fetch under way, or a new one; ``None`` where ``last`` is less than a pause ago."""
        with self._lock:
            if self._fetch is None:
                now = self._clock()
                if last is not None and now - last < pause:
                    return None
                fetch = _Fetch(deadline=now + self._timeout)
                # A thread of its own, because most requests do not wait for it.
                threading.Thread(target=self._run, args=(fetch,), daemon=True).start()
                self._fetch = fetch
            return self._fetch

    def _wait(self, fetch: _Fetch) -> None:
        fetch.done.wait(max(0.0, fetch.deadline - self._clock()))

    def _run(self, fetch: _Fetch) -> None:
        try:
            document = self._load(fetch.deadline)
        except UpstreamUnavailable as failure:
            self._failure = failure.hint
        else:
            # An equal one stays the same object, so that verified sessions are not forgotten.
            self._document = self._document if document == self._document else document
            self._loaded_at = self._clock()
            self._failure = None
        finally:
            with self._lock:
                self._fetch = None
                self._ended_at = self._clock()
                if fetch.for_unknown:
                    self._sought_at = self._ended_at
            fetch.done.set()
