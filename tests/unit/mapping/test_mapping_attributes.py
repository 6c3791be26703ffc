"""Sub, login, e-mail and name: the finer points the shipped cases do not show."""

from __future__ import annotations

import pytest

from embedjwt.errors import MappingRefused
from embedjwt.mapping.attributes import parse_address

EMAIL = "ada@example.com"


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ada@example.com", "ada@example.com"),
        (" ada@example.com\t", "ada@example.com"),
        ("ada+tag@example", "ada+tag@example"),
        ("Ada Lovelace <ada@example.com>", "ada@example.com"),
        ('"Lovelace, Ada" <ada@example.com>', "ada@example.com"),
        ("<ada@example.com>", "ada@example.com"),
        ("ädä@exämple.com", "ädä@exämple.com"),
        ("", ""),
        ("ada", ""),
        ("@example.com", ""),
        ("ada@", ""),
        ("ada@@example.com", ""),
        (".ada@example.com", ""),
        ("ada.@example.com", ""),
        ("a..da@example.com", ""),
        ("ada@example.com.", ""),
        ("ada lovelace@example.com", ""),
        ("ada@example.com, bob@example.com", ""),
        ("ada@example.com <bob@example.com>", ""),
        ("ada@exam\nple.com", ""),
        ("ada@\ud800", ""),
        ("a@" + "b" * 600, ""),
    ],
)
def test_upn_counts_only_as_an_address(text: str, address: str) -> None:
    assert parse_address(text) == address


def test_the_listed_email_answers_even_when_it_is_empty(identify) -> None:
    found = identify(
        id_token={"attributes": {"email:primary": [""]}, "upn": "upn@example.com"},
        userinfo={"email": EMAIL},
    )
    assert found.email == EMAIL


def test_an_empty_list_leaves_the_turn_to_upn(identify) -> None:
    found = identify(id_token={"attributes": {"email:primary": []}, "upn": "upn@example.com"})
    assert found.email == "upn@example.com"


@pytest.mark.parametrize(
    ("claims", "sub"),
    [
        pytest.param({"sub": "42", "email": EMAIL}, "corp:42", id="sub"),
        pytest.param({"login": "ada", "email": EMAIL}, "corp:ada", id="login"),
        pytest.param({"email": EMAIL}, f"corp:{EMAIL}", id="email"),
    ],
)
def test_the_subject_is_prefixed_whatever_it_comes_from(identify, claims, sub) -> None:
    assert identify(id_token=claims, subject_prefix="corp:").sub == sub


@pytest.mark.parametrize(
    "bad",
    [
        pytest.param("a\x00b", id="nul"),
        pytest.param("a\r\nb", id="line-break"),
        pytest.param("a\x85", id="c1-control"),
        pytest.param("a\u2028", id="line-separator"),
        pytest.param("a\u202egro", id="direction-override"),
        pytest.param("a\ud800", id="half-surrogate"),
        pytest.param("x" * 256, id="too-long"),
        pytest.param(" ", id="blank"),
        pytest.param("a\u200bb", id="zero-width-space"),
        pytest.param("a\u00adb", id="soft-hyphen"),
        pytest.param("ab\u200c", id="zero-width-non-joiner"),
        pytest.param("\ufeffab", id="byte-order-mark"),
        pytest.param("a\U000e0041b", id="tag-character"),
        pytest.param(" ada7", id="space-before"),
        pytest.param("ada7 ", id="space-after"),
        pytest.param("ada7\u00a0", id="no-break-space-after"),
        pytest.param("\u3000ada7", id="wide-space-before"),
    ],
)
@pytest.mark.parametrize("claim", ["sub", "login", "email"])
def test_unusable_identifiers_are_refused(identify, claim, bad) -> None:
    good = {"sub": "1", "login": "ada", "email": EMAIL}
    with pytest.raises(MappingRefused) as caught:
        identify(id_token={**good, claim: bad})
    assert caught.value.code == f"{claim}_invalid"
    assert caught.value.status == 403
    assert bad.strip() == "" or bad not in caught.value.diagnostics()


@pytest.mark.parametrize("bad", ["Ada\x1b[2J", "x" * 256, "Ada\ud800", "\u202eadA"])
def test_an_unusable_name_is_dropped(identify, bad) -> None:
    assert identify(id_token={"email": EMAIL, "name": bad}).name == ""


@pytest.mark.parametrize(
    "good", ["Ada Lovelace", "Jean\u00a0Dupont", "می\u200cخواهم", " Ada ", "x" * 255]
)
def test_names_people_have_are_kept(identify, good) -> None:
    assert identify(id_token={"email": EMAIL, "name": good}).name == good


def test_a_long_prefix_counts_into_the_length_of_the_subject(identify) -> None:
    claims = {"sub": "x" * 250, "email": EMAIL}
    assert identify(id_token=claims, subject_prefix="corp:").sub == "corp:" + "x" * 250
    with pytest.raises(MappingRefused) as caught:
        identify(id_token=claims, subject_prefix="corp::")
    assert caught.value.code == "sub_invalid"


@pytest.mark.parametrize("bad", [" ", " 1", "\u200b1"])
def test_an_unusable_subject_is_none_behind_a_prefix_either(identify, bad) -> None:
    with pytest.raises(MappingRefused) as caught:
        identify(id_token={"sub": bad, "email": EMAIL}, subject_prefix="corp:")
    assert caught.value.code == "sub_invalid"


def test_ordinary_letters_beyond_ascii_and_inner_spaces_are_fine(identify) -> None:
    claims = {"sub": "\u00fc 1", "login": "Zo\u00eb van Dam", "email": "zo\u00eb@example.com"}
    found = identify(id_token=claims)
    assert (found.sub, found.login, found.email) == tuple(claims.values())


def test_names_that_differ_only_in_half_surrogates_never_become_one(identify) -> None:
    for half in "\ud800", "\udfff":
        with pytest.raises(MappingRefused) as caught:
            identify({"login_attribute_path": "id"}, id_token={"email": EMAIL, "id": f"a{half}"})
        assert caught.value.code == "login_invalid"
