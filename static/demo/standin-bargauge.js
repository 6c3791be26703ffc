// One horizontal bar a machine, coloured by thresholds.
import { svg } from "./standin-svg.js";

const VALUE_WIDTH = 74;

export function drawBargauge(place, _legend, panel, data) {
  const { width, height } = place.getBoundingClientRect();
  const full = width - VALUE_WIDTH;
  const row = height / panel.series.length;
  if (full < 40 || row < 24) return;
  const share = (value) => (value - panel.minimum) / (panel.maximum - panel.minimum);
  const key = `${width}x${height}`;
  if (place.dataset.size !== key) {
    place.dataset.size = key;
    place.replaceChildren(skeleton(panel, { width, height, full, row, share }));
  }
  panel.series.forEach((series, index) => {
    const value = data.columns[index].at(-1);
    place.querySelectorAll(".bar")[index].style.width = `${share(value) * full}px`;
    const text = place.querySelectorAll(".bar-value")[index];
    text.textContent = `${value.toFixed(1)} ${panel.unit}`;
    const [warn, bad] = panel.thresholds;
    text.setAttribute("class", `bar-value ${value >= bad ? "bad" : value >= warn ? "warn" : "ok"}`);
  });
}

function skeleton(panel, { width, height, full, row, share }) {
  const [warn, bad] = panel.thresholds.map(share);
  const stops = [[0, "ok"], [warn - 0.12, "ok"], [warn + 0.06, "warn"], [bad, "warn"], [bad + 0.08, "bad"], [1, "bad"]];
  const gradient = svg("linearGradient", { id: "heat", gradientUnits: "userSpaceOnUse", x1: 0, x2: full, y1: 0, y2: 0 },
    ...stops.map(([offset, level]) => svg("stop", { offset, class: `threshold-${level}` })));
  const bars = panel.series.flatMap((series, index) => {
    const top = index * row;
    const thick = Math.min(22, row - 20);
    const box = { x: 0, y: top + 18, height: thick, rx: 3 };
    return [
      svg("text", { class: "bar-name", x: 0, y: top + 13 }, series.name),
      svg("rect", { class: "track", width: full, ...box }),
      svg("rect", { class: "bar", width: 0, fill: "url(#heat)", ...box }),
      svg("text", { class: "bar-value", x: width - 2, y: top + 18 + thick / 2 + 5, "text-anchor": "end" }),
    ];
  });
  return svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" }, gradient, ...bars);
}
