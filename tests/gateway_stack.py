"""A real proxy, embedjwt beside it and a recording Grafana behind it; and clients of theirs."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPResponse
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from embedjwt.config import Settings, load_settings
from embedjwt.demo.judge import Judge
from embedjwt.gateway.proxies import Kind, site_for
from embedjwt.grafana.settings import grafana_config
from embedjwt.grafana.verifier import LATEST
from embedjwt.keys.build import key_store, operator
from gateway_proxies import need_proxy, running_proxy
from gateway_service import GatewayService, SteppedClock
from recording_grafana import Recorded, RecordingGrafana, recording_grafana
from running_service import free_port

APP = "https://app.example.com"
"""The one allowed origin; nobody listens there."""

HEADER = "X-JWT-Assertion"
IDP = "https://idp.example.com"

SCRIPT = (("Accept", "application/json"), ("Sec-Fetch-Site", "same-origin"))
SCRIPT += (("Sec-Fetch-Mode", "cors"), ("Sec-Fetch-Dest", "empty"))
FRAME = (
    ("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"),
    ("Upgrade-Insecure-Requests", "1"),
    ("Sec-Fetch-Site", "same-site"),
    ("Sec-Fetch-Mode", "navigate"),
    ("Sec-Fetch-Dest", "iframe"),
)
"""What Chromium sends for an iframe on a page of the same site."""
OLD_FRAME = FRAME[:2]

PANEL = "/d-solo/abc/a-panel?orgId=1&panelId=3"
QUERY = "/api/ds/query"

Field = tuple[str, str]


@dataclass(frozen=True)
class Reply:
    """What a client got."""

    status: int
    headers: tuple[Field, ...]
    body: bytes

    def values(self, name: str) -> list[str]:
        return [v for n, v in self.headers if n.lower() == name.lower()]

    def header(self, name: str) -> str:
        """Its one value; empty where there is none."""
        values = self.values(name)
        assert len(values) < 2, values
        return values[0] if values else ""

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def code(self) -> str:
        assert self.header("Content-Type") == "application/problem+json", self
        return str(self.json()["code"])


def send(
    port: int, method: str, target: str | bytes, *fields: Field, body: bytes | None = None
) -> Reply:
    """Sends exactly these header fields; Host and Connection are added where none is given."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(request_bytes(port, method, target, *fields, body=body))
        answer = HTTPResponse(connection, method=method)
        answer.begin()
        return Reply(answer.status, tuple(answer.getheaders()), answer.read())


def request_bytes(
    port: int, method: str, target: str | bytes, *fields: Field, body: bytes | None = None
) -> bytes:
    """An HTTP/1.1 request as it goes over the wire."""
    given = {name.lower() for name, _ in fields}
    added = [("Host", f"localhost:{port}"), ("Connection", "close")]
    if body is not None and "transfer-encoding" not in given:
        added.append(("Content-Length", str(len(body))))
    added = [each for each in added if each[0].lower() not in given]
    head = [f"{name}: {value}" for name, value in (*added, *fields)]
    raw = target if isinstance(target, bytes) else target.encode("latin-1")
    line = method.encode() + b" " + raw + b" HTTP/1.1\r\n"
    return line + "\r\n".join(head).encode("latin-1") + b"\r\n\r\n" + (body or b"")


@dataclass
class Stack:
    """Everything that runs for one kind of proxy."""

    kind: Kind
    port: int
    directory: Path
    grafana: RecordingGrafana
    service: GatewayService
    signing: ec.EllipticCurvePrivateKey

    @property
    def origin(self) -> str:
        """Grafana's own, as browsers see it."""
        return f"http://localhost:{self.port}"

    def bearer(self, person: str, *, lives: int = 8 * 3600, **claims: Any) -> Field:
        """Their upstream session, as the host page's script sends it; ``lives`` in seconds."""
        now = int(self.service.clock())
        said = {"iss": IDP, "aud": "app", "sub": person, "email": f"{person}@example.com"}
        token = jwt.encode({**said, "exp": now + lives, **claims}, self.signing, "ES256")
        return ("Authorization", f"Bearer {token}")

    def ask(
        self, method: str, target: str | bytes, *fields: Field, body: bytes | None = None
    ) -> Reply:
        """Through the proxy, as somebody without any cookie."""
        return send(self.port, method, target, *fields, body=body)

    def session(self, method: str, *fields: Field, origin: str = APP) -> Reply:
        """What the host page's script asks of Grafana's own host."""
        asked = (("Origin", origin), ("Content-Type", "application/json"))
        asked += (("Sec-Fetch-Site", "same-site"), ("Sec-Fetch-Mode", "cors"))
        return self.ask(method, "/gateway/session", *asked, *fields, body=b"{}")

    def visitor(self, person: str, **upstream: Any) -> Visitor:
        """Somebody with an open gateway session."""
        visitor = Visitor(self, person)
        visitor.open(**upstream)
        return visitor

    def reached(self, since: int) -> list[Recorded]:
        """What reached Grafana since it had recorded so many."""
        return self.grafana.recorded[since:]

    @contextmanager
    def nothing_reaches_grafana(self) -> Iterator[None]:
        since = len(self.grafana.recorded)
        yield
        assert self.reached(since) == []


