// When to ask for the next grant: before the last one ends, once for all, gently after failures.
import { codeOf, EmbedError } from "./errors.js";

/** @import { Ask, Grant } from "./grants.js" */
/** @import { GrantRequest } from "../embedjwt.d.ts" */
/** @typedef {Grant & { age: () => number, left: () => number }} Held how many milliseconds it has lived, and will */

// All in milliseconds.
const TICK = 5e3; // between looks at the clocks, for timers stand still in sleep; and the least between requests
const PATIENCE = 20e3; // for an answer
const HEARD = 300; // until other tabs surely know of a renewal

/** Milliseconds from now on, by the clock that sees more of them: one may be set, the other stop in sleep. */
export function stopwatch() {
  const [wall, steady] = [Date.now(), performance.now()];
  return () => Math.max(Date.now() - wall, performance.now() - steady);
}

/** Full jitter, 1 to 30 seconds. */
export const backOff = (/** @type {number} */ failures) => Math.random() * Math.min(30e3, 1e3 * 2 ** failures);

/** @param {number} ms @param {AbortSignal} signal ends it with an error @returns {Promise<void>} */
export const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });

/** @param {string} name the same in all tabs @param {Ask} ask @param {(reason?: string) => void} changed */
export function keep(name, ask, changed) {
  /** @type {AbortController | null} */ let open = null;
  /** @type {AbortController} */ let control;
  /** @type {BroadcastChannel} */ let channel;
  /** @type {Promise<void> | null} */ let asking = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */ let timer;
  let since = stopwatch();
  let wait = 0;
  let failures = 0;

  const self = {
    grant: /** @type {Held | null} */ (null),
    error: /** @type {EmbedError | null} */ (null),
    start,
    stop,
    renew,
  };
  return self;

  function start() {
    if (open) return;
    open = new AbortController();
    if (!self.grant?.left()) wait = Math.min(wait, TICK);
    // The controller has a signal, as these options have, which ends them.
    for (const type of ["pageshow", "focus", "online", "visibilitychange", "resume"]) addEventListener(type, check, open);
    channel = new BroadcastChannel(name);
    channel.onmessage = ({ data: expiresIn }) => {
      if (self.grant?.mode === "gateway" && expiresIn > 0) granted({ ...self.grant, expiresIn }, stopwatch(), "other tab");
    };
    check();
  }

  /** Until the next start; an error is what panels say meanwhile. */
  function stop(/** @type {EmbedError | null} */ error) {
    clearTimeout(timer);
    open?.abort();
    control?.abort();
    channel?.close();
    open = null;
    self.error = error;
    if (error) self.grant = null;
    changed();
  }

  /** Ask now, unless somebody does. */
  function renew(/** @type {GrantRequest["reason"]} */ reason) {
    if (open) asking ??= run(reason).finally(() => {
      asking = null;
      check();
    });
  }

  function check(/** @type {Event | void} */ woken) {
    const { grant, error } = self;
    clearTimeout(timer);
    if (!open || (document.hidden && grant?.mode !== "gateway")) return; // until somebody looks
    changed();
    if (woken && error && error.code !== "forbidden" && !(/** @type {any} */ (error).retryAfter)) wait = Math.min(wait, TICK);
    const waited = since();
    if (waited >= wait) renew(error ? "retry" : grant ? "refresh" : "first");
    timer = setTimeout(check, Math.max(50, Math.min(TICK, asking ? TICK : wait - waited)));
  }

  async function run(/** @type {GrantRequest["reason"]} */ reason) {
    control = new AbortController();
    const { signal } = control;
    const late = pause(PATIENCE, signal).then(() => {
      throw new EmbedError("timeout");
    });
    const before = self.grant;
    await Promise.race([late, elected(reason, signal)]).catch((error) => signal.aborted || self.grant !== before || fail(error));
    control.abort();
  }

  /** One tab renews the cookie that all of them share. @param {GrantRequest["reason"]} reason @param {AbortSignal} signal */
  async function elected(reason, signal) {
    const before = self.grant;
    const act = async () => {
      if (self.grant !== before) return; // another tab was it
      const age = stopwatch();
      const grant = await ask({ signal, reason });
      if (signal.aborted) return;
      granted(grant, age, reason);
      if (grant.mode !== "gateway") return;
      channel.postMessage(grant.expiresIn);
      await pause(HEARD, signal); // they have the lock when they know
    };
    return before?.mode === "gateway" && navigator.locks ? navigator.locks.request(name, { signal }, act) : act();
  }

  function granted(/** @type {Grant} */ grant, /** @type {() => number} */ age, /** @type {string} */ reason) {
    const life = grant.expiresIn * 1e3;
    const lead = Math.min(60e3, Math.max(10e3, life / 5));
    self.grant = { ...grant, age, left: () => Math.max(0, life - age()) };
    self.error = null;
    since = age;
    wait = Math.max(TICK, life - lead * (1 + Math.random() / 2));
    failures = 0;
    changed(reason);
  }

  function fail(/** @type {any} */ error) {
    const { status, message } = error ?? {};
    if (!(error instanceof EmbedError)) error = new EmbedError(status ? codeOf(status) : "network", message);
    self.error = error;
    since = stopwatch();
    wait = error.retryable ? Math.max(1e3, 1e3 * (error.retryAfter || 0), backOff(failures++)) : Infinity;
    changed("error");
  }
}
