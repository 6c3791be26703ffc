// All that this portal does to show Grafana panels: say whose session it is, and where they go.
// A page that needs no story told would write <grafana-panel> into its HTML, and nothing else.

/** Show every panel card's panel; `onToken` hears of each new token, `onEvent` of everything else. */
export async function showPanels({ service, dashboard, slug, settle_ms: settle, theme, onToken, onEvent }) {
  const { createEmbed, EmbedError } = await import(`${service}/static/embedjwt.js`);
  let stopped = false;
  const embed = createEmbed({
    service,
    settle,
    onEvent,
    // Without this the SDK asks the service just so; here the page looks at the token as well.
    async getToken({ signal }) {
      if (stopped) throw new EmbedError("unavailable", "you stopped the renewing");
      const response = await fetch(`${service}/v1/embed-token`, {
        method: "POST",
        credentials: "include", // our own session cookie
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ panel: { dashboard, slug, panel: 1, theme } }),
        signal,
      });
      if (response.ok) onToken(await response.clone().json());
      return response;
    },
  });
  for (const card of document.querySelectorAll(".panel-card")) {
    const panel = document.createElement("grafana-panel");
    const { panel: id, title } = card.dataset;
    const attributes = { service, dashboard, slug, panel: id, from: "now-5m", to: "now", refresh: "5s", theme };
    for (const [name, value] of Object.entries(attributes)) panel.setAttribute(name, value);
    panel.setAttribute("frame-title", `${title} (Grafana)`);
    card.append(panel);
  }
  return {
    setTheme: embed.setTheme,
    stop(now) {
      stopped = now;
      if (!now) embed.retry();
    },
  };
}
