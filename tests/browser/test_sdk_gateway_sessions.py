"""The SDK renews sessions of the gateway: real Chromium, real nginx, real embedjwt.

Third-party cookies are blocked. Time is stepped for embedjwt, Grafana and the browser at once; a
session of the gateway lives as long as the person's upstream session, ``UPSTREAM_LIFE``.
"""

from __future__ import annotations

import json

import pytest
from gateway_sdk import SdkPage
from gateway_sdk_visit import (
    ASK,
    HOSTS,
    QUERY,
    SESSION,
    STEPS,
    pass_time,
    posts,
    until_renewed,
    wait_for,
    with_panel,
)
from gateway_site import CROSS_SITE, SERVICE, TTL, Site
from gateway_visit import Visit
from playwright.sync_api import Route, expect

FLOOR = 6
"""Seconds after which somebody who comes back to the page makes a failed request worth another."""

KNOWN_TO_WINDOW = """() => [
  location.href, document.referrer, ...performance.getEntries().map(({ name }) => name),
  document.documentElement.outerHTML,
]"""

STORED = "JSON.stringify([{ ...localStorage }, { ...sessionStorage }, document.cookie])"

MARK = """() => {
  window.first = document.querySelector("grafana-panel").shadowRoot.querySelector("iframe");
}"""

UNTOUCHED = """() => {
  const frames = document.querySelector("grafana-panel").shadowRoot.querySelectorAll("iframe");
  return frames.length === 1 && frames[0] === first && loads === 1;
}"""


@pytest.fixture(scope="module")
def switches(switches: list[str], gateway: Site) -> list[str]:
    return [*switches, f"--host-resolver-rules={gateway.resolver_rules}"]


@pytest.fixture
def visit(gateway_visit: Visit) -> Visit:
    return gateway_visit


@HOSTS
def test_a_panel_comes_up_by_the_gateway_and_the_page_hears_why(visit: Visit, host: str) -> None:
    sdk = with_panel(visit, host)
    [granted] = sdk.events("grant")
    assert (granted["mode"], granted["why"]) == ("gateway", "configured")
    states = [event["state"] for event in sdk.events("state")]
    assert states == ["idle", "authorizing", "loading", "ready"]
    [cookie] = visit.context.cookies()
    assert (cookie["name"], cookie["domain"]) == ("__Host-embedjwt_gateway", "grafana.example.com")
    assert sdk.events("error") == []


def test_no_token_and_no_ticket_is_anywhere(visit: Visit) -> None:
    said: list[str] = []
    visit.context.on("console", lambda message: said.append(message.text))
    sdk = with_panel(visit, CROSS_SITE)
    until_renewed(visit, sdk)
    frame = sdk.frame()
    assert frame.evaluate(ASK) == 200
    tickets = [answer.json()["ticket"] for answer in visit.answers if answer.url == SESSION]
    assert len(tickets) == 2
    history = visit.context.new_cdp_session(sdk.page).send("Page.getNavigationHistory")
    seen = [json.dumps(history), json.dumps(sdk.page.evaluate("[events, heard]")), *said]
    seen += [sdk.page.evaluate(STORED), *(request.url for request in visit.requests)]
    seen += [request.all_headers().get("referer", "") for request in visit.requests]
    seen += [text for window in (sdk.page, frame) for text in window.evaluate(KNOWN_TO_WINDOW)]
    seen += visit.site.logs().splitlines()
    for secret in ("eyJ", "auth_token=", *tickets):
        assert not [text for text in seen if secret in text]
    assert [text for text in seen if "/d-solo/" in text]


def test_frames_stay_untouched_over_several_sessions(visit: Visit) -> None:
    sdk = with_panel(visit, CROSS_SITE)
    frame = sdk.frame()
    sdk.page.evaluate(MARK)
    navigated: list[str] = []
    sdk.page.on("framenavigated", lambda moved: navigated.append(moved.url))
    visit.site.grafana.seen.clear()
    entries = sdk.page.evaluate("history.length")
    for renewals in range(1, 5):
        for _ in range(STEPS):
            pass_time(visit, TTL)
            assert frame.evaluate(ASK) == 200
        sdk.wait_for_grants(1 + renewals)
    assert [event["reason"] for event in sdk.events("grant")] == ["first", *["refresh"] * 4]
    assert len(posts(visit, SESSION)) == 5
    assert visit.statuses(QUERY) == {200}
    assert {(made.accepted, made.login) for _, made in visit.site.grafana.seen} == {(True, "ada")}
    assert len({token for token, _ in visit.site.grafana.seen}) >= 4 * STEPS
    assert sdk.page.evaluate(UNTOUCHED)
    assert navigated == []
    assert sdk.page.evaluate("history.length") == entries
    assert sdk.events("state")[-1]["state"] == "ready"
    assert sdk.events("error") == []


