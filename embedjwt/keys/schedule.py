"""What happens when: the steps of automatic rotation, due now or in years. Pure.

Decisions rest on what has happened (``published_at``, when a key began or ceased to sign) and on
the settings as they are now; planned times in the ring are for people.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Literal

from embedjwt.keys import ring as transitions
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.timing import Timing

Action = Literal["prepare", "activate", "remove"]

Seen = Callable[[KeyRecord], float]
"""For how many seconds, by a clock that is never set, this process has known a key in its state."""

_STEPS_AHEAD = 10_000


@dataclass(frozen=True, slots=True)
class Step:
    """One transition. ``kid`` is ``None`` for a key that has yet to be made; ``at`` Unix seconds.

    In a forecast, keys that have yet to be made are named ``(new 1)``, ``(new 2)``, ….
    """

    action: Action
    alg: str
    kid: str | None
    at: int


def trust_the_clock(_: KeyRecord) -> float:
    """For a command, which has seen nothing: the wall clock alone decides."""
    return float("inf")


def next_step(
    ring: Ring, now: float, timing: Timing, algorithm: str, seen: Seen = trust_the_clock
) -> Step | None:
    """What automatic rotation would do now, one step at a time; ``None`` where nothing is due.

    A wait is over when both the wall clock and ``seen`` say so: a clock that was put forward ends
    no wait. A key is activated only if one as old stays behind, so that an emergency right after a
    rotation need not wait either. With ``rotate_every = 0`` only dead keys are removed.
    """
    at = ring.moment(now)
    for key in unneeded(ring, now, timing, algorithm, seen):
        if key.state == "retiring" or timing.rotate_every:
            return Step("remove", key.alg, key.kid, at)
    if timing.rotate_every == 0:
        return None
    waiting = [key for key in ring.in_state("next") if key.alg == algorithm]
    handover = _handover(ring.signs(algorithm), algorithm, timing)
    aged = [key for key in waiting if _is_ready(key, at, timing, seen)]
    if at >= handover and len(aged) >= 2:
        return Step("activate", algorithm, aged[0].kid, at)
    wanted = 2 if at >= handover - timing.lead else 1
    if len(waiting) < wanted:
        return Step("prepare", algorithm, None, at)
    return None


def unneeded(
    ring: Ring, now: float, timing: Timing, algorithm: str, seen: Seen = trust_the_clock
) -> list[KeyRecord]:
    """Keys that nothing needs any more: the dead first, then those left over."""
    at = ring.moment(now)
    dead = [
        key
        for key in ring.in_state("retiring")
        # Not for as long as another program signs with it: services restart within weeks.
        if at >= key.may_leave_from(timing) and seen(key) >= timing.overlap
    ]
    active = ring.signs(algorithm)
    if active is None or active.alg != algorithm:
        return dead
    # Left over from a change of algorithm; they never signed. Not before they are ready, for
    # another process may still be set to their algorithm, and have just made them.
    left_over = [
        key
        for key in ring.in_state("next")
        if key.alg != algorithm and _is_ready(key, at, timing, seen)
    ]
    return [*dead, *left_over]


def forecast(ring: Ring, now: float, timing: Timing, algorithm: str, until: float) -> list[Step]:
    """Every step of automatic rotation up to ``until`` (Unix seconds), were nothing to intervene.

    Waits are exact; a running service acts up to some seconds later.
    """
    return [step for step, _ in _ahead(ring, now, timing, algorithm, until)]


def upcoming(ring: Ring, now: float, timing: Timing, algorithm: str) -> Step | None:
    """The next step of automatic rotation; what is due already is due now."""
    ahead = _ahead(ring, now, timing, algorithm, float("inf"))
    return next((step for step, _ in ahead), None)


def planned(ring: Ring, now: float, timing: Timing, algorithm: str) -> Ring:
    """The ring with the times at which automatic rotation will do the rest to its keys."""
    kids = {key.kid for key in ring.published()}
    later = ring
    for _, later in _ahead(ring, now, timing, algorithm, float("inf")):
        if not kids & {key.kid for key in later.published()}:
            break
    ends = {key.kid: key for key in later.records}
    return replace(
        ring,
        records=tuple(_foreseen(key, ends.get(key.kid, key), timing) for key in ring.records),
    )


def _is_ready(key: KeyRecord, at: int, timing: Timing, seen: Seen) -> bool:
    ready = key.may_sign_from(timing)
    return at >= ready and seen(key) >= ready - (key.published_at or 0)


def _handover(active: KeyRecord | None, algorithm: str, timing: Timing) -> int:
    if active is None or active.alg != algorithm:
        return 0  # overdue: the settings ask for another algorithm
    return (active.activates_at or 0) + timing.rotate_every


def _ahead(
    ring: Ring, now: float, timing: Timing, algorithm: str, until: float
) -> Iterator[tuple[Step, Ring]]:
    """Steps and the rings after them, with made-up keys where new ones are needed."""
    made = 0
    at: float = ring.moment(now)
    for _ in range(_STEPS_AHEAD):
        step = next_step(ring, at, timing, algorithm)
        if step is None:
            at = min((t for t in _moments(ring, timing, algorithm) if t > at), default=until)
            if at >= until:
                return
            continue
        if step.kid is None:
            made += 1
            step = replace(step, kid=f"(new {made})")
        ring = apply_step(ring, step, timing)
        yield step, ring


def apply_step(ring: Ring, step: Step, timing: Timing) -> Ring:
    """The ring after a step; a key that is prepared is one of a forecast, without a public half."""
    kid = step.kid or ""
    if step.action == "prepare":
        jwk = {"kid": kid, "alg": step.alg}
        return transitions.prepare(ring, jwk, step.at, timing)
    if step.action == "activate":
        return transitions.activate(ring, kid, step.at, timing)
    return transitions.remove(ring, kid, step.at, timing)


def _moments(ring: Ring, timing: Timing, algorithm: str) -> Iterator[int]:
    """When something may become due; between two of them nothing does."""
    for key in ring.in_state("retiring"):
        yield key.may_leave_from(timing)
    for key in ring.in_state("next"):
        yield key.may_sign_from(timing)
    if timing.rotate_every:
        handover = _handover(ring.signs(algorithm), algorithm, timing)
        yield from (handover - timing.lead, handover)


def _foreseen(key: KeyRecord, end: KeyRecord, timing: Timing) -> KeyRecord:
    """What has happened to a key, and what will have happened to it in the end."""
    if key.state not in transitions.PUBLISHED:
        return key
    if end.state == key.state == "next":
        return replace(key, activates_at=key.may_sign_from(timing), retires_at=None)
    if end.state == key.state == "active":
        return replace(key, retires_at=None, removes_at=None)
    return replace(end, state=key.state, jwk=key.jwk)
