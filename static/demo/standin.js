// The stand-in's front end: asks for data again and again, each time with the token that is in the
// frame's own URL, as Grafana's front end does.
import { drawBargauge } from "./standin-bargauge.js";
import { drawTimeseries } from "./standin-timeseries.js";

const panel = JSON.parse(document.getElementById("panel").textContent);
const headerName = document.querySelector("main").dataset.headerName;
const place = document.getElementById("visualization");
const legend = document.getElementById("legend");
const draw = { timeseries: drawTimeseries, bargauge: drawBargauge }[panel.kind];
const parameters = () => new URL(location.href).searchParams;

const UNITS = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

function milliseconds(text, fallback) {
  const match = /^(\d+)([smhd])$/.exec(text ?? "");
  return match ? match[1] * UNITS[match[2]] : fallback;
}

const range = milliseconds(parameters().get("from")?.replace("now-", ""), 15 * UNITS.m);
const refresh = milliseconds(parameters().get("refresh"), 0);

async function query() {
  const to = Date.now();
  const response = await fetch(`/api/ds/query?theme=${document.documentElement.dataset.theme}`, {
    method: "POST",
    headers: { "Content-Type": "application/json", [headerName]: parameters().get("auth_token") ?? "" },
    body: JSON.stringify({ panelId: panel.id, from: to - range - refresh, to }),
  });
  const body = await response.json();
  if (response.status === 401 && body.login) {
    location.replace(body.login);
    throw new Error("signed out");
  }
  if (!response.ok) throw new Error(body.message ?? body.detail);
  const [times, ...columns] = body.results.A.frames[0].data.values;
  return { times, columns, to, range, refresh };
}

let latest;

function redraw() {
  if (!latest) return;
  draw(place, legend, panel, latest);
  const values = panel.series.map((series, index) => `${series.name} ${Math.round(latest.columns[index].at(-1))} ${panel.unit}`);
  place.setAttribute("aria-label", `${panel.title}: ${values.join(", ")}`);
}

async function live() {
  try {
    latest = await query();
    redraw();
  } catch (error) {
    if (error.message === "signed out") return;
    console.warn("stand-in Grafana:", error.message);
  }
  if (refresh) setTimeout(live, refresh);
}

new ResizeObserver(redraw).observe(place);
live();
