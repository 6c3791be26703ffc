import { address } from "./address.js";
import { codeOf, EmbedError } from "./errors.js";
import { show } from "./frames.js";
import { backOff } from "./keeper.js";

/** @import { PanelOptions, Panel, State } from "../embedjwt.d.ts" */
/** @import { Scene } from "./embed.js" */
/** @import { Held } from "./keeper.js" */

const NEW = 10e3; // milliseconds in which no grant ends

/** @param {HTMLElement} element @param {PanelOptions} options @param {Scene} scene */
export function mountPanel(element, options, { keeper, chrome, settle, complete, emit, forget }) {
  /** @type {HTMLIFrameElement | null} */ let shown = null;
  /** @type {Held | null} */ let tried = null; // the grant that the latest frame came with
  let gone = false;
  let loading = new AbortController();
  let current = ""; // the address that is shown, or will be
  let near = false;
  let halted = false; // by an error that no other grant cures

  /** @type {Panel & { sync: () => void }} */
  const panel = { state: /** @type {any} */ (""), error: null, element, update, reload, destroy, sync };
  const { box, tell, remove } = chrome(element, reload);
  const looks = new IntersectionObserver((entries) => {
    for (const entry of entries) near = entry.isIntersecting;
    sync();
  }, { rootMargin: "200px" });
  addEventListener("message", heard);
  looks.observe(element);
  enter("idle");
  return panel;

  function update(/** @type {Partial<PanelOptions>} */ more) {
    options = { ...options, ...more };
    halted = false;
    queueMicrotask(sync); // for several changes at once
  }

  function reload() {
    if (gone) return;
    halted = false;
    keeper.start();
    if (keeper.error) return keeper.renew("retry");
    current = "";
    sync();
  }

  function destroy() {
    if (gone) return;
    gone = true;
    loading.abort();
    removeEventListener("message", heard);
    looks.disconnect();
    remove();
    element.removeAttribute("state");
    forget(panel);
  }

  /** Go by what there is: a grant or a refusal, the options, and whether anybody looks. */
  function sync() {
    const { grant, error } = keeper;
    if (gone) return;
    if (error && /login|forbidden/.test(error.code)) return fail(error);
    if (!(near || options.loading === "eager") || (shown && document.hidden)) return;
    keeper.start();
    if (halted) return;
    if (grant?.left()) go(grant);
    else if (error) fail(error);
    else enter(shown ? "expired" : "authorizing");
  }

  async function go(/** @type {Held} */ grant) {
    let { signal } = loading;
    try {
      const wanted = complete(options);
      const url = address(grant.url, wanted, grant.token);
      if (url === current) return panel.state === "expired" && enter("ready");
      const before = tried;
      const hand = current; // empty for a frame that is to be loaded anew
      signal = anew();
      current = url;
      tried = grant;
      enter(shown ? "refreshing" : "loading");
      shown = await show(box, shown, url, { title: wanted.title || /** @type {any} */ (wanted).frameTitle || "Grafana", settle, before, hand }, signal);
      enter("ready");
    } catch (error) {
      if (signal.aborted) return;
      fail(error instanceof EmbedError ? error : new EmbedError("config", `${error}`));
    }
  }

  /** Drops what is under way. */
  function anew() {
    loading.abort();
    loading = new AbortController();
    return loading.signal;
  }

  /** Frames of the gateway say why they show nothing; nobody else is listened to. @param {MessageEvent} message */
  function heard({ source, origin, data }) {
    const { grant, error } = keeper;
    if (!grant || origin !== new URL(grant.url).origin || ![...box.children].some((frame) => /** @type {HTMLIFrameElement} */ (frame).contentWindow === source) || data?.type !== "embedjwt/status") return;
    const { code: reason, status, trace_id: traceId } = data;
    if (status === 401 && (grant !== tried || grant.age() > NEW)) {
      current = ""; // to be loaded anew, with this grant if it is another, or with the next
      if (grant !== tried) return sync();
      if (!error) keeper.renew("frame");
    } else {
      const code = reason === "grafana_login" ? "grafana_unauthorized" : status === 401 ? "unavailable" : codeOf(status, reason);
      fail(new EmbedError(code, reason, { reason, status, traceId }));
    }
  }

  function fail(/** @type {EmbedError} */ error) {
    const shared = error === keeper.error; // which asks again for all of us
    const { retryable } = error;
    anew();
    if (shared || retryable) current = "";
    if (retryable && !shared) setTimeout(sync, backOff(9));
    halted = !shared && !retryable;
    if (retryable && shown) return enter("expired", error);
    box.replaceChildren();
    shown = null;
    enter("error", error);
  }

  function enter(/** @type {State} */ state, /** @type {EmbedError | null} */ error = null) {
    if (state === panel.state && error?.message === panel.error?.message) return;
    Object.assign(panel, { state, error });
    element.setAttribute("state", state);
    tell(state, error, options.theme);
    emit({ type: "state", state, panel });
    if (error) emit({ type: "error", error, panel });
  }
}
