"""The browser SDK keeps panels alive in URL mode: real Chromium, real embedjwt, a stand-in Grafana.

Clocks are stepped for the page, embedjwt and Grafana alike; faults come in between the page and
the service, whose own answers are real wherever it can give them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright
from sdk_site import EMBED_TOKEN, LIFE, Site, Visit, ends_at, query_of, running_site

TALL = {"width": 1280, "height": 1000}
"""All of twelve panels are in view."""

UNLUCKY = "Math.random = () => 0.99"
"""Each back-off is as long as it may be."""

LUCKY = "Math.random = () => 0"

RENEWED_AFTER = (40, 50)
"""Seconds: of a life of 60 s, 12 to 18 s are left when the next token is asked for."""


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with running_site(tmp_path_factory.mktemp("sdk")) as site:
        yield site


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    """Somebody who is signed in at the host application. Nothing may go wrong unnoticed."""
    context = browser.new_context(viewport=TALL)
    visit = Visit.begin(site, context)
    visit.sign_in()
    yield visit
    errors = visit.errors
    context.close()
    assert errors == []


def test_twelve_tags_in_a_page_need_one_token_and_nothing_else(visit: Visit) -> None:
    visit.page.goto(f"{visit.site.host}/plain")
    panels = visit.page.locator("grafana-panel")
    for number in range(12):
        panels.nth(number).scroll_into_view_if_needed()
        expect(panels.nth(number)).to_have_attribute("state", "ready", timeout=20_000)
        frame = panels.nth(number).frame_locator("iframe")
        expect(frame.get_by_role("heading", name="Controller CPU")).to_be_visible()
    assert len(visit.asked) == 1
    assert len(visit.frames) == 12, "each panel loads once"


def test_at_most_three_frames_load_at_the_same_time(visit: Visit) -> None:
    held = visit.hold(f"{visit.site.grafana}/d-solo/**")
    visit.open(panels=12)
    most = 0
    for shown in range(12):
        visit.until(lambda left=12 - shown: len(held) >= min(3, left))
        most = max(most, len(held))
        held.pop(0).continue_()
        visit.until(lambda ready=shown + 1: visit.states().count("ready") == ready)
    assert most == 3
    assert len(visit.asked) == 1


def test_panels_live_for_ten_lives_of_a_token(visit: Visit) -> None:
    states: set[str] = set()
    shortest: list[float] = []

    def look() -> None:
        states.update(visit.states())
        seen = visit.seen()
        assert len(seen) == 2, "no panel is ever blank"
        shortest.append(min(map(ends_at, seen)) - visit.site.clock())

    visit.site.judge.refused.clear()
    visit.fake_clock()
    visit.open(panels=2, refresh="15s")
    visit.until_state("ready")
    visit.pass_time(10 * LIFE, step=8, each=look)
    assert states <= {"ready", "refreshing"}
    assert min(shortest) > 0, "no frame is seen with a token that is over"
    assert visit.site.judge.refused == [], "no frame's query is ever refused"
    assert 12 <= len(visit.asked) <= 16
    assert len(visit.frames) == 2 * len(visit.asked)
    assert visit.heard("error") == []


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_wrong_clock_of_the_computer_does_not_matter(visit: Visit, ahead: float) -> None:
    visit.fake_clock(ahead=ahead)
    visit.open()
    visit.until_state("ready")
    assert visit.heard("grant")[0]["skew"] == pytest.approx(ahead, abs=5)
    visit.pass_time(RENEWED_AFTER[0])
    assert len(visit.asked) == 1
    visit.pass_time(RENEWED_AFTER[1] - RENEWED_AFTER[0])
    assert len(visit.asked) == 2
    visit.until_state("ready")


def test_a_clock_that_is_put_back_does_not_delay_the_next_token(visit: Visit) -> None:
    visit.fake_clock()
    visit.open()
    visit.until_state("ready")
    visit.page.evaluate("window.was = Date.now()")
    visit.page.clock.set_system_time(visit.page.evaluate("Date.now() / 1000 - 3600"))
    assert visit.page.evaluate("Date.now() < was"), "the page sees it"
    visit.pass_time(RENEWED_AFTER[1])
    assert len(visit.asked) == 2
    visit.until_state("ready")


def test_panels_recover_by_themselves_from_an_hour_offline(visit: Visit) -> None:
    visit.fake_clock()
    visit.open(panels=2)
    visit.until_state("ready")
    visit.context.set_offline(True)
    visit.pass_time(3600, step=15)
    assert set(visit.states()) == {"expired"}
    assert len(visit.seen()) == 2, "what was there last stays to be seen"
    assert visit.says("network")
    assert 100 < len(visit.asked) < 400, "every 30 s at the latest, on average half as often"
    assert {error["code"] for error in visit.failures()} == {"network"}
    visit.context.set_offline(False)  # fires the event "online"
    visit.pass_time(6, step=1)
    visit.until_state("ready")
    assert min(map(ends_at, visit.seen())) > visit.site.clock()
    assert visit.card() == ""


def test_being_online_again_ends_the_longest_wait(visit: Visit) -> None:
    """Also where the last attempt was a moment ago, and the next one is half a minute away."""
    visit.fake_clock()
    visit.page.add_init_script(UNLUCKY)
    visit.open()
    visit.until_state("ready")
    visit.context.set_offline(True)
    visit.pass_time(150)
    failed = len(visit.asked)
    while len(visit.asked) == failed:
        visit.pass_time(1, step=1)
    visit.context.set_offline(False)
    visit.pass_time(7, step=1)
    visit.until_state("ready")


@pytest.mark.parametrize(
    "woken_by",
    [
        [],  # the next tick of a timer
        ["focus"],
        ["resume", "pageshow", "online", "focus", "visibilitychange"],
    ],
    ids=["timer", "focus", "everything"],
)
def test_a_laptop_that_wakes_up_renews_at_once_and_once(visit: Visit, woken_by: list[str]) -> None:
    visit.fake_clock()
    visit.open(panels=2)
    visit.until_state("ready")
    visit.sleep(3 * 3600)
    visit.fire(*woken_by)
    visit.pass_time(1 if woken_by else 21, step=1)
    visit.until_state("ready")
    assert len(visit.asked) == 2
    assert min(map(ends_at, visit.seen())) > visit.site.clock()
    visit.pass_time(RENEWED_AFTER[0] - 21)
    assert len(visit.asked) == 2


def test_timers_that_are_three_hours_late_renew_once(visit: Visit) -> None:
    """Where the steady clock goes on in sleep."""
    visit.fake_clock()
    visit.open()
    visit.until_state("ready")
    visit.site.clock.step(3 * 3600)
    visit.page.clock.fast_forward(3 * 3600 * 1000)
    visit.pass_time(1)
    visit.until_state("ready")
    assert len(visit.asked) == 2
    assert min(map(ends_at, visit.seen())) > visit.site.clock()


def test_a_provider_that_never_settles_is_given_up_and_asked_again(visit: Visit) -> None:
    visit.fake_clock()
    visit.page.add_init_script("window.signals = []")
    visit.open(
        """{ getToken({ signal }) {
            return signals.push(signal) > 2 ? ask(signal) : new Promise(() => {});
        } }"""
    )
    visit.until_state("authorizing")
    visit.pass_time(18)
    assert visit.states() == ["authorizing"]
    visit.pass_time(3)
    error = visit.until_heard("error")
    assert (error["code"], error["retryable"]) == ("timeout", True)
    assert visit.page.evaluate("signals[0].aborted")
    assert visit.says("unavailable")
    visit.pass_time(2)
    assert visit.page.evaluate("signals.length") == 2
    visit.pass_time(25)
    visit.until_state("ready")
    assert visit.page.evaluate("signals.length") == 3


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
    visit.pass_time(23)
    assert len(visit.asked) == 1
    visit.pass_time(5)
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


def test_failures_in_the_life_of_a_token_are_not_seen(visit: Visit) -> None:
    states: set[str] = set()
    visit.fake_clock()
    visit.answer(None, *[problem(503, "keys_unavailable")] * 2)
    visit.open()
    visit.until_state("ready")
    visit.pass_time(LIFE, step=1, each=lambda: states.update(visit.states()))
    assert len(visit.failures()) == 2
    assert states <= {"ready", "refreshing"}
    assert min(map(ends_at, visit.seen())) > visit.site.clock()


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


def test_a_page_that_is_on_no_list_is_told_which_origin_is_missing(visit: Visit) -> None:
    visit.open(host=visit.site.stranger)
    visit.until_state("error")
    error = visit.until_heard("error")
    assert error["code"] == "config"
    assert visit.site.stranger in error["message"]
    assert visit.site.stranger in visit.card()
    assert visit.says("config")


@pytest.mark.parametrize(
    "end",
    [
        "embedded().destroy()",
        "document.querySelectorAll('grafana-panel').forEach((panel) => panel.remove())",
    ],
)
def test_nothing_comes_of_a_fetch_that_was_under_way_at_the_end(visit: Visit, end: str) -> None:
    held = visit.hold(visit.site.service + EMBED_TOKEN)
    visit.fake_clock()
    visit.open(panels=2)
    visit.until(lambda: held)
    visit.page.evaluate(end)
    visit.until(lambda: visit.asked[0].failure)
    assert "ERR_ABORTED" in str(visit.asked[0].failure)
    before = visit.heard()
    visit.page.unroute_all()
    visit.pass_time(2 * LIFE)
    visit.fire("focus", "online")
    visit.pass_time(1)
    assert visit.heard() == before
    assert len(visit.asked) == 1
    assert visit.frames == []
    assert visit.page.locator("[part]").count() == 0


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


def test_a_frame_that_was_loading_at_the_end_is_gone(visit: Visit) -> None:
    held = visit.hold(f"{visit.site.grafana}/d-solo/**")
    visit.open(panels=5)
    visit.until(lambda: len(held) == 3)
    visit.page.evaluate("embedded().destroy()")
    assert visit.page.locator("iframe").count() == 0
    visit.page.unroute_all()
    visit.page.evaluate("document.querySelector('main').replaceChildren()")
    visit.page.evaluate("start({})")
    visit.add(5)
    visit.until_state("ready")


def test_a_page_that_nobody_sees_asks_for_nothing(visit: Visit) -> None:
    visit.page.add_init_script(HIDING)
    visit.fake_clock()
    visit.open("{ mode: 'url' }", panels=2, mode="url")
    visit.pass_time(30)
    assert visit.asked == []
    visit.page.evaluate("hide(false)")
    visit.until_state("ready")
    visit.page.evaluate("hide(true)")
    visit.pass_time(600, step=20)
    assert len(visit.asked) == 1
    visit.page.evaluate("hide(false)")
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())
    visit.until_state("ready")
    assert len(visit.asked) == 2


def test_what_panels_show_is_changed_and_outlives_their_tokens(visit: Visit) -> None:
    visit.fake_clock()
    visit.open(panels=2, vars='{"line": 3}')
    visit.until_state("ready")
    visit.page.evaluate("document.getElementById('p0').mounted.update({ from: 'now-1h' })")
    visit.until(lambda: shown(visit, "from") == [["now-1h"], None])
    visit.page.evaluate("embedded().setTimeRange('now-3h', 'now-2h')")
    visit.until(lambda: shown(visit, "from") == [["now-3h"]] * 2)
    assert shown(visit, "to") == [["now-2h"]] * 2
    visit.page.evaluate("embedded().setVariables({ host: ['a', 'b'] })")
    visit.until(lambda: shown(visit, "var-host") == [["a", "b"]] * 2)
    assert shown(visit, "var-line") == [["3"]] * 2
    visit.page.evaluate("embedded().setTheme('light')")
    visit.until(lambda: shown(visit, "theme") == [["light"]] * 2)
    visit.until_state("ready")
    assert len(visit.asked) == 1, "the token is still good"
    before = visit.seen()
    visit.pass_time(RENEWED_AFTER[1])
    visit.until_state("ready")
    after = visit.seen()
    assert not set(before) & set(after), "with another token"
    assert [query_of(url) for url in after] == [query_of(url) for url in before]


def test_what_is_said_for_all_holds_for_panels_to_come_and_the_latest_word_counts(
    visit: Visit,
) -> None:
    visit.open(panels=0)
    visit.page.evaluate("embedded().setTimeRange('now-3h')")
    visit.page.evaluate("embedded().setTheme('light')")
    visit.page.evaluate("embedded().setVariables({ host: 'a' })")
    visit.add(2, **{"from": "now-7d"})
    visit.until(lambda: shown(visit, "from") == [["now-3h"]] * 2)
    assert shown(visit, "var-host") == [["a"]] * 2
    assert shown(visit, "theme") == [["light"]] * 2
    visit.page.evaluate("document.getElementById('p0').mounted.update({ from: 'now-5m' })")
    visit.until(lambda: shown(visit, "from") == [["now-5m"], ["now-3h"]])
    visit.page.evaluate("document.getElementById('p1').setAttribute('from', 'now-1h')")
    visit.until(lambda: shown(visit, "from") == [["now-5m"], ["now-1h"]])


def test_the_frame_before_is_seen_until_the_next_had_its_time_to_draw(visit: Visit) -> None:
    visit.fake_clock()
    visit.open("{ settle: 5000 }")
    visit.until_state("ready")
    before = visit.seen()
    visit.page.evaluate("embedded().setTimeRange('now-1h')")
    visit.pass_time(3, step=1)
    assert visit.states() == ["refreshing"]
    assert visit.seen() == before
    visit.pass_time(4, step=1)
    visit.until_state("ready")
    assert shown(visit, "from") == [["now-1h"]]


def test_changes_in_a_row_end_in_one_frame_with_the_last_of_them(visit: Visit) -> None:
    visit.open()
    visit.until_state("ready")
    visit.page.evaluate(
        """async () => {
            for (const hours of [1, 2, 3, 4, 5]) {
                embedded().setTimeRange(`now-${hours}h`);
                await new Promise((resolve) => setTimeout(resolve, 60 * hours));
            }
        }"""
    )
    visit.until(lambda: shown(visit, "from") == [["now-5h"]])
    visit.until_state("ready")
    expect(visit.page.locator("grafana-panel iframe")).to_have_count(1)
    assert shown(visit, "from") == [["now-5h"]]


def test_a_panel_follows_the_theme_of_the_system(visit: Visit) -> None:
    visit.page.emulate_media(color_scheme="light")
    visit.fake_clock()
    visit.open(theme="auto")
    visit.until(lambda: shown(visit, "theme") == [["light"]])
    visit.page.emulate_media(color_scheme="dark")
    visit.pass_time(21)
    visit.until(lambda: shown(visit, "theme") == [["dark"]])


@pytest.mark.parametrize(("named", "changed"), [("p0 p2", [0, 2]), (None, [0, 1, 2])])
def test_a_choice_of_time_ranges_drives_the_panels_that_it_names(
    visit: Visit, named: str | None, changed: list[int]
) -> None:
    visit.open(panels=3)
    visit.page.evaluate(
        """(named) => {
            const range = document.createElement("grafana-time-range");
            if (named) range.setAttribute("for", named);
            document.querySelector("main").append(range);
        }""",
        named,
    )
    visit.until_state("ready")
    visit.page.get_by_label("Time range").select_option(label="Last 24 hours")
    wanted = [["now-24h"] if number in changed else None for number in range(3)]
    visit.until(lambda: shown(visit, "from") == wanted)
    visit.until_state("ready")
    assert len(visit.frames) == 3 + len(changed)
    assert len(visit.asked) == 1


def test_panels_far_below_wait_until_somebody_comes_near(visit: Visit) -> None:
    page = visit.page
    visit.open(panels=0)
    page.evaluate("document.querySelector('main').style.paddingTop = '4000px'")
    visit.add(1)
    visit.add(1, loading="eager")
    visit.until(lambda: visit.states() == ["idle", "ready"])
    scroll_to(page, 4000)
    visit.until_state("ready")
    page.evaluate(
        "mark = document.querySelector('grafana-panel').shadowRoot.querySelector('iframe')"
    )
    scroll_to(page, 0)
    scroll_to(page, 4000)
    same = "mark === document.querySelector('grafana-panel').shadowRoot.querySelector('iframe')"
    assert page.evaluate(same)
    assert len(visit.frames) == 2
    assert len(visit.asked) == 1


def test_a_page_without_a_panel_in_view_asks_for_no_token(visit: Visit) -> None:
    visit.open(panels=0)
    visit.page.evaluate("document.querySelector('main').style.paddingTop = '4000px'")
    visit.add(2)
    visit.until_state("idle")
    scroll_to(visit.page, 1000)
    assert visit.asked == []
    scroll_to(visit.page, 4000)
    visit.until_state("ready")
    assert len(visit.asked) == 1


def test_reload_loads_the_frame_afresh_behind_the_one_that_is_seen(visit: Visit) -> None:
    visit.open(panels=2)
    visit.until_state("ready")
    held = visit.hold(f"{visit.site.grafana}/d-solo/**")
    visit.page.evaluate("document.getElementById('p0').mounted.reload()")
    visit.until(lambda: held)
    assert visit.states() == ["refreshing", "ready"]
    assert len(visit.seen()) == 2, "nothing goes blank"
    held.pop().continue_()
    visit.until_state("ready")
    expect(visit.page.locator("grafana-panel iframe")).to_have_count(2)
    assert len(visit.frames) == 3
    assert len(visit.asked) == 1


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
    return { token, expiresIn: expires_in, serverTime: server_time, grafanaUrl: grafana.url };
} }"""


