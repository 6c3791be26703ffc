"""What a proxy configuration is made of, checked so that it means the same in every format."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import urlsplit

from embedjwt.config.model import GrafanaTarget, Settings
from embedjwt.config.source import ProxySource
from embedjwt.errors import RequestRefused
from embedjwt.sources import app_service
from embedjwt.sources.proxy import PRESETS

GRAFANA = "http://127.0.0.1:3000"
EMBEDJWT = "http://127.0.0.1:8080"

_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
_BASE_PATH = re.compile(r"(/[A-Za-z0-9._~-]+)*")
_HEADER = re.compile(r"[A-Za-z][A-Za-z0-9]*(-[A-Za-z0-9]+){0,4}")
_FILE = re.compile(r"/[A-Za-z0-9/._+@~-]*")
_CLAIMED = (
    *("Forwarded", "X-Forwarded-Method", "X-Forwarded-Port", "X-Forwarded-Prefix"),
    *("X-Forwarded-Server", "X-Forwarded-Uri", "X-Original-Method", "X-Original-URI"),
    *("X-Original-URL", "X-Real-IP", "X-Rewrite-URL"),
    # the method that was judged is the method that counts, also behind Grafana's data source proxy
    *("X-HTTP-Method", "X-HTTP-Method-Override", "X-Method-Override"),
)
_PRESET_HEADERS = {name: headers.names() for name, headers in PRESETS.items()} | {
    "azure-app-service": [app_service.HEADER, app_service.ID_HEADER, app_service.NAME_HEADER]
}
_DEFAULT_PORTS = {"http": 80, "https": 443}
_LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, slots=True)
class Address:
    """Where something listens; an empty host is every address of the machine."""

    host: str
    port: int

    @property
    def bracketed(self) -> str:
        """The host as it stands before a port: IPv6 in brackets."""
        return f"[{self.host}]" if ":" in self.host else self.host

    def __str__(self) -> str:
        return f"{self.bracketed}:{self.port}"


@dataclass(frozen=True, slots=True)
class GatewaySite:
    """One Grafana behind one proxy.

    ``host``, ``port``, ``https`` and ``base_path`` are those that browsers use. ``frame_ancestors``
    are origins. The upstreams are ``http://host:port``, seen from the proxy. ``tls_cert`` and
    ``tls_key`` are absolute paths on the proxy's machine; unset, the configuration names a usual
    place. ``listen`` is ``[host]:port``; unset, ``port`` on every address. ``identity_headers`` are
    those that embedjwt believes of a trusted proxy (``type = "proxy"``): no client may send them.
    """

    host: str
    port: int
    https: bool
    base_path: str = ""
    header_name: str = "X-JWT-Assertion"
    frame_ancestors: tuple[str, ...] = ()
    grafana_upstream: str = GRAFANA
    embedjwt_upstream: str = EMBEDJWT
    tls_cert: str | None = None
    tls_key: str | None = None
    listen: str | None = None
    identity_headers: tuple[str, ...] = ()

    @property
    def url(self) -> str:
        """The target's URL, with the port where it is not the scheme's own."""
        scheme = "https" if self.https else "http"
        port = f":{self.port}" if self.url_has_port else ""
        return f"{scheme}://{self.bracketed_host}{port}{self.base_path}"

    @property
    def bracketed_host(self) -> str:
        """The host as it stands in a URL."""
        return Address(self.host, self.port).bracketed

    @property
    def host_pattern(self) -> str:
        """A regular expression for the Host of a request to it."""
        return rf"^{re.escape(self.bracketed_host)}(:{self.port})?$"

    @property
    def address(self) -> Address:
        """Where the proxy listens."""
        return Address("", self.port) if self.listen is None else listen_address(self.listen)

    @property
    def grafana(self) -> Address:
        """Where the proxy finds Grafana."""
        return upstream_address(self.grafana_upstream)

    @property
    def embedjwt(self) -> Address:
        """Where the proxy finds embedjwt."""
        return upstream_address(self.embedjwt_upstream)

    @property
    def content_security_policy(self) -> str:
        """Who may frame Grafana, as a policy that stands beside Grafana's own."""
        return " ".join(["frame-ancestors", "'self'", *self.frame_ancestors])

    @property
    def name(self) -> str:
        """The host, and an unusual port, as one word for names: files of two Grafanas differ.

        No host has ``_``, which stands for what a name may not hold.
        """
        host = self.host.lower().replace(":", "_")
        return f"{host}_{self.port}" if self.url_has_port else host

    @property
    def url_has_port(self) -> bool:
        """Whether the port is not the scheme's own."""
        return self.port != _DEFAULT_PORTS["https" if self.https else "http"]

    @property
    def claimed_headers(self) -> tuple[str, ...]:
        """What only a proxy may say, beside X-Forwarded-For, -Host and -Proto."""
        return (*_CLAIMED, *self.identity_headers)

    @property
    def canonical_header_name(self) -> str:
        """``header_name`` as Go's ``net/http`` writes it, for names that are compared by case."""
        return "-".join(part.capitalize() for part in self.header_name.split("-"))

    @property
    def header_twins(self) -> tuple[str, ...]:
        """The names that differ from ``header_name`` in ``_`` for ``-`` only."""
        names = [""]
        for part in re.split("(-)", self.header_name):
            names = [name + choice for name in names for choice in _choices(part)]
        return tuple(name for name in names if name != self.header_name)


