"""What is done to a store: what succeeds in an emergency, what is refused, and who did it."""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from keys_support import NOW, TIMING, check_whole, load, operate

from embedjwt.errors import KeysUnavailable, TransitionRefused
from embedjwt.keys import DirectoryKeyStore, KeyRecord, Ring
from embedjwt.keys.custody.pem import PemFiles
from embedjwt.keys.jwk import Jwk
from embedjwt.keys.operations import Operator, record_transitions

KNOWN, OVERLAP, EVERY = TIMING.known_everywhere, TIMING.overlap, TIMING.rotate_every
Logs = list[MutableMapping[str, Any]]


class Barren(PemFiles):
    """Can use private keys, and make only so many: an HSM that is full."""

    left = 0

    def create(self, alg: str) -> Jwk:
        if self.left == 0:
            raise KeysUnavailable("no room for a key", hint="make some")
        self.left -= 1
        return super().create(alg)


def barren(store: DirectoryKeyStore, left: int = 0) -> DirectoryKeyStore:
    custody = Barren(store.path, None)
    custody.left = left
    return DirectoryKeyStore(store.path, None, custody)


def after(store: DirectoryKeyStore, seconds: int, alg: str = "ES256") -> Operator:
    return operate(store, alg=alg, clock=lambda: NOW + seconds)


def states(ring: Ring) -> list[tuple[str, str]]:
    return [(key.alg, key.state) for key in ring.records]


def lose(store: DirectoryKeyStore, *keys: KeyRecord) -> None:
    for key in keys:
        (store.path / f"{key.kid}.pem").unlink()


def signing(store: DirectoryKeyStore) -> list[str]:
    """The keys that sign, if they can."""
    return [store.signing_key(key).kid for key in store.ring().in_state("active")]


# Revoking


@pytest.mark.parametrize(
    ("revoked", "heir"),
    [([0], 1), ([0, 1], 2), ([1, 0], 2), ([0, 2], 1), ([0, 1, 2], 3), ([1, 2], 0), ([2], 0)],
    ids=str,
)
def test_keys_are_revoked_together_and_none_of_them_takes_over(
    store: DirectoryKeyStore, revoked: list[int], heir: int
) -> None:
    """One by one, the first would put the second to work, which has leaked with it."""
    before = operate(store).prepare()
    gone = [before.records[n].kid for n in revoked]
    ring = after(store, KNOWN).revoke(*gone, reason="laptop stolen")
    assert ring.revision == before.revision + 1, "in one change"
    assert {key.kid for key in ring.in_state("revoked")} == set(gone)
    assert {(key.reason, key.revoked_at) for key in ring.in_state("revoked")} == {
        ("laptop stolen", NOW + KNOWN)
    }
    (active,) = ring.in_state("active")
    assert active == ring.records[heir]
    assert ring.in_state("next"), "always one in reserve"
    assert ring.revocations == len(revoked)
    assert check_whole(store).ring == ring
    kept = {f"{key.kid}.pem" for key in ring.in_state("active", "next")}
    assert {path.name for path in store.path.glob("*.pem")} == kept


@pytest.mark.parametrize("reason", ["", " ", "two\nlines", "x" * 501])
def test_without_a_reason_that_can_be_shown_nothing_is_revoked(
    store: DirectoryKeyStore, reason: str
) -> None:
    before = store.ring()
    with pytest.raises(TransitionRefused) as refused:
        operate(store).revoke(*(key.kid for key in before.records), reason=reason)
    assert refused.value.code == "reason_invalid"
    assert check_whole(store).ring == before


def test_of_several_keys_all_are_revoked_or_none(store: DirectoryKeyStore) -> None:
    before = store.ring()
    with pytest.raises(TransitionRefused) as refused:
        operate(store).revoke(before.records[0].kid, "unknown", reason="leaked")
    assert refused.value.code == "no_such_key"
    assert check_whole(store).ring == before


