"""Panels behind the gateway as people see them: real Chromium, real proxies, real embedjwt.

Third-party cookies are blocked. Grafana is played by the demo's stand-in; every page of it comes
over https and through the proxy, by the configuration that embedjwt prints.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from typing import Any

import pytest
from gateway_site import (
    CROSS_SITE,
    GRAFANA,
    NEIGHBOUR,
    PANEL,
    PANEL_URL,
    SAME_SITE,
    SERVICE,
    STRANGER,
    TRACKER,
    TTL,
    Site,
    running_site,
)
from gateway_visit import Visit
from playwright.sync_api import Browser, Frame, Page, expect

from gateway_proxies import need_proxy

HOSTS = pytest.mark.parametrize(
    "host", [pytest.param(SAME_SITE, id="same-site"), pytest.param(CROSS_SITE, id="cross-site")]
)
QUERY = f"{GRAFANA}/api/ds/query"
SECRETS = ("eyJ", "auth_token=")

BEHIND_CADDY_TOO = (
    "test_a_panel_outlives_ten_tokens_without_a_reload",
    "test_without_a_session_the_frame_says_so_and_the_host_page_hears_it",
)

FASTER = "const real = setTimeout; window.setTimeout = (f, ms, ...a) => real(f, ms / 4, ...a);"
"""A panel that refreshes each second does so four times a second."""

ASK = """() => fetch("/api/ds/query", {
  method: "POST", headers: { "Content-Type": "application/json" },
  body: JSON.stringify({ panelId: 1, from: Date.now() - 60000, to: Date.now() }),
}).then((answer) => answer.status)"""

WHO = """async () => {
  const page = await (await fetch(location.href)).text();
  return new DOMParser().parseFromString(page, "text/html").querySelector(".who")?.textContent;
}"""

FORGE = """async (url) => {
  await fetch(url, { method: "POST", mode: "no-cors", credentials: "include" });
}"""

KNOWN_TO_FRAME = """() => [
  location.href, document.referrer, ...performance.getEntries().map(({ name }) => name)
]"""


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of it behind nginx, and behind Caddy what proxies have a part in: unlike nginx it speaks
    HTTP/2, and hands refusals on as they are."""
    caddy = ["caddy"] if metafunc.function.__name__ in BEHIND_CADDY_TOO else []
    metafunc.parametrize("site", ["nginx", *caddy], indirect=True, scope="module")


