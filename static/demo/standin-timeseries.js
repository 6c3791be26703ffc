// Lines over time, with axes, areas, a legend, and a tooltip that follows the pointer.
// The curve glides to the left until the next query, so that it lags one refresh behind.
import { html, svg } from "./standin-svg.js";

const LEFT = 44;
const BOTTOM = 20;
const TOP = 8;
const STEPS = [15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400].map((seconds) => seconds * 1000);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;

export function drawTimeseries(place, legend, panel, data) {
  const { width, height } = place.getBoundingClientRect();
  const plot = { width: width - LEFT - 6, height: height - TOP - BOTTOM };
  if (plot.width < 40 || plot.height < 30) return;
  const start = data.to - data.range - data.refresh;
  const scale = plot.width / data.range;
  const x = (time) => (time - start) * scale;
  const y = (value) => TOP + plot.height * (1 - (value - panel.minimum) / (panel.maximum - panel.minimum));

  const moving = svg("g", {}, ...timeAxis(start, data.to, x, plot, height), ...curves(panel, data, x, y));
  const crosshair = svg("line", { class: "crosshair", y1: TOP, y2: TOP + plot.height });
  const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true" },
    svg("clipPath", { id: "plot" }, svg("rect", { x: 0, y: 0, width: plot.width, height })),
    ...valueAxis(panel, y, width),
    svg("g", { transform: `translate(${LEFT} 0)` }, svg("g", { "clip-path": "url(#plot)" }, moving), crosshair));
  const tooltip = html("div", "tooltip");
  place.replaceChildren(picture, tooltip);
  const drawnAt = performance.now();
  const glide = data.refresh * scale;
  if (glide && !still) {
    moving.animate([{ transform: "none" }, { transform: `translateX(${-glide}px)` }], { duration: data.refresh, fill: "forwards" });
  }
  const shift = () => (still ? 0 : Math.min(1, (performance.now() - drawnAt) / (data.refresh || 1)) * glide);
  place.onpointermove = (event) => hover(place, panel, data, { event, x, shift, crosshair, tooltip, plot });
  place.onpointerleave = () => place.classList.remove("hovering");
  place.classList.remove("hovering");
  drawLegend(legend, panel, data);
}

function valueAxis(panel, y, width) {
  const nodes = [];
  for (let step = 0; step <= 4; step += 1) {
    const value = panel.minimum + (step / 4) * (panel.maximum - panel.minimum);
    nodes.push(svg("line", { class: "grid", x1: LEFT, x2: width - 6, y1: y(value), y2: y(value) }));
    nodes.push(svg("text", { class: "tick", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, `${value} ${panel.unit}`));
  }
  return nodes;
}

const EDGE = 36; // pixels: half a label, and what the axis drifts between two refreshes

function timeAxis(start, end, x, plot, height) {
  const wanted = (80 / plot.width) * (end - start);
  const step = STEPS.find((candidate) => candidate >= wanted) ?? STEPS.at(-1);
  const nodes = [];
  for (let time = Math.ceil(start / step) * step; time <= end; time += step) {
    nodes.push(svg("line", { class: "grid", x1: x(time), x2: x(time), y1: TOP, y2: TOP + plot.height }));
    if (x(time) - x(start) < EDGE) continue; // it drifts out to the left, and would be cut off
    const anchor = x(end) - x(time) < EDGE ? "end" : "middle";
    nodes.push(svg("text", { class: "tick", x: x(time), y: height - 4, "text-anchor": anchor }, clock(time, step)));
  }
  return nodes;
}

function curves(panel, data, x, y) {
  const floor = y(panel.minimum);
  return panel.series.flatMap((_, index) => {
    const points = data.times.map((time, at) => `${x(time).toFixed(1)} ${y(data.columns[index][at]).toFixed(1)}`);
    const line = `M${points.join("L")}`;
    const area = `${line}L${x(data.times.at(-1)).toFixed(1)} ${floor}L${x(data.times[0]).toFixed(1)} ${floor}Z`;
    return [svg("path", { class: `area series-${index}`, d: area }), svg("path", { class: `curve series-${index}`, d: line })];
  });
}

function hover(place, panel, data, { event, x, shift, crosshair, tooltip, plot }) {
  const left = place.getBoundingClientRect().left + LEFT;
  const pointer = event.clientX - left;
  const inside = pointer >= 0 && pointer <= plot.width;
  place.classList.toggle("hovering", inside);
  if (!inside) return;
  const moved = shift();
  const at = nearest(data.times, (time) => Math.abs(x(time) - moved - pointer));
  const position = x(data.times[at]) - moved;
  crosshair.setAttribute("x1", position);
  crosshair.setAttribute("x2", position);
  tooltip.replaceChildren(
    html("time", "", clock(data.times[at], 1000)),
    ...panel.series.map((series, index) =>
      html("div", "", html("i", `swatch series-${index}`), series.name, html("b", "", `${data.columns[index][at].toFixed(1)} ${panel.unit}`))),
  );
  const side = pointer > plot.width / 2 ? -tooltip.offsetWidth - 12 : 12;
  tooltip.style.transform = `translateX(${LEFT + position + side}px)`;
}

function nearest(times, distance) {
  return times.reduce((best, time, index) => (distance(time) < distance(times[best]) ? index : best), 0);
}

function drawLegend(legend, panel, data) {
  legend.replaceChildren(...panel.series.map((series, index) =>
    html("li", "", html("i", `swatch series-${index}`), series.name, html("b", "", `${data.columns[index].at(-1).toFixed(1)} ${panel.unit}`))));
}

function clock(time, step) {
  const seconds = step < 60_000 ? { second: "2-digit" } : {};
  return new Date(time).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false, ...seconds });
}
