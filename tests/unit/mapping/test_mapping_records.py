"""How Grafana decodes a document: encoding/json into UserInfoJson."""

from __future__ import annotations

import pytest

from embedjwt.mapping.records import Record, UnreadableDocument, decode


@pytest.mark.parametrize(
    ("document", "record"),
    [
        pytest.param({}, Record(), id="empty"),
        pytest.param(
            {"sub": "1", "iat": 7, "x": [1]}, Record(sub="1"), id="unknown-claims-are-free"
        ),
        pytest.param(
            {"Sub": "1", "DISPLAY_NAME": "A"}, Record(sub="1", display_name="A"), id="case"
        ),
        pytest.param({"\u017fub": "1"}, Record(sub="1"), id="go-folds-the-long-s"),
        pytest.param({"upn": None}, Record(), id="null-is-empty"),
        pytest.param(
            {"attributes": {"k": ["a", None], "l": None}},
            Record(attributes={"k": ["a", ""], "l": []}),
            id="null-in-attributes",
        ),
        pytest.param(
            {"X": 1, "x": 2, "Sub": "1", "EMAIL": "a"},
            Record(sub="1", email="a"),
            id="only-known-claims-have-spellings",
        ),
        pytest.param({"attributes": None}, Record(), id="null-is-no-attributes"),
        pytest.param({7: "x"}, Record(), id="a-key-that-is-no-text"),
    ],
)
def test_claims_are_read_as_go_reads_them(document: object, record: Record) -> None:
    assert decode(document) == record


@pytest.mark.parametrize(
    ("document", "culprit"),
    [
        pytest.param({"sub": 1}, "sub", id="number"),
        pytest.param({"name": True}, "name", id="boolean"),
        pytest.param({"display_name": {}}, "display_name", id="object"),
        pytest.param({"login": ["ada"]}, "login", id="list"),
        pytest.param({"username": float("nan")}, "username", id="not-a-number"),
        pytest.param({"EMAIL": 10**400}, "email", id="other-case-huge-number"),
        pytest.param({"attributes": []}, "attributes", id="attributes-list"),
        pytest.param({"attributes": {"k": "v"}}, "attributes", id="attribute-text"),
        pytest.param({"attributes": {"k": [1]}}, "attributes", id="attribute-number"),
        pytest.param(["sub"], "object", id="no-object"),
        pytest.param("sub", "object", id="text"),
    ],
)
def test_a_wrong_type_spoils_the_whole_document(document: object, culprit: str) -> None:
    with pytest.raises(UnreadableDocument, match=culprit):
        decode(document)


@pytest.mark.parametrize(
    "document",
    [
        pytest.param({"sub": "u1", "SUB": "admin"}, id="exact-first"),
        pytest.param({"SUB": "admin", "sub": "u1"}, id="exact-last"),
        pytest.param({"Sub": "u1", "SUB": "u1"}, id="none-exact-and-equal"),
        pytest.param({"sub": "u1", "\u017fub": "admin"}, id="long-s"),
        pytest.param({"sub": "u1", "SUB": None}, id="null"),
        pytest.param({"attributes": {}, "Sub": "u1", "sub": ""}, id="empty"),
    ],
)
def test_two_spellings_spoil_the_whole_document(document: dict[str, object]) -> None:
    with pytest.raises(UnreadableDocument, match=r"^sub comes in two spellings$"):
        decode(document)


def test_attributes_in_two_spellings_are_not_merged() -> None:
    with pytest.raises(UnreadableDocument, match="two spellings"):
        decode({"attributes": {"k": ["a"]}, "Attributes": {"l": ["b"]}})


def test_the_reason_never_shows_the_value() -> None:
    with pytest.raises(UnreadableDocument) as caught:
        decode({"sub": ["hunter2"]})
    assert "hunter2" not in str(caught.value)
