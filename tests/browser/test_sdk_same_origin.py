"""Where Grafana has the page's own origin, frames take new addresses without loading anything.

No Grafana is needed to see that: the frame is a page that knows its address, as Grafana's router
does.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import pytest
from flask import Flask, Response
from playwright.sync_api import Browser, Frame, Page

from embedjwt.assets import static_dir
from embedjwt.demo.servers import listener, serving, url_of
from embedjwt.web.sdk import Sdk, join

LIFE = 60  # seconds

PAGE = """<!doctype html><title>A page that has Grafana below it</title>
<script type="module">
import { createEmbed } from "/embedjwt.js";
const grafana = { url: location.origin };
let tokens = 0;
window.embed = createEmbed({
  service: location.origin,
  settle: 0,
  getToken: async () => ({ token: `t${++tokens}`, expiresIn: %d, grafana }),
});
const place = document.body.appendChild(document.createElement("div"));
place.style.height = "200px";
window.panel = embed.mount(place, { dashboard: "cpu", panel: 1, from: "now-6h" });
</script>"""

IN_MARKUP = """<!doctype html><title>A page with a panel in its markup</title>
<script type="module" src="/embedjwt.js"></script>
<grafana-panel dashboard="cpu" panel="1" frame-title="CPU"></grafana-panel>
<script type="module">
import { createEmbed } from "/embedjwt.js";
const grant = { token: "mine", expiresIn: 60, grafana: { url: location.origin } };
createEmbed({ service: `${location.origin}/`, getToken: async () => grant });
</script>"""

GRAFANA = """<!doctype html><title>Grafana</title><script>
window.routed = [];
addEventListener("popstate", () => routed.push(location.search));
</script>"""


@pytest.fixture(scope="module")
def host() -> Iterator[str]:
    app = Flask("host")
    sdk = Sdk(join(static_dir() / "embedjwt.js"))

    @app.get("/")
    def page() -> str:
        return PAGE % LIFE

    @app.get("/in-markup")
    def in_markup() -> str:
        return IN_MARKUP

    @app.get("/embedjwt.js")
    def script() -> Response:
        return Response(sdk.plain, mimetype="text/javascript")

    @app.get("/d-solo/<uid>/<slug>")
    def panel(uid: str, slug: str) -> str:
        return GRAFANA

    with listener(0) as listening, serving(app, listening):
        yield url_of(listening)


@pytest.fixture
def page(browser: Browser, host: str) -> Iterator[Page]:
    context = browser.new_context()
    page = context.new_page()
    page.clock.install(time=time.time())
    page.goto(host)
    page.wait_for_function("panel.state === 'ready'")
    yield page
    context.close()


def frame_of(page: Page) -> Frame:
    (frame,) = page.main_frame.child_frames
    return frame


def query(frame: Frame) -> dict[str, list[str]]:
    return parse_qs(urlsplit(frame.evaluate("location.href")).query)


def test_a_new_token_and_a_new_time_range_reach_the_frame_without_a_load(page: Page) -> None:
    frame, entries = frame_of(page), page.evaluate("history.length")
    frame.evaluate("window.untouched = true")
    assert query(frame)["auth_token"] == ["t1"]
    page.clock.run_for(LIFE * 1000)
    frame.wait_for_function("location.href.includes('auth_token=t2')")
    page.evaluate("embed.setTimeRange('now-1h')")
    frame.wait_for_function("location.href.includes('from=now-1h')")
    assert query(frame)["auth_token"] == ["t2"]
    assert page.evaluate("panel.state") == "ready"
    assert frame_of(page) == frame
    assert frame.evaluate("untouched")
    told = frame.evaluate("routed")
    assert [parse_qs(search)["from"] for search in told] == [["now-6h"], ["now-1h"]]
    assert page.evaluate("history.length") == entries


def test_another_panel_is_another_page(page: Page) -> None:
    """Its path differs, and only a load leads there."""
    first = frame_of(page)
    page.clock.resume()
    page.evaluate("panel.update({ dashboard: 'memory' })")
    deadline = time.monotonic() + 30
    while len(page.frames) != 2 or "/memory/" not in page.frames[1].url:
        assert time.monotonic() < deadline
        page.wait_for_timeout(50)
    assert frame_of(page) != first


def test_an_element_in_the_markup_is_shown_by_the_embed_that_a_later_script_makes(
    page: Page, host: str
) -> None:
    """Both scripts run when the page is parsed, the SDK's own first."""
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.method))
    page.goto(f"{host}/in-markup")
    page.locator("grafana-panel[state=ready]").wait_for()
    assert query(frame_of(page))["auth_token"] == ["mine"]
    assert "POST" not in asked


def test_a_service_with_a_slash_at_its_end_is_the_same_service(page: Page, host: str) -> None:
    """As it is copied from a browser's address bar; at the end of a session, too."""
    with page.expect_request("**/session/logout") as asked:
        page.evaluate(
            "import('/embedjwt.js').then((sdk) =>"
            " sdk.createEmbed({ service: `${location.origin}/` }).logout())"
        )
    assert asked.value.url == f"{host}/session/logout"
