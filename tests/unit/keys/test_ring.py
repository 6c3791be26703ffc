"""The ring: what may be done with which key, and at what time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys_support import NOW, TIMING, ring_of

from embedjwt.errors import TransitionRefused
from embedjwt.keys import ring as transitions
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.ring import (
    MAX_NEXT,
    KeyRecord,
    KeyState,
    Ring,
    is_reason,
    new_ring,
    successor,
)
from embedjwt.keys.signer import generate
from embedjwt.keys.timing import Timing

ALGS = ["ES256", "ES256", "EdDSA", "EdDSA", "ES384", "ES256"]
JWKS = [public_jwk(generate(alg).public_key(), alg) for alg in ALGS]
KIDS = [jwk["kid"] for jwk in JWKS]
KNOWN, OVERLAP = TIMING.known_everywhere, TIMING.overlap


def refusal(work: Callable[[], object]) -> str:
    with pytest.raises(TransitionRefused) as refused:
        work()
    assert refused.value.status == 409
    return refused.value.code


# The first keys


@given(
    now=st.integers(0, 2**40),
    ttl=st.integers(60, 7 * 86400),
    every=st.just(0) | st.integers(1, 366 * 86400),
)
def test_first_keys_one_signs_and_one_waits_until_all_know_it(
    now: int, ttl: int, every: int
) -> None:
    timing = Timing(every, verifier_cache_ttl=ttl, token_ttl=300, propagation_delay=120)
    ring = new_ring(JWKS[0], JWKS[1], now, timing)
    (active,), (standby,) = ring.in_state("active"), ring.in_state("next")
    assert ring.active("ES256") == active
    assert (active.published_at, active.activates_at, standby.published_at) == (now, now, now)
    assert standby.activates_at == now + timing.known_everywhere >= now + ttl + timing.clock_skew
    assert active.retires_at == (now + every if every else None)
    assert (active.removes_at, standby.retires_at, standby.removes_at) == (None, None, None)
    assert (ring.revision, ring.revocations, len(ring.records)) == (1, 0, 2)


# Every transition, from every state

Work = Callable[[Ring, str], Ring]

WORK: dict[str, Work] = {
    "activate-aged": lambda r, kid: transitions.activate(r, kid, NOW + KNOWN, TIMING),
    "activate-young": lambda r, kid: transitions.activate(r, kid, NOW + KNOWN - 1, TIMING),
    "activate-forced": lambda r, kid: transitions.activate(r, kid, NOW, TIMING, force=True),
    "remove-dead": lambda r, kid: transitions.remove(r, kid, NOW + OVERLAP, TIMING),
    "remove-used": lambda r, kid: transitions.remove(r, kid, NOW + OVERLAP - 1, TIMING),
    "revoke": lambda r, kid: transitions.revoke(r, kid, NOW + 5, "leaked"),
}
WRONG, YOUNG, USED = "key_state", "key_too_young", "key_in_use"
STATES: tuple[KeyState, ...] = ("next", "active", "retiring", "removed", "revoked")
OUTCOMES: dict[str, tuple[str, ...]] = {
    #                   next       active     retiring   removed    revoked
    "activate-aged": ("active", WRONG, WRONG, WRONG, WRONG),
    "activate-young": (YOUNG, WRONG, WRONG, WRONG, WRONG),
    "activate-forced": ("active", WRONG, WRONG, WRONG, WRONG),
    "remove-dead": ("removed", WRONG, "removed", WRONG, WRONG),
    "remove-used": ("removed", WRONG, USED, WRONG, WRONG),
    "revoke": ("revoked", "revoked", "revoked", "revoked", WRONG),
}


def test_the_table_is_whole() -> None:
    assert get_args(KeyState) == STATES
    assert OUTCOMES.keys() == WORK.keys()


@pytest.mark.parametrize(
    ("work", "state", "outcome"),
    [
        pytest.param(WORK[name], state, outcome, id=f"{name}-{state}")
        for name, outcomes in OUTCOMES.items()
        for state, outcome in zip(STATES, outcomes, strict=True)
    ],
)
def test_each_transition_from_each_state(work: Work, state: KeyState, outcome: str) -> None:
    others: tuple[KeyState, ...] = ("retiring", "next", "removed")
    ring = ring_of(JWKS, state, *others)
    if outcome not in STATES:
        assert refusal(lambda: work(ring, KIDS[0])) == outcome
        return
    changed = work(ring, KIDS[0])
    assert changed.records[0].state == outcome
    assert changed.records[1:] == ring.records[1:]
    assert changed.revocations == (outcome == "revoked" and state in transitions.PUBLISHED)


def test_a_young_key_is_told_how_long_it_waits() -> None:
    ring = ring_of(JWKS, "active", "next")
    with pytest.raises(TransitionRefused) as refused:
        transitions.activate(ring, KIDS[1], NOW + KNOWN - 120, TIMING)
    assert KIDS[1] in refused.value.detail
    assert "2 min" in refused.value.detail
    assert "--force" in refused.value.hint


# What each transition writes


def test_prepare_publishes_a_key_that_does_not_sign() -> None:
    ring = transitions.prepare(ring_of(JWKS, "active"), JWKS[1], NOW + 9, TIMING)
    times = (NOW + 9, NOW + 9 + KNOWN, None, None)
    assert ring.records[1] == KeyRecord(KIDS[1], "ES256", "next", *times, JWKS[1])
    assert ring.active("ES256") == ring.records[0]


@pytest.mark.parametrize("every", [86400, 0])
def test_activate_retires_the_one_that_signed(every: int) -> None:
    ring, at = ring_of(JWKS, "removed", "active", "next"), NOW + KNOWN
    changed = transitions.activate(ring, KIDS[2], at, replace(TIMING, rotate_every=every))
    gone, old, young = changed.records
    assert gone == ring.records[0]
    assert (old.state, old.retires_at, old.removes_at) == ("retiring", at, at + OVERLAP)
    planned = at + every if every else None
    assert (young.state, young.activates_at, young.retires_at) == ("active", at, planned)


def test_activating_one_algorithm_retires_the_key_of_the_other() -> None:
    ring = ring_of(JWKS, "active", "next", "next")
    changed = transitions.activate(ring, KIDS[2], NOW, TIMING, force=True)
    assert [key.state for key in changed.records] == ["retiring", "next", "active"]


def test_remove_says_when() -> None:
    ring = ring_of(JWKS, "active", "retiring", "next")
    retired = transitions.remove(ring, KIDS[1], NOW + OVERLAP, TIMING).records[1]
    assert (retired.activates_at, retired.retires_at, retired.removes_at) == (
        NOW,
        NOW,
        NOW + OVERLAP,
    )
    unused = transitions.remove(ring, KIDS[2], NOW + 3, TIMING).records[2]
    assert (unused.activates_at, unused.retires_at, unused.removes_at) == (None, None, NOW + 3)


def test_a_promise_to_keep_a_key_outlives_the_settings() -> None:
    """Tokens that were issued under longer waits are not forgotten with them."""
    longer = replace(TIMING, propagation_delay=1000)
    ring = transitions.activate(ring_of(JWKS, "active", "next"), KIDS[1], NOW, longer, force=True)
    early = NOW + longer.overlap - 1
    assert refusal(lambda: transitions.remove(ring, KIDS[0], early, TIMING)) == "key_in_use"
    assert transitions.remove(ring, KIDS[0], early + 1, TIMING).records[0].state == "removed"


@pytest.mark.parametrize(
    ("state", "activates", "retires", "removes"),
    [
        ("next", None, None, NOW + 5),
        ("active", NOW, NOW + 5, NOW + 5),
        ("retiring", NOW, NOW, NOW + 5),
        ("removed", NOW, NOW, NOW),
    ],
)
def test_revoke_says_when_and_why(
    state: KeyState, activates: int | None, retires: int | None, removes: int
) -> None:
    ring = transitions.revoke(ring_of(JWKS, state), KIDS[0], NOW + 5, "leaked")
    key = ring.records[0]
    assert (key.revoked_at, key.reason) == (NOW + 5, "leaked")
    assert (key.activates_at, key.retires_at, key.removes_at) == (activates, retires, removes)
    assert key not in ring.published()


@pytest.mark.parametrize(
    ("reason", "taken"),
    [
        ("x", True),
        ("Größe 5 – leaked, see INC-7", True),
        ("x" * 500, True),
        ("x" * 501, False),
        ("", False),
        ("   ", False),
        ("two\nlines", False),
        ("a\ttab", False),
        ("\x1b[2J", False),
        ("\u202eright to left", False),
        ("\ud800", False),
    ],
)
def test_a_reason_is_one_line_that_a_terminal_can_show(reason: str, taken: bool) -> None:
    ring = ring_of(JWKS, "active", "next")
    assert is_reason(reason) == taken
    if taken:
        assert transitions.revoke(ring, KIDS[1], NOW, reason).records[1].reason == reason
    else:
        assert refusal(lambda: transitions.revoke(ring, KIDS[1], NOW, reason)) == "reason_invalid"


def test_a_promise_not_to_sign_outlives_the_settings() -> None:
    """A shorter ``verifier_cache_ttl`` does not empty the caches that were filled before it."""
    longer = replace(TIMING, verifier_cache_ttl=86400)
    ring = transitions.prepare(ring_of(JWKS, "active"), JWKS[1], NOW, longer)
    promised = NOW + longer.known_everywhere
    assert ring.records[1].may_sign_from(TIMING) == promised
    early = promised - 1
    assert refusal(lambda: transitions.activate(ring, KIDS[1], early, TIMING)) == "key_too_young"
    assert transitions.activate(ring, KIDS[1], promised, TIMING).signs("ES256")
    young = transitions.prepare(ring_of(JWKS, "active"), JWKS[1], NOW, TIMING).records[1]
    assert young.may_sign_from(longer) == promised, "a longer one counts at once"


def test_a_key_from_elsewhere_signs_at_once() -> None:
    jwk = {**JWKS[1], "kid": "theirs"}
    ring = transitions.adopt_active(ring_of(JWKS, "active"), jwk, NOW + 9, TIMING)
    old, new = ring.records
    assert (old.state, old.retires_at, old.removes_at) == ("retiring", NOW + 9, NOW + 9 + OVERLAP)
    assert (new.kid, new.state, new.activates_at, new.imported) == (
        "theirs",
        "active",
        NOW + 9,
        True,
    )
    assert ring.signs("ES256") == new


@pytest.mark.parametrize(("signs_for", "wait"), [(500, 500), (0, 0), (-500, 0)])
def test_a_key_with_which_others_sign_stays_until_they_are_done(signs_for: int, wait: int) -> None:
    ring = transitions.adopt_retiring(
        ring_of(JWKS, "active"), JWKS[1], NOW, TIMING, signs_until=NOW + signs_for
    )
    assert ring.active("ES256") == ring.records[0]
    key, leaves = ring.records[1], NOW + wait + OVERLAP
    assert (key.state, key.removes_at, key.imported) == ("retiring", leaves, True)
    assert refusal(lambda: transitions.remove(ring, key.kid, leaves - 1, TIMING)) == "key_in_use"
    assert transitions.remove(ring, key.kid, leaves, TIMING).records[1].state == "removed"


@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("jwk", [JWKS[0], {**JWKS[0], "kid": "x"}, {**JWKS[1], "kid": KIDS[0]}])
def test_a_key_that_is_known_is_not_adopted_again(state: KeyState, jwk: dict[str, str]) -> None:
    """Not the name, not the key under another name: least of all a revoked one."""
    ring = ring_of(JWKS, state)

    def active() -> Ring:
        return transitions.adopt_active(ring, jwk, NOW, TIMING)

    def retiring() -> Ring:
        return transitions.adopt_retiring(ring, jwk, NOW, TIMING, signs_until=NOW + 9)

    assert [refusal(active), refusal(retiring)] == ["key_known"] * 2


def test_no_more_keys_wait_than_grafana_should_carry() -> None:
    assert MAX_NEXT == 4
    transitions.check_room(ring_of(JWKS, "active", "next", "next", "next", "removed"))
    full = ring_of(JWKS, "active", "next", "next", "next", "next")
    assert refusal(lambda: transitions.check_room(full)) == "keys_enough"


# Time


@given(back=st.integers(0, 10**9), state=st.sampled_from(STATES))
def test_a_clock_that_went_back_moves_no_time_back(back: int, state: KeyState) -> None:
    ring = ring_of(JWKS, state, "active", "next")
    past = NOW - back
    assert ring.moment(past) == NOW
    assert transitions.prepare(ring, JWKS[4], past, TIMING).records[-1].published_at == NOW
    activated = transitions.activate(ring, KIDS[2], past, TIMING, force=True)
    assert activated.records[1].retires_at == activated.records[2].activates_at == NOW
    adopted = transitions.adopt_retiring(ring, JWKS[4], past, TIMING, signs_until=past)
    assert adopted.records[-1].removes_at == NOW + OVERLAP
    assert transitions.revoke(ring, KIDS[1], past, "leaked").records[1].revoked_at == NOW


@pytest.mark.parametrize(
    ("state", "came"),
    [
        ("next", {"published_at"}),
        ("active", {"published_at", "activates_at"}),
        ("retiring", {"published_at", "activates_at", "retires_at"}),
        ("removed", {"published_at", "activates_at", "retires_at", "removes_at"}),
        ("revoked", {"published_at", "revoked_at"}),
    ],
)
def test_time_stands_still_at_what_has_come_and_not_at_a_plan(
    state: KeyState, came: set[str]
) -> None:
    names = ("published_at", "activates_at", "retires_at", "removes_at", "revoked_at")
    key = ring_of(JWKS, state).records[0]
    for name in names:
        times: dict[str, int] = dict.fromkeys(names, 0) | {name: NOW + 7}
        moved = Ring((replace(key, **times),))
        assert moved.moment(NOW) == (NOW + 7 if name in came else NOW), name


@pytest.mark.parametrize("now", [-5.0, -0.5, 0.0])
def test_there_is_no_time_before_the_epoch(now: float) -> None:
    assert Ring(()).moment(now) == 0


@given(st.lists(st.tuples(st.sampled_from(sorted(WORK)), st.integers(-(10**6), 10**6)), max_size=8))
def test_whatever_is_done_by_any_clock_times_only_grow(
    steps: list[tuple[str, int]],
) -> None:
    ring, made = new_ring(JWKS[0], JWKS[1], NOW, TIMING), 2
    for name, clock in steps:
        before = {key.kid: key for key in ring.records}
        at = ring.moment(NOW + clock)
        try:
            if name == "revoke":
                ring = transitions.revoke(ring, KIDS[made - 2], NOW + clock, "leaked")
            elif name.startswith("remove"):
                ring = transitions.remove(ring, KIDS[made - 2], NOW + clock, TIMING)
            elif name == "activate-young" and made < len(JWKS):
                ring, made = transitions.prepare(ring, JWKS[made], NOW + clock, TIMING), made + 1
            else:
                ring = transitions.activate(
                    ring, KIDS[made - 1], NOW + clock, TIMING, force=name == "activate-forced"
                )
        except TransitionRefused:
            continue
        assert ring.moment(0) <= at
        for key in ring.records:
            old = before.get(key.kid)
            if old is not None and old.state != key.state:
                assert at in (key.activates_at, key.retires_at, key.removes_at, key.revoked_at)
            assert key.published_at == (at if old is None else old.published_at)
            came = [key.published_at, key.activates_at]
            came += [key.retires_at] if key.state == "retiring" else []
            if key.state in ("active", "retiring"):
                assert came == sorted(came)  # type: ignore[type-var]


# Which key


def test_each_algorithm_has_its_own_active_key() -> None:
    ring = ring_of(JWKS, "retiring", "active", "active", "next")
    found = [ring.active(alg) for alg in ("ES256", "EdDSA", "RS256")]
    assert [key and key.kid for key in found] == [KIDS[1], KIDS[2], None]


def test_without_a_key_of_the_algorithm_the_youngest_active_one_signs() -> None:
    first, second = ring_of(JWKS, "active", "removed", "active").in_state("active")
    young = replace(second, activates_at=NOW + 1)
    signs = [Ring(keys).signs("ES384") for keys in ((first, young), (young, first))]
    assert signs == [young, young]
    assert Ring((first, young)).signs("ES256") == first
    assert ring_of(JWKS, "next", "retiring", "removed", "revoked").signs("ES256") is None


@pytest.mark.parametrize(
    ("kids", "asked", "found"),
    [
        (["abcdef", "abcxyz"], "abcdef", "abcdef"),
        (["abcdef", "abcxyz"], "abcd", "abcdef"),
        (["abcdef", "abcxyz"], "abcde", "abcdef"),
        (["abcdef", "abcxyz"], "abc", None),
        (["abcdef", "wxyz"], "abc", None),
        (["abcdef", "abcdxy"], "abcd", None),
        (["abcdef", "abcxyz"], "bcde", None),
        (["abcdef", "abcxyz"], "abcdefg", None),
        (["abcdef", "abcxyz"], "", None),
        (["abcd", "abcdef"], "abcd", "abcd"),
        (["ab", "abcdef"], "ab", "ab"),
    ],
)
def test_a_key_is_found_by_its_name_or_by_enough_of_it(
    kids: list[str], asked: str, found: str | None
) -> None:
    keys = ring_of(JWKS, "active", "next").records
    ring = Ring(tuple(replace(key, kid=kid) for key, kid in zip(keys, kids, strict=True)))
    if found is None:
        assert refusal(lambda: ring.find(asked)) == "no_such_key"
    else:
        assert ring.find(asked).kid == found


def waiting(*keys: tuple[int, int]) -> Ring:
    """Next keys: which of ``JWKS``, and for how many seconds they have been published."""
    records = ring_of(JWKS, *["next"] * len(JWKS)).records
    return Ring(tuple(replace(records[n], published_at=NOW - age) for n, age in keys))


@pytest.mark.parametrize(
    ("keys", "algorithm", "unusable", "chosen"),
    [
        pytest.param([(0, KNOWN), (1, KNOWN + 5)], "ES256", [], 1, id="the-oldest"),
        pytest.param([(0, KNOWN + 5), (1, KNOWN)], "ES256", [1], 0, id="the-oldest-first"),
        pytest.param([(0, KNOWN + 5), (1, KNOWN)], "ES256", [0], 1, id="that-can-be-used"),
        pytest.param([(2, KNOWN + 9), (0, KNOWN)], "ES256", [], 0, id="of-the-algorithm"),
        pytest.param([(2, KNOWN + 9), (0, KNOWN)], "EdDSA", [], 2, id="of-the-other"),
        pytest.param([(0, KNOWN - 1), (2, KNOWN)], "ES256", [], 2, id="known-before-algorithm"),
        pytest.param([(0, 10), (2, 20)], "ES256", [], 0, id="young-of-the-algorithm"),
        pytest.param([(0, 10), (1, 20)], "ES256", [], 1, id="young-the-oldest"),
        pytest.param([(0, KNOWN)], "ES256", [0], None, id="none-can-be-used"),
        pytest.param([], "ES256", [], None, id="none-waits"),
    ],
)
def test_the_successor_is_known_of_the_algorithm_and_old(
    keys: list[tuple[int, int]], algorithm: str, unusable: list[int], chosen: int | None
) -> None:
    refused = [KIDS[n] for n in unusable]
    key = successor(
        waiting(*keys), NOW, TIMING, algorithm, lambda record: record.kid not in refused
    )
    assert (key and key.kid) == (None if chosen is None else KIDS[chosen])


def test_only_a_next_key_succeeds() -> None:
    ring = ring_of(JWKS, "active", "retiring", "removed", "revoked")
    assert successor(ring, NOW + KNOWN, TIMING, "ES256", lambda _: True) is None


# What is forgotten


@pytest.mark.parametrize(("state", "most"), [("removed", 20), ("revoked", 300)])
def test_the_oldest_of_the_dead_are_forgotten(state: KeyState, most: int) -> None:
    dead = ring_of(JWKS, state).records[0]
    active, standby = ring_of(JWKS, "active", "next").records
    many = tuple(replace(dead, kid=f"dead {n}") for n in range(most + 3))
    ring = transitions.prepare(Ring((*many[:5], active, *many[5:], standby)), JWKS[2], NOW, TIMING)
    assert [key.kid for key in ring.in_state(state)] == [f"dead {n}" for n in range(3, most + 3)]
    assert ring.published()[:2] == (active, standby)
    few = Ring((*many[:most], active))
    assert transitions.prepare(few, JWKS[2], NOW, TIMING).records[:-1] == few.records


def test_the_number_of_revocations_outlives_their_records() -> None:
    ring = replace(ring_of(JWKS, "active", "next"), revocations=900)
    assert transitions.revoke(ring, KIDS[1], NOW, "leaked").revocations == 901
