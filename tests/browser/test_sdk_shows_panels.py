"""What panels of the browser SDK show, when they load it, and how they change it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect
from sdk_site import EMBED_TOKEN, LIFE, query_of
from sdk_visit import RENEWED_AFTER, Visit


def test_twelve_tags_in_a_page_need_one_token_and_nothing_else(visit: Visit) -> None:
    visit.page.goto(f"{visit.site.host}/plain")
    panels = visit.page.locator("grafana-panel")
    for number in range(12):
        panels.nth(number).scroll_into_view_if_needed()
        expect(panels.nth(number)).to_have_attribute("state", "ready")
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
    visit.open("{ settle: 20_000 }")
    visit.until_state("ready")
    before = visit.seen()
    visit.page.evaluate("embedded().setTimeRange('now-1h')")
    visit.pass_time(10)
    assert visit.states() == ["refreshing"]
    assert visit.seen() == before
    visit.pass_time(15)
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