@pytest.mark.parametrize("provider", [PASSED_ON, PLAIN], ids=["response", "plain"])
def test_an_applications_own_provider_keeps_panels_alive(visit: Visit, provider: str) -> None:
    visit.fake_clock()
    visit.open(provider, panels=3)
    visit.until_state("ready")
    grant = visit.heard("grant")[0]
    assert grant["expiresIn"] == LIFE
    assert grant["skew"] == pytest.approx(0, abs=5)
    visit.pass_time(2 * LIFE)
    visit.until_state("ready")
    assert [event["reason"] for event in visit.heard("grant")][:2] == ["first", "refresh"]
    assert len(visit.asked) == 3
    assert min(map(ends_at, visit.seen())) > visit.site.clock()
    if provider == PLAIN:
        wanted = {"reason": "refresh", "scope": {"grafana": "", "mode": "url"}}
        assert visit.page.evaluate("wanted") == wanted


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


HIDING = """
window.hide = (hidden) => {
  Object.defineProperty(Document.prototype, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
};
hide(true);
"""


def problem(status: int, code: str, detail: str = "for a test") -> dict[str, Any]:
    """A refusal as embedjwt words it."""
    body = json.dumps({"status": status, "code": code, "detail": detail, "trace_id": "t1"})
    return {"status": status, "content_type": "application/problem+json", "body": body}


def shown(visit: Visit, parameter: str) -> list[list[str] | None]:
    """What the frames that are seen have in their addresses."""
    return [query_of(url).get(parameter) for url in visit.seen()]


def scroll_to(page: Page, top: int) -> None:
    """Once the browser has told everybody who watches."""
    page.evaluate(
        """async (top) => {
            scrollTo(0, top);
            for (let n = 0; n < 3; n += 1) await new Promise(requestAnimationFrame);
        }""",
        top,
    )
