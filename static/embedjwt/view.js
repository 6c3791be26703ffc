// What a panel shows while it shows no Grafana: a skeleton, a card that says why not, a line below.

/** @import { Chrome } from "./embed.js" */

/** @type {Record<string, string>} */
export const texts = {
  login_required: "Sign in to see this panel.",
  forbidden: "You may not see this panel.",
  config: "This panel is not set up.",
  network: "No connection.",
  unavailable: "Not available right now.",
  cookies_blocked: "Your browser blocks a cookie that we need.",
  expired: "Not up to date.",
  retry: "Retry",
  last: "Last {}",
  range: "Time range",
};

const STYLE = `
:host{display:block;position:relative;overflow:hidden;aspect-ratio:16/9}
:host([hidden]){display:none}
div{position:absolute;inset:0}
[part=skeleton],[part=card]:empty{visibility:hidden}
:host([state=authorizing]) [part=skeleton],:host([state=loading]) [part=skeleton]{animation:show .2s .15s forwards}
[part=skeleton]{background:linear-gradient(#8881 2.5em,#8883 0)}
[part=card]{display:grid;place-content:safe center;justify-items:center;gap:.5em;padding:1em;text-align:center;overflow:auto;border:1px solid #8883;background:Canvas;color:CanvasText}
small{opacity:.8;overflow-wrap:anywhere}
button{font:inherit;padding:.3em 1em}
:host([state=expired]) [part=card]{inset:auto 0 0;grid-auto-flow:column;align-items:center;padding:.3em 1em}
@keyframes show{to{visibility:visible}}`;

/** @type {Chrome} */
export function chrome(element, retry) {
  const own = element.matches("grafana-panel");
  const host = own ? element : element.appendChild(h("div", { style: "width:100%;height:100%" }));
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const box = h("div");
  const skeleton = h("div", { part: "skeleton" });
  const card = h("div", { part: "card", role: "alert" });
  root.replaceChildren(skeleton, box, card);
  return { box, tell, remove: () => (own ? root.replaceChildren() : host.remove()) };

  /** @type {ReturnType<Chrome>["tell"]} */
  function tell(state, error, theme) {
    const focused = root.activeElement?.part.contains("retry");
    host.setAttribute("state", state);
    host.style.colorScheme = /** @type {string} */ (theme); // auto is none: the page's
    if (!error && state !== "expired") return card.replaceChildren();
    const { code, reason = code, retryable, message, traceId } = /** @type {any} */ (error ?? {});
    const text = texts[state] ?? texts[code] ?? texts[retryable ? "unavailable" : "config"];
    const why = [...new Set([reason, message, traceId])].filter(Boolean).join(" · ");
    const again = h("button", { part: "retry", type: "button", textContent: texts.retry, onclick: retry });
    card.replaceChildren(h("span", { part: "message", textContent: text }), again, h("small", { part: "trace", textContent: why }));
    if (focused) again.focus();
  }
}

/** @template {keyof HTMLElementTagNameMap} T @param {T} name @param {object} [properties] */
export const h = (name, properties) => Object.assign(document.createElement(name), properties);
