"""Hostile requests to ``/session/…``: no redirect off the list, and no login without a click."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_from_bytes

import pytest
from flask import Flask

from hostile_site import (
    ATTEMPT,
    DASHBOARD,
    HOST,
    ISSUER,
    Browser,
    is_interactive,
    new_cookies,
    query_of,
)
from tests_support import ROOT

EVIL = "https://evil.example.com"
PROVIDER = "https://idp.example.com"
OWN = {"Origin": ISSUER, "Sec_Fetch_Site": "same-origin"}
FRAMES = ["iframe", "frame", "embed", "object", "fencedframe"]

HOSTILE_NEXT = [
    json.loads(line)
    for line in (ROOT / "tests/data/hostile_next.txt").read_text().splitlines()
    if line and not line.startswith("#")
]


@pytest.fixture
def make_browser(make_app: Callable[..., Flask], tmp_path: Path) -> Callable[..., Browser]:
    """Before a service that knows all of its provider, and so asks it nothing by itself."""

    def make(**keys: object) -> Browser:
        tmp_path.chmod(0o700)
        known = {
            "type": "oidc",
            "name": "idp",
            "issuer": PROVIDER,
            "auth_url": f"{PROVIDER}/authorize",
            "token_url": f"{PROVIDER}/token",
            "jwk_set_url": f"{PROVIDER}/jwks",
            "client_id": "embed",
        }
        given = {key: value for key, value in (known | keys).items() if value is not None}
        return Browser(make_app(source=[given]))

    return make


@pytest.fixture
def browser(make_browser: Callable[..., Browser]) -> Browser:
    return make_browser()


def quoted(value: str) -> str:
    return quote(value, safe="", errors="surrogatepass")


class TestWhereTo:
    def test_there_are_enough_of_them(self) -> None:
        assert len(HOSTILE_NEXT) >= 100

    def test_next_of_a_login(self, browser: Browser) -> None:
        for value in filter(None, HOSTILE_NEXT):
            for more in ("", "&prompt=none", "&display=popup", "&source=idp"):
                answer = browser.get("/session/login", f"next={quoted(value)}{more}")
                got = (answer.status_code, answer.get_json()["code"])
                assert got == (400, "return_to_not_allowed"), value
                assert "Location" not in answer.headers
                assert "Set-Cookie" not in answer.headers

    def test_next_of_a_click(self, browser: Browser) -> None:
        for value in filter(None, HOSTILE_NEXT):
            answer = browser.post(
                "/session/login",
                f"next={quoted(value)}",
                Content_Type="application/x-www-form-urlencoded",
                **OWN,
            )
            assert answer.get_json()["code"] == "return_to_not_allowed", value
            assert "Location" not in answer.headers

    def test_next_of_a_logout(self, browser: Browser) -> None:
        """It ends the session all the same, and leads nowhere."""
        for value in HOSTILE_NEXT:
            for accept in ("text/html", "application/json"):
                query = f"/session/logout?next={quoted(value)}"
                answer = browser.post(query, Accept=accept, **OWN)
                assert answer.status_code == 200, value
                assert "Location" not in answer.headers
                assert "evil.example" not in answer.text

    def test_state_of_a_logout(self, browser: Browser) -> None:
        for value in filter(None, HOSTILE_NEXT):
            for state in (value, json.dumps(value)):
                answer = browser.get("/session/logout", f"state={quoted(state)}")
                assert answer.status_code == 200, value
                assert "Location" not in answer.headers

    def test_two_of_them(self, browser: Browser) -> None:
        """Whichever is looked at is the one that is used."""
        for first, second in ((DASHBOARD, EVIL), (EVIL, DASHBOARD)):
            answer = browser.get("/session/login", f"next={quoted(first)}&next={quoted(second)}")
            assert answer.status_code == (303 if first == DASHBOARD else 400)
            answer = browser.post(f"/session/login?next={quoted(first)}", {"next": second}, **OWN)
            assert answer.status_code == (303 if first == DASHBOARD else 400)
            assert "evil" not in answer.text + answer.headers.get("Location", "")


MALFORMED: dict[str, str] = {
    "origin of another": f"origin={EVIL}",
    "origin with a path": f"origin={HOST}/x",
    "origin with a slash": f"origin={HOST}/",
    "origin that begins so": f"origin={HOST}.evil.example.com",
    "origin with a user": "origin=https://app.example.com@evil.example.com",
    "origin null": "origin=null",
    "origin star": "origin=*",
    "origin in capitals": f"origin={HOST.upper()}",
    "display": "display=fullscreen",
    "display with script": "display=%3Cscript%3Ealert(1)%3C/script%3E",
    "prompt=login": "prompt=login",
    "prompt of two": "prompt=none%20login",
    "prompt in capitals": "prompt=NONE",
    "source of nobody": "source=other",
    "source with script": "source=%22%3E%3Cscript%3Ealert(1)%3C/script%3E",
    "source not text": "source=%ff%fe%00",
    "source without end": "source=" + "a" * 60_000,
    "next not text": "next=%ff%fe%00",
    "next without end": "next=" + "/a" * 30_000,
    "origin not text": "origin=%00%0d%0aX-Evil:%201",
    "display without end": "display=" + "a" * 60_000,
}


@pytest.mark.parametrize("query", MALFORMED.values(), ids=MALFORMED)
def test_what_cannot_be_asked(browser: Browser, query: str) -> None:
    form = {"Content_Type": "application/x-www-form-urlencoded", **OWN}
    answers = [
        ask
        for accept in ("application/json", "text/html")
        for ask in (
            browser.get(f"/session/login?{query}", Accept=accept),
            browser.post("/session/login", query, Accept=accept, **form),
        )
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert not {"Location", "Set-Cookie", "X-Evil"} & set(answer.headers.keys())
        assert "alert(1)" not in answer.text
        assert "evil" not in answer.text
        assert len(answer.data) < 5000


BINARY = [
    bytes(range(256)),
    b"\x00" * 1000,
    b"\xc0\xaf" * 100,
    b"a=b;" * 5000,
    b"&" * 5000,
    b"=" * 5000,
    b"%" * 5000,
    b"state=%00&code=%00&iss=%00",
    b"next[]=x&next%5b%5d=y",
]


@pytest.mark.parametrize("path", ["login", "callback", "logout", "me", "backchannel-logout"])
def test_garbage_is_never_an_error_of_ours(browser: Browser, path: str) -> None:
    for garbage in BINARY:
        quoted_bytes = quote_from_bytes(garbage, safe="=&;%")
        for method in ("GET", "POST"):
            answer = browser.client.open(
                f"/session/{path}?{quoted_bytes}",
                method=method,
                data=garbage if method == "POST" else None,
                headers={"Content-Type": "application/x-www-form-urlencoded", **_origin(OWN)},
                base_url=ISSUER,
            )
            assert answer.status_code < 500
            assert not new_cookies(answer, "__Host-embedjwt_session")


def _origin(headers: dict[str, str]) -> dict[str, str]:
    return {name.replace("_", "-"): value for name, value in headers.items()}


@pytest.mark.parametrize("path", ["login", "logout", "backchannel-logout"])
def test_a_body_that_is_too_large(browser: Browser, path: str) -> None:
    answer = browser.post(f"/session/{path}", {"x": "x" * 100_000}, **OWN)
    assert (answer.status_code, answer.get_json()["code"]) == (413, "request_entity_too_large")


NO_CLICK: dict[str, dict[str, str]] = {
    "nothing": {},
    "another origin": {"Origin": EVIL},
    "another origin, and a person's click there": {"Origin": EVIL, "Sec_Fetch_User": "?1"},
    "another site": {"Origin": EVIL, "Sec_Fetch_Site": "cross-site", "Sec_Fetch_User": "?1"},
    "a sibling": {"Origin": EVIL, "Sec_Fetch_Site": "same-site", "Sec_Fetch_User": "?1"},
    "the host application": {"Origin": HOST, "Sec_Fetch_Site": "cross-site"},
    "the host application, in an older browser": {"Origin": HOST},
    "our origin, from another site": {"Origin": ISSUER, "Sec_Fetch_Site": "cross-site"},
    "an address bar": {"Sec_Fetch_Site": "none", "Sec_Fetch_User": "?1"},
    "a sandbox": {"Origin": "null"},
    "our origin over http": {"Origin": ISSUER.replace("https", "http")},
    "our origin with a slash": {"Origin": f"{ISSUER}/"},
    "our origin and another": {"Origin": f"{ISSUER}, {EVIL}"},
    "a host of theirs": {"Origin": EVIL, "Host": "evil.example.com"},
    "a forwarded host of theirs": {"Origin": EVIL, "X_Forwarded_Host": "evil.example.com"},
    "a referrer of ours": {"Origin": EVIL, "Referer": f"{ISSUER}/session/login"},
}


@pytest.mark.parametrize("headers", NO_CLICK.values(), ids=NO_CLICK)
def test_another_pages_form_is_no_click(browser: Browser, headers: dict[str, str]) -> None:
    answer = browser.post("/session/login", {"next": DASHBOARD}, **headers)
    assert answer.status_code == 303
    assert not is_interactive(answer)
    assert query_of(answer)["prompt"] == "none"
    # Nor when the provider says that nobody is signed in.
    again = browser.callback({"state": query_of(answer)["state"], "error": "login_required"})
    assert "Location" not in again.headers


def test_a_click_is_one(browser: Browser) -> None:
    """What the others differ from."""
    assert is_interactive(browser.post("/session/login", {"next": DASHBOARD}, **OWN))
    assert is_interactive(browser.post("/session/login", {}, Origin=ISSUER))


FRAMED: dict[str, tuple[str, dict[str, str], dict[str, str]]] = {
    "a click": ("POST", {}, OWN),
    "a click in an older browser": ("POST", {}, {"Origin": ISSUER}),
    "a click on a popup's page": ("POST", {"display": "popup"}, OWN),
    "a link": ("GET", {}, {"Sec_Fetch_User": "?1"}),
    "a link that says it is a page": ("GET", {"display": "page"}, {"Sec_Fetch_User": "?1"}),
    "a link that says it is a popup": ("GET", {"display": "popup"}, {"Sec_Fetch_User": "?1"}),
}


KINDS: dict[str, dict[str, Any]] = {
    "oidc": {},
    "plain OAuth": {"issuer": None, "api_url": f"{PROVIDER}/user"},
}


class TestFrames:
    """Providers refuse to show their login there, and nobody could see whose page it is."""

    @pytest.mark.parametrize("keys", KINDS.values(), ids=KINDS)
    @pytest.mark.parametrize(("method", "query", "headers"), FRAMED.values(), ids=FRAMED)
    def test_none_is_interactive(
        self,
        make_browser: Callable[..., Browser],
        method: str,
        query: dict[str, str],
        headers: dict[str, str],
        keys: dict[str, Any],
    ) -> None:
        browser = make_browser(**keys)
        ask = browser.get if method == "GET" else browser.post
        for frame in FRAMES:
            answer = ask("/session/login", query, Sec_Fetch_Dest=frame, **headers)
            assert not is_interactive(answer)
            if answer.status_code == 303:
                params = {"state": query_of(answer)["state"], "error": "login_required"}
                assert "Location" not in browser.callback(params).headers

    @pytest.mark.parametrize(
        ("method", "keys"),
        [
            ("GET", KINDS["oidc"]),
            ("GET", KINDS["plain OAuth"]),
            ("POST", KINDS["oidc"]),
            ("POST", KINDS["plain OAuth"]),
        ],
    )
    def test_nor_where_only_the_page_says_that_it_is_one(
        self, make_browser: Callable[..., Browser], method: str, keys: dict[str, Any]
    ) -> None:
        """As in a browser without Fetch Metadata."""
        browser = make_browser(**keys)
        ask = browser.get if method == "GET" else browser.post
        answer = ask("/session/login", {"display": "iframe"}, Origin=ISSUER, Sec_Fetch_User="?1")
        assert not is_interactive(answer)

    def test_nor_an_answer_that_comes_into_one(self, browser: Browser) -> None:
        """A login that a click began at the top comes back inside a frame."""
        for frame in FRAMES:
            start = browser.get("/session/login", Sec_Fetch_User="?1", Sec_Fetch_Dest="document")
            params = {"state": query_of(start)["state"], "error": "login_required"}
            answer = browser.get("/session/callback", params, Sec_Fetch_Dest=frame)
            assert not is_interactive(answer)


FORWARDED: dict[str, dict[str, str]] = {
    "Host": {"Host": "evil.example.com"},
    "Host with a port": {"Host": "embed.example.com:444"},
    "X-Forwarded-Host": {"X_Forwarded_Host": "evil.example.com"},
    "X-Forwarded-Proto": {"X_Forwarded_Proto": "http"},
    "X-Forwarded-Prefix": {"X_Forwarded_Prefix": "/evil"},
    "Forwarded": {"Forwarded": "host=evil.example.com;proto=http"},
    "X-Original-URL": {"X_Original_URL": "/session/me"},
    "X-Rewrite-URL": {"X_Rewrite_URL": "/session/me"},
    "X-HTTP-Method-Override": {"X_HTTP_Method_Override": "POST"},
}


@pytest.mark.parametrize("headers", FORWARDED.values(), ids=FORWARDED)
def test_no_header_says_who_we_are(browser: Browser, headers: dict[str, str]) -> None:
    answer = browser.get("/session/login", **headers)
    assert answer.status_code == 303
    assert query_of(answer)["redirect_uri"] == f"{ISSUER}/session/callback"
    assert answer.headers["Location"].startswith(f"{PROVIDER}/authorize?")
    assert not is_interactive(answer)
    assert new_cookies(answer, ATTEMPT)


class TestLoginCookies:
    def test_fifty_at_once(self, browser: Browser) -> None:
        """Whoever planted them: the login goes on, and the others are given up."""
        for number in range(50):
            browser.set_cookie(f"{ATTEMPT}{number:016x}", f"planted{number}")
        answer = browser.start()
        assert answer.status_code == 303
        left = [name for name in browser.cookies() if name.startswith(ATTEMPT)]
        assert len(left) <= 4
        name, value = next(iter(new_cookies(answer, ATTEMPT).items()))
        assert browser.cookies()[name] == value

    def test_no_more_than_a_few_logins_are_on_their_way(self, browser: Browser) -> None:
        for _ in range(20):
            browser.start()
        assert len([name for name in browser.cookies() if name.startswith(ATTEMPT)]) == 4

    @pytest.mark.parametrize("name", ["\x01", "é", " ", '"', "a" * 3000, "%0d%0aX:1", "a\\012b"])
    def test_a_name_of_theirs_comes_back_as_it_was(self, browser: Browser, name: str) -> None:
        planted = "; ".join(f"{ATTEMPT}{number}{name}=x" for number in range(6))
        answer = browser.app.test_client(use_cookies=False).get(
            "/session/login", base_url=ISSUER, headers={"Cookie": planted}
        )
        assert answer.status_code == 303
        assert len(new_cookies(answer, ATTEMPT)) == 1
        assert "X" not in answer.headers

    def test_each_has_secrets_of_its_own(self, browser: Browser) -> None:
        seen = [query_of(browser.start()) for _ in range(5)]
        for name in ("state", "nonce", "code_challenge"):
            assert len({query[name] for query in seen}) == 5
        assert all(len(query["state"]) == 43 for query in seen), "256 bits in base64url"
        assert all(query["code_challenge_method"] == "S256" for query in seen)
