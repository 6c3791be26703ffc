"""The spans that keys wait: the sums that the rules say; what is too short is refused."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys_support import TIMING

from embedjwt.keys.timing import CLOCK_SKEW, JWKS_MAX_AGE, MAX_TOKEN_LIFE, Timing

_TIMINGS = st.builds(
    Timing,
    rotate_every=st.integers(0, 3650 * 86400),
    verifier_cache_ttl=st.integers(60, 7 * 86400),
    token_ttl=st.integers(30, 3600),
    propagation_delay=st.integers(10, 86400),
)


def test_the_sums() -> None:
    timing = Timing(
        rotate_every=86400, verifier_cache_ttl=3600, token_ttl=300, propagation_delay=120
    )
    assert (CLOCK_SKEW, MAX_TOKEN_LIFE, JWKS_MAX_AGE) == (60, 3600, 300)
    assert timing.known_everywhere == 120 + 300 + 3600 + 60
    assert timing.overlap == 120 + 3600 + 60
    assert timing.lead == 4080 + 60
    assert timing.shortest_rotation == 4140 + 300 + 60 + 120


@pytest.mark.parametrize("ttl", [60, 299, 300, 604800])
def test_caches_on_the_way_count_however_short_the_verifier_keeps_the_set(ttl: int) -> None:
    """One may hold an answer that was made while ``verifier_cache_ttl`` was longer."""
    assert replace(TIMING, verifier_cache_ttl=ttl).known_everywhere == 120 + 300 + ttl + 60


@pytest.mark.parametrize("ttl", [30, 300, 3600])
def test_the_overlap_does_not_follow_the_setting_of_the_day(ttl: int) -> None:
    """A key may have signed while tokens were set to live longer."""
    assert replace(TIMING, token_ttl=ttl).overlap == TIMING.overlap >= 3600 + CLOCK_SKEW


@given(_TIMINGS)
def test_the_shortest_rotation_is_accepted_and_a_second_less_is_not(timing: Timing) -> None:
    shortest = timing.shortest_rotation
    assert replace(timing, rotate_every=shortest).unsafe() is None
    assert replace(timing, rotate_every=shortest - 1).unsafe() is not None
    assert replace(timing, rotate_every=1).unsafe() is not None
    assert replace(timing, rotate_every=0).unsafe() is None, "by hand"


@given(_TIMINGS)
def test_the_arithmetic_is_shown_and_right(timing: Timing) -> None:
    timing = replace(timing, rotate_every=timing.shortest_rotation - 1)
    numbers = [int(number) for number in re.findall(r"\d+", timing.unsafe() or "")]
    every, known, p, max_age, cache_ttl, skew, slack, ttl, skew_too, p_too, shortest = numbers
    assert every == timing.rotate_every
    assert p + max_age + cache_ttl + skew == known == timing.known_everywhere
    assert (p, p_too) == (timing.propagation_delay,) * 2
    assert (skew, skew_too) == (CLOCK_SKEW,) * 2
    assert (cache_ttl, ttl) == (timing.verifier_cache_ttl, timing.token_ttl)
    assert known + slack + ttl + skew_too + p_too == shortest == every + 1


@given(_TIMINGS)
def test_waits_cover_what_they_are_for(timing: Timing) -> None:
    cached = JWKS_MAX_AGE + timing.verifier_cache_ttl
    assert timing.known_everywhere >= timing.propagation_delay + cached + CLOCK_SKEW
    assert timing.overlap >= timing.propagation_delay + timing.token_ttl + CLOCK_SKEW
    assert timing.shortest_rotation > timing.lead > timing.known_everywhere
