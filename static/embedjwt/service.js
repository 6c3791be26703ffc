// What pages and embedjwt say to each other: JSON both ways, and problem documents (RFC 9457).
import { codeOf, EmbedError } from "./errors.js";

/** @param {string} url @param {object} body @param {AbortSignal} signal @param {object} [headers] */
export async function post(url, body, signal, headers) {
  return read(await fetch(url, {
    method: "POST",
    credentials: "include",
    redirect: "manual",
    headers: { "Content-Type": "application/json", ...headers },
    body: JSON.stringify(body),
    signal,
  }));
}

/** The answer, its names in camelCase. @param {Response} response @returns {Promise<any>} */
export async function read(response) {
  const { status } = response;
  const body = camel(await response.json().catch(() => ({})));
  if (response.ok) return body;
  const { code: reason, detail, traceId } = body;
  const retryAfter = Number(response.headers.get("Retry-After"));
  throw new EmbedError(reason === "origin_not_allowed" ? "config" : codeOf(status), detail, { status, reason, traceId, retryAfter });
}

export const camel = (/** @type {object} */ body) =>
  Object.fromEntries(Object.entries(body).map(([name, value]) => [name.replace(/[_-]./g, ([, letter]) => letter.toUpperCase()), value]));
