// What pages and embedjwt say to each other: JSON both ways, and problem documents (RFC 9457).
import { codeOf, EmbedError } from "./errors.js";

/** @param {string} url @param {object} body @param {AbortSignal} signal @param {object} [headers] */
export async function post(url, body, signal, headers) {
  const asked = fetch(url, {
    method: "POST",
    credentials: "include",
    redirect: "manual",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  });
  return read(await asked.catch(({ message }) => {
    throw new EmbedError("network", `${url}: ${message}`);
  }));
}

/** The answer, its names in camelCase. @param {Response} response @returns {Promise<any>} */
export async function read(response) {
  const { ok, status, url, headers } = response;
  const body = camel(await response.json().catch(() => {}));
  if (ok) return body;
  const { code: reason, detail = `${url}: ${status}`, traceId } = body;
  throw new EmbedError(codeOf(status, reason), detail, { status, reason, traceId, retryAfter: Number(headers.get("Retry-After")) });
}

/** A base URL, as it is put in front of paths. */
export const bare = (/** @type {string} */ url) => url.replace(/\/+$/, "");

export const camel = (/** @type {object} */ body) =>
  Object.fromEntries(Object.entries(body ?? {}).map(([name, value]) => [name.replace(/[_-]./g, ([, letter]) => letter.toUpperCase()), value]));
