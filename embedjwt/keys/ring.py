"""The key ring: which keys there are, what each may do, and when. Pure: no I/O, no clock.

A key goes ``next`` (published, does not sign) → ``active`` (signs) → ``retiring`` (published, does
not sign) → ``removed``; ``revoked`` leaves the published set at once. Each transition is a function
from a ring to a ring that refuses what would be unsafe. ``now`` is in Unix seconds; where a clock
went back, time stands still at the newest moment the ring knows, so no key's times ever go back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from embedjwt.errors import TransitionRefused
from embedjwt.keys.jwk import Jwk
from embedjwt.keys.timing import Timing
from embedjwt.times import moment, span

KeyState = Literal["next", "active", "retiring", "removed", "revoked"]

PUBLISHED: frozenset[KeyState] = frozenset({"next", "active", "retiring"})

MAX_NEXT = 4
"""Keys that wait at once; each makes the published set larger for every Grafana."""

_KEPT_REMOVED = 20
_KEPT_REVOKED = 300
_LONGEST_REASON = 500
_SHORTEST_PREFIX = 4


@dataclass(frozen=True, slots=True)
class KeyRecord:
    """One key: its public half, its state, and the absolute times (Unix seconds) of its life.

    ``activates_at``: signs from then on; ``retires_at``: signs until then; ``removes_at``: leaves
    the published set. Times that lie ahead are a plan, except two that are promises: ``next`` keys
    do not sign before ``activates_at``, ``retiring`` ones do not leave before ``removes_at``.
    ``None`` where nothing is planned.
    ``imported``: made elsewhere, and may have a ``kid`` that is no thumbprint.
    """

    kid: str
    alg: str
    state: KeyState
    published_at: int | None
    activates_at: int | None
    retires_at: int | None
    removes_at: int | None
    jwk: Jwk
    revoked_at: int | None = None
    reason: str = ""
    imported: bool = False

    @property
    def signs_elsewhere(self) -> bool:
        """Whether another program signs with it, and its private half is not ours."""
        return self.imported and self.state == "retiring" and self.retires_at == self.published_at

    def may_sign_from(self, timing: Timing) -> int:
        """When every verifier must know a ``next`` key; never before what was promised.

        A shorter ``verifier_cache_ttl`` does not empty the caches that were filled before it.
        """
        return max(self.activates_at or 0, (self.published_at or 0) + timing.known_everywhere)

    def may_leave_from(self, timing: Timing) -> int:
        """When the last token of a ``retiring`` key is dead; never before what was promised."""
        return max(self.removes_at or 0, (self.retires_at or 0) + timing.overlap)


@dataclass(frozen=True, slots=True)
class Ring:
    """All keys that are or were, oldest first; at most one is active per algorithm.

    ``revision`` counts the changes, ``revocations`` the keys ever revoked; ``changed_by`` names who
    made the last change.
    """

    records: tuple[KeyRecord, ...]
    revision: int = 1
    revocations: int = 0
    changed_by: str = ""

    def active(self, alg: str) -> KeyRecord | None:
        """The key that signs with this algorithm."""
        return next((key for key in self.in_state("active") if key.alg == alg), None)

    def signs(self, alg: str) -> KeyRecord | None:
        """The key that signs where ``alg`` is wanted.

        The active one of that algorithm; where there is none yet, because the setting was changed
        and no rotation has followed, the youngest active key: the one that verifiers know.
        """
        youngest = max(self.in_state("active"), key=lambda key: key.activates_at or 0, default=None)
        return self.active(alg) or youngest

    def in_state(self, *states: KeyState) -> tuple[KeyRecord, ...]:
        """The keys in any of these states, oldest first."""
        return tuple(key for key in self.records if key.state in states)

    def published(self) -> tuple[KeyRecord, ...]:
        """The keys that verifiers must know, oldest first."""
        return tuple(key for key in self.records if key.state in PUBLISHED)

    def find(self, kid: str) -> KeyRecord:
        """The key with this ``kid``, or the only one whose ``kid`` begins so.

        Raises :class:`TransitionRefused` where there is none, or more than one.
        """
        found = [key for key in self.records if key.kid == kid]
        found = found or [key for key in self.records if kid and key.kid.startswith(kid)]
        if len(found) == 1 and (len(kid) >= _SHORTEST_PREFIX or found[0].kid == kid):
            return found[0]
        what = (
            "several keys have a kid that begins with" if len(found) > 1 else "no key has the kid"
        )
        if len(found) == 1:
            what = f"give at least {_SHORTEST_PREFIX} characters of a kid, not"
        raise TransitionRefused(
            f"{what} {kid!r}", hint="`embedjwt keys list` shows them", code="no_such_key"
        )

    def moment(self, now: float) -> int:
        """``now``, or the newest moment that the ring knows where the clock is behind it."""
        return max(int(now), *(time for key in self.records for time in _facts(key)), 0)


def new_ring(first: Jwk, second: Jwk, now: float, timing: Timing) -> Ring:
    """A ring whose ``first`` key signs at once and whose ``second`` waits.

    Only the very first key of all need not wait, for no verifier can have an older set.
    """
    ring = prepare(Ring((), revision=0), first, now, timing)
    ring = prepare(activate(ring, first["kid"], now, timing, force=True), second, now, timing)
    return replace(ring, revision=1)


def prepare(ring: Ring, jwk: Jwk, now: float, timing: Timing) -> Ring:
    """Publish a key that does not sign yet."""
    at = ring.moment(now)
    soonest = at + timing.known_everywhere
    record = KeyRecord(jwk["kid"], jwk["alg"], "next", at, soonest, None, None, jwk)
    return _changed(ring, (*ring.records, record))


def check_room(ring: Ring) -> None:
    """Raises :class:`TransitionRefused` where another next key would be one too many."""
    if len(ring.in_state("next")) >= MAX_NEXT:
        raise TransitionRefused(
            f"{MAX_NEXT} keys wait already",
            hint="`embedjwt keys rotate` puts the oldest to work; `keys revoke` withdraws one",
            code="keys_enough",
        )


def activate(ring: Ring, kid: str, now: float, timing: Timing, *, force: bool = False) -> Ring:
    """Let a ``next`` key sign, and retire the one that did.

    Raises :class:`TransitionRefused` before every verifier must know it, unless ``force``.
    """
    key, at = ring.find(kid), ring.moment(now)
    if key.state != "next":
        raise TransitionRefused(
            f"{key.kid} is {key.state}; only a next key can become active",
            hint="`embedjwt keys list` shows what each key is",
            code="key_state",
        )
    wait = key.may_sign_from(timing) - at
    if wait > 0 and not force:
        raise TransitionRefused(
            f"{key.kid} may sign from {moment(at + wait)} UTC, in {span(wait)}: until then a "
            "Grafana may have a key set without it, and would refuse every token",
            hint="wait, or use `embedjwt keys activate --force` and accept failures until then",
            code="key_too_young",
        )
    planned = at + timing.rotate_every if timing.rotate_every else None
    young = replace(key, state="active", activates_at=at, retires_at=planned)
    return _changed(
        ring,
        (
            young if old is key else _retired(old, at, timing) if old.state == "active" else old
            for old in ring.records
        ),
    )


def remove(ring: Ring, kid: str, now: float, timing: Timing) -> Ring:
    """Take a key out of the published set that no living token needs.

    That is a ``retiring`` one whose last token is dead, or a ``next`` one, which never signed.
    """
    key, at = ring.find(kid), ring.moment(now)
    if key.state not in ("next", "retiring"):
        raise TransitionRefused(f"{key.kid} is {key.state}", code="key_state")
    if key.state == "retiring" and at < key.may_leave_from(timing):
        wait = key.may_leave_from(timing) - at
        raise TransitionRefused(
            f"tokens of {key.kid} may live for another {span(wait)}", code="key_in_use"
        )
    gone = replace(key, state="removed", removes_at=at)
    if key.state == "next":
        gone = replace(gone, activates_at=None, retires_at=None)
    return _with(ring, gone)


def revoke(ring: Ring, kid: str, now: float, reason: str) -> Ring:
    """Take a key out of use and out of the published set, at once.

    Where it signs, make another active first; :func:`successor` finds it.
    """
    key, at = ring.find(kid), ring.moment(now)
    if not is_reason(reason):
        raise TransitionRefused(
            f"the reason must be 1 to {_LONGEST_REASON} printable characters in one line",
            hint="nothing was changed",
            code="reason_invalid",
        )
    if key.state == "revoked":
        raise TransitionRefused(
            f"{key.kid} is revoked already", hint="nothing was changed", code="key_state"
        )
    gone = replace(
        key,
        state="revoked",
        revoked_at=at,
        reason=reason,
        activates_at=None if key.state == "next" else key.activates_at,
        retires_at={"next": None, "active": at}.get(key.state, key.retires_at),
        removes_at=key.removes_at if key.state == "removed" else at,
    )
    return replace(_with(ring, gone), revocations=ring.revocations + (key.state in PUBLISHED))


def adopt_active(ring: Ring, jwk: Jwk, now: float, timing: Timing) -> Ring:
    """Let a key sign at once that verifiers know from elsewhere."""
    refuse_known(ring, jwk)
    ring = activate(prepare(ring, jwk, now, timing), jwk["kid"], now, timing, force=True)
    return _with(ring, replace(ring.find(jwk["kid"]), imported=True))


def adopt_retiring(ring: Ring, jwk: Jwk, now: float, timing: Timing, *, signs_until: int) -> Ring:
    """Publish a key with which another program signs, until ``signs_until``; it leaves after."""
    refuse_known(ring, jwk)
    at = ring.moment(now)
    until = max(at, signs_until)
    record = KeyRecord(
        jwk["kid"], jwk["alg"], "retiring", at, at, at, until + timing.overlap, jwk, imported=True
    )
    return _changed(ring, (*ring.records, record))


def successor(
    ring: Ring, now: float, timing: Timing, algorithm: str, usable: Callable[[KeyRecord], bool]
) -> KeyRecord | None:
    """The key to put to work next: one that verifiers know, of this algorithm, and the oldest.

    ``usable`` says whether a key's private half can be used at all.
    """
    at = ring.moment(now)
    waiting = [key for key in ring.in_state("next") if usable(key)]
    return min(
        waiting,
        key=lambda key: (key.may_sign_from(timing) > at, key.alg != algorithm, key.published_at),
        default=None,
    )


def changed_keys(before: Ring, after: Ring) -> list[tuple[KeyRecord, KeyState | None]]:
    """The keys whose state differs, and what it was; ``None`` for a key that was not there."""
    states = {key.kid: key.state for key in before.records}
    return [(key, states.get(key.kid)) for key in after.records if states.get(key.kid) != key.state]


def is_reason(text: str) -> bool:
    """Whether it can be kept in the ring and shown on a terminal as it is."""
    return len(text.strip()) > 0 and len(text) <= _LONGEST_REASON and text.isprintable()


def refuse_known(ring: Ring, jwk: Jwk) -> None:
    """Raises :class:`TransitionRefused` where the ring has, or had, this key or its name."""
    material = _material(jwk)
    known = [key for key in ring.records if key.kid == jwk["kid"] or _material(key.jwk) == material]
    if known:
        raise TransitionRefused(
            f"the ring knows this key already: {known[0].kid} is {known[0].state}",
            hint="a key is used once; nothing was changed",
            code="key_known",
        )


def _retired(key: KeyRecord, at: int, timing: Timing) -> KeyRecord:
    return replace(key, state="retiring", retires_at=at, removes_at=at + timing.overlap)


def _material(jwk: Jwk) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(item for item in jwk.items() if item[0] not in ("kid", "alg", "use")))


def _with(ring: Ring, changed: KeyRecord) -> Ring:
    return _changed(ring, (changed if key.kid == changed.kid else key for key in ring.records))


def _changed(ring: Ring, records: Iterable[KeyRecord]) -> Ring:
    kept = tuple(records)
    for state, most in (("removed", _KEPT_REMOVED), ("revoked", _KEPT_REVOKED)):
        ended = sorted(
            (key for key in kept if key.state == state),
            key=lambda key: key.revoked_at or key.removes_at or 0,
        )
        forgotten = {key.kid for key in ended[: max(0, len(ended) - most)]}
        kept = tuple(key for key in kept if key.kid not in forgotten)
    return replace(ring, records=kept)


def _facts(key: KeyRecord) -> Iterable[int]:
    """The times of a key that have come, whatever any clock says."""
    came = {
        "next": (key.published_at,),
        "active": (key.published_at, key.activates_at),
        "retiring": (key.published_at, key.activates_at, key.retires_at),
        "removed": (key.published_at, key.activates_at, key.retires_at, key.removes_at),
        "revoked": (key.published_at, key.revoked_at),
    }[key.state]
    return (time for time in came if time is not None)
