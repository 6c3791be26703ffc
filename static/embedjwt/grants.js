// A grant lets frames in for a while: a token in their addresses, or a cookie on Grafana's host.
import { EmbedError } from "./errors.js";
import { bare, camel, post, read } from "./service.js";

/** @import { EmbedOptions, GrantRequest } from "../embedjwt.d.ts" */
/** @typedef {{ mode: "gateway" | "url", why: string, url: string, expiresIn: number, skew: number, token?: string, session?: string }} Grant `expiresIn` and `skew` in seconds */
/** @typedef {(request: Pick<GrantRequest, "signal" | "reason">) => Promise<Grant>} Ask */

/** @param {EmbedOptions} options @returns {Ask} */
export function granter({ service, grafana, mode = "auto", headers, getToken }) {
  const why = mode === "auto" ? "configured" : "asked for";
  let known = false; // that the cookie comes back

  return async ({ signal, reason }) => {
    const ask = async (/** @type {string} */ path) => post(bare(service) + path, { grafana }, signal, await headers?.());
    /** @type {any} */ let answer;
    if (getToken) {
      answer = await getToken({ signal, reason, scope: { grafana, mode } });
      answer = answer instanceof Response ? await read(answer) : camel(answer);
    } else {
      answer = mode === "gateway" ? { grafana: { mode } } : await ask("/v1/embed-token");
      if (mode !== "url" && answer.grafana?.mode === "gateway") answer = await ask("/gateway/session");
    }
    const { token, ticket, sessionUrl: session } = answer;
    if (ticket) {
      answer = await post(session, { ticket }, signal);
      if (!known) await post(session, {}, signal).catch((error) => {
        throw error.code === "login_required" ? new EmbedError("cookies_blocked") : error;
      });
    }
    const { expiresIn, serverTime, grafana: { url } = {} } = answer;
    // The gateway refuses tokens in addresses.
    if (!(expiresIn > 0) || !(ticket || (token && answer.grafana?.mode !== "gateway"))) throw new EmbedError("config", "no token, expiresIn or grafana.url");
    mode = ticket ? "gateway" : "url";
    known = true;
    return { mode, why, url, expiresIn, skew: Date.now() / 1e3 - serverTime, ...(ticket ? { session } : { token }) };
  };
}
