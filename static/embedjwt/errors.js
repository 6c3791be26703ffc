/** @import { Code, EmbedError as Details } from "../embedjwt.d.ts" */

export class EmbedError extends Error {
  /** @param {Code} code @param {string} [message] @param {Partial<Details>} [more] */
  constructor(code, message, more) {
    super(message || code);
    this.code = code;
    this.retryable = "network timeout rate_limited unavailable".includes(code);
    Object.assign(this, more);
  }
}

/**
 * What a status comes to. None is a redirect, to somebody's login page; where there is no `reason`, it is
 * not embedjwt who says that something is wrong, but whoever stands in for it in an outage. @returns {Code}
 */
export const codeOf = (/** @type {number} */ status, /** @type {string | void} */ reason) =>
  !status || status === 401 ? "login_required"
  : status === 403 ? "forbidden"
  : status === 429 ? "rate_limited"
  : status >= 500 || !reason ? "unavailable"
  : "config";
