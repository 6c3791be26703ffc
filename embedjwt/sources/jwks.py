"""The keys of an issuer: fixed ones, or a remote set that is fetched again when it has to be."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import urlsplit

from embedjwt.errors import UpstreamUnavailable
from embedjwt.sources.fetch import Fetcher, failed, unavailable
from embedjwt.sources.keyset import KeySet, parse_jwks

MAX_AGE = 300
"""Seconds after which a remote set is fetched again when next needed."""

COOLDOWN = 30
"""Seconds without a fetch for an unknown kid, whoever sends it, after any fetch has ended."""

RETRY_AFTER = 5
"""Seconds without a new attempt after one that failed."""

MAX_STALE = 86400
"""Seconds for which old keys serve while the provider does not answer."""


class KeySource(Protocol):
    """Where a verifier takes its keys from."""

    def current(self) -> KeySet:
        """The set to use now; the same object as before where nothing changed."""

    def after_unknown_kid(self) -> KeySet:
        """The set to look into again, fetched anew if that may be done now."""


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys that were read at start."""

    keys: KeySet

    def current(self) -> KeySet:
        return self.keys

    def after_unknown_kid(self) -> KeySet:
        return self.keys


@dataclass(slots=True)
class _Fetch:
    """A fetch under way. ``deadline`` is when nobody waits for it any longer.

    ``turn`` is taken, for good, by the one request that waits for it with an unknown kid.
    """

    deadline: float
    done: threading.Event = field(default_factory=threading.Event)
    turn: threading.Lock = field(default_factory=threading.Lock)
    for_kid: bool = False


class RemoteKeys:
    """A key set behind a URL, safe to share between threads.

    ``load`` is called with a deadline on ``clock``, in one thread at a time, and raises
    ``UpstreamUnavailable``. ``timeout`` is how many seconds a request waits for it at most;
    ``url`` is for the operator to read.
    The old set serves on while a fetch fails, for at most ``MAX_STALE`` seconds.
    """

    def __init__(
        self,
        load: Callable[[float], KeySet],
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
        self._keys: KeySet | None = None
        self._loaded_at = 0.0
        self._ended_at: float | None = None
        self._sought_at: float | None = None  # the end of the last fetch for an unknown kid
        self._failure: str | None = None

    def current(self) -> KeySet:
        """The set, at most twice ``MAX_AGE`` old where the provider answers.

        ``UpstreamUnavailable`` where there is no set, or only one older than ``MAX_STALE``.
        """
        age = self._clock() - self._loaded_at
        if self._keys is None or age >= MAX_AGE:
            # A request waits for keys that it cannot do without, but never for a provider that is
            # known to fail: then old keys serve, or the request fails at once.
            failing = self._failure is not None
            fetch = self._refresh(self._ended_at, RETRY_AFTER if failing else 0)
            if fetch and not failing and (self._keys is None or age >= 2 * MAX_AGE):
                self._wait(fetch)
        keys, failure = self._keys, self._failure
        if keys is None or self._clock() - self._loaded_at >= MAX_STALE:
            raise failed(failure) if failure else unavailable(self._url, "it took too long")
        return keys

    def after_unknown_kid(self) -> KeySet:
        """The set, fetched anew unless that was done for an unknown kid within ``COOLDOWN``."""
        failing = self._failure is not None
        fetch = self._refresh(self._sought_at, COOLDOWN)
        if fetch:
            fetch.for_kid = True
        # Anybody can make up a kid. So one request waits for a fetch, none for a provider that is
        # known to fail, and the others look into the keys there are.
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
                # A thread of its own, because neither name resolution nor a provider that drips
                # header lines heeds a time limit; the request that waits must.
                threading.Thread(target=self._run, args=(fetch,), daemon=True).start()
                self._fetch = fetch
            return self._fetch

    def _wait(self, fetch: _Fetch) -> None:
        fetch.done.wait(max(0.0, fetch.deadline - self._clock()))

    def _run(self, fetch: _Fetch) -> None:
        try:
            keys = self._load(fetch.deadline)
        except UpstreamUnavailable as failure:
            self._failure = failure.hint
        else:
            # An equal set stays the same object, so that verified sessions are not forgotten.
            self._keys = self._keys if keys == self._keys else keys
            self._loaded_at = self._clock()
            self._failure = None
        finally:
            with self._lock:
                self._fetch = None
                self._ended_at = self._clock()
                if fetch.for_kid:
                    self._sought_at = self._ended_at
            fetch.done.set()


def load_jwks(fetcher: Fetcher, url: str, deadline: float) -> KeySet:
    """The key set at a URL."""
    try:
        return parse_jwks(fetcher.get_json(url, deadline))
    except ValueError as error:
        raise unavailable(url, str(error)) from None


def load_discovered(fetcher: Fetcher, issuer: str, deadline: float) -> KeySet:
    """The key set that an issuer's metadata names (OpenID Connect Discovery 1.0 section 4)."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    metadata = fetcher.get_json(url, deadline)
    return load_jwks(fetcher, _jwks_uri(metadata, url, issuer), deadline)


def _jwks_uri(metadata: Any, url: str, issuer: str) -> str:
    if not isinstance(metadata, dict):
        raise unavailable(url, "its answer is no JSON object")
    # Section 4.3: the issuer must be the very one asked, or one provider could speak for another.
    if metadata.get("issuer") != issuer:
        raise unavailable(url, f"it speaks for another issuer than {issuer!r}")
    uri = metadata.get("jwks_uri")
    if not isinstance(uri, str) or not _as_safe_as(issuer, uri):
        raise unavailable(url, "its jwks_uri is missing, or neither https nor on http beside it")
    return uri


def _as_safe_as(issuer: str, uri: str) -> bool:
    """Whether a URL is https, or on the very host that the settings let us ask over http."""
    try:
        asked, named = urlsplit(issuer), urlsplit(uri)
    except ValueError:
        return False
    if named.username or named.password or not named.hostname:
        return False
    if named.scheme == "https":
        return True
    return asked.scheme == named.scheme == "http" and asked.hostname == named.hostname