def test_a_reserve_that_cannot_be_made_keeps_no_key_from_being_revoked(
    store: DirectoryKeyStore, logs: Logs
) -> None:
    leaked, heir = (key.kid for key in store.ring().records)
    ring = operate(barren(store)).revoke(leaked, reason="leaked")
    assert [key.state for key in ring.records] == ["revoked", "active"]
    assert check_whole(store).signing.keys() == {heir}
    (told,) = (entry for entry in logs if entry["event"] == "key_reserve_failed")
    assert (told["log_level"], told["detail"], told["hint"]) == (
        "warning",
        "no room for a key",
        "make some",
    )
    assert after(store, 60).advance()[0].action == "prepare", "as soon as it can be made"


def test_a_key_that_nothing_could_replace_is_not_revoked(
    store: DirectoryKeyStore, logs: Logs
) -> None:
    """Without a key that signs there would be no ring at all; revoking can be repeated."""
    before = store.ring()
    kids = [key.kid for key in before.records]
    with pytest.raises(KeysUnavailable, match="no room for a key"):
        operate(barren(store)).revoke(*kids, reason="leaked")
    assert check_whole(store).ring == before
    assert logs == []
    ring = operate(barren(store, left=1)).revoke(*kids, reason="leaked")
    assert [key.state for key in ring.records] == ["revoked", "revoked", "active"]
    assert check_whole(store).ring == ring


def test_a_key_that_cannot_sign_inherits_nothing(store: DirectoryKeyStore) -> None:
    leaked, lost = store.ring().records
    lose(store, lost)
    ring = after(store, KNOWN).revoke(leaked.kid, reason="leaked")
    assert [key.state for key in ring.records[:3]] == ["revoked", "next", "active"]
    assert signing(store) == [ring.records[2].kid]


# Rotating by hand


def test_without_a_key_of_the_algorithm_one_is_published_and_the_rest_refused(
    store: DirectoryKeyStore,
) -> None:
    with pytest.raises(TransitionRefused, match="a new EdDSA key was published") as refused:
        operate(store, alg="EdDSA").rotate()
    assert refused.value.code == "key_too_young"
    assert "2027-01-15 09:08 UTC" in refused.value.detail, "from when on it may sign"
    waiting = [("ES256", "active"), ("ES256", "next"), ("EdDSA", "next")]
    assert states(check_whole(store).ring) == waiting
    with pytest.raises(TransitionRefused, match="may sign from"):
        after(store, KNOWN - 1, "EdDSA").rotate()
    assert states(store.ring()) == waiting, "one is enough"
    after(store, KNOWN, "EdDSA").rotate()
    ring = load(store, "EdDSA").ring
    assert states(ring)[0] == ("ES256", "retiring")
    assert states(ring)[2:] == [("EdDSA", "active"), ("EdDSA", "next")]


def test_while_no_key_of_the_new_algorithm_signs_the_old_reserve_stays(
    store: DirectoryKeyStore,
) -> None:
    with pytest.raises(TransitionRefused, match="a new EdDSA key was published"):
        after(store, 2 * KNOWN, "EdDSA").rotate()
    assert states(store.ring()) == [("ES256", "active"), ("ES256", "next"), ("EdDSA", "next")]


def test_keys_of_the_former_algorithm_leave_when_the_ring_is_settled(
    store: DirectoryKeyStore,
) -> None:
    with pytest.raises(TransitionRefused):
        operate(store, alg="EdDSA").rotate()
    after(store, KNOWN, "EdDSA").rotate()
    ring = after(store, 2 * KNOWN, "EdDSA").rotate()
    assert states(ring)[:4] == [
        ("ES256", "removed"),
        ("ES256", "removed"),
        ("EdDSA", "retiring"),
        ("EdDSA", "active"),
    ]


