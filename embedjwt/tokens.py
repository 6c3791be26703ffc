"""From an identity to the JWT that Grafana will see."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Any

from embedjwt.errors import SessionRefused
from embedjwt.identity import Identity
from embedjwt.keys import KeyRing, SigningKey

SERVER_ADMIN = "GrafanaAdmin"

MIN_LIFE = 5
"""Seconds. A session with less left ends before a panel could load with its token."""

_MIN_LEAD, _MAX_LEAD = 10, 60  # seconds


def identity_claims(identity: Identity) -> dict[str, Any]:
    """The claims that say who this is, as ``grafana-config`` tells Grafana to read them.

    ``sub``, ``login`` and ``email`` are always there; other claims without a value are left out.
    Where organizations were mapped, the roles travel in ``orgs`` as ``"<id>:<Role>"``, by id, and
    ``role`` says at most that this is a server admin.
    """
    claims: dict[str, Any] = {
        "sub": identity.sub,
        "login": identity.login,
        "email": identity.email,
    }
    if identity.name:
        claims["name"] = identity.name
    if identity.is_grafana_admin:
        claims["role"] = SERVER_ADMIN
    elif identity.role and not identity.orgs_mapped:
        claims["role"] = identity.role
    if identity.orgs_mapped and identity.org_roles:
        claims["orgs"] = [f"{org}:{role}" for org, role in sorted(identity.org_roles.items())]
    if identity.groups:
        claims["groups"] = list(identity.groups)
    return claims


@dataclass(frozen=True, slots=True)
class EmbedToken:
    """A signed JWT and what is in it. Times are Unix seconds; neither shows in a ``repr``."""

    token: str = field(repr=False)
    claims: Mapping[str, Any] = field(repr=False)
    issued_at: int
    expires_at: int
    kid: str

    def expires_in(self, now: int) -> int:
        """Seconds it still lives."""
        return max(0, self.expires_at - now)

    def refresh_in(self, now: int) -> int:
        """Seconds after which the caller should come for the next one; 0: at once."""
        return refresh_in(self.expires_in(now), self.life)

    def is_fresh(self, now: int) -> bool:
        """Whether it may be handed out again: less than half of its life has passed.

        A token from the future, after the clock went back, is not: verifiers would refuse it.
        """
        return self.issued_at <= now and 2 * (now - self.issued_at) < self.life

    @property
    def life(self) -> int:
        """Seconds from its issue to its end."""
        return self.expires_at - self.issued_at


def refresh_in(left: int, life: int) -> int:
    """Seconds after which to come for the next one; 0: at once.

    That leaves a fifth of the life to fetch it, at least 10 s and at most 60 s, but never more
    than half of the life: whoever asks again in time is not told to ask again at once.
    """
    lead = min(max(_MIN_LEAD, min(life // 5, _MAX_LEAD)), life // 2)
    return max(0, left - lead)


class TokenIssuer:
    """Signs tokens; hands a fresh one out again where ``reuse`` is set. Safe among threads.

    At most ``max_reused`` tokens are remembered, the least recently used forgotten first.
    """

    def __init__(
        self,
        issuer: str,
        keys: KeyRing,
        clock: Callable[[], float],
        *,
        reuse: bool,
        max_reused: int = 10_000,
    ) -> None:
        self._issuer = issuer
        self._keys = keys
        self._clock = clock
        self._reusable = _Reusable(max_reused) if reuse else None

    def issue(
        self,
        identity: Identity,
        *,
        audience: str,
        ttl: int,
        session_expires_at: int | None,
        session_id: str = "",
    ) -> EmbedToken:
        """A token that lives ``ttl`` seconds, or as long as the upstream session if that is less.

        A token of one session (``session_id``) is never handed out again in another, so that a
        logout is the end of it.

        Raises :class:`SessionRefused` where the session is over or about to be, and
        :class:`KeysUnavailable` where no key may sign.
        """
        now = int(self._clock())
        life = _life(ttl, session_expires_at, now)
        claims = identity_claims(identity)
        key = self._keys.signing_key()
        if self._reusable is None:
            return self._mint(claims, audience, now, life, key)
        # With the key in it, no token outlives the key that signed it (rotation, revocation).
        name = (key.kid, audience, ttl, session_expires_at, session_id, _hashable(claims))
        token = self._reusable.get(name, now)
        if token is None:
            token = self._mint(claims, audience, now, life, key)
            self._reusable.put(name, token, now)
        return token

    def _mint(
        self, claims: dict[str, Any], audience: str, now: int, life: int, key: SigningKey
    ) -> EmbedToken:
        payload = {
            "iss": self._issuer,
            "aud": audience,
            "exp": now + life,
            "nbf": now,
            "iat": now,
            "jti": secrets.token_urlsafe(16),
            **claims,
        }
        return EmbedToken(key.sign(payload), payload, now, now + life, key.kid)


class _Reusable:
    """Tokens that may be handed out again, the most recently used last."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._tokens: OrderedDict[Hashable, EmbedToken] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: Hashable, now: int) -> EmbedToken | None:
        with self._lock:
            token = self._tokens.get(name)
            if token is None or not token.is_fresh(now):
                return None
            self._tokens.move_to_end(name)
            return token

    def put(self, name: Hashable, token: EmbedToken, now: int) -> None:
        with self._lock:
            self._tokens[name] = token
            self._tokens.move_to_end(name)
            while len(self._tokens) > self._size or self._oldest_is_dead(now):
                self._tokens.popitem(last=False)

    def _oldest_is_dead(self, now: int) -> bool:
        oldest = next(iter(self._tokens.values()), None)
        return oldest is not None and oldest.expires_at <= now


def _life(ttl: int, session_expires_at: int | None, now: int) -> int:
    if session_expires_at is None:
        return ttl
    left = session_expires_at - now
    if left < MIN_LIFE:
        raise SessionRefused(
            "the session has ended; sign in again",
            code="session_expired",
            hint=f"the upstream session had {max(0, left)} s left; a token needs {MIN_LIFE} s",
        )
    return min(ttl, left)


def _hashable(claims: dict[str, Any]) -> Hashable:
    return tuple((name, tuple(v) if isinstance(v, list) else v) for name, v in claims.items())
