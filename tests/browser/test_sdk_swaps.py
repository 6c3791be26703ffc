"""Panels of the browser SDK go over to other tokens and times without a blank moment."""

from __future__ import annotations

from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sdk_strict_site import Site
from sdk_strict_visit import Visit, visiting

QUERIES = "**/api/ds/query*"

DOMINANT = """async ([pictures, { x, y, width, height }]) => {
  const shares = [];
  for (const picture of pictures) {
    const bytes = Uint8Array.from(atob(picture), (letter) => letter.charCodeAt(0));
    const bitmap = await createImageBitmap(new Blob([bytes], { type: "image/png" }));
    const canvas = new OffscreenCanvas(width, height).getContext("2d");
    canvas.drawImage(bitmap, -x, -y);
    const pixels = new Uint32Array(canvas.getImageData(0, 0, width, height).data.buffer);
    const counts = new Map();
    for (const pixel of pixels) counts.set(pixel, (counts.get(pixel) ?? 0) + 1);
    shares.push(Math.max(...counts.values()) / pixels.length);
  }
  return shares;
}"""
"""The share of its most frequent colour in a part of each picture."""

BLANK = 0.9
"""More of one colour than this, and there is no chart: with one it is 0.6."""


class Film:
    """Every picture that a page presents while it runs."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.pictures: list[str] = []
        self._cdp = page.context.new_cdp_session(page)
        self._cdp.on("Page.screencastFrame", self._keep)

    def _keep(self, event: dict[str, Any]) -> None:
        self.pictures.append(event["data"])
        self._cdp.send("Page.screencastFrameAck", {"sessionId": event["sessionId"]})

    def __enter__(self) -> Film:
        self._cdp.send("Page.startScreencast", {"format": "png", "everyNthFrame": 1})
        return self

    def __exit__(self, *_: object) -> None:
        self._cdp.send("Page.stopScreencast")

    def blank(self, area: dict[str, float]) -> list[float]:
        """Of each picture that is blank in this area, the share of its one colour."""
        dark_room = self.page.context.new_page()
        shares = dark_room.evaluate(DOMINANT, [self.pictures, area])
        dark_room.close()
        return [share for share in shares if share > BLANK]


class TestSwaps:
    @pytest.mark.parametrize("motion", ["no-preference", "reduce"])
    def test_have_no_blank_moment(self, browser: Browser, strict_site: Site, motion: Any) -> None:
        with visiting(browser, strict_site, reduced_motion=motion) as visit:
            film, area = self.swapped(visit, settle=3000)
            assert len(film.pictures) >= 3
            assert film.blank(area) == []
            frame = visit.page.locator("iframe")
            expect(frame).to_have_css("transition-duration", "0s" if motion == "reduce" else "0.2s")

    def test_would_have_one_if_frames_could_not_draw_first(
        self, browser: Browser, strict_site: Site
    ) -> None:
        """So that the test above can be believed."""
        with visiting(browser, strict_site) as visit:
            film, area = self.swapped(visit, settle=0, drawn_after=1500)
            assert film.blank(area) != []

    @staticmethod
    def swapped(visit: Visit, settle: int, drawn_after: int = 250) -> tuple[Film, dict[str, float]]:
        """Two swaps, for a new token and for new times.

        Frames have loaded ``drawn_after`` milliseconds before they have something to draw, as
        Grafana's have.
        """

        def drawn_late(route: Route) -> None:
            answer = route.fetch()
            route.request.frame.page.wait_for_timeout(drawn_after)
            route.fulfill(response=answer)

        visit.page.clock.install()
        visit.go()
        visit.page.route(QUERIES, drawn_late)
        visit.page.evaluate("(settle) => { window.mine = embed({ settle }); }", settle)
        panel = visit.show(theme="light")
        visit.expect(panel, "ready")
        expect(panel.frame_locator("iframe").locator("svg").first).to_be_visible()
        area = panel.bounding_box()
        assert area is not None
        with Film(visit.page) as film:
            visit.swap_for_tokens()
            visit.swap("mine.setTimeRange('now-1h')")
        visit.page.unroute_all(behavior="ignoreErrors")  # some may still be waiting
        return film, dict(area)
