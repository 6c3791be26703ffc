"""``static/session.js`` in real Chromium: who hears how a login ended, and who does not.

One server by two names: ``localhost`` is embedjwt's, ``127.0.0.1`` a host page's on another site.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import flask
import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright
from werkzeug.serving import make_server
from werkzeug.wrappers import Response

from embedjwt.web.session import pages
from tests_support import ROOT

IN = {"type": "embedjwt:session", "status": "signed_in"}
LISTENING = (
    "<script>heard = []; onmessage = ({origin, data}) => heard.push([origin, data])</script>"
)
NO_CHANNEL = "BroadcastChannel = class { constructor() { throw new DOMException('denied') } }"


class Places:
    """Where the pages are: ``own`` is embedjwt's origin, ``host`` that of the page around it."""

    def __init__(self, port: int) -> None:
        self.own, self.host = f"http://localhost:{port}", f"http://127.0.0.1:{port}"


@pytest.fixture(scope="module")
def places() -> Iterator[Places]:
    session = ROOT / "embedjwt" / "web" / "session"
    app = flask.Flask(
        "pages", template_folder=str(session / "templates"), static_folder=str(ROOT / "static")
    )
    server = make_server("127.0.0.1", 0, app, threaded=True)
    places = Places(server.server_port)
    elsewhere = "https://other.example.com"
    made: dict[str, Callable[[], Response]] = {
        "framed": lambda: pages.framed_page("Acme", places.host, (places.host,)),
        "framed-elsewhere": lambda: pages.framed_page("Acme", elsewhere, (places.host,)),
        "in": lambda: pages.result_page("signed_in", places.host, "", "popup"),
        "in-elsewhere": lambda: pages.result_page("signed_in", elsewhere, "", "popup"),
        "failed": lambda: pages.result_page("failed", places.host, "", "popup", code="x_y"),
        "iframe": lambda: pages.result_page(
            "login_required", places.host, "", "iframe", framed_by=(places.host,)
        ),
        "iframe-elsewhere": lambda: pages.result_page(
            "login_required", elsewhere, "", "iframe", framed_by=(places.host,)
        ),
        "choice": lambda: pages.choice_page(["Acme"], {"next": "/x"}),
        "out": pages.signed_out_page,
    }
    app.add_url_rule("/host", view_func=lambda: LISTENING, endpoint="host")
    app.add_url_rule("/page/<name>", view_func=lambda name: made[name](), endpoint="page")
    app.add_url_rule(
        "/session/login",
        endpoint="login",
        view_func=lambda: pages.result_page("signed_in", "", "", "popup"),
    )
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield places
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def browser(chromium: str) -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking"],
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    context = browser.new_context()
    yield context
    context.close()


@pytest.fixture
def host(context: BrowserContext, places: Places) -> Page:
    page = context.new_page()
    page.goto(f"{places.host}/host")
    return page


def open_popup(host: Page, url: str) -> Page:
    with host.expect_popup() as popup:
        host.evaluate("url => void open(url, 'login', 'popup')", url)
    return popup.value


def embed(host: Page, url: str) -> None:
    """A frame, once it has loaded: its script has run then, and hears of clicks."""
    host.evaluate(
        """url => new Promise((onload) => {
          const frame = Object.assign(document.createElement("iframe"), { src: url, onload });
          document.body.append(frame);
        }).then(() => {})""",
        url,
    )


def heard(host: Page) -> Any:
    """What the host page has been told, once there was time to tell it."""
    host.wait_for_timeout(300)
    return host.evaluate("heard")


def is_closed(popup: Page) -> bool:
    if not popup.is_closed():
        popup.wait_for_event("close", timeout=5_000)
    return popup.is_closed()


def test_a_popup_tells_its_opener_and_closes(host: Page, places: Places) -> None:
    popup = open_popup(host, f"{places.own}/page/in")
    assert is_closed(popup)
    assert heard(host) == [[places.own, IN]]


def test_an_opener_of_another_origin_hears_nothing(host: Page, places: Places) -> None:
    popup = open_popup(host, f"{places.own}/page/in-elsewhere")
    assert is_closed(popup)
    assert heard(host) == []


def test_a_failure_is_told_and_stays_to_be_read(host: Page, places: Places) -> None:
    popup = open_popup(host, f"{places.own}/page/failed")
    expect(popup.get_by_text("x_y")).to_be_visible()
    assert heard(host) == [[places.own, IN | {"status": "failed", "code": "x_y"}]]
    # The window is gone while the click is still under way: it is not waited for.
    popup.get_by_role("button", name="Close this window").evaluate(
        "button => { setTimeout(() => button.click()); }"
    )
    assert is_closed(popup)


