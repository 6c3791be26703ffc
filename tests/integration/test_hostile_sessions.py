"""Hostile browsers, pages and providers against embedjwt's own session and its cookies."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from http.cookies import SimpleCookie
from urllib.parse import parse_qsl, urlsplit

import pytest

from embedjwt.config import Settings
from hostile_provider import StandIn
from hostile_site import (
    ATTEMPT,
    DASHBOARD,
    HOST,
    ISSUER,
    SESSION,
    Browser,
    Site,
    hostile_site,
    new_cookies,
    source,
)
from loopback_server import running_server
from tests_support import FakeClock

EVIL = "https://evil.example.com"


@pytest.fixture
def site(make_settings: Callable[..., Settings], clock: FakeClock) -> Iterator[Site]:
    with hostile_site(make_settings, clock) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Browser:
    """Somebody's who is signed in as jane."""
    browser = site.browser()
    browser.log_in(site.provider)
    assert browser.person() == "jane"
    return browser


@pytest.fixture
def evil(clock: FakeClock) -> Iterator[StandIn]:
    """A second provider that embedjwt trusts, and that wants what the first one gives."""
    with running_server() as server:
        yield StandIn(server, clock)


class TestMixedUpProviders:
    """RFC 9700 section 4.4: one provider sends the browser on to another, for its codes."""

    @pytest.mark.parametrize("path", ["/session/callback", "/session/callback/idp"])
    @pytest.mark.parametrize("with_iss", [True, False], ids=["iss tells", "no iss"])
    @pytest.mark.parametrize("plain", [True, False], ids=["evil is plain OAuth", "both are OpenID"])
    def test_a_code_goes_only_to_the_provider_that_made_it(
        self,
        make_settings: Callable[..., Settings],
        clock: FakeClock,
        evil: StandIn,
        path: str,
        with_iss: bool,
        plain: bool,
    ) -> None:
        evil.metadata = {"authorization_response_iss_parameter_supported": None}
        endpoints = {f"{name}_url": f"{evil.url}/{path}" for name, path in ENDPOINTS.items()}
        keys = {"issuer": None, "scopes": "profile", **endpoints} if plain else {}
        second = {**source("evil", evil.url), **keys}
        with hostile_site(make_settings, clock, second) as site:
            browser = site.browser()
            query = {"source": "evil"} if plain else {"source": "evil", "prompt": "none"}
            start = browser.get("/session/login", query, Sec_Fetch_User="?1")
            # What evil's authorization endpoint does: on to the honest one, as if sent from here.
            location = f"{start.headers['Location']}&nonce=evils-own-nonce"
            answer = site.provider.authorize(location.replace(evil.url, site.provider.url))
            if not with_iss:
                del answer["iss"]
            got = browser.callback(answer, path)
            assert answer["code"] not in [form["code"] for form in evil.forms()]
            assert (got.status_code, got.get_json()["code"]) == (400, "issuer_mismatch")
            site.assert_nothing_gained(browser, got)

    def test_with_another_issuer_in_the_answer(
        self, make_settings: Callable[..., Settings], clock: FakeClock, evil: StandIn
    ) -> None:
        """Even where the honest provider takes any redirect URI that begins like ours."""
        with hostile_site(make_settings, clock, source("evil", evil.url)) as site:
            browser = site.browser()
            location = browser.start(source="evil").headers["Location"]
            answer = site.provider.authorize(location.replace(evil.url, site.provider.url))
            got = browser.callback(answer, "/session/callback/evil")
            assert got.get_json()["code"] == "issuer_mismatch"
            assert not evil.forms()
            site.assert_nothing_gained(browser, got)


ENDPOINTS = {"auth": "authorize", "token": "token", "api": "userinfo"}


