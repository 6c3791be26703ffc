"""What panels of the browser SDK say and do where there is no token: refusals, failures, and
providers of an application's own.

Faults come in between the page and embedjwt, whose own answers are real wherever it can give them.
"""

from __future__ import annotations

from itertools import pairwise

import pytest
from playwright.sync_api import expect
from sdk_site import LIFE, ends_at
from sdk_visit import LUCKY, RENEWED_AFTER, UNLUCKY, Visit, problem


def test_after_a_logout_elsewhere_panels_go_until_the_person_is_back(visit: Visit) -> None:
    visit.fake_clock()
    visit.page.add_init_script("window.calls = []")
    visit.open("{ onLoginRequired: (error) => void calls.push(error.code) }", panels=3)
    visit.until_state("ready")
    visit.sign_out()
    visit.pass_time(RENEWED_AFTER[1])
    visit.until_state("error")
    assert visit.page.locator("grafana-panel iframe").count() == 0
    assert visit.says("login_required")
    assert visit.page.evaluate("calls") == ["login_required"]
    asked = len(visit.asked)
    visit.pass_time(300, step=20)
    assert len(visit.asked) == asked, "only somebody who signs in changes anything"
    visit.sign_in()
    visit.fire("focus")
    visit.until_state("ready")
    assert visit.page.evaluate("calls") == ["login_required"]


def test_panels_try_again_when_the_application_says_that_the_person_is_there(
    visit: Visit,
) -> None:
    visit.sign_out()
    visit.page.add_init_script("window.calls = 0")
    visit.open(
        """{ onLoginRequired() {
            calls += 1;
            return new Promise((resolve) => { window.signedIn = resolve; });
        } }""",
        panels=2,
    )
    visit.until_state("error")
    assert visit.page.evaluate("calls") == 1
    visit.sign_in()
    visit.page.evaluate("signedIn(true)")
    visit.until_state("ready")
    assert len(visit.asked) == 2


def test_who_may_not_is_told_so_and_nobody_asks_again(visit: Visit) -> None:
    visit.sign_in("nora")
    visit.fake_clock()
    visit.open(panels=2)
    visit.until_state("error")
    error = visit.until_heard("error")
    assert (error["code"], error["status"], error["retryable"]) == ("forbidden", 403, False)
    assert error["traceId"] in visit.card()
    assert visit.says("forbidden")
    visit.pass_time(600, step=20)
    visit.fire("focus")
    visit.pass_time(1)
    assert len(visit.asked) == 1
    visit.sign_in("vera")
    visit.page.locator("[part=retry]").first.click()
    visit.until_state("ready")
    assert len(visit.asked) == 2


def test_too_many_requests_are_not_answered_with_more_of_them(visit: Visit) -> None:
    visit.fake_clock()
    visit.answer(problem(429, "rate_limited") | {"headers": {"Retry-After": "40"}})
    visit.open()
    visit.until_state("error")
    error = visit.until_heard("error")
    assert (error["code"], error["retryAfter"]) == ("rate_limited", 40)
    visit.pass_time(15)
    visit.fire("focus", "online", "pageshow")
    visit.pass_time(15)
    assert len(visit.asked) == 1
    visit.pass_time(12)
    visit.until_state("ready")
    assert len(visit.asked) == 2


def test_a_service_that_fails_is_asked_again_until_it_works(visit: Visit) -> None:
    visit.fake_clock()
    visit.page.add_init_script(LUCKY)
    visit.answer(*[problem(500, "internal")] * 3)
    visit.open(panels=2)
    visit.until_state("error")
    assert visit.says("unavailable")
    visit.pass_time(5, step=0.2)
    visit.until_state("ready")
    assert len(visit.asked) == 4
    times = [error["at"] for error in visit.failures()]
    assert len(times) == 3, "told once for all panels"
    assert all(later - earlier >= 1000 for earlier, later in pairwise(times))


@pytest.mark.parametrize("mode", ["auto", "url"])
def test_a_page_where_a_token_should_be_is_a_matter_of_settings(visit: Visit, mode: str) -> None:
    visit.fake_clock()
    visit.answer({"status": 200, "content_type": "text/html", "body": "<h1>Welcome</h1>"})
    visit.open(f"{{ mode: {mode!r} }}", mode=mode)
    visit.until_state("error")
    error = visit.until_heard("error")
    assert error["code"] == "config"
    assert "expiresIn" in error["message"], "says what is missing"
    visit.pass_time(6)
    visit.fire("focus")
    visit.until_state("ready")


