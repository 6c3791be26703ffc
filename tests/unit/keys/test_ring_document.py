"""The ring as it is stored: read back as written, read strictly; and the set as published."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from keys_support import NOW, TIMING, ring_of

from embedjwt.errors import KeysUnavailable, RingDamaged
from embedjwt.keys.document import entity_tag, jwk_set, parse_ring, to_json
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.ring import KeyRecord, KeyState, Ring, is_reason, new_ring
from embedjwt.keys.signer import generate

ALGS = ["ES256", "ES256", "EdDSA", "EdDSA", "ES384"]
JWKS = [public_jwk(generate(alg).public_key(), alg) for alg in ALGS]
SOURCE = "/srv/jwks/ring.json"

_TIME = st.integers(0, 2**40)
_PRINTABLE = st.characters(codec="utf-8", categories=["L", "N", "P", "S"])
_REASON = st.just("") | st.text(_PRINTABLE | st.just(" "), max_size=500).filter(is_reason)
_KID = st.text(_PRINTABLE, min_size=1)


@st.composite
def rings(draw: st.DrawFn) -> Ring:
    """Any ring that may be stored: some of the keys, one active, at most one per algorithm."""
    records: list[KeyRecord] = []
    for jwk in draw(st.lists(st.sampled_from(JWKS), unique_by=lambda jwk: jwk["kid"], min_size=1)):
        taken = {key.alg for key in records if key.state == "active"}
        states = [s for s in get_args(KeyState) if s != "active" or jwk["alg"] not in taken]
        times = [draw(_TIME) for _ in range(4)]
        state = draw(st.sampled_from(states)) if records else "active"
        key = KeyRecord(jwk["kid"], jwk["alg"], state, *times, jwk)
        if state == "revoked":
            key = replace(key, revoked_at=draw(_TIME), reason=draw(_REASON))
        kid = draw(_KID)
        if draw(st.booleans()) and kid not in {key.kid for key in records}:
            key = replace(key, imported=True, kid=kid, jwk={**jwk, "kid": kid})
        records.append(key)
    counts = draw(st.integers(0, 2**40)), draw(st.integers(0, 1000))
    return Ring(tuple(draw(st.permutations(records))), *counts, draw(st.text()))


def test_published_are_next_active_and_retiring() -> None:
    ring = ring_of(JWKS, "revoked", "retiring", "active", "next", "removed")
    assert json.loads(jwk_set(ring)) == {"keys": [dict(jwk) for jwk in JWKS[1:4]]}


@pytest.mark.parametrize("states", [(), ("removed", "revoked")], ids=["no-keys", "none-published"])
def test_an_empty_set_is_never_made(states: tuple[KeyState, ...]) -> None:
    with pytest.raises(RingDamaged, match="no key to publish"):
        jwk_set(ring_of(JWKS, *states))


def test_the_entity_tag_follows_the_bytes() -> None:
    one, two = jwk_set(ring_of(JWKS, "active")), jwk_set(ring_of(JWKS, "active", "next"))
    assert entity_tag(one) == entity_tag(bytes(one))
    assert entity_tag(one) != entity_tag(two)
    assert '"' not in entity_tag(one)


@given(rings())
def test_what_is_stored_is_read_back(ring: Ring) -> None:
    assert parse_ring(to_json(ring), SOURCE) == ring


@given(rings(), st.data())
def test_a_file_cut_short_is_refused(ring: Ring, data: st.DataObject) -> None:
    whole = to_json(ring).rstrip()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(RingDamaged):
        parse_ring(whole[:cut], SOURCE)


def test_what_version_1_wrote_is_read() -> None:
    """As release 0.1 stored its first keys: without a count of changes, without revocations."""
    first, second = JWKS[:2]
    members = {"retires_at": NOW + 86400, "removes_at": None, "published_at": NOW}
    active = {"state": "active", "activates_at": NOW, **members}
    waiting = {"state": "next", "activates_at": NOW + 86400, **members, "retires_at": None}
    keys = [
        {"kid": jwk["kid"], "alg": jwk["alg"], "jwk": dict(jwk), **times}
        for jwk, times in ((first, active), (second, waiting))
    ]
    ring = parse_ring(json.dumps({"version": 1, "keys": keys}).encode(), SOURCE)
    assert (ring.revision, ring.revocations, ring.changed_by) == (1, 0, "")
    assert [key.state for key in ring.records] == ["active", "next"]
    assert [key.activates_at for key in ring.records] == [NOW, NOW], "it was a plan, no promise"
    assert ring.records[1].may_sign_from(TIMING) == NOW + TIMING.known_everywhere
    assert all(
        (key.revoked_at, key.reason, key.imported) == (None, "", False) for key in ring.records
    )
    assert json.loads(to_json(ring))["version"] == 2
    assert parse_ring(to_json(ring), SOURCE) == ring


@pytest.mark.parametrize("imported", [False, True])
def test_only_an_imported_key_has_a_name_that_is_no_thumbprint(imported: bool) -> None:
    key = ring_of(JWKS, "active").records[0]
    named = replace(key, kid="theirs", jwk={**key.jwk, "kid": "theirs"}, imported=imported)
    stored = to_json(Ring((named,)))
    if imported:
        assert parse_ring(stored, SOURCE).records == (named,)
    else:
        with pytest.raises(RingDamaged, match="belong together"):
            parse_ring(stored, SOURCE)


def test_a_key_that_is_gone_needs_no_times() -> None:
    active, gone = ring_of(JWKS, "active", "removed").records
    nothing = replace(gone, published_at=None, activates_at=None, retires_at=None, removes_at=None)
    ring = Ring((active, nothing))
    assert parse_ring(to_json(ring), SOURCE) == ring


Document = dict[str, Any]
Change = Callable[[Document], object]


def _with(**members: object) -> Change:
    return lambda document: document | members


def _without(*names: str) -> Change:
    return lambda document: {name: document[name] for name in document if name not in names}


def _key(number: int, **members: object) -> Change:
    def change(document: Document) -> object:
        document["keys"][number] |= members
        return document

    return change


def _key_without(name: str) -> Change:
    def change(document: Document) -> object:
        del document["keys"][0][name]
        return document

    return change


def _as_version_1(change: Change) -> Change:
    def changed(document: Document) -> object:
        for key in document["keys"]:
            for name in ("revoked_at", "reason", "imported"):
                del key[name]
        return change({"version": 1, "keys": document["keys"]})

    return changed


TIMES = ["published_at", "activates_at", "retires_at", "removes_at", "revoked_at"]
WRONG_TIMES = {"text": "1", "fraction": 1.5, "true": True, "negative": -1, "list": [1]}
NEEDED = [
    ("next", "published_at"),
    ("next", "activates_at"),
    ("active", "published_at"),
    ("active", "activates_at"),
    ("retiring", "published_at"),
    ("retiring", "activates_at"),
    ("retiring", "retires_at"),
]
DAMAGE: dict[str, tuple[Change, str]] = {
    "list": (lambda d: [], "not a key ring"),
    "null": (lambda d: None, "not a key ring"),
    "no-version": (_without("version"), "not a key ring"),
    "no-keys": (_without("keys"), "not a key ring"),
    "no-revision": (_without("revision"), "not a key ring"),
    "no-revocations": (_without("revocations"), "not a key ring"),
    "unknown-member": (_with(more=1), "not a key ring"),
    "version-1-with-a-count": (_as_version_1(_with(revision=1)), "not a key ring"),
    "version-1-with-a-reason": (_as_version_1(_key(0, reason="")), "key 1: not the members"),
    "version-2-as-1": (_with(version=1), "not a key ring"),
    "keys-are-no-list": (_with(keys={}), "no list"),
    "revision-as-text": (_with(revision="1"), "does not count"),
    "revision-true": (_with(revision=True), "does not count"),
    "revision-negative": (_with(revision=-1), "does not count"),
    "revocations-null": (_with(revocations=None), "does not count"),
    "key-is-no-object": (_with(keys=[5]), "key 1: not the members"),
    "member-missing": (_key_without("removes_at"), "key 1: not the members"),
    "imported-missing": (_key_without("imported"), "key 1: not the members"),
    "member-unknown": (_key(1, note="x"), "key 2: not the members"),
    "state-unknown": (_key(0, state="paused"), "key 1: unknown state"),
    "state-is-no-text": (_key(0, state=["active"]), "key 1: unknown state"),
    "imported-as-text": (_key(0, imported="yes"), "key 1: imported must be"),
    "imported-as-number": (_key(0, imported=1), "key 1: imported must be"),
    "imported-null": (_key(0, imported=None), "key 1: imported must be"),
    "kid-of-no-key": (_key(0, kid="x"), "belong together"),
    "kid-of-another": (_key(0, kid=JWKS[1]["kid"]), "belong together"),
    "alg-of-another": (_key(0, alg="ES384"), "belong together"),
    "private-jwk": (_key(0, jwk={**JWKS[0], "d": "x"}), "belong together"),
    "imported-private-jwk": (
        _key(0, imported=True, jwk={**JWKS[0], "d": "x"}),
        "belong together",
    ),
    "imported-without-name": (
        _key(0, imported=True, kid="", jwk={**JWKS[0], "kid": ""}),
        "belong together",
    ),
    "no-jwk": (_key(0, jwk=None), "belong together"),
    "reason-as-number": (_key(0, reason=5), "reason must be a line of text"),
    "reason-null": (_key(0, reason=None), "reason must be a line of text"),
    "reason-of-two-lines": (_key(0, reason="a\nb"), "reason must be a line of text"),
    "reason-of-spaces": (_key(1, reason="  "), "key 2: reason must be a line of text"),
    "reason-without-end": (_key(0, reason="x" * 501), "reason must be a line of text"),
    "no-changed-by": (_without("changed_by"), "not a key ring"),
    "changed-by-null": (_with(changed_by=None), "does not say who"),
    "changed-by-number": (_with(changed_by=5), "does not say who"),
    "version-1-with-changed-by": (_as_version_1(_with(changed_by="")), "not a key ring"),
    "no-keys-at-all": (_with(keys=[]), "no key that signs"),
    "only-next": (_key(0, state="next"), "no key that signs"),
    "only-retiring": (_key(0, state="retiring", retires_at=NOW), "no key that signs"),
    "only-revoked": (_key(0, state="revoked"), "no key that signs"),
    "version-1-without-active": (_as_version_1(_key(0, state="next")), "no key that signs"),
    "two-active": (_key(1, state="active"), "two active keys"),
    "twice": (lambda d: d | {"keys": [d["keys"][1], d["keys"][1]]}, "one key twice"),
    **{
        f"{name}-{kind}": (_key(0, **{name: value}), f"key 1: {name} must be whole Unix seconds")
        for name in TIMES
        for kind, value in WRONG_TIMES.items()
    },
    **{
        f"{state}-without-{name}": (_key(0, state=state, **{name: None}), f"{name} is missing")
        for state, name in NEEDED
    },
}


def changed(change: Change) -> bytes:
    return json.dumps(change(json.loads(to_json(new_ring(JWKS[0], JWKS[1], NOW, TIMING))))).encode()


@pytest.mark.parametrize(("change", "message"), DAMAGE.values(), ids=DAMAGE)
def test_a_file_that_is_not_as_written_is_refused(change: Change, message: str) -> None:
    with pytest.raises(RingDamaged, match=message) as refused:
        parse_ring(changed(change), SOURCE)
    assert SOURCE in refused.value.detail
    assert "backup" in refused.value.hint


def test_the_unchanged_file_is_read() -> None:
    assert len(parse_ring(changed(lambda document: document), SOURCE).records) == 2
    assert len(parse_ring(changed(_as_version_1(lambda document: document)), SOURCE).records) == 2


@pytest.mark.parametrize("version", [0, 3, 99, -1, "1", "2", True, 2.0, None, [2]])
def test_what_another_release_wrote_is_not_called_damaged(version: object) -> None:
    """Others may go on changing it, so the last good keys must not be used without limit."""
    with pytest.raises(KeysUnavailable, match="version that this embedjwt") as refused:
        parse_ring(changed(_with(version=version, more="of it")), SOURCE)
    assert not isinstance(refused.value, RingDamaged)
    assert SOURCE in refused.value.detail
    assert "reads version 2" in refused.value.hint


@pytest.mark.parametrize(
    "text", [b"", b"{", b"\xff\xfe", b"[" * 100_000], ids=["empty", "cut", "binary", "deep"]
)
def test_what_is_no_json_is_refused(text: bytes) -> None:
    with pytest.raises(RingDamaged, match=r"ring\.json is not JSON"):
        parse_ring(text, SOURCE)
