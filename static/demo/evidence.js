// Three cards: the mapping, the token, and what Grafana made of it.
import { h } from "./dom.js";

const body = (id) => document.querySelector(`#${id} .card-body`);

/** The two readable parts of a JWT (RFC 7519). */
export function decode(raw) {
  const [header, claims] = raw.split(".").slice(0, 2).map((part) => JSON.parse(fromBase64Url(part)));
  return { header, claims };
}

function fromBase64Url(text) {
  const bytes = Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  return new TextDecoder().decode(bytes);
}

export function showToken({ token }) {
  const { header, claims } = decode(token);
  const [first, second, third] = token.split(".");
  document.getElementById("copy").hidden = false;
  body("token").replaceChildren(
    h("p", { class: "compact", "aria-label": "The token as it is sent" },
      h("span", { class: "header" }, first), ".", h("span", { class: "claims" }, second), ".", h("span", { class: "signature" }, third)),
    h("h3", { class: "part header" }, "Header"), listing(header),
    h("h3", { class: "part claims" }, "Claims"), listing(claims),
  );
  return { header, claims };
}

function listing(object) {
  return h("dl", { class: "listing" }, ...Object.entries(object).map(([key, value]) => h("div", {}, h("dt", {}, key), h("dd", {}, ...shown(key, value)))));
}

function shown(key, value) {
  if (!["exp", "iat", "nbf"].includes(key)) return [literal(value)];
  const countdown = h("small", { "data-countdown": value });
  return [literal(value), " ", countdown];
}

function literal(value) {
  const kind = typeof value === "string" ? "text" : typeof value === "number" ? "number" : "other";
  return h("code", { class: kind }, JSON.stringify(value).replaceAll('","', '", "'));
}

export function showVerdict({ verdict, jwks }) {
  const facts = verdict.accepted
    ? [["Login", verdict.login], ["Name", verdict.name], ["Role", verdict.role], ["Organizations", organizations(verdict.org_roles)], ["Groups", (verdict.groups ?? []).join(", ")]]
    : [["Reason", verdict.reason]];
  body("verdict").replaceChildren(
    h("p", { class: verdict.accepted ? "seal good" : "seal bad" }, verdict.accepted ? "Accepted" : "Refused"),
    h("dl", { class: "facts" }, ...facts.filter(([, value]) => value).map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value)))),
    steps(verdict.steps),
    h("p", { class: "note" }, `Public keys fetched ${jwks.fetches === 1 ? "once" : `${jwks.fetches} times`} over HTTP so far; kept in between, as Grafana does.`),
  );
}

export function steps(list) {
  return h("ol", { class: "steps" }, ...list.map(({ ok, name, text, source }) =>
    h("li", { class: ok ? "good" : "bad" }, h("b", {}, name), " ", h("span", {}, text), h("small", {}, source ?? ""))));
}

function organizations(roles) {
  return Object.entries(roles ?? {}).map(([id, role]) => `${id}: ${role}`).join(", ");
}

export function showMapping(explained, claims) {
  const verdict = explained.admitted
    ? [h("p", { class: "seal good" }, "Admitted")]
    : [h("p", { class: "seal bad" }, `Not admitted: ${explained.denied}`), h("p", { class: "note" }, `The operator is told: ${explained.hint}.`)];
  body("mapping").replaceChildren(
    ...verdict,
    h("div", { class: "halves" },
      h("div", {}, h("h3", { class: "part" }, "What the session says"), listing(claims)),
      h("div", {}, h("h3", { class: "part" }, "What becomes of it"), h("ul", { class: "trace" }, ...explained.trace.map(traced)))),
  );
}

function traced({ attribute, document: origin, expression, value, error }) {
  const found = value === null ? h("span", { class: "nothing" }, "nothing") : literal(value);
  return h("li", {},
    h("b", {}, attribute), error ? h("span", { class: "error" }, error) : found,
    h("small", {}, [origin, expression].filter(Boolean).join(" · ")));
}