def test_a_page_that_is_on_no_list_goes_on_asking_until_it_is(visit: Visit) -> None:
    """No script can tell it from a service that is away; the browser's console can."""
    visit.fake_clock()
    visit.page.add_init_script(UNLUCKY)
    visit.open(host=visit.site.stranger)
    visit.until_state("error")
    assert visit.says("network")
    visit.pass_time(10, step=1)
    errors = visit.failures()
    assert {(error["code"], error["retryable"]) for error in errors} == {("network", True)}
    times = [error["at"] for error in errors]
    waits = [later - earlier for earlier, later in pairwise(times)]
    assert len(waits) >= 3
    assert all(wait >= at_least for wait, at_least in zip(waits, (990, 1980, 3960), strict=False))
    visit.answer(visit.answer_for(visit.site.stranger))
    visit.pass_time(31)
    visit.until_state("ready")


def test_retry_works_by_keyboard_and_does_not_lose_ones_place(visit: Visit) -> None:
    page = visit.page
    visit.answer(problem(403, "forbidden", "not you"), problem(403, "forbidden", "not today"))
    visit.open()
    visit.until_state("error")
    expect(page.get_by_role("alert")).to_contain_text("not you")
    page.locator("#before").focus()
    page.keyboard.press("Tab")
    retry = page.get_by_role("button", name="Retry")
    expect(retry).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("not today")
    expect(retry).to_be_focused()
    page.keyboard.press("Enter")
    visit.until_state("ready")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.localName") == "grafana-panel", "in its frame"
    page.keyboard.press("Tab")
    expect(page.locator("#after")).to_be_focused()


PASSED_ON = "{ getToken: ({ signal }) => ask(signal) }"

PLAIN = """{ async getToken({ signal, reason, scope }) {
    window.wanted = { reason, scope };
    const { token, expires_in, server_time, grafana } = await (await ask(signal)).json();
    return { token, expiresIn: expires_in, serverTime: server_time, grafana };
} }"""


@pytest.mark.parametrize("provider", [PASSED_ON, PLAIN], ids=["response", "plain"])
def test_an_applications_own_provider_keeps_panels_alive(visit: Visit, provider: str) -> None:
    visit.fake_clock()
    visit.open(provider, panels=3)
    visit.until_state("ready")
    grant = visit.heard("grant")[0]
    assert LIFE - 5 <= grant["expiresIn"] <= LIFE
    assert grant["skew"] == pytest.approx(0, abs=5)
    visit.pass_time(1.75 * LIFE)
    visit.until_state("ready")
    assert [event["reason"] for event in visit.heard("grant")][:2] == ["first", "refresh"]
    assert len(visit.asked) == 3
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())
    if provider == PLAIN:
        wanted = {"reason": "refresh", "scope": {"grafana": None, "mode": "url"}}
        assert visit.page.evaluate("wanted") == wanted


def test_a_provider_that_never_settles_is_given_up_and_asked_again(visit: Visit) -> None:
    visit.fake_clock()
    visit.page.add_init_script("window.signals = []")
    visit.open(
        """{ getToken({ signal }) {
            return signals.push(signal) > 2 ? ask(signal) : new Promise(() => {});
        } }"""
    )
    visit.until_state("authorizing")
    visit.pass_time(10)
    assert visit.states() == ["authorizing"]
    visit.pass_time(11)
    error = visit.until_heard("error")
    assert (error["code"], error["retryable"]) == ("timeout", True)
    assert visit.page.evaluate("signals[0].aborted")
    assert visit.says("unavailable")
    visit.pass_time(2)
    assert visit.page.evaluate("signals.length") == 2
    visit.pass_time(25)
    visit.until_state("ready")
    assert visit.page.evaluate("signals.length") == 3


def test_a_provider_that_answers_after_the_end_is_not_listened_to(visit: Visit) -> None:
    """One that does not care for its signal."""
    visit.open("{ getToken: () => new Promise((resolve) => { window.settle = resolve; }) }")
    visit.until(lambda: visit.page.evaluate("typeof settle === 'function'"))
    visit.page.evaluate("embedded().destroy()")
    before = visit.heard()
    visit.page.evaluate("(async () => settle(await ask()))()")
    visit.until(lambda: visit.asked)
    visit.page.evaluate("new Promise((resolve) => setTimeout(resolve, 100))")
    assert visit.heard() == before
    assert visit.frames == []


def test_a_refusal_that_is_passed_on_is_understood(visit: Visit) -> None:
    visit.sign_in("nora")
    visit.open(PASSED_ON)
    error = visit.until_heard("error")
    assert (error["code"], error["status"]) == ("forbidden", 403)
    assert visit.says("forbidden")


def test_a_provider_that_throws_a_status_is_understood(visit: Visit) -> None:
    visit.page.add_init_script("window.calls = 0")
    visit.open(
        """{
            async getToken() { throw Object.assign(new Error("sign in first"), { status: 401 }); },
            onLoginRequired() { calls += 1; },
        }""",
        panels=2,
    )
    visit.until_state("error")
    error = visit.until_heard("error")
    assert (error["code"], error["message"]) == ("login_required", "sign in first")
    assert visit.page.evaluate("calls") == 1
    assert visit.says("login_required")
