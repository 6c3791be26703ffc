// Three things Grafana must refuse, sent to it for real.
import { h } from "./dom.js";
import { decode, steps } from "./evidence.js";

const encode = (object) => btoa(String.fromCharCode(...new TextEncoder().encode(JSON.stringify(object))))
  .replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

const FORGERIES = {
  promote: {
    what: "The claim role was changed to Admin in the browser; the signature no longer fits.",
    forge(raw) {
      const [header, , signature] = raw.split(".");
      return `${header}.${encode({ ...decode(raw).claims, role: "Admin" })}.${signature}`;
    },
  },
  unsigned: {
    what: "The header now says alg: none, and the signature is gone.",
    forge(raw) {
      const { header, claims } = decode(raw);
      return `${encode({ ...header, alg: "none" })}.${encode({ ...claims, role: "Admin" })}.`;
    },
  },
  nothing: { what: "The panel’s address without any token.", forge: () => "" },
};

export function attacks({ latest, askGrafana }) {
  const result = document.getElementById("attack-result");
  for (const button of document.querySelectorAll("[data-attack]")) {
    button.addEventListener("click", async () => {
      const answer = latest();
      const { what, forge } = FORGERIES[button.dataset.attack];
      const forged = forge(answer.token);
      const url = new URL(answer.embed_url);
      forged ? url.searchParams.set("auth_token", forged) : url.searchParams.delete("auth_token");
      const { verdict } = await askGrafana(forged);
      const frame = h("iframe", { title: "What Grafana answers to this", referrerpolicy: "no-referrer", src: url.href });
      result.replaceChildren(
        h("div", { class: "attempt" },
          h("div", {}, h("p", { class: verdict.accepted ? "seal good" : "seal bad" }, verdict.accepted ? "Accepted" : `Refused: ${verdict.reason}`), h("p", {}, what), steps(verdict.steps)),
          frame));
    });
  }
}
