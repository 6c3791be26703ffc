"""The key ring: which keys there are, what each may do, and when. Pure: no I/O, no clock.

A key goes ``next`` (published, does not sign) → ``active`` (signs) → ``retiring`` (published, does
not sign) → ``removed``; ``revoked`` leaves the published set at once.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, get_args

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.jwk import Jwk, is_public_jwk

KeyState = Literal["next", "active", "retiring", "removed", "revoked"]

PUBLISHED: frozenset[KeyState] = frozenset({"next", "active", "retiring"})

CLOCK_SKEW = 60
"""Seconds a verifier's clock may differ from ours; also Grafana's own leeway."""

_VERSION = 1
_TIMES = ("published_at", "activates_at", "retires_at", "removes_at")
_KNOWN_TIMES: dict[KeyState, tuple[str, ...]] = {
    "next": ("published_at", "activates_at"),
    "active": ("published_at", "activates_at"),
    "retiring": ("published_at", "activates_at", "retires_at"),
    "removed": (),
    "revoked": (),
}
_REPAIR = "restore it from a backup; do not edit it by hand"


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key: its public half, its state, and the absolute times (Unix seconds) of its life.

    ``activates_at``: signs from then on, and for a ``next`` key not before; ``retires_at``: signs
    until then; ``removes_at``: leaves the published set. ``None`` where nothing is planned.
    """

    kid: str
    alg: str
    state: KeyState
    published_at: int | None
    activates_at: int | None
    retires_at: int | None
    removes_at: int | None
    jwk: Jwk


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys that are or were, oldest first; at most one is active per algorithm."""

    records: tuple[KeyRecord, ...]

    def active(self, alg: str) -> KeyRecord | None:
        """The key that signs with this algorithm."""
        return next((key for key in self.in_state("active") if key.alg == alg), None)

    def in_state(self, *states: KeyState) -> tuple[KeyRecord, ...]:
        """The keys in any of these states, oldest first."""
        return tuple(key for key in self.records if key.state in states)

    def published(self) -> tuple[KeyRecord, ...]:
        """The keys that verifiers must know, oldest first."""
        return self.in_state(*PUBLISHED)


def new_ring(
    first: Jwk,
    second: Jwk,
    *,
    now: int,
    verifier_cache_ttl: int,
    rotate_every: int,
    clock_skew: int = CLOCK_SKEW,
) -> Ring:
    """A ring whose ``first`` key signs at once and whose ``second`` takes over later.

    ``rotate_every`` is in seconds; 0 means that nothing is planned. The second key may not sign
    before every verifier's key set, at most ``verifier_cache_ttl`` seconds old, must hold it; only
    the very first key of all is exempt, for no verifier can have an older set.
    """
    known_everywhere = now + verifier_cache_ttl + clock_skew
    handover = max(now + rotate_every, known_everywhere)
    planned = handover if rotate_every else None
    active = KeyRecord(first["kid"], first["alg"], "active", now, now, planned, None, first)
    standby = KeyRecord(second["kid"], second["alg"], "next", now, handover, None, None, second)
    return Ring((active, standby))


def jwk_set(ring: Ring) -> bytes:
    """The published set (RFC 7517 section 5), the same bytes for the same ring.

    Raises :class:`KeysUnavailable` rather than make an empty set, which Grafana would cache.
    """
    keys = [dict(key.jwk) for key in ring.published()]
    if not keys:
        raise KeysUnavailable("the key ring holds no key to publish", hint="embedjwt keys list")
    return json.dumps({"keys": keys}, separators=(",", ":")).encode()


def entity_tag(body: bytes) -> str:
    """An opaque tag that changes with the bytes, without quotes (RFC 9110 section 8.8.3)."""
    return hashlib.sha256(body).hexdigest()[:32]


def to_json(ring: Ring) -> bytes:
    """The ring as it is stored."""
    document = {"version": _VERSION, "keys": [_entry(key) for key in ring.records]}
    return json.dumps(document, indent=2).encode() + b"\n"


def parse_ring(text: bytes, source: str) -> Ring:
    """The ring that :func:`to_json` wrote to ``source``.

    Raises :class:`KeysUnavailable`, naming ``source``, where anything at all is not as it writes
    it: half an understanding of who may sign is worse than none.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise KeysUnavailable(f"{source} is not JSON", hint=_REPAIR) from error
    if not isinstance(document, dict) or set(document) != {"version", "keys"}:
        raise KeysUnavailable(f"{source} is not a key ring", hint=_REPAIR)
    if document["version"] != _VERSION:
        raise KeysUnavailable(
            f"{source} has a version that this embedjwt does not know",
            hint=f"this release reads version {_VERSION}; run the release that wrote the file",
        )
    if not isinstance(document["keys"], list):
        raise KeysUnavailable(f"{source} holds no list of keys", hint=_REPAIR)
    records = tuple(
        _record(entry, f"{source}, key {number}")
        for number, entry in enumerate(document["keys"], start=1)
    )
    _check_unique([key.kid for key in records], f"{source} holds one key twice")
    _check_unique(
        [key.alg for key in records if key.state == "active"],
        f"{source} holds two active keys of one algorithm",
    )
    return Ring(records)


def _entry(key: KeyRecord) -> dict[str, Any]:
    return asdict(key) | {"jwk": dict(key.jwk)}


def _record(entry: object, where: str) -> KeyRecord:
    def wrong(what: str) -> KeysUnavailable:
        return KeysUnavailable(f"{where}: {what}", hint=_REPAIR)

    if not isinstance(entry, dict) or set(entry) != {field.name for field in fields(KeyRecord)}:
        raise wrong("not the members of a key")
    if entry["state"] not in get_args(KeyState):
        raise wrong(f"unknown state; known are {', '.join(get_args(KeyState))}")
    jwk = entry["jwk"]
    if not is_public_jwk(jwk) or (jwk["kid"], jwk["alg"]) != (entry["kid"], entry["alg"]):
        raise wrong("kid, alg and jwk do not belong together")
    for name in _TIMES:
        # type(), for True is an int.
        if entry[name] is not None and (type(entry[name]) is not int or entry[name] < 0):
            raise wrong(f"{name} must be whole Unix seconds or null")
    for name in _KNOWN_TIMES[entry["state"]]:
        if entry[name] is None:
            raise wrong(f"{name} is missing, and a key that is {entry['state']} has one")
    return KeyRecord(**entry)


def _check_unique(items: list[str], message: str) -> None:
    if len(set(items)) < len(items):
        raise KeysUnavailable(message, hint=_REPAIR)
