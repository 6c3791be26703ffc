"""The browser SDK in pages with the strictest of policies, and what it lets in itself."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Locator, expect
from sdk_strict_site import Site
from sdk_strict_visit import (
    FRAMES,
    TOKENS,
    Gate,
    Visit,
    living,
    refusing,
    visiting,
)


@pytest.fixture
def visit(strict_visit: Visit) -> Visit:
    strict_visit.go()
    return strict_visit


class TestUnderTheStrictestPolicy:
    def test_panels_show_in_every_state(self, visit: Visit) -> None:
        token, document = Gate(visit, TOKENS), Gate(visit, FRAMES)
        panel = visit.show()
        visit.expect(panel, "authorizing")
        expect(panel.locator("[part=skeleton]")).to_be_visible()
        token.open()
        visit.expect(panel, "loading")
        expect(panel.locator("[part=skeleton]")).to_be_visible()
        document.open()
        visit.expect(panel, "ready")
        assert_fills(panel)
        expect(panel.locator("[part=skeleton]")).to_be_hidden()
        expect(panel.frame_locator("iframe").locator("svg").first).to_be_visible()

        panel.evaluate("(panel) => panel.setAttribute('from', 'now-1h')")
        visit.expect(panel, "refreshing")
        visit.expect(panel, "ready")
        expect(panel.locator("iframe")).to_have_count(1)
        assert_fills(panel)

        wrong = visit.show(dashboard="..")
        visit.expect(wrong, "error")
        expect(wrong.locator("[part=card]")).to_be_visible()
        assert box(wrong.locator("[part=card]")) == box(wrong)
        assert visit.violations() == []

    def test_panels_show_that_they_are_not_up_to_date(self, visit: Visit) -> None:
        visit.page.clock.install()
        visit.page.route(TOKENS, refusing(503, "unavailable"))
        visit.page.route(TOKENS, living(8), times=1)
        panel = visit.show()
        visit.expect(panel, "ready")
        visit.page.clock.fast_forward(10_000)  # the token has ended
        visit.expect(panel, "expired")
        expect(panel.locator("[part=card]")).to_be_visible()
        assert box(panel.locator("[part=card]"))["height"] < 100
        assert_fills(panel)
        expect(panel.locator("[part=trace]")).to_contain_text("0af7")
        visit.page.unroute(TOKENS)
        panel.locator("[part=retry]").click()
        visit.expect(panel, "ready")
        expect(panel.locator("[part=card]")).to_be_hidden()
        assert visit.violations() == []

    def test_embeds_work_without_elements(self, visit: Visit) -> None:
        visit.page.evaluate(
            "() => embed().mount(place(), { dashboard: 'acme-line-3', panel: 2, theme: 'light' })"
        )
        place = visit.page.locator("#panels > div")
        visit.expect(place, "ready")
        assert_fills(place)
        assert visit.violations() == []

    def test_time_ranges_work(self, visit: Visit) -> None:
        panel = visit.show(id="cpu", **{"from": "now-6h"})
        visit.page.evaluate(
            """() => {
              const range = document.createElement("grafana-time-range");
              range.setAttribute("for", "cpu");
              document.body.prepend(range);
            }"""
        )
        visit.expect(panel, "ready")
        visit.page.locator("select").select_option("now-15m")
        visit.expect(panel, "refreshing")
        visit.expect(panel, "ready")
        assert "from=now-15m&" in visit.site.frames()[-1].url
        assert visit.violations() == []


def assert_fills(panel: Locator) -> None:
    """The frame is exactly as large as the panel's place, and drawn."""
    frame = panel.locator("iframe")
    expect(frame).to_have_css("opacity", "1")
    assert box(frame) == box(panel)
    assert (box(panel)["width"], box(panel)["height"]) == (600, 300)


def box(locator: Locator) -> dict[str, float]:
    found = locator.bounding_box()
    assert found is not None
    return dict(found)


class TestFramesThatThePageForbids:
    def test_are_told_and_not_tried_again(self, browser: Browser, strict_site: Site) -> None:
        with visiting(browser, strict_site) as visit:
            visit.page.clock.install()
            visit.go("/unframed")
            visit.page.evaluate("() => { window.mine = embed(); }")
            panel = visit.show()
            visit.expect(panel, "error")
            told_of = "events.filter((e) => e.error).map((e) => [e.error.code, e.error.retryable])"
            assert visit.page.evaluate(told_of) == [["frame_blocked", False]]
            expect(panel.locator("[part=trace]")).to_have_text("frame_blocked")
            expect(panel.locator("iframe")).to_have_count(0)
            while [e["type"] for e in told(visit)].count("grant") < 3:
                visit.page.clock.run_for(2_000)  # no answer may seem to take long
                visit.page.wait_for_timeout(50)
            assert len(visit.page.evaluate("violations")) == 1
            states = [e["state"] for e in told(visit) if e["type"] == "state"]
            assert states == ["idle", "authorizing", "loading", "error"]
            assert visit.page.evaluate(told_of) == [["frame_blocked", False]]
            assert strict_site.frames() == []


