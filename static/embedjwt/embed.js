import { EmbedError } from "./errors.js";
import { granter } from "./grants.js";
import { keep } from "./keeper.js";
import { mountPanel } from "./panel.js";
import { bare } from "./service.js";

/** @import { Embed, EmbedEvent, EmbedOptions, PanelOptions, State, Variables } from "../embedjwt.d.ts" */
/** @typedef {(element: HTMLElement, retry: () => void) => { box: HTMLElement, tell: (state: State, error: EmbedError | null, theme?: string) => void, remove: () => void }} Chrome What is around a panel's frames. */
/** @typedef {ReturnType<typeof mountPanel>} Panel */
/** @typedef {{ keeper: ReturnType<typeof keep>, chrome: Chrome, settle: number, complete: (own: PanelOptions) => PanelOptions, emit: (event: EmbedEvent) => void, forget: (panel: Panel) => void }} Scene What a panel shares with the others. */

/** @param {EmbedOptions} options @param {Chrome} chrome what is around frames @returns {Embed} */
export function makeEmbed(options, chrome) {
  const { service, grafana, settle = 2500, getToken, onEvent, onLoginRequired } = options;
  /** @type {Set<Panel>} */ const panels = new Set();
  /** @type {Partial<PanelOptions>} */ let shared = {};
  /** @type {Variables} */ let vars = {};
  /** @type {EmbedError | null} */ let out = null; // somebody has logged out
  const keeper = keep(`${service} ${grafana}`, granter(options), changed);
  const scene = { keeper, chrome, settle, complete, emit, forget };

  return {
    mount(element, own) {
      const panel = mountPanel(element, { ...own, ...shared }, scene);
      panels.add(panel);
      return panel;
    },
    setTimeRange: (from, to = "now") => share({ from, to }),
    setVariables(more) {
      vars = { ...vars, ...more };
      sync();
    },
    setTheme: (theme) => share({ theme }),
    retry,
    async logout() {
      const end = (/** @type {string} */ url, method = "POST") => fetch(url, { method, credentials: "include" });
      const session = keeper.grant?.session;
      keeper.stop((out = new EmbedError("login_required")));
      await Promise.allSettled([session && end(session, "DELETE"), getToken || end(bare(service) + "/session/logout")]);
    },
    destroy: () => panels.forEach((panel) => panel.destroy()),
  };

  /** A panel's options as its address needs them. @param {PanelOptions} own */
  function complete(own) {
    const ownVars = typeof own.vars === "string" ? JSON.parse(own.vars) : own.vars;
    const options = { ...own, vars: { ...ownVars, ...vars } };
    if (options.theme === "auto") options.theme = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
    return options;
  }

  function share(/** @type {Partial<PanelOptions>} */ more) {
    shared = { ...shared, ...more };
    panels.forEach((panel) => panel.update(more));
  }

  function retry() {
    if (!panels.size) keeper.stop((out = null));
    panels.forEach((panel) => (panel.error || keeper.error) && panel.reload());
  }

  function sync() {
    panels.forEach((panel) => panel.sync());
  }

  function forget(/** @type {Panel} */ panel) {
    panels.delete(panel);
    if (!panels.size) keeper.stop(out);
  }

  function changed(/** @type {string | void} */ reason) {
    const { grant, error } = keeper;
    out = error && out;
    sync();
    if (error && reason) emit({ type: "error", error });
    else if (grant && reason) {
      const { mode, why, expiresIn, skew } = grant;
      emit({ type: "grant", reason, mode, why, expiresIn, skew });
    }
    if (reason && error?.code === "login_required") setTimeout(async () => (await onLoginRequired?.(error)) === true && retry());
  }

  function emit(/** @type {EmbedEvent} */ event) {
    queueMicrotask(() => onEvent?.(event)); // what is thrown there stays there
  }
}
