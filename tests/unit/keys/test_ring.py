"""The ring: what may be done with which key, and a stored form that is read strictly."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.ring import (
    CLOCK_SKEW,
    KeyRecord,
    KeyState,
    Ring,
    entity_tag,
    jwk_set,
    new_ring,
    parse_ring,
    to_json,
)
from embedjwt.keys.signer import generate

NOW = 1_800_000_000
ALGS = ["ES256", "ES256", "EdDSA", "EdDSA", "ES384"]
JWKS = [public_jwk(generate(alg).public_key(), alg) for alg in ALGS]

_TIME = st.integers(0, 2**40)


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    """Any ring that may be stored: some of the keys, at most one active per algorithm."""
    records = []
    for jwk in draw(st.lists(st.sampled_from(JWKS), unique_by=lambda jwk: jwk["kid"])):
        taken = {key.alg for key in records if key.state == "active"}
        states = [s for s in get_args(KeyState) if s != "active" or jwk["alg"] not in taken]
        times = [draw(_TIME) for _ in range(4)]
        records.append(
            KeyRecord(jwk["kid"], jwk["alg"], draw(st.sampled_from(states)), *times, jwk)
        )
    return Ring(tuple(records))


@given(
    now=st.integers(0, 2**40),
    ttl=st.integers(60, 7 * 86400),
    every=st.just(0) | st.integers(1, 366 * 86400),
)
def test_first_keys_one_signs_and_one_waits_until_all_know_it(
    now: int, ttl: int, every: int
) -> None:
    ring = new_ring(JWKS[0], JWKS[1], now=now, verifier_cache_ttl=ttl, rotate_every=every)
    (active,), (standby,) = ring.in_state("active"), ring.in_state("next")
    assert ring.active("ES256") == active
    assert (active.published_at, active.activates_at, standby.published_at) == (now, now, now)
    assert standby.activates_at is not None
    assert standby.activates_at >= now + ttl + CLOCK_SKEW
    if every:
        assert active.retires_at == standby.activates_at >= now + every
    else:
        assert active.retires_at is None
        assert standby.activates_at == now + ttl + CLOCK_SKEW
    assert (active.removes_at, standby.retires_at, standby.removes_at) == (None, None, None)


def test_a_period_longer_than_the_cache_is_kept_to_the_second() -> None:
    ring = new_ring(JWKS[0], JWKS[1], now=NOW, verifier_cache_ttl=3600, rotate_every=86400)
    assert [key.activates_at for key in ring.records] == [NOW, NOW + 86400]


def ring_of(*states: KeyState) -> Ring:
    pairs = zip(JWKS, states, strict=False)
    return Ring(tuple(KeyRecord(j["kid"], j["alg"], s, NOW, NOW, NOW, NOW, j) for j, s in pairs))


def test_published_are_next_active_and_retiring() -> None:
    ring = ring_of("revoked", "retiring", "active", "next", "removed")
    assert [key.kid for key in ring.published()] == [jwk["kid"] for jwk in JWKS[1:4]]
    assert json.loads(jwk_set(ring)) == {"keys": [dict(jwk) for jwk in JWKS[1:4]]}


def test_each_algorithm_has_its_own_active_key() -> None:
    ring = ring_of("retiring", "active", "active", "next")
    found = [ring.active(alg) for alg in ("ES256", "EdDSA", "RS256")]
    assert [key and key.kid for key in found] == [JWKS[1]["kid"], JWKS[2]["kid"], None]


@pytest.mark.parametrize("states", [(), ("removed", "revoked")], ids=["no-keys", "none-published"])
def test_an_empty_set_is_never_made(states: tuple[KeyState, ...]) -> None:
    with pytest.raises(KeysUnavailable, match="no key to publish"):
        jwk_set(ring_of(*states))


def test_the_entity_tag_follows_the_bytes() -> None:
    one, two = jwk_set(ring_of("active")), jwk_set(ring_of("active", "next"))
    assert entity_tag(one) == entity_tag(bytes(one))
    assert entity_tag(one) != entity_tag(two)


@given(rings())
def test_what_is_stored_is_read_back(ring: Ring) -> None:
    assert parse_ring(to_json(ring), "ring.json") == ring


@given(rings(), st.data())
def test_a_file_cut_short_is_refused(ring: Ring, data: st.DataObject) -> None:
    whole = to_json(ring).rstrip()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(KeysUnavailable):
        parse_ring(whole[:cut], "ring.json")


def _with(**members: object) -> Callable[[dict[str, Any]], object]:
    return lambda document: document | members


def _key(number: int, **members: object) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> object:
        document["keys"][number] |= members
        return document

    return change


def _without(name: str) -> Callable[[dict[str, Any]], object]:
    def change(document: dict[str, Any]) -> object:
        del document["keys"][0][name]
        return document

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        pytest.param(lambda d: [], "not a key ring", id="list"),
        pytest.param(lambda d: None, "not a key ring", id="null"),
        pytest.param(lambda d: {"keys": d["keys"]}, "not a key ring", id="no-version"),
        pytest.param(_with(more=1), "not a key ring", id="unknown-member"),
        pytest.param(_with(version=2), "version", id="newer-version"),
        pytest.param(_with(version="1"), "version", id="version-as-text"),
        pytest.param(_with(keys={}), "no list", id="keys-are-no-list"),
        pytest.param(_with(keys=[5]), "key 1: not the members", id="key-is-no-object"),
        pytest.param(_without("removes_at"), "key 1: not the members", id="member-missing"),
        pytest.param(_key(1, note="x"), "key 2: not the members", id="member-unknown"),
        pytest.param(_key(0, state="paused"), "key 1: unknown state", id="state-unknown"),
        pytest.param(_key(0, state=["active"]), "key 1: unknown state", id="state-is-no-text"),
        pytest.param(_key(0, kid="x"), "belong together", id="kid-of-no-key"),
        pytest.param(_key(0, kid=JWKS[1]["kid"]), "belong together", id="kid-of-another"),
        pytest.param(_key(0, alg="ES384"), "belong together", id="alg-of-another"),
        pytest.param(_key(0, jwk={**JWKS[0], "d": "x"}), "belong together", id="private-jwk"),
        pytest.param(_key(0, jwk=None), "belong together", id="no-jwk"),
        pytest.param(_key(0, activates_at="1"), "activates_at must be", id="time-as-text"),
        pytest.param(_key(0, retires_at=1.5), "retires_at must be", id="time-with-fraction"),
        pytest.param(_key(0, removes_at=True), "removes_at must be", id="time-is-true"),
        pytest.param(_key(0, published_at=-1), "published_at must be", id="time-negative"),
        pytest.param(_key(0, activates_at=None), "activates_at is missing", id="active-no-time"),
        pytest.param(
            _key(0, state="retiring", retires_at=None), "retires_at is missing", id="retiring"
        ),
        pytest.param(_key(1, state="active"), "two active keys", id="two-active"),
        pytest.param(
            lambda d: d | {"keys": [d["keys"][1], d["keys"][1]]}, "one key twice", id="twice"
        ),
    ],
)
def test_a_file_that_is_not_as_written_is_refused(
    change: Callable[[dict[str, Any]], object], message: str
) -> None:
    ring = new_ring(JWKS[0], JWKS[1], now=NOW, verifier_cache_ttl=3600, rotate_every=86400)
    document = json.loads(to_json(ring))
    with pytest.raises(KeysUnavailable, match=message) as refused:
        parse_ring(json.dumps(change(document)).encode(), "/srv/jwks/ring.json")
    assert "/srv/jwks/ring.json" in refused.value.detail
    assert refused.value.hint


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "binary", "deep"]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(KeysUnavailable, match=r"ring\.json is not JSON"):
        parse_ring(text, "ring.json")


def test_a_key_that_is_gone_needs_no_times() -> None:
    gone = replace(ring_of("active", "removed").records[1], published_at=None, activates_at=None)
    ring = Ring((ring_of("active").records[0], gone))
    assert parse_ring(to_json(ring), "ring.json") == ring
