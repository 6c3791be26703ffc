"""Rule 12: every token verifies, for its whole life, against every key set at most V old.

Under any schedule, restart, crash between two writes, clock step, lost store and number of
replicas, unless its key was revoked. Replicas are real: key ring, keeper, token issuer and the
directory store; the judge is the model of Grafana's verifier. Time is simulated, and so is
``fsync``.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)

from embedjwt.errors import KeysUnavailable, TransitionRefused
from embedjwt.grafana.verifier import JwtAuthSettings, verify
from embedjwt.identity import Identity
from embedjwt.keys import DirectoryKeyStore, KeyRing, Ring, SigningKey, files
from embedjwt.keys.document import jwk_set
from embedjwt.keys.keeper import Keeper
from embedjwt.keys.operations import Operator
from embedjwt.keys.ring import KeyRecord
from embedjwt.keys.timing import JWKS_MAX_AGE, Timing
from embedjwt.tokens import EmbedToken, TokenIssuer

EPOCH = 1_800_000_000.0
ADA = Identity(
    sub="ada",
    login="ada",
    email="ada@example.com",
    name="Ada",
    role="Viewer",
    is_grafana_admin=False,
    groups=(),
    org_roles={},
    orgs_mapped=False,
)
GRAFANA = JwtAuthSettings(
    enabled=True,
    header_name="X-JWT-Assertion",
    jwk_set_url="https://embed.example.com/.well-known/jwks.json",
    username_claim="login",
    email_claim="email",
    auto_sign_up=True,
)


class Killed(BaseException):
    """A process died here."""


class World:
    """What is true: real time, and which write kills whoever makes it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.writes_to_live: int | None = None

    def write(self) -> None:
        """Called before each write to the store."""
        if self.writes_to_live is not None:
            if self.writes_to_live == 0:
                raise Killed
            self.writes_to_live -= 1


class Reach:
    """A store as one replica reaches it: sometimes not at all."""

    def __init__(self, store: DirectoryKeyStore) -> None:
        self._store = store
        self.lost = False

    def __getattr__(self, name: str) -> Any:
        if self.lost:
            raise KeysUnavailable("the store does not answer")
        return getattr(self._store, name)


class Replica:
    """One process, as ``embedjwt serve`` makes it, with a clock of its own."""

    def __init__(self, world: World, store: DirectoryKeyStore, ahead: float, plan: Plan) -> None:
        self.world = world
        self.ahead = ahead
        self.reach = Reach(store)
        rotation = plan.shared_clock or self.clock
        self.operator = Operator(self.reach, plan.timing, plan.algorithm, rotation, "serve")
        self.keys = KeyRing(
            self.reach,
            plan.algorithm,
            self.clock,
            propagation_delay=plan.timing.propagation_delay,
            monotonic=self.monotonic,
        )
        self.keeper = Keeper(self.keys, self.operator, monotonic=self.monotonic)
        self.issuer = TokenIssuer("https://embed.example.com", self.keys, self.clock, reuse=True)

    def clock(self) -> float:
        return EPOCH + self.world.now + self.ahead

    def monotonic(self) -> float:
        return self.world.now


@dataclass
class Plan:
    timing: Timing
    algorithm: str
    shared_clock: Callable[[], float] | None


@dataclass
class Minted:
    token: EmbedToken
    at: float  # real time
    ahead: float  # the clock of who minted it
    life: int


@dataclass
class Fetched:
    jwks: bytes
    at: float
    document: dict[str, Any] = field(init=False)
    kids: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        self.document = json.loads(self.jwks)
        self.kids = frozenset(key["kid"] for key in self.document["keys"])