class TestWhoeverIsSignedIn:
    def test_another_person_comes_back_from_the_provider(
        self, site: Site, browser: Browser
    ) -> None:
        """The session is that person's, and the one before is dead, not only replaced."""
        before = browser.cookies()[SESSION]
        browser.log_in(site.provider, "mallory")
        assert browser.person() == "mallory"
        thief = site.browser()
        thief.set_cookie(SESSION, before)
        assert thief.person() is None

    def test_a_failed_login_leaves_the_session_as_it_is(self, site: Site, browser: Browser) -> None:
        before = browser.cookies()[SESSION]
        site.provider.claims = {"aud": "another"}
        assert browser.log_in(site.provider, "mallory").status_code == 401
        assert browser.cookies()[SESSION] == before
        assert browser.person() == "jane"

    def test_a_cookie_planted_before_the_login_opens_nothing(self, site: Site) -> None:
        """Session fixation: whether we signed the cookie or not."""
        attacker, victim = site.browser(), site.browser()
        attacker.log_in(site.provider, "mallory")
        planted = attacker.cookies()[SESSION]
        victim.set_cookie(SESSION, planted)
        victim.log_in(site.provider, "jane")
        assert victim.cookies()[SESSION] != planted
        assert (victim.person(), attacker.person()) == ("jane", None)

    def test_each_login_has_an_id_of_its_own(self, site: Site) -> None:
        seen = set()
        for _ in range(5):
            visitor = site.browser()
            visitor.log_in(site.provider)
            seen.add(visitor.cookies()[SESSION].partition(".")[0])
        assert len(seen) == 5
        assert all(len(name) == 43 for name in seen), "256 bits in base64url"


def flipped(character: str) -> str:
    """Another one of base64."""
    return "A" if character != "A" else "B"


def id_of_another(mine: str, other: str) -> str:
    return ".".join([other.split(".", maxsplit=1)[0], *mine.split(".")[1:]])


TAMPERED: dict[str, tuple[Callable[[str, str], str], str]] = {
    "another's id": (id_of_another, "session_invalid"),
    "only the id": (lambda mine, _: mine.split(".")[0], "session_invalid"),
    "no signature": (lambda mine, _: mine.rpartition(".")[0], "session_invalid"),
    "time changed": (
        lambda mine, _: mine.replace(mine.split(".")[1], "AAAAAA"),
        "session_invalid",
    ),
    "one character": (lambda mine, _: mine[:-9] + flipped(mine[-9]) + mine[-8:], "session_invalid"),
    "upper case": (lambda mine, _: mine.swapcase(), "session_invalid"),
    "more": (lambda mine, _: mine + "A", "session_invalid"),
    "garbage": (lambda *_: "\x01\x7fé.é.é", "session_invalid"),
    "very long": (lambda mine, _: mine * 20, "session_invalid"),
}


class TestSessionCookie:
    @pytest.mark.parametrize(("change", "code"), TAMPERED.values(), ids=TAMPERED)
    def test_tampered(
        self, site: Site, browser: Browser, change: Callable[[str, str], str], code: str
    ) -> None:
        other = site.browser()
        other.log_in(site.provider, "mallory")
        browser.set_cookie(SESSION, change(browser.cookies()[SESSION], other.cookies()[SESSION]))
        for answer in (browser.token(), browser.get("/session/me")):
            assert (answer.status_code, answer.get_json()["code"]) == (401, code)
        # Whoever has such a cookie can still sign in, and then has a good one.
        browser.log_in(site.provider)
        assert browser.person() == "jane"

    def test_a_logins_cookie_is_none(self, site: Site, browser: Browser) -> None:
        other = site.browser()
        other.start()
        browser.set_cookie(SESSION, other.attempt()[1])
        assert browser.token().get_json()["code"] == "session_invalid"

    def test_two_of_one_name(self, site: Site, browser: Browser) -> None:
        """A sibling's domain can plant one: whose it is cannot be told, so it is nobody's."""
        mine = browser.cookies()[SESSION]
        other = site.browser()
        other.log_in(site.provider, "mallory")
        both = f"{SESSION}={other.cookies()[SESSION]}; {SESSION}={mine}"
        for path, method in (("/session/me", "GET"), ("/v1/embed-token", "POST")):
            answer = site.app.test_client(use_cookies=False).open(
                path, method=method, base_url=ISSUER, headers={"Cookie": both, "Origin": HOST}
            )
            assert (answer.status_code, answer.get_json()["code"]) == (401, "credential_ambiguous")

    def test_without_the_prefix_it_is_not_looked_at(self, site: Site, browser: Browser) -> None:
        """Only ``__Host-`` keeps other hosts and plain http from planting it."""
        visitor = site.browser()
        visitor.set_cookie(SESSION.removeprefix("__Host-"), browser.cookies()[SESSION])
        assert visitor.token().get_json()["code"] == "login_required"

    def test_after_its_age(self, site: Site, browser: Browser) -> None:
        site.later(12 * 3600)
        assert browser.token().status_code == 401

    @pytest.mark.parametrize("samesite", ["lax", "strict", "none"])
    def test_flags(
        self, make_settings: Callable[..., Settings], clock: FakeClock, samesite: str
    ) -> None:
        table = {"cookie_samesite": samesite}
        with hostile_site(make_settings, clock, session=table) as site:
            browser = site.browser()
            start = browser.start()
            answer = browser.callback(site.provider.authorize(start.headers["Location"]))
            lines = start.headers.getlist("Set-Cookie") + answer.headers.getlist("Set-Cookie")
            cookies = [morsel for line in lines for morsel in SimpleCookie(line).values()]
            assert len(cookies) == 3, "a login begins, and ends, and a session begins"
            for cookie in cookies:
                assert cookie.key.startswith((SESSION, ATTEMPT))
                assert cookie["secure"] is True
                assert cookie["httponly"] is True
                assert (cookie["path"], cookie["domain"]) == ("/", "")
                # From the provider back to us is from another site: Strict would not come along.
                lax = samesite == "strict" and cookie.key.startswith(ATTEMPT)
                assert cookie["samesite"].lower() == ("lax" if lax else samesite)

    def test_says_nothing_of_the_person(self, site: Site) -> None:
        visitor = site.browser()
        visitor.log_in(site.provider, "jane", email="jane@example.com")
        assert "jane" not in visitor.cookies()[SESSION]