def test_young_keys_of_another_algorithm_stay(store: DirectoryKeyStore) -> None:
    """Another process may be set to it, and be about to use them."""
    after(store, KNOWN - 60, "EdDSA").prepare()
    ring = after(store, KNOWN).rotate()
    assert ("EdDSA", "next") in states(ring)
    ring = after(store, 2 * KNOWN).rotate()
    assert ("EdDSA", "removed") in states(ring)


def test_a_rotation_whose_key_is_lost_publishes_another(store: DirectoryKeyStore) -> None:
    old, lost = store.ring().records
    lose(store, lost)
    with pytest.raises(TransitionRefused, match="a new ES256 key was published"):
        after(store, KNOWN).rotate()
    ring = after(store, 2 * KNOWN).rotate()
    assert [key.state for key in ring.records[:3]] == ["retiring", "next", "active"]
    assert signing(store) == [ring.records[2].kid]
    assert old.kid == ring.records[0].kid


# Rotating by itself


def test_a_waiting_key_that_cannot_sign_counts_as_absent(store: DirectoryKeyStore) -> None:
    _, lost = store.ring().records
    lose(store, lost)
    (step,) = operate(store).advance()
    assert (step.action, step.at) == ("prepare", NOW)
    assert operate(store).advance() == []
    made = after(store, EVERY - TIMING.lead).advance()
    assert [step.action for step in made] == ["prepare"]
    (handover,) = after(store, EVERY).advance()
    assert handover.action == "activate"
    assert handover.kid == store.ring().records[2].kid != lost.kid
    assert signing(store) == [handover.kid]


# Who did it


def test_the_ring_names_who_changed_it_last(store: DirectoryKeyStore, logs: Logs) -> None:
    assert store.ring().changed_by == "test"
    for actor in ("serve (web@one)", "keys prepare (ada@laptop)"):
        assert operate(store, actor=actor).prepare().changed_by == actor
        assert store.ring().changed_by == actor
    assert [entry["actor"] for entry in logs] == ["serve (web@one)", "keys prepare (ada@laptop)"]


def test_each_key_whose_state_differs_is_recorded(store: DirectoryKeyStore, logs: Logs) -> None:
    before = store.ring()
    first, second = before.records
    young = replace(second, kid="young")
    gone = replace(first, state="revoked", revoked_at=NOW, reason="leaked")
    later = Ring((gone, second, young), revision=7, changed_by="ada")
    record_transitions(before, later, observed=True)
    common = {
        "event": "key_transition",
        "log_level": "info",
        "audit": True,
        "actor": "ada",
        "alg": "ES256",
        "revision": 7,
        "observed": True,
    }
    moved = {"kid": first.kid, "before": "active", "after": "revoked", "reason": "leaked"}
    made = {"kid": "young", "before": None, "after": "next", "reason": ""}
    assert logs == [common | moved, common | made]


def test_where_there_are_no_keys_nothing_is_done(tmp_path: Path) -> None:
    here = operate(DirectoryKeyStore(tmp_path / "none", None))
    for work in (here.rotate, here.prepare, here.activate, here.advance, here.tidy):
        with pytest.raises(KeysUnavailable) as refused:
            work()
        assert refused.value.code == "keys_missing"


def test_a_left_over_key_leaves_though_its_private_half_is_lost(store: DirectoryKeyStore) -> None:
    other = after(store, 0, "EdDSA").prepare().records[-1]
    lose(store, other)
    operator = after(store, 2 * KNOWN)
    assert [(step.action, step.kid) for step in operator.advance()] == [("remove", other.kid)]
    assert not operator.due(store.ring(), lambda _: float("inf"))


def test_a_key_that_is_named_twice_is_revoked_once(store: DirectoryKeyStore) -> None:
    kid = store.ring().in_state("next")[0].kid
    ring = operate(store).revoke(kid, kid[:12], reason="typed twice")
    assert ring.find(kid).state == "revoked"
    assert ring.revocations == 1