class Rotation(RuleBasedStateMachine):
    """Replicas live their lives; whatever they hand out is held against whatever they publish."""

    @initialize(
        replicas=st.integers(1, 4),
        ttl=st.sampled_from([60, 300, 3600]),
        cache=st.sampled_from([60, 600, 3600]),
        delay=st.sampled_from([30, 120, 600]),
        slack=st.sampled_from([0, 1, 3600, 86400]),
        manual=st.booleans(),
        shared=st.booleans(),
    )
    def begin(
        self,
        replicas: int,
        ttl: int,
        cache: int,
        delay: int,
        slack: int,
        manual: bool,
        shared: bool,
    ) -> None:
        self.world = World()
        self.directory = Path(tempfile.mkdtemp(prefix="embedjwt-", dir=FAST))
        self.store = DirectoryKeyStore(self.directory / "jwks", None)
        least = Timing(1, cache, ttl, delay).shortest_rotation
        self.shared_ahead = 0.0
        self.clock_is_right = True
        self.plan = Plan(
            Timing(0 if manual else least + slack, cache, ttl, delay),
            "ES256",
            self._shared_clock if shared else None,
        )
        self.minted: list[Minted] = []
        self.fetched: list[Fetched] = []
        self.revoked: set[str] = set()
        self.too_early: dict[str, float] = {}  # kid → until when a set without it was published
        self.since: dict[tuple[str, str], float] = {}  # real time of each transition
        self.facts: dict[str, dict[str, int]] = {}
        self.verdicts: dict[tuple[str, bytes], str] = {}
        self.read: tuple[Hashable, Ring] = (None, Ring(()))
        self.whole: Ring | None = None
        with quick(self.world):
            self._operator().init()
            self.replicas = [self._replica() for _ in range(replicas)]
        self._note_ring()

    def teardown(self) -> None:
        shutil.rmtree(self.directory, ignore_errors=True)

    # What happens to the world ---------------------------------------------------------------

    @rule(
        span=st.one_of(
            st.integers(1, 120),
            st.integers(120, 4000),
            st.sampled_from([5000, 10_000, 90_000]),
        ),
        slices=st.integers(1, 6),
        asleep=st.sets(st.integers(0, 3)),
    )
    def time_passes(self, span: int, slices: int, asleep: set[int]) -> None:
        for _ in range(slices):
            self.world.now += span / slices
            for number, replica in enumerate(self.replicas):
                if number not in asleep:
                    with quick(self.world):
                        replica.keeper.tick()
                    self._note_ring()
            self._look()

    @rule(number=st.integers(0, 3), steps=st.lists(st.integers(1, 200), min_size=1, max_size=4))
    def works_on(self, number: int, steps: list[int]) -> None:
        """One replica for a while, with a request before and after each look at the store."""
        replica = self.replicas[number % len(self.replicas)]
        for step in steps:
            self.world.now += step
            self._use(replica)
            with quick(self.world):
                replica.keeper.tick()
            self._note_ring()
            self._use(replica)

    @rule(part=st.sampled_from([0.5, 0.99, 1.0]))
    def nobody_looks_for_nearly_too_long(self, part: float) -> None:
        self.world.now += part * self.plan.timing.propagation_delay
        self._look()

    @rule(number=st.integers(0, 3), margin=st.integers(0, 2), by_hand=st.booleans())
    def a_wait_ends(self, number: int, margin: int, by_hand: bool) -> None:
        """Somebody acts just when something may become due: a wait too short would show there."""
        edges = [time for time in self._edges() if time >= self.world.now]
        if edges:
            self.world.now = min(edges) + margin
        if by_hand and self.clock_is_right:
            self._by_hand(lambda operator: operator.rotate())
        with quick(self.world):
            self.replicas[number % len(self.replicas)].keeper.tick()
        self._note_ring()
        self._look()

    def _edges(self) -> Iterator[float]:
        timing = self.plan.timing
        for key in self._ring().records:
            since = self.since.get((key.kid, key.state), 0.0)
            if key.state == "next":
                yield since + timing.known_everywhere
            if key.state == "retiring":
                yield since + timing.overlap
            if key.state == "active" and timing.rotate_every:
                yield since + timing.rotate_every - timing.lead
                yield since + timing.rotate_every

    @rule(number=st.integers(0, 3), writes=st.integers(0, 8))
    def dies_at_a_write(self, number: int, writes: int) -> None:
        replica = self.replicas[number % len(self.replicas)]
        self.world.writes_to_live = writes
        try:
            with quick(self.world):
                replica.keeper.tick()
        except Killed:
            event("killed at a write")
            self.world.writes_to_live = None
            self._restart(number)
        self.world.writes_to_live = None
        self._note_ring()
        self._look()

    @rule(number=st.integers(0, 3))
    def restarts(self, number: int) -> None:
        self._restart(number)
        self._look()

    @rule(number=st.integers(0, 3), by=st.sampled_from([-90_000, -4000, -30, 30, 4000, 90_000]))
    def clock_steps(self, number: int, by: int) -> None:
        replica = self.replicas[number % len(self.replicas)]
        replica.ahead += by
        if self.plan.shared_clock is None:
            self.clock_is_right = False
        self._look()
        with quick(self.world):
            replica.keeper.tick()
        self._note_ring()
        self._look()

    @precondition(lambda self: self.plan.shared_clock is not None)
    @rule(by=st.sampled_from([-90_000, -4000, 4000, 90_000]))
    def shared_clock_steps(self, by: int) -> None:
        self.shared_ahead += by
        self.clock_is_right = False
        self._look()

    @rule(number=st.integers(0, 3), lost=st.booleans())
    def store_is_lost_or_found(self, number: int, lost: bool) -> None:
        self.replicas[number % len(self.replicas)].reach.lost = lost

    @rule(span=st.sampled_from([60, 4000, 90_000]), slices=st.integers(1, 3))
    def ring_is_damaged_and_restored(self, span: int, slices: int) -> None:
        """Right after those who can have looked; who could not must not go on with what it knew."""
        self._tick_all()
        whole = self.store.ring_file.read_bytes()
        self.store.ring_file.write_bytes(whole[:50])
        for _ in range(slices):
            self.world.now += span / slices
            for replica in self.replicas:
                with quick(self.world):
                    replica.keys.refresh()
            self._look()
        self.store.ring_file.write_bytes(whole)
        self._tick_all()
        self._look()

    def _tick_all(self) -> None:
        for replica in self.replicas:
            with quick(self.world):
                replica.keeper.tick()
            self._note_ring()

    @rule(algorithm=st.sampled_from(["ES256", "EdDSA"]))
    def algorithm_is_changed(self, algorithm: str) -> None:
        self.plan.algorithm = algorithm
        for number in range(len(self.replicas)):
            self._restart(number)

    # What an operator does, on a machine whose clock is right ----------------------------------

    @precondition(lambda self: self.clock_is_right)
    @rule(what=st.sampled_from(["rotate", "activate", "advance"]))
    def operator_rotates(self, what: str) -> None:
        self._by_hand(lambda operator: getattr(operator, what)())
        self.nobody_looks_for_nearly_too_long(0.99)

    @rule()
    def operator_prepares(self) -> None:
        self._by_hand(lambda operator: operator.prepare())
        self.nobody_looks_for_nearly_too_long(0.99)

    @rule(which=st.integers(0, 9), writes=st.one_of(st.none(), st.integers(0, 8)))
    def operator_revokes(self, which: int, writes: int | None) -> None:
        records = self._ring().records
        key = records[which % len(records)]
        self.world.writes_to_live = writes
        self._by_hand(lambda operator: operator.revoke(key.kid, reason="test"), forced=True)

    # What must hold ----------------------------------------------------------------------------

    @invariant()
    def ring_is_whole(self) -> None:
        ring = self._ring()
        if ring is self.whole:
            return
        self.whole = ring
        assert len(ring.in_state("active")) == 1
        (active,) = ring.in_state("active")
        assert isinstance(self.store.signing_key(active), SigningKey)
        for key in ring.records:
            times = [key.published_at, key.activates_at, key.retires_at, key.removes_at]
            known = [time for time in times if time is not None]
            assert known == sorted(known), f"times of a key go backwards: {key}"
        self._no_fact_changes(ring)
        handed_over = sum(
            key.state != "next" and key.activates_at is not None for key in ring.records
        )
        event(f"keys that signed: {min(handed_over, 5)}")

    def _no_fact_changes(self, ring: Ring) -> None:
        for key in ring.records:
            known = self.facts.setdefault(key.kid, {})
            for name, value in facts(key).items():
                assert known.setdefault(name, value) == value, f"{name} of {key.kid} moved"

    def _look(self) -> None:
        for replica in self.replicas:
            self._use(replica)

    def _use(self, replica: Replica) -> None:
        """A request for a token and one for the key set, each held against all of the other."""
        with quick(self.world):
            try:
                published = replica.keys.current
            except KeysUnavailable:
                event("refuses to publish")
            else:
                assert published.jwks == jwk_set(published.ring)
                self._fetched(Fetched(published.jwks, self.world.now))
            try:
                token = replica.issuer.issue(
                    ADA,
                    audience="https://grafana.example.com",
                    ttl=self.plan.timing.token_ttl,
                    session_expires_at=None,
                )
            except KeysUnavailable:
                event("refuses to sign")
            else:
                known = {key.kid for key in replica.keys.ring.published()}
                assert token.kid in known, "a token of a key that this very process knows revoked"
                life = token.expires_at - int(replica.clock())
                self._minted(Minted(token, self.world.now, replica.ahead, life))

    def _fetched(self, fetched: Fetched) -> None:
        self.fetched.append(fetched)
        self.minted = [m for m in self.minted if m.at + m.life >= self.world.now]
        for minted in self.minted:
            self._judge(minted, fetched)

    def _minted(self, minted: Minted) -> None:
        self.minted.append(minted)
        # A cache on the way may have kept the answer as long as we allow.
        oldest = self.world.now - self.plan.timing.verifier_cache_ttl - JWKS_MAX_AGE
        self.fetched = [f for f in self.fetched if f.at >= oldest]
        for fetched in self.fetched:
            self._judge(minted, fetched)

    def _judge(self, minted: Minted, fetched: Fetched) -> None:
        kid = minted.token.kid
        if kid in self.revoked:
            return
        if kid not in fetched.kids and fetched.at <= self.too_early.get(kid, -1):
            return  # an operator was told, and forced it
        name = (minted.token.token, fetched.jwks)
        if name not in self.verdicts:
            verdict = verify(
                minted.token.token, GRAFANA, fetched.document, now=minted.token.issued_at
            )
            self.verdicts[name] = "accepted" if verdict.accepted else verdict.reason
        assert self.verdicts[name] == "accepted", (
            f"a token of {kid}, minted at {minted.at}, against the keys published at {fetched.at}"
        )

    # Helpers -----------------------------------------------------------------------------------

    def _shared_clock(self) -> float:
        return EPOCH + self.world.now + self.shared_ahead

    def _true_clock(self) -> float:
        return EPOCH + self.world.now

    def _operator(self) -> Operator:
        clock = self.plan.shared_clock or self._true_clock
        return Operator(self.store, self.plan.timing, self.plan.algorithm, clock, "by hand")

    def _by_hand(self, act: Callable[[Operator], object], *, forced: bool = False) -> None:
        before = self._ring()
        try:
            with quick(self.world):
                act(self._operator())
        except TransitionRefused:
            event("refused by hand")
        except Killed:
            event("killed by hand")
        self.world.writes_to_live = None
        self._note_ring()
        after = self._ring()
        self.revoked |= {key.kid for key in after.in_state("revoked")}
        if forced:
            active = {key.kid for key in before.in_state("active")}
            for key in after.in_state("active"):
                if key.kid not in active:
                    known = self.since[key.kid, "next"] + self.plan.timing.propagation_delay
                    self.too_early[key.kid] = known
        self._look()

    def _note_ring(self) -> None:
        for key in self._ring().records:
            self.since.setdefault((key.kid, key.state), self.world.now)

    def _ring(self) -> Ring:
        version = self.store.version()
        if version != self.read[0]:
            self.read = (version, self.store.ring())
        return self.read[1]

    def _restart(self, number: int) -> None:
        number %= len(self.replicas)
        old = self.replicas[number]
        with quick(self.world):
            self.replicas[number] = self._replica(old.ahead)

    def _replica(self, ahead: float = 0.0) -> Replica:
        return Replica(self.world, self.store, ahead, self.plan)