def test_a_frame_tells_its_parent(host: Page, places: Places) -> None:
    embed(host, f"{places.own}/page/iframe")
    host.wait_for_function("heard.length")
    assert heard(host) == [[places.own, IN | {"status": "login_required"}]]


def test_a_parent_of_another_origin_hears_nothing(host: Page, places: Places) -> None:
    embed(host, f"{places.own}/page/iframe-elsewhere")
    expect(host.frame_locator("iframe").get_by_role("heading")).to_be_visible()
    assert heard(host) == []


@pytest.mark.parametrize("without_channel", [False, True])
def test_from_a_frame_the_login_is_in_a_popup(
    host: Page, places: Places, without_channel: bool
) -> None:
    """Where other sites may store nothing, Firefox denies a frame any BroadcastChannel."""
    if without_channel:
        host.context.add_init_script(NO_CHANNEL)
    embed(host, f"{places.own}/page/framed")
    frame = host.frame_locator("iframe")
    with host.expect_popup() as popup:
        frame.get_by_role("button", name="Sign in with Acme").click()
    assert is_closed(popup.value)
    expect(frame.get_by_text("You are signed in.")).to_be_visible()
    expect(frame.get_by_role("button")).to_have_count(0)
    assert heard(host) == [[places.own, IN]]


def test_a_frame_tells_no_parent_of_another_origin(host: Page, places: Places) -> None:
    embed(host, f"{places.own}/page/framed-elsewhere")
    frame = host.frame_locator("iframe")
    with host.expect_popup() as popup:
        frame.get_by_role("button").click()
    assert is_closed(popup.value)
    expect(frame.get_by_text("You are signed in.")).to_be_visible()
    assert heard(host) == []


def test_a_frame_believes_its_own_popup_alone(host: Page, places: Places) -> None:
    embed(host, f"{places.own}/page/framed")
    button = host.frame_locator("iframe").get_by_role("button")
    expect(button).to_be_visible()
    host.evaluate("message => frames[0].postMessage(message, '*')", IN)
    assert heard(host) == []
    expect(button).to_be_visible()


def test_a_popup_that_went_elsewhere_and_another_frame_are_not_believed(
    host: Page, places: Places
) -> None:
    host.context.route("**/session/login*", lambda route: route.fulfill(body="the login"))
    embed(host, f"{places.own}/page/framed")
    embed(host, f"{places.own}/host")
    button = host.frame_locator("iframe").first.get_by_role("button")
    with host.expect_popup() as popup:
        button.click()
    popup.value.evaluate("url => void (location = url)", f"{places.host}/host")
    popup.value.wait_for_url(f"{places.host}/host")
    popup.value.evaluate("message => opener.postMessage(message, '*')", IN)
    sibling = next(frame for frame in host.frames if frame.url == f"{places.own}/host")
    sibling.evaluate("message => parent.frames[0].postMessage(message, '*')", IN)
    assert heard(host) == []
    expect(button).to_be_visible()


def test_other_pages_of_the_same_origin_hear_it_too(
    context: BrowserContext, host: Page, places: Places
) -> None:
    other = context.new_page()
    other.goto(f"{places.own}/host")
    other.evaluate(
        "channel = new BroadcastChannel('embedjwt-session');"
        "channel.onmessage = ({data}) => heard.push(data); 0"
    )
    assert is_closed(open_popup(host, f"{places.own}/page/in"))
    assert heard(other) == [IN]


def test_a_window_that_cannot_close_says_so(context: BrowserContext, places: Places) -> None:
    page = context.new_page()
    page.goto(f"{places.host}/host")
    page.goto(f"{places.own}/page/in")
    expect(page.get_by_text("You can close this window now.")).to_be_visible()
    expect(page.get_by_text("This window closes by itself.")).to_be_hidden()


@pytest.mark.parametrize(
    ("name", "scheme"),
    [("choice", "light"), ("framed", "light"), ("failed", "dark"), ("out", "dark")],
)
def test_a_page_breaks_no_rule_of_its_own_and_fits_a_narrow_frame(
    browser: Browser, places: Places, name: str, scheme: Any
) -> None:
    context = browser.new_context(color_scheme=scheme, viewport={"width": 320, "height": 480})
    page = context.new_page()
    problems: list[str] = []
    page.on("console", lambda message: problems.append(message.text))
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.goto(f"{places.own}/page/{name}")
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(244, 246, 245)", "dark": "rgb(12, 17, 16)"}[scheme]
    assert page.evaluate("document.documentElement.scrollWidth") <= 320
    assert problems == []
    context.close()
