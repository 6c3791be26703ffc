"""The browser SDK keeps panels alive in URL mode, whatever clocks, timers and networks do.

Real Chromium, real embedjwt, a stand-in Grafana; clocks are stepped for all of them alike.
"""

from __future__ import annotations

import pytest
from sdk_site import LIFE, ends_at
from sdk_visit import RENEWED_AFTER, UNLUCKY, Visit, problem

HIDING = """
window.hide = (hidden) => {
  Object.defineProperty(Document.prototype, "hidden", { get: () => hidden, configurable: true });
  document.dispatchEvent(new Event("visibilitychange", { bubbles: true }));
};
hide(true);
"""


def test_panels_live_for_ten_lives_of_a_token(visit: Visit) -> None:
    states: set[str] = set()
    shortest: list[float] = []

    def look() -> None:
        states.update(visit.states())
        seen = visit.seen()
        assert len(seen) == 2, "no panel is ever blank"
        shortest.append(min(map(ends_at, seen)) - visit.site.clock())

    visit.site.judge.refused.clear()
    visit.fake_clock()
    visit.open(panels=2, refresh="15s")
    visit.until_state("ready")
    visit.pass_time(10 * LIFE, step=4, each=look)
    assert states <= {"ready", "refreshing"}
    assert min(shortest) > 0, "no frame is seen with a token that is over"
    assert visit.site.judge.refused == [], "no frame's query is ever refused"
    assert 12 <= len(visit.asked) <= 16
    assert len(visit.frames) == 2 * len(visit.asked)
    assert visit.heard("error") == []


@pytest.mark.parametrize("ahead", [600, -600])
def test_a_wrong_clock_of_the_computer_does_not_matter(visit: Visit, ahead: float) -> None:
    visit.fake_clock(ahead=ahead)
    visit.open()
    visit.until_state("ready")
    assert visit.heard("grant")[0]["skew"] == pytest.approx(ahead, abs=5)
    visit.pass_time(RENEWED_AFTER[0])
    assert len(visit.asked) == 1
    visit.pass_time(RENEWED_AFTER[1] - RENEWED_AFTER[0])
    assert len(visit.asked) == 2
    visit.until_state("ready")


def test_a_clock_that_is_put_back_does_not_delay_the_next_token(visit: Visit) -> None:
    visit.fake_clock()
    visit.open()
    visit.until_state("ready")
    visit.page.evaluate("window.was = Date.now()")
    visit.page.clock.set_system_time(visit.page.evaluate("Date.now() / 1000 - 3600"))
    assert visit.page.evaluate("Date.now() < was"), "the page sees it"
    visit.pass_time(RENEWED_AFTER[1])
    assert len(visit.asked) == 2
    visit.until_state("ready")


def test_panels_recover_by_themselves_from_an_hour_offline(visit: Visit) -> None:
    visit.fake_clock()
    visit.open(panels=2)
    visit.until_state("ready")
    visit.context.set_offline(True)
    visit.pass_time(3600, step=15)
    assert set(visit.states()) == {"expired"}
    assert len(visit.seen()) == 2, "what was there last stays to be seen"
    assert visit.says("expired")
    assert "network" in visit.card()
    assert 100 < len(visit.asked) < 400, "every 30 s at the latest, on average half as often"
    assert {error["code"] for error in visit.failures()} == {"network"}
    visit.context.set_offline(False)  # fires the event "online"
    visit.pass_time(6, step=1)
    visit.until_state("ready")
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())
    assert visit.card() == ""


def test_being_online_again_ends_the_longest_wait(visit: Visit) -> None:
    """Also where the last attempt was a moment ago, and the next one is half a minute away."""
    visit.fake_clock()
    visit.page.add_init_script(UNLUCKY)
    visit.open()
    visit.until_state("ready")
    visit.context.set_offline(True)
    visit.pass_time(150)
    failed = len(visit.asked)
    while len(visit.asked) == failed:
        visit.pass_time(1, step=1)
    visit.context.set_offline(False)
    visit.pass_time(7, step=1)
    visit.until_state("ready")


@pytest.mark.parametrize(
    "woken_by",
    [
        [],  # the next tick of a timer
        ["focus"],
        ["resume", "pageshow", "online", "focus", "visibilitychange"],
    ],
    ids=["timer", "focus", "everything"],
)
def test_a_laptop_that_wakes_up_renews_at_once_and_once(visit: Visit, woken_by: list[str]) -> None:
    visit.fake_clock()
    visit.open(panels=2)
    visit.until_state("ready")
    visit.sleep(3 * 3600)
    visit.fire(*woken_by)
    visit.pass_time(1 if woken_by else 21, step=1)
    visit.until_state("ready")
    assert len(visit.asked) == 2
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())
    visit.pass_time(RENEWED_AFTER[0] - 21)
    assert len(visit.asked) == 2


def test_timers_that_are_three_hours_late_renew_once(visit: Visit) -> None:
    """Where the steady clock goes on in sleep."""
    visit.fake_clock()
    visit.open()
    visit.until_state("ready")
    visit.site.clock.step(3 * 3600)
    visit.page.clock.fast_forward(3 * 3600 * 1000)
    visit.pass_time(1)
    visit.until_state("ready")
    assert len(visit.asked) == 2
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())


def test_failures_in_the_life_of_a_token_are_not_seen(visit: Visit) -> None:
    states: set[str] = set()
    visit.fake_clock()
    visit.answer(None, *[problem(503, "keys_unavailable")] * 2)
    visit.open()
    visit.until_state("ready")
    visit.pass_time(LIFE, step=1, each=lambda: states.update(visit.states()))
    assert len(visit.failures()) == 2
    assert states <= {"ready", "refreshing"}
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())


def test_a_page_that_nobody_sees_asks_for_nothing(visit: Visit) -> None:
    visit.page.add_init_script(HIDING)
    visit.fake_clock()
    visit.open("{ mode: 'url' }", panels=2, mode="url")
    visit.pass_time(30)
    assert visit.asked == []
    visit.page.evaluate("hide(false)")
    visit.until_state("ready")
    visit.page.evaluate("hide(true)")
    visit.pass_time(600, step=20)
    assert len(visit.asked) == 1
    visit.page.evaluate("hide(false)")
    visit.until(lambda: min(map(ends_at, visit.seen())) > visit.site.clock())
    visit.until_state("ready")
    assert len(visit.asked) == 2