def facts(key: KeyRecord) -> dict[str, int]:
    """Times that have come and can never be others."""
    names = {
        "next": ("published_at",),
        "active": ("published_at", "activates_at"),
        "retiring": ("published_at", "activates_at", "retires_at"),
        "removed": ("published_at", "activates_at", "retires_at", "removes_at"),
        "revoked": ("published_at", "activates_at", "retires_at", "revoked_at"),
    }[key.state]
    return {name: time for name in names if (time := getattr(key, name)) is not None}


@contextmanager
def quick(world: World) -> Iterator[None]:
    """Files without waiting for the disk, whose writers may die before each write."""
    write, remove, sync = files.write, files.remove_others, os.fsync

    def dying(function: Callable[..., None]) -> Callable[..., None]:
        def call(*args: Hashable) -> None:
            world.write()
            function(*args)

        return call

    files.write, files.remove_others = dying(write), dying(remove)
    os.fsync = lambda _: None
    try:
        yield
    finally:
        files.write, files.remove_others, os.fsync = write, remove, sync


FAST = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
structlog.configure(logger_factory=structlog.ReturnLoggerFactory())

TestRotation = Rotation.TestCase
TestRotation.settings = settings(
    max_examples=int(os.environ.get("EXAMPLES", "2000" if os.environ.get("CI") else "150")),
    stateful_step_count=30,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
