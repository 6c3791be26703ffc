"""The browser SDK for people who do not see its panels, or see them in their own colours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, expect
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

Scheme = Literal["light", "dark"]

OVER = 10_000
"""Milliseconds after which a token of 8 s has ended, and the next one was asked for."""

FINDINGS = """async () => {
  const { violations } = await axe.run(document, { iframes: false });
  return violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html)}`);
}"""
"""What is in frames is Grafana's to answer for."""


@pytest.fixture
def visit(strict_visit: Visit) -> Visit:
    strict_visit.go("/plain")
    return strict_visit


def loading(visit: Visit) -> None:
    Gate(visit, FRAMES)


def ready(_: Visit) -> None:
    pass


def error(visit: Visit) -> None:
    visit.page.route(TOKENS, refusing(403, "domain_not_allowed"))


def expired(visit: Visit) -> None:
    visit.page.route(TOKENS, refusing(503, "unavailable"))
    visit.page.route(TOKENS, living(8), times=1)


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("state", [loading, ready, error, expired])
def test_axe_finds_nothing(
    browser: Browser,
    strict_site: Site,
    node_package: Callable[[str], Path],
    scheme: Scheme,
    state: Callable[[Visit], None],
) -> None:
    source = (node_package("axe-core") / "axe.min.js").read_text()
    with visiting(browser, strict_site, color_scheme=scheme) as visit:
        visit.page.clock.install()
        visit.go("/plain")
        visit.page.evaluate(source)
        state(visit)
        panel = visit.show(theme=scheme)
        if state is expired:
            visit.expect(panel, "ready")
            visit.page.clock.fast_forward(OVER)
        visit.expect(panel, state.__name__)
        part = {"loading": "skeleton", "ready": "frame"}.get(state.__name__, "card")
        expect(panel.locator(f"[part={part}]")).to_be_visible()
        assert visit.page.evaluate(FINDINGS) == []


class TestAlerts:
    def test_are_announced(self, visit: Visit) -> None:
        """What is to be announced comes into a region that was there before (ARIA 1.2, alert)."""
        visit.page.route(TOKENS, refusing(403, "domain_not_allowed"))
        gate = Gate(visit, TOKENS)
        panel = visit.show()
        visit.expect(panel, "authorizing")
        card = panel.locator("[role=alert]").element_handle()
        assert card is not None
        assert card.evaluate("(card) => card.textContent") == ""
        gate.hand_over()
        visit.expect(panel, "error")
        assert card.evaluate("(card) => card.isConnected && card.textContent !== ''")
        alerts = [node for node in accessible(visit) if value(node, "role") == "alert"]
        assert len(alerts) == 1
        assert {"live": "assertive"}.items() <= properties(alerts[0]).items()
        expect(visit.page.get_by_role("alert")).to_contain_text(text(visit, "forbidden"))
        expect(visit.page.get_by_role("button", name="Retry")).to_be_visible()

    def test_are_silent_while_panels_work(self, visit: Visit) -> None:
        panel = visit.show()
        visit.expect(panel, "ready")
        assert [node for node in accessible(visit) if value(node, "role") == "alert"] == []

    def test_keep_the_focus(self, visit: Visit) -> None:
        """Who has pressed Retry in vain can press it again."""
        visit.page.route(TOKENS, refusing(403, "domain_not_allowed"))
        panel = visit.show()
        visit.expect(panel, "error")
        visit.page.unroute(TOKENS)
        visit.page.route(TOKENS, refusing(401, "login_required"))
        visit.page.keyboard.press("Tab")
        expect(panel.locator("[part=retry]")).to_be_focused()
        visit.page.keyboard.press("Enter")
        expect(panel.locator("[part=message]")).to_have_text(text(visit, "login_required"))
        expect(panel.locator("[part=retry]")).to_be_focused()
        visit.page.unroute(TOKENS)
        visit.page.keyboard.press("Enter")
        visit.expect(panel, "ready")


def test_frames_that_are_not_seen_yet_cannot_be_reached(visit: Visit) -> None:
    visit.page.evaluate("() => { window.mine = embed(); }")
    panel = visit.show(frame_title="CPU usage")
    visit.expect(panel, "ready")
    document = Gate(visit, FRAMES)
    visit.page.evaluate("() => mine.setTimeRange('now-1h')")
    frames = panel.locator("iframe")
    expect(frames).to_have_count(2)
    assert frames.evaluate_all("(frames) => frames.map(({ inert }) => inert)") == [False, True]
    document.open()
    visit.expect(panel, "ready")
    expect(frames).to_have_count(1)
    assert frames.evaluate_all("(frames) => frames.map(({ inert }) => inert)") == [False]


def text(visit: Visit, code: str) -> str:
    found: str = visit.page.evaluate("(code) => sdk.texts[code]", code)
    return found


def accessible(visit: Visit) -> list[dict[str, Any]]:
    """What Chromium tells screen readers of the page."""
    cdp = visit.page.context.new_cdp_session(visit.page)
    nodes: list[dict[str, Any]] = cdp.send("Accessibility.getFullAXTree")["nodes"]
    return [node for node in nodes if not node["ignored"]]


def value(node: dict[str, Any], name: str) -> object:
    return node.get(name, {}).get("value")


def properties(node: dict[str, Any]) -> dict[str, object]:
    return {entry["name"]: entry["value"].get("value") for entry in node.get("properties", [])}