SIGNS_NOBODY_OUT: dict[str, dict[str, str]] = {
    "another origin": {"Origin": EVIL},
    "no origin": {},
    "a sandbox": {"Origin": "null"},
    "an origin that begins like one of ours": {"Origin": f"{HOST}.evil.example.com"},
    "an allowed one over http": {"Origin": HOST.replace("https", "http")},
    "another site": {"Origin": EVIL, "Sec_Fetch_Site": "cross-site"},
    "a sibling": {"Origin": EVIL, "Sec_Fetch_Site": "same-site"},
    "our own origin, says another site": {"Origin": ISSUER, "Sec_Fetch_Site": "cross-site"},
    "an address bar": {"Sec_Fetch_Site": "none"},
    "a referrer of ours": {"Origin": EVIL, "Referer": f"{ISSUER}/session/logout"},
    "two origins": {"Origin": f"{HOST}, {EVIL}"},
}


class TestLogout:
    @pytest.mark.parametrize("headers", SIGNS_NOBODY_OUT.values(), ids=SIGNS_NOBODY_OUT)
    def test_another_sites_page_signs_nobody_out(
        self, browser: Browser, headers: dict[str, str]
    ) -> None:
        answer = browser.post("/session/logout", **headers)
        assert (answer.status_code, answer.get_json()["code"]) == (403, "origin_not_allowed")
        assert "Set-Cookie" not in answer.headers
        assert browser.person() == "jane"

    @pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "PUT", "DELETE"])
    def test_only_a_post_does(self, browser: Browser, method: str) -> None:
        browser.client.open("/session/logout", method=method, base_url=ISSUER)
        assert browser.person() == "jane"

    def test_by_another_name_of_the_method(self, browser: Browser) -> None:
        browser.get("/session/logout", {"_method": "POST"}, X_HTTP_Method_Override="POST")
        assert browser.person() == "jane"

    def test_no_copy_of_the_cookie_survives(self, site: Site, browser: Browser) -> None:
        thief = site.browser()
        thief.set_cookie(SESSION, browser.cookies()[SESSION])
        token = thief.token().get_json()["token"]
        answer = browser.post("/session/logout", Origin=HOST)
        assert answer.status_code == 200
        assert SESSION not in browser.cookies()
        assert thief.person() is None
        assert token not in answer.text

    def test_with_two_cookies_of_one_name(self, site: Site, browser: Browser) -> None:
        """Whichever is ours, what the person asked for has happened."""
        mine = browser.cookies()[SESSION]
        site.app.test_client(use_cookies=False).post(
            "/session/logout",
            base_url=ISSUER,
            headers={"Cookie": f"{SESSION}={mine}; {SESSION}=planted", "Origin": HOST},
        )
        assert browser.person() is None

    def test_no_token_goes_into_the_providers_address(self, site: Site, browser: Browser) -> None:
        answer = browser.post("/session/logout", {"next": DASHBOARD}, Origin=HOST)
        end = answer.get_json()["end_session_url"]
        assert dict(parse_qsl(urlsplit(end).query)).keys() == {
            "client_id",
            "post_logout_redirect_uri",
            "state",
        }
        site.assert_nothing_told(answer)

    @pytest.mark.parametrize(
        "end",
        [
            "https://idp.example.org/end\r\nSet-Cookie: x=1",
            "https://idp.example.org/\x00é",
        ],
    )
    def test_an_end_session_endpoint_that_is_no_header(
        self, site: Site, browser: Browser, end: str
    ) -> None:
        site.provider.metadata = {"end_session_endpoint": end}
        site.later(700)  # the metadata is asked for again
        browser.person()
        browser.get("/session/me")
        answer = browser.post("/session/logout", Sec_Fetch_Site="same-origin", Accept="text/html")
        assert answer.status_code in (200, 303)
        assert new_cookies(answer, "") == {}
        assert browser.person() is None


