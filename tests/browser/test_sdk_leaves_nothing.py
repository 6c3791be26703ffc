"""What the browser SDK's panels do to the page around them: no step in its history, no token
where others read it, and nothing left when they are gone."""

from __future__ import annotations

import pytest
from playwright.sync_api import Browser, CDPSession
from sdk_strict_site import Site
from sdk_strict_visit import Visit, visiting


@pytest.fixture
def visit(strict_visit: Visit) -> Visit:
    strict_visit.page.clock.install()
    strict_visit.go()
    return strict_visit


def swap_everything(visit: Visit) -> None:
    """All panels go over to another token, another time range, and other variables."""
    visit.swap_for_tokens()
    visit.swap("mine.setTimeRange('now-1h')")
    visit.swap("mine.setVariables({ a: 'b' })")


def boot(visit: Visit) -> None:
    """An element and a place of ``mount()``, both by ``mine``."""
    visit.page.evaluate(
        """() => {
          window.mine = embed();
          mine.mount(place(), { dashboard: "acme-line-3", panel: 2 });
        }"""
    )
    visit.show()
    for panel in visit.page.locator("#panels > *").all():
        visit.expect(panel, "ready")


def test_the_history_is_the_persons(visit: Visit) -> None:
    visit.page.goto(f"{visit.site.host}/elsewhere")
    visit.go()
    before = visit.page.evaluate("history.length")
    boot(visit)
    swap_everything(visit)
    assert visit.page.evaluate("history.length") == before
    visit.page.go_back()
    assert visit.page.url == f"{visit.site.host}/elsewhere"


TOKEN = "eyJ"
"""How every JWT begins (RFC 7519: a JSON object in base64url)."""


class TestTokens:
    def test_are_in_no_referer(self, visit: Visit) -> None:
        """Nor in those of the scripts and queries of frames, whose addresses hold one."""
        boot(visit)
        swap_everything(visit)
        assert len([a for a in visit.site.asked if "/api/ds/query" in a.url]) >= 8
        for asked in visit.site.frames():
            assert f"auth_token={TOKEN}" in asked.url
            assert asked.referer == ""
        assert [a for a in visit.site.asked if TOKEN in a.referer] == []

    def test_are_in_no_store_and_no_event(self, visit: Visit) -> None:
        boot(visit)
        swap_everything(visit)
        visit.page.evaluate("() => { mine.mount(place(), { dashboard: '..' }) }")
        visit.expect(visit.page.locator("#panels > *").last, "error")
        held = visit.page.evaluate(
            """async () => {
              const seen = new Set();
              const texts = [];
              const look = (value) => {
                if (typeof value === "string") texts.push(value);
                if (value === null || !/object|function/.test(typeof value)) return;
                if (seen.has(value) || value instanceof Node) return;
                seen.add(value);
                for (const key of Reflect.ownKeys(value)) look(value[key]);
              };
              look(events);
              return {
                types: [...new Set(events.map(({ type }) => type))].sort(),
                texts,
                stores: [{ ...localStorage }, { ...sessionStorage }, document.cookie],
                databases: await indexedDB.databases(),
                caches: await caches.keys(),
                name: window.name,
                address: location.href,
              };
            }"""
        )
        assert {"error", "grant", "state"} <= set(held.pop("types"))
        texts = held.pop("texts")
        assert "ready" in texts
        assert [text for text in texts if TOKEN in text] == []
        assert held == {
            "stores": [{}, {}, ""],
            "databases": [],
            "caches": [],
            "name": "",
            "address": f"{visit.site.host}/",
        }
        assert [text for text in visit.console if TOKEN in text] == []


COUNT_TIMERS = """
window.timers = new Set();
for (const [set, clear] of [["setTimeout", "clearTimeout"], ["setInterval", "clearInterval"]]) {
  const [begin, end] = [window[set], window[clear]];
  window[set] = (act, ...rest) => {
    const timer = begin((...given) => {
      if (set === "setTimeout") timers.delete(timer);
      act(...given);
    }, ...rest);
    timers.add(timer);
    return timer;
  };
  window[clear] = (timer) => {
    timers.delete(timer);
    end(timer);
  };
}
"""

CYCLES = """async (cycles) => {
  const untilState = async (panel, states) => {
    const end = performance.now() + 10_000;
    while (!states.includes(panel.getAttribute("state"))) {
      if (performance.now() > end) throw new Error(`it is ${panel.getAttribute("state")}`);
      await new Promise(requestAnimationFrame);
    }
  };
  const ends = [[], ["authorizing"], ["loading"], ["ready"]];
  const options = { service, dashboard: "acme-line-3", panel: 1 };
  for (let cycle = 0; cycle < cycles; cycle += 1) {
    const states = ends[cycle % 8 === 7 ? 3 : cycle % 3];
    const wanted = states.length ? [...states, "ready"] : [];
    if (cycle % 2) {
      const mine = sdk.createEmbed({ service, settle: 100 });
      const element = place();
      const panel = mine.mount(element, options);
      if (wanted.length) await untilState(element, wanted);
      if (cycle % 4 === 1) panel.destroy();
      mine.destroy();
      element.remove();
    } else {
      const panel = panels.children[show({})];
      if (wanted.length) await untilState(panel, wanted);
      panel.remove();
    }
  }
}"""


class TestMountingAndUnmounting:
    KINDS = ("HTMLIFrameElement", "IntersectionObserver", "GrafanaPanel")

    def test_leaves_no_frame_timer_or_listener(self, browser: Browser, strict_site: Site) -> None:
        with visiting(browser, strict_site) as visit:
            visit.page.add_init_script(COUNT_TIMERS)
            visit.go("/plain")
            cdp = visit.page.context.new_cdp_session(visit.page)
            cdp.send("Performance.enable")
            self.cycle(visit, 16)
            before = self.metrics(cdp)
            self.cycle(visit, 200)
            after = self.metrics(cdp)
            assert {kind: self.alive(cdp, kind) for kind in self.KINDS} == dict.fromkeys(
                self.KINDS, 0
            )
            assert self.alive(cdp, "BroadcastChannel") <= 2, "of the embeds that elements look for"
            assert visit.page.evaluate("[timers.size, window.length]") == [0, 0]
            assert len(strict_site.frames()) > 50, "cycles end before they begin"
            grown = {name: after[name] - before[name] for name in after}
            assert all(more <= 5 for more in grown.values()), grown

    @staticmethod
    def cycle(visit: Visit, cycles: int) -> None:
        visit.page.evaluate(CYCLES, cycles)
        visit.until("timers.size === 0")

    @staticmethod
    def metrics(cdp: CDPSession) -> dict[str, int]:
        for _ in range(3):  # what one collection frees may have kept others
            cdp.send("HeapProfiler.collectGarbage")
        metrics = cdp.send("Performance.getMetrics")["metrics"]
        counted = ("Documents", "Frames", "JSEventListeners", "Nodes")
        return {m["name"]: int(m["value"]) for m in metrics if m["name"] in counted}

    @staticmethod
    def alive(cdp: CDPSession, kind: str) -> int:
        """How many objects of a class are left."""
        source = f"(globalThis.{kind} ?? sdk.{kind}).prototype"
        prototype = cdp.send("Runtime.evaluate", {"expression": source})["result"]["objectId"]
        found = cdp.send("Runtime.queryObjects", {"prototypeObjectId": prototype})["objects"]
        counted = cdp.send(
            "Runtime.callFunctionOn",
            {
                "objectId": found["objectId"],
                "functionDeclaration": "function () { return this.length; }",
                "returnByValue": True,
            },
        )
        return int(counted["result"]["value"])
