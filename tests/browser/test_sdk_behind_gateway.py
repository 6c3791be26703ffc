"""The SDK's panels behind the gateway: real Chromium, real nginx, real embedjwt.

Third-party cookies are blocked. Time is stepped for embedjwt, Grafana and the browser at once; a
session of the gateway lives as long as the person's upstream session, ``UPSTREAM_LIFE``.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from gateway_sdk import SdkPage
from gateway_site import (
    CROSS_SITE,
    GRAFANA,
    PANEL_URL,
    PLAIN_SERVICE,
    SAME_SITE,
    SERVICE,
    STRANGER,
    TTL,
    Site,
    plain_service,
    running_site,
)
from gateway_visit import Visit
from playwright.sync_api import (
    Browser,
    BrowserContext,
    Playwright,
    Request,
    Route,
    expect,
    sync_playwright,
)

from gateway_proxies import need_proxy

HOSTS = pytest.mark.parametrize(
    "host", [pytest.param(SAME_SITE, id="same-site"), pytest.param(CROSS_SITE, id="cross-site")]
)
SESSION = f"{SERVICE}/gateway/session"
REDEEM = f"{GRAFANA}/gateway/session"
QUERY = f"{GRAFANA}/api/ds/query"
STEPS = 3
"""So many times ``TTL`` after a renewal the next one is due, and the session lives still."""
FLOOR = 6
"""Seconds after which somebody who comes back to the page makes a failed request worth another."""

ASK = """() => fetch("/api/ds/query", {
  method: "POST", headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ panelId: 1, from: Date.now() - 60000, to: Date.now() }),
}).then((answer) => answer.status)"""

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

SWITCHES = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@pytest.fixture(scope="module")
def site(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    need_proxy("nginx")
    with (
        running_site("nginx", tmp_path_factory.mktemp("nginx")) as running,
        plain_service(running, tmp_path_factory.mktemp("plain")),
    ):
        yield running


@pytest.fixture(scope="module")
def playwright(site: Site) -> Iterator[Playwright]:  # whose event loops are started before
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str, site: Site) -> Iterator[Browser]:
    switches = [*SWITCHES, f"--host-resolver-rules={site.resolver_rules}"]
    browser = playwright.chromium.launch(executable_path=chromium, args=switches)
    yield browser
    browser.close()


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    context = browser.new_context(ignore_https_errors=True)  # the authority is a test's own
    yield visited(site, context)
    context.close()


def visited(site: Site, context: BrowserContext) -> Visit:
    visit = Visit(site, context)
    context.on("request", visit.note_request)
    context.on("response", visit.note_answer)
    context.clock.install()
    return visit


def opened(visit: Visit, host: str = SAME_SITE, **options: str) -> SdkPage:
    """A host page with an embed."""
    sdk = SdkPage(visit.page(host, "/sdk"))
    sdk.begin(**options)
    return sdk


def with_panel(visit: Visit, host: str = SAME_SITE, **options: str) -> SdkPage:
    """A host page that shows a panel."""
    sdk = opened(visit, host, **options)
    sdk.show()
    sdk.is_ready()
    return sdk


def pass_time(visit: Visit, seconds: float) -> None:
    """For everybody at once."""
    visit.site.service.clock.step(seconds)
    visit.context.clock.fast_forward(int(seconds * 1000))


def until_renewed(visit: Visit, *pages: SdkPage) -> None:
    """Lets ``STEPS`` tokens end, and all pages have their next grant."""
    before = [len(sdk.events("grant")) for sdk in pages]
    for _ in range(STEPS):
        pass_time(visit, TTL)
    for sdk, count in zip(pages, before, strict=True):
        sdk.wait_for_grants(count + 1)


def posts(visit: Visit, url: str) -> list[Request]:
    return [asked for asked in visit.requests if (asked.method, asked.url) == ("POST", url)]


def end_session(visit: Visit) -> None:
    """As another application of the same person's would, some time after the last renewal."""
    pass_time(visit, TTL / 2)
    page = visit.page(SAME_SITE)
    visit.sign_out(page)
    page.close()


def wait_for(sdk: SdkPage, truth: Callable[[], object]) -> None:
    deadline = time.monotonic() + 10
    while not truth():
        assert time.monotonic() < deadline
        sdk.page.wait_for_timeout(20)


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


@HOSTS
def test_no_token_and_no_ticket_is_anywhere(visit: Visit, host: str) -> None:
    said: list[str] = []
    visit.context.on("console", lambda message: said.append(message.text))
    sdk = with_panel(visit, host)
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