def told(visit: Visit) -> list[dict[str, Any]]:
    """The events so far, without what leads to elements."""
    events: list[dict[str, Any]] = visit.page.evaluate(
        "events.map(({ panel, error, ...rest }) => ({ ...rest, code: error?.code }))"
    )
    return events


class TestFrames:
    def test_may_do_what_grafana_needs_and_no_more(self, visit: Visit) -> None:
        """Neither lead the page elsewhere, nor open dialogs over it, nor use its devices."""
        panel = visit.show(frame_title="CPU usage")
        visit.expect(panel, "ready")
        frame = panel.locator("iframe")
        attributes = frame.evaluate(
            "(frame) => Object.fromEntries([...frame.attributes].map((a) => [a.name, a.value]))"
        )
        assert set(attributes) == {
            *("allow", "part", "referrerpolicy", "sandbox", "src", "style", "title")
        }
        assert set(attributes["sandbox"].split()) == {
            "allow-downloads",
            "allow-forms",
            "allow-popups",
            "allow-popups-to-escape-sandbox",
            "allow-same-origin",
            "allow-scripts",
        }
        assert attributes["allow"] == "fullscreen"
        assert attributes["referrerpolicy"] == "no-referrer"
        assert attributes["title"] == "CPU usage"

    def test_have_a_name_where_the_page_gives_none(self, visit: Visit) -> None:
        panel = visit.show(frame_title="")
        visit.expect(panel, "ready")
        assert panel.locator("iframe").get_attribute("title") == "Grafana"

    @pytest.mark.parametrize("way", ["element", "mount"])
    def test_lead_nowhere_but_to_dashboards(self, visit: Visit, way: str) -> None:
        options: list[dict[str, str]] = [
            *({"dashboard": uid} for uid in ("..", "a/b", "x?y", "javascript:alert(1)", "")),
            *({"dashboard": "a", "slug": slug} for slug in ("..", "a/b", "%2e%2e", "..\\..")),
        ]
        visit.page.evaluate(
            """([options, way]) => {
              const mine = embed();
              for (const own of options) {
                if (way === "element") show(own);
                else mine.mount(place(), { panel: 1, ...own });
              }
            }""",
            [[own | {"loading": "eager"} for own in options], way],
        )
        for panel in visit.page.locator("#panels > *").all():
            visit.expect(panel, "error")
        assert [e["code"] for e in told(visit) if e["type"] == "error"] == ["config"] * len(options)
        expect(visit.page.locator("iframe")).to_have_count(0)
        assert visit.site.frames() == []

    def test_need_a_dashboard(self, visit: Visit) -> None:
        visit.page.evaluate("() => { window.mine = embed().mount(place(), { panel: 1 }); }")
        visit.expect(visit.page.locator("#panels > div"), "error")
        assert visit.page.evaluate("mine.error.code") == "config"
        assert visit.site.frames() == []

    @pytest.mark.parametrize("way", ["element", "mount"])
    def test_get_variables_as_they_are(self, visit: Visit, way: str) -> None:
        variables = {
            "host": ["a&auth_token=b", "c#d", "e?f=g", "h i+j%20k"],
            "quote": "\"'<script>alert(1)</script>\\",
            "unicode": "é 日本 🎛 \u202e\n",
            "all": "$__all",
            "no": False,
            "zero": 0,
        }
        if way == "element":
            panel = visit.show(vars=json.dumps(variables))
        else:
            visit.page.evaluate(
                """(vars) => {
                  embed().mount(place(), { dashboard: "acme-line-3", panel: 1, vars });
                }""",
                variables,
            )
            panel = visit.page.locator("#panels > div")
        visit.expect(panel, "ready")
        query = parse_qsl(urlsplit(visit.site.frames()[-1].url).query, keep_blank_values=True)
        arrived = [(name, value) for name, value in query if name.startswith("var-")]
        assert arrived == [
            *(("var-host", value) for value in variables["host"]),
            ("var-quote", variables["quote"]),
            ("var-unicode", variables["unicode"]),
            ("var-all", "$__all"),
            ("var-no", "false"),
            ("var-zero", "0"),
        ]
        assert [name for name, _ in query].count("auth_token") == 1


def test_a_page_may_load_it_twice(visit: Visit) -> None:
    """As parts of a page by different authors do, one by the plain address."""
    about = requests.get(f"{visit.site.service}/static/embedjwt.json", timeout=10).json()
    visit.show()
    same = visit.page.evaluate(
        """async ([url, service]) => {
          const again = await import(url);
          again.createEmbed({ service }).mount(place(), { dashboard: "acme-line-3", panel: 2 });
          return [again === sdk, customElements.get("grafana-panel") === sdk.GrafanaPanel];
        }""",
        [about["url"], visit.site.service],
    )
    assert same == [False, True]
    for panel in visit.page.locator("#panels > *").all():
        visit.expect(panel, "ready")
    assert visit.violations() == []
