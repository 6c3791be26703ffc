import { makeEmbed } from "./embed.js";
import { bare, camel } from "./service.js";
import { chrome, h, texts } from "./view.js";

/** @import { Embed, EmbedOptions, Panel, PanelOptions } from "../embedjwt.d.ts" */

const PANEL = "dashboard panel slug org-id from to timezone refresh theme vars hide-time-picker hide-variables loading frame-title".split(" ");
const RANGES = "now-5m now-15m now-1h now-6h now-24h now-7d now-30d";
const UNITS = { m: "minute", h: "hour", d: "day" };

/** The embeds of this page, by what elements say of them. @type {Map<string, Embed>} */
const embeds = new Map();
const keyOf = ({ service = "", grafana = "" }) => `${bare(service)} ${grafana}`;

/** @param {EmbedOptions} options */
export function createEmbed(options) {
  const onEvent = (/** @type {any} */ event) => {
    event.panel?.element.dispatchEvent(new CustomEvent(`embedjwt-${event.type}`, { detail: event, bubbles: true, composed: true }));
    options.onEvent?.(event);
  };
  const embed = makeEmbed({ ...options, onEvent }, chrome);
  embeds.set(keyOf(options), embed);
  return embed;
}

/** Servers that render pages have none, and need none. @type {typeof HTMLElement} */
const Base = globalThis.HTMLElement ?? class {};

export class GrafanaPanel extends Base {
  static observedAttributes = PANEL;
  static service = ""; // that of elements which name none

  async connectedCallback() {
    // Scripts of the page, all of which have run then, may have an embed of their own to say.
    if (document.readyState !== "complete") await new Promise((resolve) => ["DOMContentLoaded", "load"].map((type) => addEventListener(type, resolve)));
    if (!this.isConnected || this.mounted) return;
    const { service = GrafanaPanel.service, ...named } = this.#attributes(["service", "grafana", "mode"]);
    /** @type {Embed} */
    const embed = /** @type {any} */ (this).embed ?? embeds.get(keyOf({ service, ...named })) ?? createEmbed({ service, ...named });
    /** @type {Panel | undefined} */
    this.mounted = embed.mount(this, this.#attributes(PANEL));
  }

  disconnectedCallback() {
    this.mounted?.destroy();
    this.mounted = undefined;
  }

  connectedMoveCallback() {} // frames live on

  attributeChangedCallback(/** @type {string} */ name) {
    this.mounted?.update(this.#attributes([name]));
  }

  /** @returns {any} */
  #attributes(/** @type {string[]} */ names) {
    return camel(Object.fromEntries(names.map((name) => [name, /^hide/.test(name) ? this.hasAttribute(name) : this.getAttribute(name) ?? undefined])));
  }
}

export class GrafanaTimeRange extends Base {
  connectedCallback() {
    const select = h("select", { part: "select", ariaLabel: texts.range });
    const lang = document.documentElement.lang || undefined;
    const ranges = (this.getAttribute("ranges") ?? RANGES).split(" ");
    select.append(...ranges.map((range) => new Option(label(range, lang), range, false, range === this.value)));
    select.onchange = () => {
      this.value = select.value;
      this.dispatchEvent(new Event("change", { bubbles: true }));
    };
    (this.shadowRoot ?? this.attachShadow({ mode: "open" })).replaceChildren(select);
  }

  get value() {
    return this.getAttribute("from") ?? "now-6h";
  }

  set value(from) {
    const ids = this.getAttribute("for")?.split(" ");
    this.setAttribute("from", from);
    for (const panel of document.querySelectorAll("grafana-panel")) {
      if (ids && !ids.includes(panel.id)) continue;
      panel.setAttribute("from", from);
      panel.setAttribute("to", "now");
    }
  }
}

/** "now-6h" as "Last 6 hours", in the page's language. */
function label(/** @type {string} */ range, /** @type {string | undefined} */ lang) {
  const [, count, letter] = /^now-(\d+)([mhd])$/.exec(range) ?? [];
  const unit = UNITS[/** @type {"m"} */ (letter)];
  return !unit ? range : texts.last.replace("{}", (+count).toLocaleString(lang, { style: "unit", unit, unitDisplay: "long" }));
}