@pytest.fixture(scope="module")
def site(
    request: pytest.FixtureRequest, chromium: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Site]:
    need_proxy(request.param)
    with running_site(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


@pytest.fixture(scope="module")
def switches(switches: list[str], site: Site) -> list[str]:
    return [*switches, f"--host-resolver-rules={site.resolver_rules}"]


@pytest.fixture
def visit(browser: Browser, site: Site) -> Iterator[Visit]:
    context = browser.new_context(ignore_https_errors=True)  # the authority is a test's own
    visit = Visit(site, context)
    context.on("request", visit.note_request)
    context.on("response", visit.note_answer)
    context.on("requestfailed", visit.note_failure)
    context.on("console", visit.note_message)
    yield visit
    context.close()


def show(page: Page, url: str) -> Frame:
    """A new frame of the host page, loaded."""
    page.evaluate("url => show(url)", url)
    frame = page.frames[-1]
    deadline = time.monotonic() + 5
    while not frame.url and time.monotonic() < deadline:
        page.wait_for_timeout(10)  # the browser's word of where it is comes a moment later
    return frame


def heading(frame: Frame, text: str) -> None:
    expect(frame.get_by_role("heading", level=1)).to_have_text(text)


def heard(page: Page) -> list[Any]:
    """The messages that the host page got; trace ids are looked at here."""
    said: list[Any] = page.evaluate("window.heard")
    for message in said:
        if "trace_id" in message["data"]:
            assert re.fullmatch("[0-9a-f]{32}", message["data"].pop("trace_id"))
    return said


def said(code: str, status: int) -> dict[str, object]:
    """A status message as the host page gets it, but for the trace id."""
    return {"origin": GRAFANA, "data": {"type": "embedjwt/status", "code": code, "status": status}}


def test_third_party_cookies_are_blocked(visit: Visit) -> None:
    """Else nothing here would show anything: the same cookie works on its own site alone."""
    page = visit.page(TRACKER)
    assert page.evaluate("fetch('/set', { method: 'POST' }).then(({ status }) => status)") == 204
    seen = "fetch('/seen', { method: 'POST' }).then((answer) => answer.json())"
    assert page.evaluate(seen) == {"tracked": "1"}
    page = visit.page(CROSS_SITE)
    show(page, f"{TRACKER}/tracking")
    page.wait_for_function("heard.length")
    assert heard(page) == [{"origin": TRACKER, "data": {}}]


@HOSTS
def test_a_panel_outlives_ten_tokens_without_a_reload(visit: Visit, host: str) -> None:
    site = visit.site
    visit.context.add_init_script(FASTER)
    page = visit.page(host)
    opened = visit.session(page)
    frame = show(page, f"{PANEL_URL}&refresh=1s")
    expect(frame.locator(".who")).to_have_text("ada Viewer")
    navigated: list[str] = []
    page.on("framenavigated", lambda moved: navigated.append(moved.url))
    site.grafana.seen.clear()
    renewals = 0
    for _ in range(10):
        # Just after an answer: none is on its way while the clock jumps.
        with page.expect_response(lambda answer: answer.url.startswith(QUERY)):
            pass
        site.service.clock.step(TTL)
        if site.service.clock() >= opened["server_time"] + opened["refresh_in"]:
            opened = visit.session(page)
            renewals += 1
        assert frame.evaluate(ASK) == 200
    with page.expect_response(lambda answer: answer.url.startswith(QUERY)):
        pass
    assert renewals == 3
    assert len({token for token, _ in site.grafana.seen}) >= 10
    assert {(made.accepted, made.login) for _, made in site.grafana.seen} == {(True, "ada")}
    assert visit.statuses(QUERY) == {200}
    assert visit.failures == []
    assert navigated == []
    assert page.evaluate("loads") == 1
    assert heard(page) == []


@pytest.mark.parametrize(
    ("host", "attributes"),
    [
        pytest.param(SAME_SITE, ("Lax", None), id="same-site"),
        pytest.param(CROSS_SITE, ("None", "https://other.test"), id="cross-site"),
    ],
)
@pytest.mark.parametrize("way", ["session", "ticket"])
def test_the_cookie_is_one_that_comes_back_to_this_page(
    visit: Visit, host: str, way: str, attributes: tuple[str, str | None]
) -> None:
    page = visit.page(host)
    if way == "session":
        visit.session(page)
    else:
        show(page, visit.session(page, SERVICE)["enter_url"])
    [cookie] = visit.context.cookies()
    assert (cookie["name"], cookie["domain"], cookie["path"]) == (
        "__Host-embedjwt_gateway",
        "grafana.example.com",
        "/",
    )
    assert cookie["httpOnly"]
    assert cookie["secure"]
    assert (cookie["sameSite"], cookie.get("partitionKey")) == attributes


@HOSTS
def test_a_ticket_leads_to_a_panel_and_back_leads_to_the_page_before(
    visit: Visit, host: str
) -> None:
    page = visit.page(host, "/before")
    page.goto(host)
    entries = page.evaluate("history.length")
    given = visit.session(page, SERVICE, body={"panel": PANEL})
    frame = show(page, given["enter_url"])
    expect(frame.locator(".who")).to_have_text("ada Viewer")
    assert frame.url == given["url"]
    assert frame.url.startswith(f"{GRAFANA}/d-solo/")
    assert page.evaluate("history.length") == entries
    page.go_back()
    assert page.url == f"{host}/before"


@HOSTS
def test_no_token_and_no_used_ticket_is_anywhere(visit: Visit, host: str) -> None:
    page = visit.page(host)
    visit.session(page)
    by_session = show(page, PANEL_URL)
    assert by_session.evaluate(ASK) == 200
    entered = show(page, visit.session(page, SERVICE, body={"panel": PANEL})["enter_url"])
    assert entered.evaluate(ASK) == 200
    with_token = show(page, f"{PANEL_URL}&auth_token=eyJhbGciOiJub25lIn0.e30.")
    assert with_token.url == PANEL_URL
    visit.sign_out(page)
    refused = show(page, PANEL_URL)
    [ticket] = visit.tickets

    own = [request for request in visit.requests if "auth_token" not in request.url]
    assert len(own) == len(visit.requests) - 1  # the one that the test made
    referers = [request.all_headers().get("referer", "") for request in own]
    history = visit.context.new_cdp_session(page).send("Page.getNavigationHistory")
    entries = [str(entry) for entry in history["entries"]]
    frames = [by_session, entered, with_token, refused]
    known = [text for frame in frames for text in frame.evaluate(KNOWN_TO_FRAME)]
    urls = [request.url for request in own]
    logs = visit.site.logs()
    for secret in SECRETS:
        assert not [text for text in (*urls, *referers, *entries, *known) if secret in text]
        assert secret not in logs
    assert [url.partition("?")[0] for url in urls if ticket in url] == [f"{GRAFANA}/gateway/enter"]
    assert not [text for text in (*referers, *entries, *known) if ticket in text]
    assert ticket not in logs
    assert "/d-solo/" in logs


@HOSTS
def test_without_a_session_the_frame_says_so_and_the_host_page_hears_it(
    visit: Visit, host: str
) -> None:
    page = visit.page(host)
    frame = show(page, PANEL_URL)
    heading(frame, "Please sign in")
    assert heard(page) == [said("login_required", 401)]
    assert visit.statuses(PANEL_URL) == {401}
    assert frame.evaluate("getComputedStyle(document.body).display") == "grid"  # it has its style
    assert visit.violations == []
    visit.session(page)
    expect(show(page, PANEL_URL).locator(".who")).to_have_text("ada Viewer")


@pytest.mark.parametrize(
    "stranger",
    [pytest.param(NEIGHBOUR, id="same-site"), pytest.param(STRANGER, id="cross-site")],
)
@pytest.mark.parametrize("signed_in", [False, True], ids=["nobody", "signed in"])
def test_a_page_on_no_list_frames_nothing_and_hears_nothing(
    visit: Visit, stranger: str, signed_in: bool
) -> None:
    if signed_in:
        visit.session(visit.page(SAME_SITE))
    page = visit.page(stranger)
    frame = show(page, PANEL_URL)
    assert frame.url.startswith("chrome-error:")
    assert heard(page) == []
    unreadable = "(base) => session(base).catch(() => 'unreadable')"
    assert page.evaluate(unreadable, GRAFANA) == "unreadable"
    visit.site.grafana.seen.clear()
    with page.expect_response(QUERY) as refused:
        page.evaluate(FORGE, QUERY)
    assert refused.value.status == (403 if signed_in and stranger == NEIGHBOUR else 401)
    assert visit.site.grafana.seen == []


def test_grafanas_way_to_its_login_page_ends_in_ours(visit: Visit) -> None:
    """Its clock is wrong by an hour, so that it takes every token for expired."""
    page = visit.page(SAME_SITE)
    visit.session(page)
    visit.site.grafana.ahead = 3600
    try:
        frame = show(page, PANEL_URL)
    finally:
        visit.site.grafana.ahead = 0
    assert frame.url.startswith(f"{GRAFANA}/login?")
    heading(frame, "Grafana asks for its own login")
    expect(frame.locator("main")).to_contain_text("grafana_login")
    assert heard(page) == [said("grafana_login", 403)]
    assert visit.violations == []


def test_nothing_but_the_panel_is_open_to_a_viewer(visit: Visit) -> None:
    page = visit.page(SAME_SITE)
    visit.session(page)
    frame = show(page, PANEL_URL)
    expect(frame.locator("svg")).to_be_visible()  # its own request has been answered
    visit.site.grafana.seen.clear()
    ways_out = ("/", "/dashboards", "/admin", "/explore", "/d/acme-line-3/line-3", "/profile")
    for number, path in enumerate(ways_out, 1):
        frame.evaluate("path => { location = path; }", path)
        page.wait_for_function("count => heard.length === count", arg=number)
        heading(frame, "Not open here")
        assert frame.url == GRAFANA + path
    assert heard(page) == [said("path_not_allowed", 403)] * len(ways_out)
    assert visit.site.grafana.seen == []


@HOSTS
def test_a_sign_out_reaches_the_frames_of_every_tab_within_a_second(
    visit: Visit, host: str
) -> None:
    page, other = visit.page(host), visit.page(host)
    visit.session(page)
    frames = [show(page, PANEL_URL), show(other, PANEL_URL)]
    assert [frame.evaluate(ASK) for frame in frames] == [200, 200]
    visit.sign_out(page)
    deadline = time.monotonic() + 1
    while [frame.evaluate(ASK) for frame in frames] != [401, 401]:
        assert time.monotonic() < deadline
    assert visit.context.cookies() == []
    expect(frames[1].locator(".who")).to_have_text("ada Viewer")  # nothing was reloaded


@HOSTS
def test_after_a_user_change_the_next_request_is_the_other_persons(visit: Visit, host: str) -> None:
    page = visit.page(host)
    visit.session(page)
    frame = show(page, PANEL_URL)
    assert frame.evaluate(WHO) == "ada Viewer"
    visit.session(page, person="vera")
    assert frame.evaluate(WHO) == "vera Viewer"
    assert page.evaluate("loads") == 1