@HOSTS
def test_frames_stay_untouched_over_several_sessions(visit: Visit, host: str) -> None:
    sdk = with_panel(visit, host)
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


@HOSTS
def test_a_panel_whose_session_was_ended_comes_back_by_itself(visit: Visit, host: str) -> None:
    sdk = with_panel(visit, host)
    pass_time(visit, TTL / 2)
    sdk.page.evaluate(
        "url => fetch(url, { method: 'DELETE', credentials: 'include' }).then(() => {})", REDEEM
    )
    assert visit.context.cookies() == []
    sdk.frame().evaluate("() => { location.reload(); }")
    sdk.wait_for_grants(2)
    sdk.is_ready()
    [told] = sdk.page.evaluate("heard")
    trace_id = told["data"].pop("trace_id")
    status = {"type": "embedjwt/status", "code": "login_required", "status": 401}
    assert told == {"origin": GRAFANA, "data": status}
    assert trace_id in visit.site.logs()
    assert [event["reason"] for event in sdk.events("grant")] == ["first", "frame"]
    assert sdk.events("error") == []


def test_all_panels_come_back_whenever_their_frames_notice(visit: Visit) -> None:
    """The second one's word is on its way while the session is opened again for the first."""
    sdk = with_panel(visit)
    sdk.show("2")
    sdk.is_ready("2")
    end_session(visit)
    sdk.frame("1").evaluate("() => { location.reload(); }")
    sdk.wait_for_grants(2)
    loads = sdk.page.evaluate("loads")
    late = {"type": "embedjwt/status", "code": "login_required", "status": 401, "trace_id": "0"}
    sdk.frame("2").evaluate("late => parent.postMessage(late, '*')", late)
    sdk.page.wait_for_function("heard.length === 2")
    sdk.page.wait_for_function("before => loads > before", arg=loads)
    for panel in ("1", "2"):
        sdk.is_ready(panel)
    assert sdk.events("error") == []


def test_who_is_signed_out_upstream_as_well_signs_in_and_comes_back(visit: Visit) -> None:
    sdk = with_panel(visit)
    sdk.page.evaluate("person = ''")
    end_session(visit)
    sdk.frame().evaluate("() => { location.reload(); }")
    error = sdk.has_failed("login_required")
    assert (error["status"], error["retryable"]) == (401, False)
    asked = len(posts(visit, SESSION))
    pass_time(visit, 600)
    assert len(posts(visit, SESSION)) == asked  # nobody is there
    sdk.page.evaluate("person = 'ada'")
    sdk.focus()
    sdk.is_ready()
    assert sdk.events("grant")[-1]["reason"] == "retry"


def test_who_signs_in_when_asked_to_comes_back_at_once(visit: Visit) -> None:
    sdk = SdkPage(visit.page(SAME_SITE, "/sdk"))
    sdk.page.wait_for_function("!!window.begin")
    sdk.page.evaluate(
        """() => {
          person = "";
          begin({ onLoginRequired: async () => { person = "vera"; return true; } });
        }"""
    )
    sdk.show()
    sdk.is_ready(who="vera Viewer")
    assert {event["error"]["code"] for event in sdk.events("error")} == {"login_required"}


def test_a_person_without_rights_is_told_so(visit: Visit) -> None:
    """No rule opens whole dashboards to viewers; panels go on."""
    sdk = with_panel(visit)
    sdk.show("")
    error = sdk.has_failed("forbidden", "")
    assert (error["reason"], error["status"], error["retryable"]) == (
        "path_not_allowed",
        403,
        False,
    )
    assert len(error["traceId"]) == 32
    expect(sdk.panel("").get_by_role("alert")).to_contain_text(error["traceId"])
    assert error["traceId"] in visit.site.logs()
    sdk.is_ready("1")


def test_a_token_that_grafana_does_not_accept(visit: Visit) -> None:
    """Its clock is wrong by an hour, so that it takes every token for expired."""
    sdk = opened(visit)
    visit.site.grafana.ahead = 3600
    try:
        sdk.show()
        error = sdk.has_failed("grafana_unauthorized")
    finally:
        visit.site.grafana.ahead = 0
    assert error["reason"] == "grafana_login"
    assert error["traceId"] in visit.site.logs()
    sdk.panel().get_by_role("button", name="Retry").click()
    sdk.is_ready()


