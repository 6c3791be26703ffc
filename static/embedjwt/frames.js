// Frames in one place: the next one draws itself on top, unseen, until it can take over.
import { EmbedError } from "./errors.js";
import { pause } from "./keeper.js";

/** @import { Held } from "./keeper.js" */

const FADE = 200; // milliseconds
const BOOT = 30e3; // milliseconds that a frame may take to load
const SANDBOX = "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox allow-downloads";
const PLACE = "position:absolute;inset:0;width:100%;height:100%;border:0;opacity:0";

/** @type {((value?: unknown) => void)[]} Waiting to boot. */
const queue = [];
let places = 3; // in which frames of the page boot at once

async function boot(/** @type {() => Promise<unknown>} */ load) {
  if (places-- <= 0) await new Promise((resolve) => queue.push(resolve));
  try {
    await load();
  } finally {
    places += 1;
    queue.shift()?.();
  }
}

/**
 * Go over from a frame, or from none, to an address; returns the frame that is seen then.
 * @param {Element} box @param {HTMLIFrameElement | null} old @param {string} url
 * @param {{ title: string, settle: number, before: Held | null, hand: unknown }} how `hand` over where it can, `settle` milliseconds it draws unseen, longer while the focus is in the old one and the grant `before` lives
 * @param {AbortSignal} signal
 */
export async function show(box, old, url, { title, settle, before, hand }, signal) {
  if (old && hand && handedOver(old, url)) return old;
  const frame = document.createElement("iframe");
  const focused = () => old && /** @type {Document | ShadowRoot} */ (box.getRootNode()).activeElement === old;
  try {
    await boot(async () => {
      signal.throwIfAborted();
      // All before it is in the page: an address that it gets later makes an entry in the history.
      Object.assign(frame, { title, referrerPolicy: "no-referrer", allow: "fullscreen", sandbox: SANDBOX, inert: true, part: "frame", style: PLACE, src: url });
      box.append(frame);
      await loaded(frame, signal);
    });
    if (old) await pause(settle, signal);
    while (focused() && before?.left()) await pause(500, signal);
  } catch (error) {
    frame.remove();
    throw error;
  }
  const fade = old && !matchMedia("(prefers-reduced-motion: reduce)").matches ? FADE : 0;
  frame.inert = false;
  frame.style.transition = `opacity ${fade}ms`;
  frame.style.opacity = "1";
  if (focused()) frame.focus();
  setTimeout(() => old?.remove(), fade);
  return frame;
}

/** Until it has loaded whatever there is. @param {HTMLIFrameElement} frame @param {AbortSignal} signal */
const loaded = (frame, signal) =>
  new Promise((resolve, reject) => {
    const { origin } = new URL(frame.src);
    frame.onload = resolve;
    pause(BOOT, signal).then(() => reject(new EmbedError("timeout")), reject);
    addEventListener("securitypolicyviolation", ({ disposition, effectiveDirective, blockedURI }) => {
      if (disposition === "enforce" && effectiveDirective === "frame-src" && blockedURI.startsWith(origin)) reject(new EmbedError("frame_blocked"));
    }, { signal });
  });

/** A frame of our own origin takes a new address without loading anything. */
function handedOver(/** @type {HTMLIFrameElement} */ frame, /** @type {string} */ url) {
  try {
    const { location, history, dispatchEvent, PopStateEvent } = /** @type {any} */ (frame.contentWindow);
    if (location.pathname !== new URL(url).pathname) return false;
    history.replaceState(history.state, "", url);
    dispatchEvent(new PopStateEvent("popstate", { state: history.state })); // its router would bring the old one back
    return true;
  } catch {
    return false;
  }
}
