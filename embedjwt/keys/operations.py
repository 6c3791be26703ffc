"""What is done to a key store: each operation holds it still, applies transitions, and commits.

Every one of them can be killed at any point and run again, and any number of processes may run
them at once: one acts, the others see what it did.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace

import structlog

from embedjwt import audit
from embedjwt.errors import KeysUnavailable, TransitionRefused
from embedjwt.keys import ring as transitions
from embedjwt.keys.jwk import Jwk
from embedjwt.keys.ring import KeyRecord, Ring, new_ring, successor
from embedjwt.keys.schedule import (
    Seen,
    Step,
    apply_step,
    next_step,
    trust_the_clock,
    unneeded,
)
from embedjwt.keys.signer import PrivateKey
from embedjwt.keys.store import Change, Custody, KeyStore
from embedjwt.keys.timing import Timing
from embedjwt.times import moment

_log = structlog.get_logger("embedjwt.keys")


@dataclass(frozen=True, slots=True)
class Operator:
    """Who acts on a store, under which settings.

    ``clock`` gives Unix seconds; ``actor`` names who acts, for the audit trail.
    """

    store: KeyStore
    timing: Timing
    algorithm: str
    clock: Callable[[], float]
    actor: str

    def init(self) -> Ring:
        """Make the first keys: one active, one next.

        Of several processes one wins. Raises :class:`KeysUnavailable`, with code ``keys_exist``
        where there is a ring already.
        """
        with self.store.changing() as change:
            if change.ring is not None:
                raise KeysUnavailable(
                    f"{self.store.location} already holds keys, and they are kept",
                    hint="`embedjwt keys list` shows them",
                    code="keys_exist",
                )
            first = change.custody.create(self.algorithm)
            second = change.custody.create(self.algorithm)
            return self.commit(change, new_ring(first, second, self.clock(), self.timing))

    def prepare(self) -> Ring:
        """Publish one more key of the configured algorithm, which may sign later."""
        with self.store.changing() as change:
            ring = _held(change, self.store)
            transitions.check_room(ring)
            return self.commit(change, self._prepared(ring, change))

    def activate(self, kid: str | None = None, *, force: bool = False) -> Ring:
        """Let a next key sign now: this one, or the one whose turn it is."""
        with self.store.changing() as change:
            ring = _held(change, self.store)
            key = ring.find(kid) if kid is not None else self._successor(ring, change.custody)
            if key is None:
                raise _nothing_waits()
            ring = transitions.activate(ring, key.kid, self.clock(), self.timing, force=force)
            change.custody.signing_key(key)  # refused here rather than by every process afterwards
            return self.commit(change, self._with_next(ring, change))

    def rotate(self) -> Ring:
        """Hand over to the next key of the configured algorithm, and publish its successor.

        Where none of that algorithm waits, one is published, and :class:`TransitionRefused` says
        from when on it may sign.
        """
        with self.store.changing() as change:
            ring = self._without_dead(_held(change, self.store))
            mine = [key for key in ring.in_state("next") if key.alg == self.algorithm]
            if not any(_can_sign(key, change.custody) for key in mine):
                ring = self.commit(change, self._prepared(ring, change))
                ready = moment(ring.records[-1].may_sign_from(self.timing))
                raise TransitionRefused(
                    f"a new {self.algorithm} key was published; it may sign from {ready} UTC",
                    hint="run this again then: until then a Grafana may have a key set without it",
                    code="key_too_young",
                )
            heir = self._successor(
                ring, change.custody, [key for key in ring.in_state("next") if key not in mine]
            )
            if heir is None:
                raise _nothing_waits()
            ring = transitions.activate(ring, heir.kid, self.clock(), self.timing)
            return self.commit(change, self._with_next(ring, change))

    def revoke(self, *kids: str, reason: str) -> Ring:
        """Take keys out of use and out of the published set at once; a next one takes over.

        Where none waits that is not revoked too, a new one signs at once, whoever knows it. A
        reserve that cannot be made does not keep a key from being revoked: the ring then has none.
        """
        with self.store.changing() as change:
            ring = _held(change, self.store)
            now = self.clock()
            keys = list({key.kid: key for key in map(ring.find, kids)}.values())
            if any(key.state == "active" for key in keys):
                heir = self._successor(ring, change.custody, without=keys)
                if heir is None:
                    ring = self._prepared(ring, change)
                    heir = ring.records[-1]
                ring = transitions.activate(ring, heir.kid, now, self.timing, force=True)
            for key in keys:
                ring = transitions.revoke(ring, key.kid, now, reason)
            try:
                ring = self._with_next(ring, change)
            except KeysUnavailable as error:
                _log.warning("key_reserve_failed", detail=error.detail, hint=error.hint)
            return self.commit(change, ring)

    def adopt(self, private_key: PrivateKey, jwk: Jwk) -> Ring:
        """Let a key sign that verifiers know already, from another program; makes a ring if none.

        The key that signed so far retires, for it may have signed.
        """
        with self.store.changing() as change:
            ring = change.ring or Ring((), revision=0)
            ring = transitions.adopt_active(ring, jwk, self.clock(), self.timing)
            change.custody.adopt(private_key, jwk)
            return self.commit(change, self._with_next(ring, change))

    def adopt_retiring(self, jwk: Jwk, *, signs_until: int) -> Ring:
        """Publish a key with which another program signs until then (Unix seconds)."""
        with self.store.changing() as change:
            ring = _held(change, self.store)
            return self.commit(
                change,
                transitions.adopt_retiring(
                    ring, jwk, self.clock(), self.timing, signs_until=signs_until
                ),
            )

    def advance(self, seen: Seen = trust_the_clock, *, wait: bool = True) -> list[Step]:
        """Do what the schedule asks for now; returns what was done.

        Waiting keys whose private halves cannot be used count as if they were not there.
        """
        with self.store.changing(wait=wait) as change:
            ring = _held(change, self.store)
            steps: list[Step] = []
            while step := self._due(self._usable(ring, change), seen):
                ring, done = self._done(ring, step, change)
                steps.append(done)
            if steps:
                self.commit(change, ring)
            return steps

    def tidy(self) -> None:
        """Finish what a killed process left: destroy private halves that may not sign any more."""
        with self.store.changing(wait=False) as change:
            ring = _held(change, self.store)
            change.custody.prune(ring)
        self.store.tidy(ring)

    def due(self, ring: Ring, seen: Seen) -> bool:
        """Whether :meth:`advance` would do anything; costs no look at the store."""
        return self._due(ring, seen) is not None

    def _due(self, ring: Ring, seen: Seen) -> Step | None:
        return next_step(ring, self.clock(), self.timing, self.algorithm, seen)

    def _done(self, ring: Ring, step: Step, change: Change) -> tuple[Ring, Step]:
        if step.kid is None:
            ring = self._prepared(ring, change)
            return ring, Step(step.action, step.alg, ring.records[-1].kid, step.at)
        return apply_step(ring, step, self.timing), step

    def _prepared(self, ring: Ring, change: Change) -> Ring:
        jwk = change.custody.create(self.algorithm)
        return transitions.prepare(ring, jwk, self.clock(), self.timing)

    def _with_next(self, ring: Ring, change: Change) -> Ring:
        """The ring with a next key of the configured algorithm in it, always."""
        if any(key.alg == self.algorithm for key in ring.in_state("next")):
            return ring
        return self._prepared(ring, change)

    def _without_dead(self, ring: Ring) -> Ring:
        """The ring without keys that nothing needs any more."""
        now = self.clock()
        for key in unneeded(ring, now, self.timing, self.algorithm):
            ring = transitions.remove(ring, key.kid, now, self.timing)
        return ring

    def _usable(self, ring: Ring, change: Change) -> Ring:
        """The ring without those next keys of our algorithm that would be of no use."""

        def counts(key: KeyRecord) -> bool:
            mine = key.state == "next" and key.alg == self.algorithm
            return not mine or _can_sign(key, change.custody)

        return replace(ring, records=tuple(filter(counts, ring.records)))

    def _successor(
        self, ring: Ring, custody: Custody, without: Collection[KeyRecord] = ()
    ) -> KeyRecord | None:
        def usable(key: KeyRecord) -> bool:
            return key not in without and _can_sign(key, custody)

        return successor(ring, self.clock(), self.timing, self.algorithm, usable)

    def commit(self, change: Change, ring: Ring) -> Ring:
        """Replace the ring that is held, and leave a trail of it."""
        before = change.ring or Ring(())
        try:
            return change.commit(replace(ring, changed_by=self.actor))
        finally:
            # Also where what follows the ring failed: it is changed then.
            record_transitions(before, change.ring or before)


def record_transitions(before: Ring, after: Ring, **facts: object) -> None:
    """An audit event for each key whose state differs; ``facts`` go with each of them."""
    for key, was in transitions.changed_keys(before, after):
        audit.record(
            "key_transition",
            actor=after.changed_by,
            kid=key.kid,
            alg=key.alg,
            before=was,
            after=key.state,
            revision=after.revision,
            reason=key.reason,
            **facts,
        )


def _can_sign(key: KeyRecord, custody: Custody) -> bool:
    try:
        custody.signing_key(key)
    except KeysUnavailable:
        return False
    return True


def _held(change: Change, store: KeyStore) -> Ring:
    if change.ring is None:
        raise KeysUnavailable(
            f"{store.location} holds no keys yet",
            hint="`embedjwt init` makes the first ones",
            code="keys_missing",
        )
    return change.ring


def _nothing_waits() -> TransitionRefused:
    return TransitionRefused(
        "no next key can be used",
        hint="`embedjwt keys list` shows their states, `embedjwt check` what is wrong with them",
        code="key_state",
    )