def test_a_browser_that_blocks_all_cookies_of_grafana(
    playwright: Playwright, chromium: str, site: Site, tmp_path: Path
) -> None:
    """As a person's settings may say, partitioned ones as well."""
    blocked = {"[*.]grafana.example.com,*": {"setting": 2}}
    profile = {"content_settings": {"exceptions": {"cookies": blocked}}}
    (tmp_path / "Default").mkdir()
    (tmp_path / "Default" / "Preferences").write_text(json.dumps({"profile": profile}))
    context = playwright.chromium.launch_persistent_context(
        tmp_path,
        executable_path=chromium,
        args=[*SWITCHES, f"--host-resolver-rules={site.resolver_rules}"],
        ignore_https_errors=True,
    )
    with context:
        visit = visited(site, context)
        sdk = opened(visit, CROSS_SITE)
        sdk.show()
        assert not sdk.has_failed("cookies_blocked")["retryable"]
        assert sdk.page.evaluate("loads") == 0
        asked = len(visit.requests)
        for _ in range(5):
            pass_time(visit, TTL)
        assert len(visit.requests) == asked


def test_forged_messages_are_ignored(visit: Visit) -> None:
    sdk = with_panel(visit)
    page = sdk.page
    message = {"type": "embedjwt/status", "code": "path_not_allowed", "status": 403}
    post = "message => { parent.postMessage(message, '*'); }"
    page.evaluate(post, message)
    page.evaluate(
        """src => new Promise((resolve) => {
          const frame = Object.assign(document.createElement("iframe"), { src, onload: resolve });
          document.body.append(frame);
        })""",
        PANEL_URL,
    )
    [beside] = [frame for frame in page.frames if frame.parent_frame and frame != sdk.frame()]
    beside.evaluate(post, message)
    for nonsense in (None, 7, "embedjwt/status", {"type": "other", "status": 403}):
        sdk.frame().evaluate(post, nonsense)
    page.wait_for_function("heard.length === 6")
    origins = [told["origin"] for told in page.evaluate("heard")]
    assert origins == [SAME_SITE, *[GRAFANA] * 5]
    sdk.is_ready()
    sdk.frame().evaluate(post, message | {"trace_id": "abc"})
    assert sdk.has_failed("forbidden")["traceId"] == "abc"


def test_a_panels_frame_that_went_elsewhere_is_not_believed(visit: Visit) -> None:
    sdk = with_panel(visit)
    frame = sdk.frame()
    frame.goto(f"{STRANGER}/")
    message = {"type": "embedjwt/status", "code": "path_not_allowed", "status": 403}
    frame.evaluate("message => { parent.postMessage(message, '*'); }", message)
    sdk.page.wait_for_function("heard.length === 1")
    [told] = sdk.page.evaluate("heard")
    assert told == {"origin": STRANGER, "data": message}
    assert sdk.events("state")[-1]["state"] == "ready"
    assert sdk.events("error") == []


@HOSTS
def test_after_logout_nothing_is_asked_until_somebody_wants_it(visit: Visit, host: str) -> None:
    sdk = with_panel(visit, host)
    sdk.page.evaluate("embed.logout()")
    assert visit.context.cookies() == []
    assert [a.status for a in visit.answers if a.request.method == "DELETE"] == [204]
    asked = len(visit.requests)
    sdk.has_failed("login_required")
    for _ in range(STEPS + 1):
        pass_time(visit, TTL)
        sdk.focus()
    sdk.page.evaluate("document.querySelector('grafana-panel').remove()")
    sdk.show()  # as applications of one page do, again and again
    sdk.has_failed("login_required")
    assert len(visit.requests) == asked
    sdk.page.evaluate("embed.retry()")
    sdk.is_ready()


def test_a_service_without_a_gateway_is_a_setting_that_is_wrong(visit: Visit) -> None:
    sdk = opened(visit, service=PLAIN_SERVICE, mode="gateway")
    sdk.show()
    error = sdk.has_failed("config")
    assert (error["reason"], error["status"]) == ("gateway_off", 404)
    assert not error["retryable"]
    asked = len(visit.requests)
    for _ in range(5):
        pass_time(visit, TTL)
    assert len(visit.requests) == asked


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
    assert sdk.events("error")[0]["error"]["code"] == "network"
    assert all(event["error"]["retryable"] for event in sdk.events("error"))
    assert [event["state"] for event in sdk.events("state")][-1] == "ready"
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
