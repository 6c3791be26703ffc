"""A host application on loopback, with embedjwt, a real provider, and a stand-in Grafana."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode

from flask import Flask, Response

from embedjwt.demo.judge import Judge
from embedjwt.demo.panels import DASHBOARD
from embedjwt.demo.servers import listener, serving, url_of
from embedjwt.demo.standin import create_standin
from node_provider import NodeProvider
from own_login_kit import Embedding, embedding
from running_service import embedjwt

PAGE = """<!doctype html>
<html lang="en"><title>The host application</title>
<body data-service="{service}">
  <p id="person"></p>
  <button id="sign-in" hidden>Sign in</button> <button id="sign-out">Sign out</button>
  <div id="panels"></div>
  <script type="module" src="/host.js"></script>
</body></html>"""

SCRIPT = """
const service = document.body.dataset.service;
const find = (id) => document.getElementById(id);
const credentials = "include";
window.heard = [];

window.showPanels = async () => {
  find("panels").replaceChildren();
  find("person").textContent = "";
  const answers = ["1", "2"].map((panel) => fetch(`${service}/v1/embed-token`, {
    method: "POST", credentials, headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ panel: { dashboard: "%s", panel } }),
  }).then((answer) => answer.json()));
  for (const { code, embed_url } of await Promise.all(answers)) {
    if (code) return code;
    const frame = document.createElement("iframe");
    Object.assign(frame, { className: "panel", src: embed_url, width: 600, height: 300 });
    find("panels").append(frame);
  }
  const me = await (await fetch(`${service}/session/me`, { credentials })).json();
  find("person").textContent = me.identity.name;
  return "shown";
};

addEventListener("message", ({ origin, data }) => {
  heard.push({ origin, data });
  if (origin === service && data.status === "signed_in") showPanels();
});
find("sign-in").addEventListener("click", () => {
  const query = new URLSearchParams({ display: "popup", origin: location.origin });
  window.open(`${service}/session/login?${query}`, "login", "popup,width=480,height=640");
});
find("sign-out").addEventListener("click", async () => {
  await fetch(`${service}/session/logout`, { method: "POST", credentials });
  await showPanels();
});

if (location.pathname === "/") {
  const outcome = await showPanels().catch(() => "unreadable");
  const asked = new URLSearchParams(location.search).has("error");
  if (outcome === "login_required" && !asked) {
    const query = new URLSearchParams({ prompt: "none", next: location.href });
    location.assign(`${service}/session/login?${query}`);
  } else {
    find("sign-in").hidden = outcome === "shown";
    document.body.dataset.outcome = outcome;
  }
}
"""


@dataclass(frozen=True)
class Site:
    """The host application, one like it that is on no list, and embedjwt with its provider."""

    host: str
    stranger: str
    embedding: Embedding

    @property
    def service(self) -> str:
        return self.embedding.url

    def login(self, **query: str) -> str:
        return f"{self.service}/session/login?{urlencode(query)}"


@contextmanager
def running_site(directory: Path) -> Iterator[Site]:
    """Everything on ``localhost`` under ports of its own: one site, but different origins."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(listener(0)) for _ in range(3)]
        host, stranger, grafana = map(url_of, sockets)
        started = embedding(NodeProvider, directory, host=host, grafana=grafana)
        site = Site(host, stranger, stack.enter_context(started))
        pages = host_application(site.service)
        standin = create_standin(judge(site.embedding), host_origin=host)
        for app, listening in zip((pages, pages, standin), sockets, strict=True):
            stack.enter_context(serving(app, listening))
        yield site


def host_application(service: str) -> Flask:
    app = Flask("host")

    @app.get("/")
    @app.get("/quiet")
    def page() -> str:
        return PAGE.format(service=service)

    @app.get("/host.js")
    def script() -> Response:
        return Response(SCRIPT % DASHBOARD, mimetype="text/javascript")

    return app


def judge(embedding: Embedding) -> Judge:
    printed = embedjwt("grafana-config", cwd=embedding.directory)
    return Judge.under(printed, now=time.time)
