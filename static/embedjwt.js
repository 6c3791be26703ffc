// Grafana panels in any page: <grafana-panel>, <grafana-time-range>, and createEmbed() for scripts.
import { GrafanaPanel, GrafanaTimeRange } from "./embedjwt/elements.js";

export { EmbedError } from "./embedjwt/errors.js";
export { createEmbed, GrafanaPanel, GrafanaTimeRange } from "./embedjwt/elements.js";
export { texts } from "./embedjwt/view.js";

GrafanaPanel.service = new URL("..", import.meta.url).href.slice(0, -1); // where this file is from
if (globalThis.customElements && !customElements.get("grafana-panel")) {
  customElements.define("grafana-panel", GrafanaPanel);
  customElements.define("grafana-time-range", GrafanaTimeRange);
}
