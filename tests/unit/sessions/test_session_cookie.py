"""The session's cookie: exactly these attributes, and nothing that we did not sign."""

from __future__ import annotations

import hashlib
import re
from typing import Any

import pytest
from itsdangerous import TimestampSigner
from werkzeug.test import EnvironBuilder
from werkzeug.wrappers import Request, Response

from embedjwt.errors import SessionRefused
from embedjwt.sessions.cookie import SessionCookie
from tests_support import FakeClock

OLD, NEW, FOREIGN = b"old key " * 4, b"new key " * 4, b"foreign " * 4
ID = "Zx9_-" + "a" * 38
MAX_AGE = 3600


@pytest.fixture
def make(clock: FakeClock) -> Any:
    def make(*keys: bytes, **changed: Any) -> SessionCookie:
        settings: dict[str, Any] = {"secure": True, "samesite": "lax", "max_age": MAX_AGE}
        settings |= {"clock": clock} | changed
        return SessionCookie("embedjwt_session", keys or (OLD, NEW), **settings)

    return make


@pytest.fixture
def cookie(make: Any) -> SessionCookie:
    made: SessionCookie = make()
    return made


def header_of(cookie: SessionCookie, session_id: str = ID) -> str:
    response = Response()
    cookie.set(response, session_id)
    (header,) = response.headers.getlist("Set-Cookie")
    return header


def value_of(cookie: SessionCookie, session_id: str = ID) -> str:
    return header_of(cookie, session_id).partition("=")[2].partition(";")[0]


def request(*values: str, name: str = "__Host-embedjwt_session") -> Request:
    environ = EnvironBuilder().get_environ()
    environ["HTTP_COOKIE"] = "; ".join(["theme=dark", *(f"{name}={value}" for value in values)])
    return Request(environ)


def refusal(cookie: SessionCookie, *values: str) -> str:
    with pytest.raises(SessionRefused) as caught:
        cookie.read(request(*values))
    assert caught.value.hint
    assert not any(value in caught.value.diagnostics() for value in values if len(value) > 9)
    return caught.value.code


@pytest.mark.parametrize(
    ("settings", "attributes"),
    [
        ({}, "Secure; HttpOnly; Max-Age=3600; Path=/; SameSite=Lax"),
        ({"samesite": "strict"}, "Secure; HttpOnly; Max-Age=3600; Path=/; SameSite=Strict"),
        ({"samesite": "none"}, "Secure; HttpOnly; Max-Age=3600; Path=/; SameSite=None"),
        ({"secure": False}, "HttpOnly; Max-Age=3600; Path=/; SameSite=Lax"),
    ],
)
def test_the_header(make: Any, settings: dict[str, Any], attributes: str) -> None:
    made = make(**settings)
    name = "embedjwt_session" if "secure" in settings else "__Host-embedjwt_session"
    for header, pattern, age in (
        (header_of(made), re.escape(ID) + r"\.[\w-]+\.[\w-]{43}", MAX_AGE),
        (deletion_of(made), "", 0),
    ):
        first, *rest = header.split("; ")
        assert re.fullmatch(f"{name}={pattern}", first)
        expected = attributes.replace(f"={MAX_AGE}", f"={age}").split("; ")
        assert sorted(rest) == sorted(expected)


def deletion_of(cookie: SessionCookie) -> str:
    response = Response()
    cookie.delete(response)
    (header,) = response.headers.getlist("Set-Cookie")
    return header


def test_what_was_set_is_read(make: Any) -> None:
    assert make().read(request(value_of(make()))) == ID
    bare = make(secure=False)
    assert bare.read(request(value_of(bare), name="embedjwt_session")) == ID


@pytest.mark.parametrize("values", [(), ("",)])
def test_without_the_cookie(cookie: SessionCookie, values: tuple[str, ...]) -> None:
    assert cookie.read(request(*values)) is None


def test_a_cookie_without_the_prefix_is_not_ours(cookie: SessionCookie) -> None:
    assert cookie.read(request(value_of(cookie), name="embedjwt_session")) is None


def test_keys_are_replaced_by_list(make: Any) -> None:
    old, both = value_of(make(OLD)), value_of(make(OLD, NEW))
    assert make(OLD, NEW).read(request(old)) == ID
    assert make(NEW).read(request(both)) == ID  # the newest signs
    assert refusal(make(OLD), both) == "session_invalid"
    assert refusal(make(NEW), old) == "session_invalid"


@pytest.mark.parametrize(("age", "code"), [
    (-61, "cookie_not_yet_valid"),
    (-60, None),
    (MAX_AGE - 1, None),
    (MAX_AGE, "cookie_expired"),
    (10**9, "cookie_expired"),
])  # fmt: skip
def test_age(make: Any, clock: FakeClock, age: int, code: str | None) -> None:
    value = value_of(make())
    clock.now += age
    if code is None:
        assert make().read(request(value)) == ID
    else:
        assert refusal(make(), value) == code


def signed(**changed: Any) -> str:
    """As the cookie would, but for one thing."""
    settings = {"salt": "embedjwt session", "key_derivation": "hmac", "digest_method": "sha256"}
    settings |= {"key": NEW} | changed

    class Signer(TimestampSigner):
        def get_timestamp(self) -> int:
            return 1_800_000_000

    signer = Signer(
        settings["key"],
        salt=settings["salt"],
        key_derivation=settings["key_derivation"],
        digest_method=getattr(hashlib, settings["digest_method"]),
    )
    return signer.sign(ID).decode()


def test_how_it_is_signed(cookie: SessionCookie) -> None:
    assert signed() == value_of(cookie)


@pytest.mark.parametrize(
    "changed",
    [
        {"key": FOREIGN},
        {"key": b""},
        {"salt": "cookie-session"},
        {"salt": "itsdangerous"},
        {"key_derivation": "django-concat"},
        {"digest_method": "sha1"},
    ],
)
def test_other_signatures(cookie: SessionCookie, changed: dict[str, Any]) -> None:
    assert refusal(cookie, signed(**changed)) == "session_invalid"


def test_every_character_counts(cookie: SessionCookie) -> None:
    value = value_of(cookie)
    for place in range(len(value)):
        assert refusal(cookie, value[:place] + "!" + value[place + 1 :]) == "session_invalid"
        if place:
            assert refusal(cookie, value[:place]) == "session_invalid"
            assert refusal(cookie, value[place:]) == "session_invalid"


@pytest.mark.parametrize(
    "value",
    [
        ".",
        "..",
        ID,
        f"{ID}..",
        "é",
        "é.ü.ß",
        "\xff\xfe.\x80.a",
        "🙂".encode().decode("latin-1"),
        "%00",
        "a\x00b.c.d",
        "x" * 100_000,
        "." * 100_000,
        f"{ID}.{'A' * 50_000}.{'A' * 50_000}",
        '"quoted"',
        "null",
    ],
)
def test_what_is_no_cookie_of_ours(cookie: SessionCookie, value: str) -> None:
    assert refusal(cookie, value) == "session_invalid"


def test_two_cookies(cookie: SessionCookie) -> None:
    mine, other = value_of(cookie), value_of(cookie, "another")
    assert cookie.read(request(mine, mine)) == ID
    assert cookie.read(request(mine, "")) == ID
    assert refusal(cookie, mine, other) == "credential_ambiguous"
    assert refusal(cookie, mine, "planted") == "credential_ambiguous"
