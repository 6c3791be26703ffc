"""The schedule, looked at for years ahead: what must hold at every moment of it."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from embedjwt.keys import Ring
from embedjwt.keys import ring as transitions
from embedjwt.keys.schedule import Step, forecast, next_step, planned, upcoming
from embedjwt.keys.timing import Timing

NOW = 1_800_000_000
YEAR = 365 * 86400


def _timing(slack: int, cache: int, ttl: int, delay: int) -> Timing:
    least = Timing(1, cache, ttl, delay).shortest_rotation
    return Timing(least + slack, cache, ttl, delay)


timings = st.builds(
    _timing,
    slack=st.integers(0, 90 * 86400),
    cache=st.integers(60, 7 * 86400),
    ttl=st.integers(30, 3600),
    delay=st.integers(10, 86400),
)
few = settings(max_examples=40, deadline=None)


def first_ring(timing: Timing, alg: str = "ES256") -> Ring:
    return transitions.new_ring({"kid": "a", "alg": alg}, {"kid": "b", "alg": alg}, NOW, timing)


def replay(ring: Ring, steps: list[Step], timing: Timing) -> list[tuple[int, Ring]]:
    """The ring after each step, made by the transitions themselves, which refuse what is unsafe."""
    rings = []
    for step in steps:
        kid = step.kid or ""
        if step.action == "prepare":
            ring = transitions.prepare(ring, {"kid": kid, "alg": step.alg}, step.at, timing)
        elif step.action == "activate":
            ring = transitions.activate(ring, kid, step.at, timing)
        else:
            ring = transitions.remove(ring, kid, step.at, timing)
        rings.append((step.at, ring))
    return rings


@few
@given(timing=timings)
def test_there_is_always_a_key_in_reserve_that_everybody_knows(timing: Timing) -> None:
    """Rule 4: an emergency needs no wait, not even one right after a rotation."""
    ring = first_ring(timing)
    steps = forecast(ring, NOW, timing, "ES256", NOW + 12 * timing.rotate_every)
    assert sum(step.action == "activate" for step in steps) >= 11
    warm = NOW + timing.known_everywhere
    for at, after in replay(ring, steps, timing):
        reserve = [key for key in after.in_state("next") if key.may_sign_from(timing) <= at]
        assert reserve or at < warm
        assert len(after.in_state("active")) == 1
        assert len(after.in_state("next")) <= 2, "nor more than needed"


@few
@given(timing=timings)
def test_every_key_signs_for_as_long_as_asked(timing: Timing) -> None:
    steps = forecast(first_ring(timing), NOW, timing, "ES256", NOW + 12 * timing.rotate_every)
    handovers = [step.at for step in steps if step.action == "activate"]
    spans = {later - earlier for earlier, later in pairwise(handovers)}
    assert spans == {timing.rotate_every}
    assert handovers[0] == NOW + timing.rotate_every


@few
@given(timing=timings, part=st.floats(0, 3))
def test_nothing_is_done_between_two_steps(timing: Timing, part: float) -> None:
    """So a service that looks at any moment does what the forecast says."""
    ring, at = first_ring(timing), NOW + int(part * timing.rotate_every)
    before = [s for s in forecast(ring, NOW, timing, "ES256", at + 1) if s.at <= at]
    rings = [ring, *(after for _, after in replay(ring, before, timing))]
    assert next_step(rings[-1], at, timing, "ES256") is None


def test_by_hand_only_dead_keys_leave() -> None:
    timing = Timing(0, 3600, 300, 120)
    ring = first_ring(timing)
    assert forecast(ring, NOW, timing, "ES256", NOW + 10 * YEAR) == []
    assert upcoming(ring, NOW, timing, "ES256") is None
    later = NOW + timing.known_everywhere
    ring = transitions.activate(ring, "b", later, timing)
    expected = Step("remove", "ES256", "a", later + timing.overlap)
    assert forecast(ring, later, timing, "ES256", NOW + 10 * YEAR) == [expected]


@pytest.mark.parametrize(("old", "new"), [("RS256", "ES256"), ("ES256", "RS256")])
def test_another_algorithm_is_an_ordinary_rotation(old: str, new: str) -> None:
    """Rule 10: published beside the old one, known everywhere, then active."""
    timing = _timing(30 * 86400, 3600, 300, 120)
    ring = first_ring(timing, old)
    rings = replay(ring, forecast(ring, NOW, timing, new, NOW + YEAR), timing)
    changed = next(at for at, after in rings if after.in_state("active")[0].alg == new)
    assert changed == NOW + timing.known_everywhere
    for at, after in rings:
        published = {key.alg for key in after.published()}
        if at < changed + timing.overlap:
            assert published == {old, new}
        assert len(after.in_state("active")) == 1
    assert {key.alg for key in rings[-1][1].published()} == {new}


def test_a_rotation_that_is_overdue_waits_for_a_reserve() -> None:
    timing = _timing(0, 3600, 300, 120)
    ring = first_ring(timing)
    late = NOW + YEAR
    first, second, *_ = forecast(ring, late, timing, "ES256", late + 86400)
    assert (first.action, first.at) == ("prepare", late)
    assert (second.action, second.at) == ("activate", late + timing.known_everywhere)


@pytest.mark.parametrize("seen", [0, 1, 4079])
def test_a_wait_is_over_only_when_it_was_watched(seen: float) -> None:
    """Rule 2, with a clock that was put forward."""
    timing = Timing(30 * 86400, 3600, 300, 120)
    ring = transitions.prepare(first_ring(timing), {"kid": "c", "alg": "ES256"}, NOW, timing)
    late = NOW + YEAR
    assert next_step(ring, late, timing, "ES256", lambda _: seen) is None
    step = next_step(ring, late, timing, "ES256", lambda _: 4080)
    assert step == Step("activate", "ES256", "b", late)


def test_a_wait_that_was_promised_is_watched_to_its_end() -> None:
    """Lowered settings do not shorten it, for caches were filled before."""
    slow, quick = Timing(30 * 86400, 86400, 300, 120), Timing(30 * 86400, 3600, 300, 120)
    ring = transitions.prepare(first_ring(slow), {"kid": "c", "alg": "ES256"}, NOW, slow)
    late, promised = NOW + YEAR, slow.known_everywhere
    assert next_step(ring, late, quick, "ES256", lambda _: promised - 1) is None
    step = next_step(ring, late, quick, "ES256", lambda _: promised)
    assert step == Step("activate", "ES256", "b", late)


@pytest.mark.parametrize(
    ("after", "seen", "leaves"),
    [(4080, 4080, True), (4079, 9999, False), (9999, 4079, False), (0, 0, False)],
)
def test_keys_of_another_algorithm_leave_only_when_they_are_ready(
    after: int, seen: int, leaves: bool
) -> None:
    """Another process may still be set to theirs, and have just made them."""
    timing = Timing(30 * 86400, 3600, 300, 120)
    ring = transitions.prepare(first_ring(timing), {"kid": "c", "alg": "EdDSA"}, NOW, timing)
    step = next_step(ring, NOW + after, timing, "ES256", lambda _: seen)
    assert step == (Step("remove", "EdDSA", "c", NOW + after) if leaves else None)


@pytest.mark.parametrize(
    ("after", "seen", "leaves"),
    [
        (10 * 86400 + 3780, 3780, True),
        (10 * 86400 + 3779, 99 * 86400, False),
        (99 * 86400, 3779, False),
    ],
)
def test_a_key_with_which_others_sign_leaves_after_its_time_and_an_overlap_that_was_watched(
    after: int, seen: int, leaves: bool
) -> None:
    timing = Timing(0, 3600, 300, 120)
    until = NOW + 10 * 86400
    jwk = {"kid": "theirs", "alg": "ES256", "x": "theirs"}
    ring = transitions.adopt_retiring(first_ring(timing), jwk, NOW, timing, signs_until=until)
    step = next_step(ring, NOW + after, timing, "ES256", lambda _: seen)
    assert step == (Step("remove", "ES256", "theirs", NOW + after) if leaves else None)


def test_new_settings_hold_for_keys_that_are_there() -> None:
    """A shorter ``rotate_every`` takes effect now, a longer ``verifier_cache_ttl`` too."""
    slow = _timing(90 * 86400, 60, 300, 120)
    ring = first_ring(slow)
    quick = replace(slow, rotate_every=2 * 86400)
    handover = next(
        s for s in forecast(ring, NOW, quick, "ES256", NOW + YEAR) if s.action == "activate"
    )
    assert handover.at == NOW + 2 * 86400
    careful = replace(slow, verifier_cache_ttl=86400)
    assert ring.records[1].may_sign_from(careful) == NOW + careful.known_everywhere


@few
@given(timing=timings)
def test_planned_times_are_those_of_the_forecast(timing: Timing) -> None:
    ring = first_ring(timing)
    end = NOW + 3 * timing.rotate_every + 2 * timing.overlap
    steps = forecast(ring, NOW, timing, "ES256", end)
    times = {(step.kid, step.action): step.at for step in steps}
    active, waiting = planned(ring, NOW, timing, "ES256").records
    assert (active.state, waiting.state) == ("active", "next"), "nothing has happened yet"
    assert active.retires_at == waiting.activates_at == times["b", "activate"]
    assert active.removes_at == times["a", "remove"]
    assert waiting.removes_at == times["b", "remove"]
