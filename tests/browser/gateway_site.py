"""Host applications, embedjwt and a stand-in Grafana behind a real proxy, all of it over https.

They have names of their own, which the browser is told to find on the loopback: which sites pages
belong to decides what becomes of cookies. Time alone is stepped, for embedjwt and Grafana at once.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import jwt
import trustme
from flask import Flask, Response, request
from gateway_sdk import install as install_sdk_page

from embedjwt.config import Settings, load_settings
from embedjwt.demo.judge import Judge, JwksCache
from embedjwt.demo.panels import DASHBOARD, SLUG
from embedjwt.demo.servers import listener, serving
from embedjwt.demo.standin import create_standin
from embedjwt.gateway.proxies import Kind, site_for
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import LATEST, JwtAuthSettings, Verdict
from embedjwt.keys.build import key_store, operator
from embedjwt.service import build_service
from embedjwt.sources import build_sources
from embedjwt.web import build_app
from gateway_proxies import ACCESS_LOG, OUTPUT, running_proxy
from gateway_service import GatewayService
from running_service import embedjwt, free_port
from tests_support import UPSTREAM_SECRET

GRAFANA = "https://grafana.example.com"
SERVICE = "https://embed.example.com"
PLAIN_SERVICE = "https://plain.example.com"
"""Another one, without a gateway."""
SAME_SITE = "https://app.example.com"
CROSS_SITE = "https://app.other.test"
STRANGER = "https://app.stranger.test"
NEIGHBOUR = "https://other.example.com"
"""Two host applications that are on no list; the latter is of Grafana's own site."""
TRACKER = "https://tracker.third.test"
"""Sets ordinary third-party cookies, to see whether they come back."""

TTL = 60  # seconds
UPSTREAM_LIFE = 3.5 * TTL
_WITH_TLS = (SERVICE, SAME_SITE, CROSS_SITE, STRANGER, NEIGHBOUR, TRACKER)
PANEL = {"dashboard": DASHBOARD, "panel": "1", "slug": SLUG}
PANEL_URL = f"{GRAFANA}/d-solo/{DASHBOARD}/{SLUG}?panelId=1"

PAGE = """<!doctype html>
<html lang="en"><title>A host application</title><link rel="icon" href="data:,">
<body><script src="/host.js"></script></body></html>"""

SCRIPT = """
window.heard = [];
window.loads = 0;
addEventListener("message", ({ origin, data }) => heard.push({ origin, data }));

/** POST or DELETE /gateway/session at a base URL, with the person's upstream session. */
window.session = async (base, { method = "POST", person = "ada", body = {} } = {}) => {
  const headers = { "Content-Type": "application/json" };
  if (person) headers.Authorization = "Bearer " + await (await fetch(`/upstream/${person}`)).text();
  const asked = { method, headers, credentials: "include", body: JSON.stringify(body) };
  const answer = await fetch(`${base}/gateway/session`, asked);
  return { status: answer.status, body: answer.status === 204 ? null : await answer.json() };
};

/** A new frame, once it has loaded whatever there is. */
window.show = (src) => new Promise((resolve) => {
  const frame = Object.assign(document.createElement("iframe"), { src, width: 600, height: 300 });
  frame.addEventListener("load", () => { loads += 1; resolve(); });
  document.body.append(frame);
});
"""

TRACKING = """<!doctype html><link rel="icon" href="data:,"><script type="module">
await fetch("/set", { method: "POST" });
const cookies = await (await fetch("/seen", { method: "POST" })).json();
parent.postMessage(cookies, "*");
</script>"""


class WatchedJudge(Judge):
    """Judges as the stand-in Grafana, and keeps what it was asked and said.

    ``ahead`` are the seconds by which Grafana's own clock is wrong.
    """

    ahead: float = 0.0

    def __init__(
        self, settings: JwtAuthSettings, jwks: JwksCache, *, now: Callable[[], float]
    ) -> None:
        super().__init__(settings, jwks, now=lambda: now() + self.ahead)
        self.seen: list[tuple[str, Verdict]] = []

    def verdict(self, token: str) -> Verdict:
        made = super().verdict(token)
        self.seen.append((token, made))
        return made


@dataclass
class Site:
    """Everything that runs. ``addresses`` are the ports behind the names."""

    service: GatewayService
    grafana: WatchedJudge
    directory: Path
    addresses: dict[str, int] = field(default_factory=dict)

    @property
    def resolver_rules(self) -> str:
        """For Chromium's ``--host-resolver-rules``; nothing else is found by any name."""
        rules = [f"MAP {host} 127.0.0.1:{port}" for host, port in self.addresses.items()]
        return ", ".join([*rules, "MAP * ~NOTFOUND"])

    def logs(self) -> str:
        """All that the proxy and embedjwt have written so far."""
        proxy = self.directory / "proxy"
        files = (proxy / ACCESS_LOG, proxy / OUTPUT, self.service.log)
        return "\n".join(file.read_text(errors="replace") for file in files)


