// The browser SDK as a host application's TypeScript uses it; each @ts-expect-error is a mistake
// that has to be found.
import { createEmbed, EmbedError, GrafanaPanel, texts } from "../../static/embedjwt.js";
import type { Code, EmbedEvent, Grant, PanelOptions, State } from "../../static/embedjwt.js";

const heard: string[] = [];
const options: PanelOptions = { dashboard: "line-3", panel: "panel-3", vars: { host: ["a", 1, true], site: "x" }, theme: "auto" };

const embed = createEmbed({
  service: "https://embed.example.com",
  mode: "url",
  headers: async () => ({ Authorization: "Bearer …" }),
  getToken: ({ signal, reason, scope }) => fetch(`/token?${reason}&${scope.grafana}&${scope.mode}`, { signal }),
  onLoginRequired: (error) => error.traceId,
  onEvent: hear,
  settle: 500,
});
const panel = embed.mount(document.body, options);
panel.update({ from: "now-1h", to: 1_800_000_000_000 });
panel.reload();
const state: State = panel.state;
const code: Code | undefined = panel.error?.code;
panel.destroy();
embed.setTimeRange("now-6h");
embed.setVariables({ host: "b" });
embed.setTheme("dark");
embed.retry();
embed.logout().then(embed.destroy);

function hear(event: EmbedEvent): void {
  switch (event.type) {
    case "state": heard.push(event.state, event.panel.element.id); break;
    case "grant": heard.push(event.mode, event.why, `${event.expiresIn + event.skew}`); break;
    case "error": heard.push(event.error.code, event.panel?.state ?? "all"); break;
  }
}

const own: Grant = { token: "…", expiresIn: 300, serverTime: 1_800_000_000, grafana: { url: "https://grafana.example.com" } };
const passedOn: Grant = { token: "…", expires_in: 300, grafana: { name: "", url: "https://grafana.example.com", mode: "url" } };
const refusal = new EmbedError("login_required", "the session has ended", { status: 401 });
createEmbed({ service: "", getToken: async () => { if (heard.length) throw refusal; return state ? own : passedOn; } });

Object.assign(texts, { retry: "Erneut" });
const element = document.createElement("grafana-panel");
element.embed = embed;
element.mounted?.update({ refresh: "30s" });
element.mounted?.reload();
const range = document.querySelector("grafana-time-range");
if (range) range.value = "now-7d";
heard.push(`${code}`, `${element instanceof GrafanaPanel}`, texts.forbidden);

// @ts-expect-error: no service
createEmbed({ mode: "url" });
// @ts-expect-error: no such mode
createEmbed({ service: "", mode: "cookie" });
// @ts-expect-error: no such option
createEmbed({ service: "", onError: () => {} });
// @ts-expect-error: a token is not a grant
createEmbed({ service: "", getToken: async () => "eyJ" });
// @ts-expect-error: no dashboard
embed.mount(document.body, { panel: 3 });
// @ts-expect-error: misspelt
embed.mount(document.body, { dashboard: "line-3", timeZone: "utc" });
// @ts-expect-error: no element
embed.mount("#panel", options);
// @ts-expect-error: not an option's type
panel.update({ vars: { host: { name: "a" } } });
// @ts-expect-error: for others to read
panel.state = "ready";
// @ts-expect-error: no such code
new EmbedError("unauthorized");
// @ts-expect-error: not a text
texts.retry = 1;
