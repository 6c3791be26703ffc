"""What is kept of a login: written, read again, and told to nobody."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from embedjwt.identity import Documents, Lookups, VerifiedClaims
from embedjwt.sessions.record import FORMAT, RecordUnreadable, SessionRecord, dump, load

NOW = 1_800_000_000
RECORD = SessionRecord(
    source="keycloak",
    issuer="https://idp.example.com",
    sub="private-sub",
    sid="private-sid",
    documents=Documents(id_token=VerifiedClaims({"sub": "private-sub", "exp": NOW + 300})),
    created_at=NOW,
    expires_at=NOW + 300,
    ends_at=NOW + 3600,
    refresh_token="private-token",
)
ODD_CLAIMS: dict[str, Any] = {
    "sub": "é ü 🙂 \x00 \" \\ \u2028 </script>",
    "nested": {"a": [1, 1.5, -0.0, 2**70, True, False, None, {"b": []}], "": {}},
    "groups": ["g" * 100 + str(number) for number in range(300)],
}  # fmt: skip


@pytest.mark.parametrize(
    "documents",
    [
        Documents(),
        Documents(id_token=VerifiedClaims({})),
        Documents(*[VerifiedClaims({**ODD_CLAIMS, "in": name}) for name in ("i", "u", "a")]),
        Documents(lookups=Lookups(email="", teams=(), organizations=("a", "b"))),
        Documents(lookups=Lookups(email="a@b", teams=("1", "é"))),
    ],
)
@pytest.mark.parametrize("refresh_token", [None, "", "1//token"])
def test_a_record_is_read_as_it_was_written(
    documents: Documents, refresh_token: str | None
) -> None:
    record = replace(RECORD, documents=documents, refresh_token=refresh_token)
    assert load(dump(record)) == record


def test_numbers_keep_their_kind() -> None:
    record = replace(RECORD, documents=Documents(id_token=VerifiedClaims(ODD_CLAIMS)))
    claims = load(dump(record)).documents.id_token
    assert claims is not None
    assert repr(claims["nested"]) == repr(ODD_CLAIMS["nested"])


def test_nothing_of_the_person_is_told() -> None:
    assert "private" not in repr(RECORD)
    assert "keycloak" in repr(RECORD)


def changed(**fields: Any) -> bytes:
    return json.dumps({**json.loads(dump(RECORD)), **fields}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"null",
        b"{}",
        b"\xff",
        dump(RECORD)[:-1],
        changed(format=FORMAT + 1),
        changed(format=str(FORMAT)),
        changed(tomorrow=1),
        changed(documents=None),
        changed(documents=[]),
        changed(documents={"id_token": None}),
        changed(documents={**json.loads(dump(RECORD))["documents"], "lookups": {"email": None}}),
    ],
)
def test_what_this_release_does_not_write_is_not_read(data: bytes) -> None:
    with pytest.raises(RecordUnreadable) as caught:
        load(data)
    assert "private" not in str(caught.value)


@pytest.mark.parametrize(
    ("refresh_token", "expires_at", "ends_at", "usable_until"),
    [
        (None, 10, 20, 10),
        (None, 20, 10, 10),
        ("token", 10, 20, 20),
        ("token", 20, 10, 10),
    ],
)
def test_how_long_it_is_of_use(
    refresh_token: str | None, expires_at: int, ends_at: int, usable_until: int
) -> None:
    record = replace(RECORD, refresh_token=refresh_token, expires_at=expires_at, ends_at=ends_at)
    assert record.usable_until == usable_until