@contextmanager
def running_site(kind: Kind, directory: Path) -> Iterator[Site]:
    """The site with this kind of proxy in front of the stand-in Grafana."""
    directory.chmod(0o700)
    authority = trustme.CA()
    names = [_host(url) for url in _WITH_TLS]
    tls = authority.issue_cert(*names)
    certificate = authority.issue_cert(_host(GRAFANA))
    certificate.private_key_pem.write_to_path(directory / "key.pem")
    for pem in certificate.cert_chain_pems:
        pem.write_to_path(directory / "cert.pem", append=True)
    (directory / "embedjwt.toml").write_text(_configuration(kind))
    embedjwt("init", cwd=directory)
    settings = load_settings(directory / "embedjwt.toml", {})
    with ExitStack() as stack:
        service = GatewayService(directory, free_port())
        stack.callback(service.kill)
        service.start()
        site = Site(service, _judge(service, settings), directory)
        pages, standin = stack.enter_context(listener(0)), stack.enter_context(listener(0))
        framing = " ".join((SAME_SITE, CROSS_SITE))
        grafana = create_standin(site.grafana, host_origin=framing, now=service.clock)
        stack.enter_context(serving(grafana, standin))
        stack.enter_context(serving(host_applications(service), pages))
        listen = free_port()
        proxied = site_for(
            settings,
            settings.grafana[0],
            grafana_upstream=f"http://127.0.0.1:{standin.getsockname()[1]}",
            embedjwt_upstream=f"http://127.0.0.1:{service.port}",
            tls_cert=str(directory / "cert.pem"),
            tls_key=str(directory / "key.pem"),
            listen=f"127.0.0.1:{listen}",
        )
        stack.enter_context(running_proxy(kind, directory / "proxy", proxied))
        pages_port = stack.enter_context(_tls(tls, pages.getsockname()[1]))
        service_port = stack.enter_context(_tls(tls, service.port))
        site.addresses |= dict.fromkeys(names, pages_port)
        site.addresses |= {_host(SERVICE): service_port, _host(GRAFANA): listen}
        yield site


@contextmanager
def plain_service(site: Site, directory: Path) -> Iterator[None]:
    """An embedjwt in this process whose one Grafana takes tokens in URLs; browsers started in the
    block find it."""
    directory.chmod(0o700)
    (directory / "embedjwt.toml").write_text(_configuration(None))
    settings = load_settings(directory / "embedjwt.toml", {})
    clock = site.service.clock
    operator(settings, key_store(settings), "test", clock).init()
    app = build_app(build_service(settings, clock), build_sources(settings, clock=clock))
    host = _host(PLAIN_SERVICE)
    with ExitStack() as stack:
        listening = stack.enter_context(listener(0))
        stack.enter_context(serving(app, listening))
        certificate = trustme.CA().issue_cert(host)
        port = stack.enter_context(_tls(certificate, listening.getsockname()[1]))
        site.addresses[host] = port
        yield


def host_applications(service: GatewayService) -> Flask:
    """All of them: they differ in their names alone. Anybody may be anyone here."""
    app = Flask("hosts")

    @app.get("/")
    @app.get("/before")
    def page() -> str:
        return PAGE

    @app.get("/host.js")
    def script() -> Response:
        return Response(SCRIPT, mimetype="text/javascript")

    @app.get("/upstream/<person>")
    def upstream(person: str) -> str:
        now = int(service.clock())
        claims = {"iss": "https://idp.example.com", "aud": "embed", "sub": person, "login": person}
        claims |= {"email": f"{person}@example.com", "iat": now, "exp": now + int(UPSTREAM_LIFE)}
        return jwt.encode(claims, UPSTREAM_SECRET, "HS256")

    @app.get("/tracking")
    def tracking() -> str:
        return TRACKING

    @app.post("/set")
    def set_cookie() -> Response:
        answer = Response(status=204)
        answer.set_cookie("tracked", "1", secure=True, samesite="None")
        return answer

    @app.post("/seen")
    def seen() -> str:
        return json.dumps(request.cookies)

    install_sdk_page(app, SERVICE, service.url, upstream)
    return app


def _judge(service: GatewayService, settings: Settings) -> WatchedJudge:
    """With the settings that embedjwt prints; the keys come from embedjwt, by its other name."""
    printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
    keys = f"{service.url}/.well-known/jwks.json"
    return WatchedJudge.under(printed, now=service.clock, jwks_url=keys)


@contextmanager
def _tls(certificate: trustme.LeafCert, backend: int) -> Iterator[int]:
    """Ends TLS on a port of the loopback, and passes on what is in it to the port ``backend``."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    loop = asyncio.new_event_loop()

    async def passed_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            behind = await asyncio.open_connection("127.0.0.1", backend)
        except OSError:  # nobody is there: refused here as well
            writer.transport.abort()
            return
        await asyncio.gather(_copied(reader, behind[1]), _copied(behind[0], writer))

    async def listening() -> asyncio.Server:
        return await asyncio.start_server(passed_on, "127.0.0.1", 0, ssl=context)

    server = loop.run_until_complete(listening())
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield int(server.sockets[0].getsockname()[1])
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()


async def _copied(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while some := await reader.read(65536):
            writer.write(some)
            await writer.drain()
    writer.close()


def _host(url: str) -> str:
    return urlsplit(url).netloc


def _configuration(kind: Kind | None) -> str:
    """For a service behind this kind of proxy; ``None``: for the one without a gateway."""
    gateway = "" if kind is None else f'[gateway]\n        proxy = "{kind}"'
    return f"""
        issuer = "{PLAIN_SERVICE if kind is None else SERVICE}"
        {gateway}
        [[source]]
        type = "jwt"
        issuer = "https://idp.example.com"
        audience = ["embed"]
        secret = "{UPSTREAM_SECRET}"
        algorithms = ["HS256"]
        [mapping]
        login_attribute_path = "login"
        role_attribute_path = "'Viewer'"
        [[grafana]]
        mode = "{"url" if kind is None else "gateway"}"
        url = "{GRAFANA}"
        ttl = "{TTL}s"
        [web]
        allowed_origins = ["{SAME_SITE}", "{CROSS_SITE}"]
        trusted_proxies = ["127.0.0.1"]
    """
