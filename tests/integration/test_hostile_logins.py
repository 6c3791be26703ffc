"""Hostile logins through the real endpoints: none opens a session, and nothing secret is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from werkzeug.test import TestResponse

from embedjwt.config import Settings
from hostile_provider import challenge
from hostile_site import (
    ATTEMPT,
    DASHBOARD,
    SESSION,
    Browser,
    Site,
    hostile_site,
    new_cookies,
)
from tests_support import FakeClock


@pytest.fixture
def site(make_settings: Callable[..., Settings], clock: FakeClock) -> Iterator[Site]:
    with hostile_site(make_settings, clock) as site:
        yield site


@pytest.fixture
def browser(site: Site) -> Browser:
    return site.browser()


def test_an_honest_login_succeeds(site: Site, browser: Browser) -> None:
    """What all the others differ from in one thing."""
    start = browser.start(next=DASHBOARD)
    answer = browser.callback(site.provider.authorize(start.headers["Location"]))
    assert (answer.status_code, answer.headers["Location"]) == (303, DASHBOARD)
    assert browser.person() == "jane"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert site.paths().count("/token") == 1
    site.assert_nothing_told(answer)


@dataclass
class Login:
    """A login on its way: what the provider answers, before something happens to it."""

    site: Site
    browser: Browser
    params: dict[str, str]

    def other(self) -> Login:
        """Another one, in a browser of its own."""
        return begun(self.site, self.site.browser())

    def answered(self, **changes: Any) -> TestResponse:
        params = self.params | changes
        return self.browser.callback({k: v for k, v in params.items() if v is not None})

    def without_cookie(self) -> TestResponse:
        return self.site.browser().callback(self.params)

    def with_cookie(self, name: str, value: str) -> TestResponse:
        self.browser.client.delete_cookie(self.browser.attempt()[0], domain="embed.example.com")
        self.browser.set_cookie(name, value)
        return self.answered()

    def with_value(self, change: Callable[[str], str]) -> TestResponse:
        name, value = self.browser.attempt()
        return self.with_cookie(name, change(value))


def begun(site: Site, browser: Browser) -> Login:
    location = browser.start().headers["Location"]
    return Login(site, browser, site.provider.authorize(location))


def flipped(text: str, position: int) -> str:
    """With one character of base64 replaced by another."""
    replaced = "A" if text[position] != "A" else "B"
    return text[:position] + replaced + text[position:][1:]


def after(login: Login, seconds: float) -> TestResponse:
    login.site.later(seconds)
    return login.answered()


def with_session_of_another(login: Login) -> TestResponse:
    other = login.site.browser()
    other.log_in(login.site.provider, "mallory")
    return login.with_cookie(login.browser.attempt()[0], other.cookies()[SESSION])


ANSWERS: dict[str, tuple[Callable[[Login], TestResponse], int, str]] = {
    # The callback of a login that this browser did not begin: CSRF, a stolen address.
    "no cookie": (lambda x: x.without_cookie(), 400, "login_unknown"),
    "another's cookie": (
        lambda x: x.with_cookie(*x.other().browser.attempt()),
        400,
        "login_unknown",
    ),
    "another's cookie under this name": (
        lambda x: x.with_value(lambda _: x.other().browser.attempt()[1]),
        400,
        "state_mismatch",
    ),
    "cookie under the name without prefix": (
        lambda x: x.with_cookie(
            x.browser.attempt()[0].removeprefix("__Host-"), x.browser.attempt()[1]
        ),
        400,
        "login_unknown",
    ),
    "cookie changed": (lambda x: x.with_value(lambda v: flipped(v, 9)), 400, "login_unknown"),
    "signature changed": (lambda x: x.with_value(lambda v: flipped(v, -9)), 400, "login_unknown"),
    "signature gone": (
        lambda x: x.with_value(lambda v: v.rpartition(".")[0]),
        400,
        "login_unknown",
    ),
    "cookie empty": (lambda x: x.with_value(lambda _: ""), 400, "login_unknown"),
    "a session's cookie in its place": (with_session_of_another, 400, "login_unknown"),
    "ten minutes later": (lambda x: after(x, 600), 400, "login_unknown"),
    # state, RFC 6749 section 10.12
    "no state": (lambda x: x.answered(state=None), 400, "login_unknown"),
    "state empty": (lambda x: x.answered(state=""), 400, "login_unknown"),
    "state of another": (
        lambda x: x.answered(state=x.other().params["state"]),
        400,
        "login_unknown",
    ),
    "state and more": (lambda x: x.answered(state=x.params["state"] + "A"), 400, "login_unknown"),
    "state not text": (lambda x: x.answered(state=b"\xff\x00"), 400, "login_unknown"),
    "state twice": (lambda x: x.answered(state=[x.params["state"]] * 2), 400, "state_mismatch"),
    "error with another state": (
        lambda x: x.answered(code=None, error="access_denied", state="x"),
        400,
        "login_unknown",
    ),
    # iss, RFC 9207
    "no iss": (lambda x: x.answered(iss=None), 400, "issuer_mismatch"),
    "iss empty": (lambda x: x.answered(iss=""), 400, "issuer_mismatch"),
    "iss of another": (
        lambda x: x.answered(iss="https://idp.example.org"),
        400,
        "issuer_mismatch",
    ),
    "iss and a slash": (lambda x: x.answered(iss=x.params["iss"] + "/"), 400, "issuer_mismatch"),
    "iss in capitals": (
        lambda x: x.answered(iss=x.params["iss"].upper()),
        400,
        "issuer_mismatch",
    ),
    "error of another": (
        lambda x: x.answered(code=None, error="login_required", iss="https://idp.example.org"),
        400,
        "issuer_mismatch",
    ),
    "iss twice": (
        lambda x: x.answered(iss=[x.params["iss"], "https://idp.example.org"]),
        400,
        "authorization_response_invalid",
    ),
    # code and error
    "no code": (lambda x: x.answered(code=None), 400, "authorization_response_invalid"),
    "code empty": (lambda x: x.answered(code=""), 400, "authorization_response_invalid"),
    "code twice": (
        lambda x: x.answered(code=[x.params["code"], x.other().params["code"]]),
        400,
        "authorization_response_invalid",
    ),
    "code and error": (lambda x: x.answered(error="access_denied"), 401, "access_denied"),
    "an error of no standard": (
        lambda x: x.answered(code=None, error="<script>alert(1)</script>"),
        401,
        "authorization_failed",
    ),
    "an error that tells what is secret": (
        lambda x: x.answered(code=None, error="server_error", error_description="\r\nX: y\x1b[2J"),
        401,
        "authorization_failed",
    ),
    "a code made up": (lambda x: x.answered(code="made up"), 401, "grant_refused"),
    "a code injected from another's login": (
        lambda x: x.answered(code=x.other().params["code"]),
        401,
        "grant_refused",
    ),
}


@pytest.mark.parametrize(("answer", "status", "code"), ANSWERS.values(), ids=ANSWERS)
def test_authorization_responses(
    site: Site,
    browser: Browser,
    answer: Callable[[Login], TestResponse],
    status: int,
    code: str,
) -> None:
    login = begun(site, browser)
    got = answer(login)
    assert (got.status_code, got.get_json()["code"]) == (status, code)
    site.assert_nothing_gained(browser, got)
    # The code leaves only for an answer that is whole, and for this browser.
    assert login.params["code"] not in [form["code"] for form in site.provider.forms()]


def test_an_injected_code_meets_the_verifier_of_the_login_it_is_injected_into(
    site: Site, browser: Browser
) -> None:
    """PKCE (RFC 7636): the provider finds that the code is of another login."""
    victim, attacker = begun(site, site.browser()), begun(site, browser)
    attacker.answered(code=victim.params["code"])
    (form,) = site.provider.forms()
    assert form["code"] == victim.params["code"]
    assert len(form["code_verifier"]) == 128
    assert (
        challenge(form["code_verifier"]) == site.provider.grants[attacker.params["code"]].challenge
    )


class TestUsedTwice:
    def test_in_turn(self, site: Site, browser: Browser) -> None:
        login = begun(site, browser)
        name, value = browser.attempt()
        assert new_cookies(login.answered(), SESSION)
        assert not any(name.startswith(ATTEMPT) for name in browser.cookies())
        thief = site.browser()
        thief.set_cookie(name, value)
        again = thief.callback(login.params)
        assert (again.status_code, again.get_json()["code"]) == (400, "login_replayed")
        site.assert_nothing_gained(thief, again)
        assert browser.person() == "jane"
        assert len(site.provider.forms()) == 1

    def test_eight_at_once(self, site: Site, browser: Browser) -> None:
        login = begun(site, browser)
        cookie = browser.attempt()
        barrier = threading.Barrier(8)
        answers: list[TestResponse] = []

        def answer() -> None:
            thief = site.browser()
            thief.set_cookie(*cookie)
            barrier.wait()
            answers.append(thief.callback(login.params))

        threads = [threading.Thread(target=answer) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(answer.status_code for answer in answers) == [200, *[400] * 7]
        assert sum(bool(new_cookies(answer, SESSION)) for answer in answers) == 1
        assert len(site.provider.forms()) == 1
