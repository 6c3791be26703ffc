"""The data of the demo: the same for everybody who asks, and within the panel's axis."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from embedjwt.demo.panels import MAX_POINTS, PANELS, dashboard_json, frame

MOMENT = 1_800_000_000_000


@given(
    panel=st.sampled_from(list(PANELS.values())),
    start=st.integers(MOMENT, MOMENT * 2),
    span=st.integers(1000, 24 * 3600 * 1000),
)
def test_values_stay_on_the_axis_and_points_are_few(panel, start, span) -> None:
    times, *columns = frame(panel, start, start + span)["data"]["values"]
    assert 1 <= len(times) <= MAX_POINTS + 2
    assert times[0] <= start <= start + span <= times[-1] + times_step(times)
    assert all(panel.minimum <= value <= panel.maximum for column in columns for value in column)


def times_step(times: list[int]) -> int:
    return times[1] - times[0] if len(times) > 1 else 1000


def test_two_frames_draw_the_same_line() -> None:
    early, late = (frame(PANELS[1], MOMENT + at, MOMENT + at + 300_000) for at in (0, 60_000))
    first, second = (
        dict(zip(found["data"]["values"][0], found["data"]["values"][1], strict=True))
        for found in (early, late)
    )
    shared = first.keys() & second.keys()
    assert len(shared) > 100
    assert all(first[time] == second[time] for time in shared)


def test_the_dashboard_for_a_real_grafana_has_the_same_panels() -> None:
    dashboard = dashboard_json()
    assert dashboard["uid"] == "acme-line-3"
    assert {panel["id"]: panel["title"] for panel in dashboard["panels"]} == {
        panel.id: panel.title for panel in PANELS.values()
    }