@dataclass
class Visitor:
    """A browser with the gateway cookie."""

    stack: Stack
    person: str
    cookie: str = ""
    opened: dict[str, Any] = field(default_factory=dict)

    def open(self, **upstream: Any) -> Reply:
        """Opens the session, or renews it."""
        kept = (("Cookie", self.cookie),) if self.cookie else ()
        answer = self.stack.session("POST", self.stack.bearer(self.person, **upstream), *kept)
        assert answer.status == 200, answer
        self.cookie = cookie_of(answer) or self.cookie
        self.opened = answer.json()
        return answer

    def ask(
        self, method: str, target: str | bytes, *fields: Field, body: bytes | None = None
    ) -> Reply:
        """With its cookies, and as the Fetch standard has it with Origin unless it only reads."""
        cookies = ("Cookie", f"theme=dark; {self.cookie}; grafana_session=stale")
        names = {name for name, _ in fields}
        if method not in ("GET", "HEAD") and "Origin" not in names:
            fields = (("Origin", self.stack.origin), *fields)
        return self.stack.ask(method, target, cookies, *fields, body=body)

    def get(self, target: str = PANEL, *fields: Field) -> Reply:
        return self.ask("GET", target, *(fields or SCRIPT))

    def reach(
        self, method: str, target: str | bytes, *fields: Field, body: bytes | None = None
    ) -> Recorded:
        """An allowed request: exactly one reaches Grafana, with a token for this person."""
        since = len(self.stack.grafana.recorded)
        answer = self.ask(method, target, *fields, body=body)
        assert answer.status == 200, answer
        [recorded] = self.stack.reached(since)
        assert recorded.verdict.accepted, recorded.verdict.detail
        assert recorded.verdict.login == f"{self.person}@example.com"
        assert recorded.values(HEADER) == [value_of(recorded)]
        return recorded


def value_of(recorded: Recorded) -> str:
    """The header's value under its exact name."""
    return next(v for n, v in recorded.headers if n.lower() == HEADER.lower())


def cookie_of(answer: Reply) -> str:
    """``name=value`` of the one cookie that an answer sets; empty where it sets none."""
    cookies: SimpleCookie = SimpleCookie(answer.header("Set-Cookie"))
    return "; ".join(f"{name}={morsel.value}" for name, morsel in cookies.items())


@contextmanager
def running_stack(kind: Kind, directory: Path) -> Iterator[Stack]:
    """All three, each a real process but for Grafana; state and logs are in ``directory``."""
    directory.chmod(0o700)
    signing = ec.generate_private_key(ec.SECP256R1())
    ports = {"proxy": free_port(), "service": free_port()}
    (directory / "idp.pem").write_bytes(
        signing.public_key().public_bytes(
            serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
        )
    )
    (directory / "embedjwt.toml").write_text(_configuration(kind, **ports))
    settings = load_settings(directory / "embedjwt.toml", {})
    operator(settings, key_store(settings), "test").init()
    service = GatewayService(directory, ports["service"])
    with recording_grafana(HEADER) as grafana:
        grafana.judge = _judge(settings, service.clock)
        site = site_for(
            settings,
            settings.grafana[0],
            grafana_upstream=grafana.url,
            embedjwt_upstream=f"http://127.0.0.1:{service.port}",
            listen=f"127.0.0.1:{ports['proxy']}",
        )
        try:
            service.start()
            with running_proxy(kind, directory / "proxy", site):
                yield Stack(kind, ports["proxy"], directory, grafana, service, signing)
        finally:
            service.kill()


def each_stack(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Stack]:
    """The body of a module's fixture with ``params=PROXIES``."""
    need_proxy(request.param)
    with running_stack(request.param, tmp_path_factory.mktemp(request.param)) as running:
        yield running


def _judge(settings: Settings, clock: SteppedClock) -> Judge:
    """As a Grafana under the settings that embedjwt prints for it."""
    printed = grafana_config(settings, settings.grafana[0], version=LATEST).text
    return Judge.under(printed, now=clock)


def _configuration(kind: str, *, proxy: int, service: int) -> str:
    return f"""
        issuer = "http://localhost:{service}"
        [gateway]
        proxy = "{kind}"
        lifetime = "1h"
        [[source]]
        type = "jwt"
        issuer = "{IDP}"
        audience = ["app"]
        key_file = "idp.pem"
        algorithms = ["ES256"]
        [mapping]
        role_attribute_path = "role"
        [[grafana]]
        mode = "gateway"
        url = "http://localhost:{proxy}"
        header_name = "{HEADER}"
        [web]
        allowed_origins = ["{APP}"]
        trusted_proxies = ["127.0.0.1"]
    """