def site_for(
    settings: Settings,
    target: GrafanaTarget,
    *,
    grafana_upstream: str = GRAFANA,
    embedjwt_upstream: str = EMBEDJWT,
    tls_cert: str | None = None,
    tls_key: str | None = None,
    listen: str | None = None,
) -> GatewaySite:
    """The site of a target, as the settings have it."""
    parts = urlsplit(target.url)
    return GatewaySite(
        host=parts.hostname or "",
        port=parts.port or _DEFAULT_PORTS[parts.scheme],
        https=parts.scheme == "https",
        base_path=parts.path,
        header_name=target.header_name,
        frame_ancestors=settings.web.allowed_origins,
        identity_headers=_identity_headers(settings),
        grafana_upstream=grafana_upstream,
        embedjwt_upstream=embedjwt_upstream,
        tls_cert=tls_cert,
        tls_key=tls_key,
        listen=listen,
    )


def check_site(site: GatewaySite) -> None:
    """Raises ``RequestRefused`` for what would not be read as what it is by every proxy.

    There is no quoting: what needs any is refused.
    """
    if not _is_host(site.host):
        raise _refused("the host of the target's url", site.host, "letters, digits, dots, dashes")
    if not _BASE_PATH.fullmatch(site.base_path):
        raise _refused("the path of the target's url", site.base_path, "letters, digits and ._~-")
    if not _HEADER.fullmatch(site.header_name):
        raise _refused("header_name", site.header_name, "letters, digits, at most four dashes")
    for origin in site.frame_ancestors:
        parts = urlsplit(origin)
        if not _is_host(parts.hostname or "") or origin != f"{parts.scheme}://{parts.netloc}":
            raise _refused("an allowed origin", origin, "an origin such as https://app.example.com")
    for name in site.identity_headers:
        if not re.fullmatch("[A-Za-z0-9-]+", name):
            raise _refused("an identity header of a source", name, "letters, digits, dashes")
    for name, path in (("--tls-cert", site.tls_cert), ("--tls-key", site.tls_key)):
        if path is not None and not _FILE.fullmatch(path):
            raise _refused(name, path, "an absolute path of letters, digits and /._+@~-")
    if site.listen is not None:
        listen_address(site.listen)
    for url in (site.grafana_upstream, site.embedjwt_upstream):
        if _is_the_proxy(site, upstream_address(url)):
            raise RequestRefused(
                f"the upstream {url} is the proxy itself",
                hint="name the address where the proxy finds it, such as " + GRAFANA,
            )


def upstream_address(url: str) -> Address:
    """Host and port of ``http://host:port``; ``RequestRefused`` for anything else."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port or 80
    except ValueError as error:
        raise _refused("an upstream", url, "a URL such as http://127.0.0.1:3000") from error
    plain = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
    if parts.scheme != "http" or not plain or not _is_host(host):
        raise _refused("an upstream", url, "http:// with host and port, such as " + GRAFANA)
    return Address(host, port)


def listen_address(text: str) -> Address:
    """``8443``, ``:8443``, ``127.0.0.1:8443`` or ``[::1]:8443``; else ``RequestRefused``."""
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if host.startswith("[") else host
    if not re.fullmatch("[0-9]{1,5}", port) or not 0 < int(port) < 65536:
        raise _refused("--listen", text, "a port, or an address such as 127.0.0.1:8443")
    if host:
        try:
            ipaddress.ip_address(host)
        except ValueError as error:
            raise _refused("--listen", text, "an IP address before the port") from error
    return Address(host, int(port))


def _identity_headers(settings: Settings) -> tuple[str, ...]:
    """What a ``proxy`` source would believe of a client that comes through this proxy."""
    names = set[str]()
    for source in settings.source:
        if isinstance(source, ProxySource):
            given = (source.subject_header, source.user_header, source.email_header)
            names |= {name for name in (*given, source.name_header, source.groups_header) if name}
            names |= set(_PRESET_HEADERS[source.preset]) if source.preset else set()
    return tuple(sorted(names))


def _is_the_proxy(site: GatewaySite, upstream: Address) -> bool:
    """Whether requests would go in a circle: by the public name, or by the loopback."""
    if upstream.host.lower() == site.host.lower():
        return upstream.port in (site.port, site.address.port)
    hosts = _LOOPBACK if site.address.host in ("", *_LOOPBACK) else (site.address.host,)
    return upstream.port == site.address.port and upstream.host.lower() in hosts


def _is_host(host: str) -> bool:
    if _NAME.fullmatch(host):
        return True
    try:
        ipaddress.IPv6Address(host)
    except ValueError:
        return False
    return "%" not in host


def _choices(part: str) -> tuple[str, ...]:
    return ("-", "_") if part == "-" else (part,)


def _refused(what: str, value: str, wanted: str) -> RequestRefused:
    return RequestRefused(
        f"{what} cannot be written into a proxy's configuration: {value!r}",
        hint=f"it must be {wanted}",
    )
