"""The two panels of the demo's dashboard, and the data the stand-in Grafana draws in them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

from embedjwt.grafana.versions import LATEST, Version

DASHBOARD = "acme-line-3"
SLUG = "line-3"
MAX_POINTS = 240
_WAVES = ((23, 0.45), (7, 0.3), (2.5, 0.16))
"""Periods in seconds of the noise in a series, and its share."""


@dataclass(frozen=True, slots=True)
class Series:
    """A measured value: it wanders around ``base`` by about ``swing``."""

    name: str
    base: float
    swing: float
    seed: int

    def at(self, seconds: float) -> float:
        """The value at a time: always the same one, so that two frames draw the same line."""
        tide = math.sin(seconds / 97 + self.seed) * 0.45 + math.sin(seconds / 41 + self.seed**2) / 4
        waves = sum(share * _noise(self.seed, seconds / period) for period, share in _WAVES)
        return self.base + self.swing * (tide + waves)


@dataclass(frozen=True, slots=True)
class Panel:
    """A panel: what it is called, how it is drawn, and the bounds of its axis."""

    id: int
    title: str
    kind: Literal["timeseries", "bargauge"]
    unit: str
    minimum: float
    maximum: float
    thresholds: tuple[float, float]
    series: tuple[Series, ...]


PANELS = {
    panel.id: panel
    for panel in (
        Panel(
            id=1,
            title="Controller CPU",
            kind="timeseries",
            unit="%",
            minimum=0,
            maximum=100,
            thresholds=(80, 95),
            series=(
                Series("mill-01", base=62, swing=22, seed=1),
                Series("mill-02", base=41, swing=18, seed=5),
                Series("lathe-07", base=20, swing=11, seed=9),
            ),
        ),
        Panel(
            id=2,
            title="Spindle temperature",
            kind="bargauge",
            unit="°C",
            minimum=20,
            maximum=90,
            thresholds=(60, 75),
            series=(
                Series("mill-01", base=66, swing=9, seed=13),
                Series("mill-02", base=52, swing=7, seed=17),
                Series("mill-03", base=77, swing=5, seed=23),
                Series("lathe-07", base=41, swing=6, seed=29),
            ),
        ),
    )
}


def find_panel(panel_id: str) -> Panel | None:
    """The panel of a ``panelId`` parameter: ``1``, or ``panel-1`` as newer dashboards write it."""
    number = panel_id.removeprefix("panel-")
    return next((panel for panel in PANELS.values() if str(panel.id) == number), None)


def frame(panel: Panel, start: int, end: int) -> dict[str, Any]:
    """The panel's values from ``start`` to ``end`` (Unix milliseconds), as a Grafana data frame."""
    step = 1000 * math.ceil(max(1, (end - start) / 1000 / MAX_POINTS))
    times = list(range(start // step * step, end + 1, step))
    low, high = panel.minimum, panel.maximum
    columns = [
        [round(min(high, max(low, series.at(time / 1000))), 2) for time in times]
        for series in panel.series
    ]
    fields = [{"name": "time", "type": "time"}]
    fields += [{"name": series.name, "type": "number"} for series in panel.series]
    return {
        "schema": {"name": panel.title, "fields": fields},
        "data": {"values": [times, *columns]},
    }


def source_type(version: Version) -> str:
    """The type of Grafana's built-in TestData source, renamed in 10.2 (#75104)."""
    return "grafana-testdata-datasource" if version >= (10, 2) else "testdata"


def dashboard_json(version: Version = LATEST) -> dict[str, Any]:
    """The same two panels for a real Grafana, on its built-in TestData source."""
    source = {"type": source_type(version), "uid": "embedjwt-demo"}
    positions = {1: {"x": 0, "y": 0, "w": 15, "h": 9}, 2: {"x": 15, "y": 0, "w": 9, "h": 9}}
    return {
        "uid": DASHBOARD,
        "title": "Line 3",
        "tags": ["embedjwt-demo"],
        "schemaVersion": 36,
        "time": {"from": "now-15m", "to": "now"},
        "refresh": "5s",
        "panels": [_panel_json(panel, positions[panel.id], source) for panel in PANELS.values()],
    }


def _panel_json(panel: Panel, position: dict[str, int], source: dict[str, str]) -> dict[str, Any]:
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [
        {"color": color, "value": value}
        for color, value in zip(("orange", "red"), panel.thresholds, strict=True)
    ]
    return {
        "id": panel.id,
        "title": panel.title,
        "type": panel.kind,
        "datasource": source,
        "gridPos": position,
        "fieldConfig": {
            "defaults": {
                "unit": {"%": "percent", "°C": "celsius"}[panel.unit],
                "min": panel.minimum,
                "max": panel.maximum,
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "options": {"displayMode": "gradient", "orientation": "horizontal"},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": source,
                "scenarioId": "random_walk",
                "alias": series.name,
                "startValue": series.base,
                "spread": series.swing / 8,
                "min": panel.minimum,
                "max": panel.maximum,
            }
            for index, series in enumerate(panel.series)
        ],
    }


def _noise(seed: int, position: float) -> float:
    """Smooth noise between -1 and 1: fixed values at whole positions, eased in between."""
    whole = math.floor(position)
    part = position - whole
    eased = part * part * (3 - 2 * part)
    return _lattice(seed, whole) * (1 - eased) + _lattice(seed, whole + 1) * eased


def _lattice(seed: int, position: int) -> float:
    mixed = (position * 374761393 + seed * 668265263) & 0xFFFFFFFF
    mixed = ((mixed ^ (mixed >> 13)) * 1274126177) & 0xFFFFFFFF
    return (mixed ^ (mixed >> 16)) / 0x7FFFFFFF - 1