STATES: dict[str, Callable[[str, Browser], str]] = {
    "an address": lambda good, b: EVIL,
    "an address, signed by nobody": lambda good, b: f'"{EVIL}".{good.split(".", 1)[1]}',
    "of a login": lambda good, b: next(v for k, v in b.cookies().items() if k.startswith(ATTEMPT)),
    "of a session": lambda good, b: b.cookies()[SESSION],
    "cut off": lambda good, b: good[:-1],
    "doubled": lambda good, b: good * 2,
    "not text": lambda good, b: "\x00\xff",
}


@pytest.mark.parametrize("state", STATES.values(), ids=STATES)
def test_only_our_own_state_leads_anywhere_after_a_logout(
    browser: Browser, state: Callable[[str, Browser], str]
) -> None:
    answer = browser.post("/session/logout", {"next": DASHBOARD}, Origin=HOST)
    good = dict(parse_qsl(urlsplit(answer.get_json()["end_session_url"]).query))["state"]
    assert browser.get("/session/logout", {"state": good}).headers["Location"] == DASHBOARD
    browser.start()
    browser.set_cookie(SESSION, "a session of before")
    got = browser.get("/session/logout", {"state": state(good, browser)})
    assert (got.status_code, got.headers.get("Location")) == (200, None)


READERS: dict[str, tuple[str | None, bool]] = {
    "a page on the list": (HOST, True),
    "nobody": (None, False),
    "another page": (EVIL, False),
    "a sandbox": ("null", False),
    "a star": ("*", False),
    "one that begins like it": (f"{HOST}.evil.example.com", False),
    "in capitals": (HOST.upper(), False),
    "with a slash": (f"{HOST}/", False),
    "over http": (HOST.replace("https", "http"), False),
    "with a port": (f"{HOST}:444", False),
    "twice": (f"{HOST}, {HOST}", False),
}


@pytest.mark.parametrize(("origin", "may_read"), READERS.values(), ids=READERS)
@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
def test_who_may_read_whose_session_this_is(
    browser: Browser, method: str, origin: str | None, may_read: bool
) -> None:
    headers = {} if origin is None else {"Origin": origin}
    answer = browser.client.open("/session/me", method=method, base_url=ISSUER, headers=headers)
    cors = {name: value for name, value in answer.headers if name.startswith("Access-Control")}
    assert cors.get("Access-Control-Allow-Origin") == (origin if may_read else None)
    assert ("Access-Control-Allow-Credentials" in cors) == may_read
    assert ("Access-Control-Expose-Headers" in cors) == may_read
    assert "Origin" in answer.headers["Vary"]
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "path", ["/session/login", "/session/callback", "/session/backchannel-logout"]
)
def test_no_page_reads_the_rest(browser: Browser, path: str) -> None:
    answer = browser.get(path, Origin=HOST)
    assert not [name for name, _ in answer.headers if name.startswith("Access-Control")]
