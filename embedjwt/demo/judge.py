"""How the stand-in Grafana judges a token: with keys fetched and kept as Grafana does."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from typing import Any, Self

import requests

from embedjwt.grafana.verifier import LATEST, JwtAuthSettings, Verdict, read_ini, verify
from embedjwt.grafana.versions import Version

_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=(\d+)")
_NO_KEYS: Mapping[str, Any] = {"keys": []}


class JwksCache:
    """The key set of a URL, kept for min(``cache_ttl``, ``max-age``) seconds.

    Like Grafana (``pkg/services/auth/jwt/key_sets.go``) it never refetches for an unknown kid.
    """

    def __init__(self, url: str, *, cache_ttl: float, now: Callable[[], float]) -> None:
        self.url = url
        self.fetches = 0
        self._cache_ttl = cache_ttl
        self._now = now
        self._lock = threading.Lock()
        self._keys = _NO_KEYS
        self._fresh_until = 0.0

    def keys(self) -> Mapping[str, Any]:
        """The key set; an empty one, not kept, while the URL does not answer."""
        with self._lock:
            if self._now() >= self._fresh_until:
                self._fetch()
            return self._keys

    def _fetch(self) -> None:
        self._keys = _NO_KEYS
        try:
            answer = requests.get(self.url, timeout=5, allow_redirects=False)
            document = answer.json()
        except requests.RequestException:
            return
        self.fetches += 1
        max_age = _MAX_AGE.search(answer.headers.get("Cache-Control", ""))
        keep = min(self._cache_ttl, int(max_age[1])) if max_age else self._cache_ttl
        self._keys = document
        self._fresh_until = self._now() + keep


class Judge:
    """Verifies tokens under one set of ``[auth.jwt]`` settings."""

    def __init__(
        self, settings: JwtAuthSettings, jwks: JwksCache, *, now: Callable[[], float]
    ) -> None:
        self.settings = settings
        self.jwks = jwks
        self._now = now

    @classmethod
    def under(
        cls,
        printed: str,
        *,
        now: Callable[[], float],
        version: Version = LATEST,
        jwks_url: str | None = None,
    ) -> Self:
        """As a Grafana that was told what ``embedjwt grafana-config`` has printed.

        It runs in development, for keys over http (since Grafana 10.1). ``jwks_url`` is where the
        keys are, if not where the settings say.
        """
        settings = read_ini(f"app_mode = development\n{printed}", version=version)
        url = jwks_url or settings.jwk_set_url
        return cls(settings, JwksCache(url, cache_ttl=settings.cache_ttl, now=now), now=now)

    def verdict(self, token: str) -> Verdict:
        """What Grafana would make of this token at this moment."""
        return verify(token, self.settings, self.jwks.keys(), now=int(self._now()))