def two_tabs(visit: Visit) -> list[SdkPage]:
    """Two host pages; what has happened so far is forgotten."""
    tabs = [with_panel(visit), with_panel(visit)]
    tabs[0].wait_for_grants(2)  # it has heard of the other one's
    tabs[1].wait_for_grants(1)
    for tab in tabs:
        tab.page.evaluate("() => { events.length = 0; }")
    visit.requests.clear()
    return tabs


def test_two_tabs_renew_once(visit: Visit) -> None:
    tabs = two_tabs(visit)
    rounds = 4
    for _ in range(rounds):
        until_renewed(visit, *tabs)
    asked = len(posts(visit, SESSION))
    # Once more is what a word between tabs may cost that comes late on a busy machine.
    assert rounds <= asked <= rounds + 1
    reasons = [event["reason"] for tab in tabs for event in tab.events("grant")]
    assert reasons.count("refresh") == asked
    assert set(reasons) == {"refresh", "other tab"}
    assert [tab.frame().evaluate(ASK) for tab in tabs] == [200, 200]
    assert [tab.page.evaluate("loads") for tab in tabs] == [1, 1]


def test_when_the_renewing_tab_is_closed_the_other_goes_on(visit: Visit) -> None:
    tabs = two_tabs(visit)
    held: list[Route] = []
    visit.context.route(SESSION, lambda route: route.continue_() if held else held.append(route))
    for _ in range(STEPS):
        pass_time(visit, TTL)
    wait_for(tabs[0], lambda: held)
    renewing = held[0].request.frame.page
    [other] = [tab for tab in tabs if tab.page != renewing]
    assert other.events("grant") == []
    renewing.close()
    other.wait_for_grants(1)
    until_renewed(visit, other)
    assert [event["reason"] for event in other.events("grant")] == ["refresh", "refresh"]
    assert other.frame().evaluate(ASK) == 200
    assert other.page.evaluate("loads") == 1


def test_the_host_applications_backend_may_ask_instead(visit: Visit) -> None:
    sdk = with_panel(visit, CROSS_SITE, backend="yes")
    [granted] = sdk.events("grant")
    assert (granted["mode"], granted["why"]) == ("gateway", "configured")
    until_renewed(visit, sdk)
    assert sdk.frame().evaluate(ASK) == 200
    assert sdk.page.evaluate("loads") == 1
    assert {a.method for a in visit.requests if a.url.startswith(SERVICE)} == {"GET"}  # the SDK
    sdk.page.evaluate("person = ''")
    for _ in range(STEPS):
        pass_time(visit, TTL)
    error = sdk.has_failed("login_required")
    assert error["status"] == 401
    sdk.page.evaluate("person = 'ada'")
    pass_time(visit, FLOOR)
    sdk.focus()
    sdk.is_ready()


def test_a_service_that_dies_and_comes_back_in_time_is_not_noticed_in_frames(visit: Visit) -> None:
    sdk = with_panel(visit)
    sdk.page.evaluate(MARK)
    visit.site.service.kill()
    try:
        for _ in range(STEPS):
            pass_time(visit, TTL)
        wait_for(sdk, lambda: sdk.events("error"))
    finally:
        visit.site.service.start()
    pass_time(visit, 2)  # the longest that the SDK waits after a first failure
    sdk.wait_for_grants(2)
    sdk.is_ready()
    assert sdk.events("error")[0]["error"]["code"] == "network"
    assert all(event["error"]["retryable"] for event in sdk.events("error"))
    assert "expired" not in [event["state"] for event in sdk.events("state")]
    assert sdk.frame().evaluate(ASK) == 200
    assert sdk.page.evaluate(UNTOUCHED)


def test_panels_outlive_a_service_that_is_away_for_long(visit: Visit) -> None:
    sdk = with_panel(visit)
    visit.site.service.kill()
    try:
        for _ in range(STEPS):
            pass_time(visit, TTL)
        wait_for(sdk, lambda: sdk.events("error"))
        pass_time(visit, TTL)
        expect(sdk.panel()).to_have_attribute("state", "expired")
        expect(sdk.content().locator(".who")).to_have_text("ada Viewer")  # better than nothing
        sdk.show("2")  # one that has nothing to show yet
        assert sdk.has_failed("network", "2")["retryable"]
    finally:
        visit.site.service.start()
    visit.context.clock.fast_forward(30_000)  # the longest that the SDK ever waits
    for panel in ("1", "2"):
        sdk.is_ready(panel)
        assert sdk.frame(panel).evaluate(ASK) == 200
