import { EmbedError } from "./errors.js";
import { bare } from "./service.js";

/** @import { PanelOptions } from "../embedjwt.d.ts" */

/** A panel's address, as embedjwt/grafana/urls.py makes it. @param {string} base @param {PanelOptions} options @param {string} [token] */
export function address(base, options, token) {
  const { dashboard = "", panel: panelId, slug = "", orgId, from, to, timezone, refresh, theme, vars, hideTimePicker, hideVariables } = options;
  // Browsers resolve dots in a path, encoded ones as well.
  if (!/^https?:/.test(base) || !/^[\w-]{1,40}$/.test(dashboard) || /^\.+$|[/\\%]/.test(slug)) throw new EmbedError("config", `no address: ${base}/${dashboard}/${slug}`);
  const named = { orgId, panelId, from, to, timezone, refresh, theme, "_dash.hideTimePicker": hideTimePicker, "_dash.hideVariables": hideVariables };
  const given = Object.entries(named).filter(([, value]) => value || value === 0);
  const query = new URLSearchParams(/** @type {[string, any][]} */ (given));
  for (const [name, values] of Object.entries(vars ?? {})) {
    for (const value of [values].flat()) query.append(`var-${name}`, `${value}`);
  }
  if (token) query.set("auth_token", token);
  const [page, kiosk] = query.has("panelId") ? ["d-solo", ""] : ["d", "kiosk&"];
  return `${bare(base)}/${page}/${dashboard}/${encodeURIComponent(slug) || "_"}?${kiosk}${query}`;
}
