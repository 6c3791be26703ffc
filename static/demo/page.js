// The demo's page: shows the panels as host.js does it, and tells the story of the latest token.
import { showPanels } from "./host.js";
import { attacks } from "./attack.js";
import { showMapping, showToken, showVerdict } from "./evidence.js";

const LEEWAY = 60; // seconds that Grafana still accepts an expired token
const demo = JSON.parse(document.getElementById("demo").textContent);
const root = document.documentElement;
const at = (id) => document.getElementById(id);
let token; // the latest answer of embedjwt, and when it came
let stopped = false;
let renewals = -1; // the first token is none

function step(name, state, text) {
  const item = at(`step-${name}`);
  item.dataset.state = state;
  item.querySelector("output").textContent = text;
}

export async function askGrafana(raw) {
  const headers = raw ? { [token.grafana.header_name]: raw } : {};
  const response = await fetch(`${demo.standin}/standin/verdict`, { method: "POST", headers });
  return response.json();
}

async function tellStory(answer) {
  if (answer.token === token?.token) return;
  token = { ...answer, clockOffset: answer.server_time - Date.now() / 1000 };
  renewals += 1;
  document.querySelectorAll("[data-attack]").forEach((button) => (button.disabled = false));
  at("renewals").textContent = renewals;
  at("renewals-word").textContent = renewals === 1 ? "renewal" : "renewals";
  const { header, claims } = showToken(token);
  step("embedjwt", "done", `${claims.login} · ${claims.role ?? "no role"}`);
  step("token", "done", `${header.alg} · ${answer.expires_at - claims.iat} seconds`);
  await judge();
}

async function judge() {
  try {
    const judged = await askGrafana(token.token);
    showVerdict(judged);
    const { accepted, login, role, reason } = judged.verdict;
    step("grafana", accepted ? "done" : "failed", accepted ? `accepted ${login} as ${role}` : reason);
  } catch {
    step("grafana", "failed", "does not answer");
  }
}

function heard({ type, error, panel }) {
  if (type !== "error" || panel) return;
  if (error.code !== "forbidden") return void (at("life-text").textContent = "No new token; trying again …");
  step("embedjwt", "failed", error.reason);
  step("token", "skipped", "none was made");
  step("grafana", "skipped", "was never asked");
  root.dataset.admission = "refused";
}

const panels = await showPanels({ ...demo, theme: root.dataset.theme, onToken: tellStory, onEvent: heard });

function tick() {
  if (!token) return;
  const now = Date.now() / 1000 + token.clockOffset;
  const left = Math.ceil(token.expires_at - now);
  const grace = left + LEEWAY;
  const strip = document.querySelector(".token-strip");
  const life = Math.max(0, Math.min(1, (token.expires_at - now) / token.expires_in));
  at("life-bar").style.transform = `scaleX(${life})`;
  const died = grace < 0 && strip.dataset.state !== "dead";
  strip.dataset.state = left > 0 ? "alive" : grace >= 0 ? "grace" : "dead";
  at("life-text").textContent = left > 0
    ? `This token ends in ${left} s${stopped ? ", and nobody renews it." : "; the next one comes before that."}`
    : grace >= 0 // at 0 too: Grafana refuses a second later
      ? `Expired. Grafana allows ${LEEWAY} s for clocks that differ: ${grace} s left.`
      : "Expired for good: Grafana now shows its login page.";
  if (died) judge();
  document.querySelectorAll("[data-countdown]").forEach((node) => {
    const seconds = Math.round(Number(node.dataset.countdown) - now);
    node.textContent = seconds >= 0 ? `in ${seconds} s` : `${-seconds} s ago`;
  });
}
setInterval(tick, 500);

at("pause").addEventListener("click", () => {
  stopped = !stopped;
  panels.stop(stopped);
  at("pause").setAttribute("aria-pressed", stopped);
  at("pause").textContent = stopped ? "Renew again" : "Stop renewing";
});

at("theme").addEventListener("click", () => {
  root.dataset.theme = root.dataset.theme === "dark" ? "light" : "dark";
  localStorage.setItem("theme", root.dataset.theme);
  panels.setTheme(root.dataset.theme);
});

at("copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(token.token);
  at("copy").textContent = "Copied";
  setTimeout(() => (at("copy").textContent = "Copy"), 1500);
});

attacks({ latest: () => token, askGrafana });
showMapping(await (await fetch("/explain")).json(), demo.claims);
