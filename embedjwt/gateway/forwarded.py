"""What the proxy in front of Grafana says of the request that it asks about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from embedjwt.config import GrafanaTarget
from embedjwt.config.gateway import ProxyKind
from embedjwt.errors import EmbedJWTError
from embedjwt.gateway.paths import has_parameter
from embedjwt.sources.ambiguity import AMBIGUOUS_HEADERS
from embedjwt.sources.peers import TrustedPeers

AUTH = "/gateway/auth"
DENIED = "/gateway/denied"

_PORTS = {"http": ":80", "https": ":443"}


class ForwardedRefused(EmbedJWTError):
    """What the proxy says cannot be believed, or is not all that it has to say."""

    code = "forwarded_invalid"
    status = 400


class GatewayRefused(EmbedJWTError):
    """The request is none that the gateway lets pass, whoever asks."""

    code = "gateway_refused"
    status = 403


@dataclass(frozen=True, slots=True)
class Telling:
    """The headers in which a proxy tells of a request; without names it is asked as it came.

    ``hands_on``: whether the browser gets the answer of a refusal, with its body and redirects.
    """

    method: str | None
    uri: str | None
    host: str
    hands_on: bool = True


# nginx has no words of its own: embedjwt's configuration sets them. The other proxies replace what
# a client sends under these names, and nothing else is read.
_FORWARDED = Telling("X-Forwarded-Method", "X-Forwarded-Uri", "X-Forwarded-Host")
KINDS: dict[ProxyKind, Telling] = {
    "nginx": Telling("X-Original-Method", "X-Original-URI", "X-Forwarded-Host", hands_on=False),
    "caddy": _FORWARDED,
    "traefik": _FORWARDED,
    "haproxy": _FORWARDED,
    # ext_authz over HTTP: the method, the Host, and the path after a prefix
    "envoy": Telling(None, None, "Host"),
}


class Forwarded(NamedTuple):  # made three times faster than a frozen dataclass
    """A browser's request, as it came to the proxy: nothing in it is decoded or changed.

    ``path`` is what follows ``target``'s own path, ``query`` what follows the ``?``.
    """

    target: GrafanaTarget
    origin: str
    method: str
    path: str
    query: str

    @property
    def url(self) -> str:
        """The address in the browser."""
        return self.target.url + self.path + (f"?{self.query}" if self.query else "")

    def without(self, parameter: str) -> str:
        """The address without this parameter."""
        kept = [pair for pair in self.query.split("&") if not has_parameter(pair, parameter)]
        return self.target.url + self.path + (f"?{'&'.join(kept)}" if any(kept) else "")


class ForwardedRequests:
    """Reads what one kind of proxy says, if it is a trusted one, about one of our targets."""

    def __init__(self, proxy: ProxyKind, hosts: Hosts, trusted: TrustedPeers) -> None:
        self._name = proxy
        self.kind = KINDS[proxy]
        self._trusted = trusted
        self._method, self._uri = _variable(self.kind.method), _variable(self.kind.uri)
        self._host = _variable(self.kind.host) or ""
        named = (self.kind.method, self.kind.uri, self.kind.host, "Origin", "Host")
        self._once = frozenset(name.lower() for name in named if name is not None)
        self.hosts = hosts

    def read(self, environ: Mapping[str, Any]) -> Forwarded:
        """The request; raises :class:`ForwardedRefused`, or :class:`GatewayRefused` where we serve
        no such Grafana."""
        self._check_sender(environ)
        method = environ["REQUEST_METHOD"] if self._method is None else environ.get(self._method)
        uri = _after_prefix(environ) if self._uri is None else environ.get(self._uri)
        host = environ.get(self._host)
        if not method or not uri or not host:
            raise ForwardedRefused(
                "the proxy does not say which request this is about",
                hint=f"[gateway] proxy = {self._name!r} wants {self._expected()}{_seen(environ)}; "
                "compare the proxy's configuration with what 'embedjwt gateway-config' prints",
            )
        path, _, query = uri.partition("?")
        return self._about(method, host, path, query)

    def host(self, environ: Mapping[str, Any]) -> str:
        """The host in the browser's address bar, for requests that the proxy passes on to us."""
        told = environ.get(self._host)
        if told and self._trusted.include(environ.get("REMOTE_ADDR", "")):
            self._check_sender(environ)
            return str(told)
        return str(environ.get("HTTP_HOST", ""))

    def _about(self, method: str, host: str, path: str, query: str) -> Forwarded:
        for place in self.hosts.at(host):
            rest = path.removeprefix(place.base_path)
            # What only begins like the base path is another's: /grafana2, or a dotted way out.
            if path.startswith(place.base_path) and (rest.startswith("/") or not rest):
                return Forwarded(place.target, place.origin, method, rest or "/", query)
        raise GatewayRefused(
            "no Grafana of this address is behind the gateway",
            code="grafana_unknown",
            hint=f'no [[grafana]] with mode = "gateway" has a url with host {host[:100]!r} and a '
            "path that this one begins with",
        )

    def _check_sender(self, environ: Mapping[str, Any]) -> None:
        address = environ.get("REMOTE_ADDR", "")
        if not self._trusted.include(address):
            raise GatewayRefused(
                "only the proxy in front of Grafana may ask here",
                code="peer_not_trusted",
                hint=f"the connection comes from {address}, which is not in [web] trusted_proxies",
            )
        twice = self._once.intersection(environ.get(AMBIGUOUS_HEADERS, ()))
        if twice:
            raise ForwardedRefused(
                "a header that says which request this is about came twice",
                hint=f"{', '.join(sorted(twice))}: also under a name with an underscore; the proxy "
                "must replace what clients send",
            )

    def _expected(self) -> str:
        kind = self.kind
        if kind.uri is None:
            return f"the original path after {AUTH}, and the Host"
        return f"{kind.method}, {kind.uri} and {kind.host}"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a target is, for a browser: ``scheme://host[:port]``, and the path it lives below."""

    target: GrafanaTarget
    origin: str
    base_path: str


class Hosts:
    """The targets by the host that a browser names."""

    def __init__(self, targets: Sequence[GrafanaTarget]) -> None:
        self._places: dict[str, list[Place]] = {}
        self._of: dict[str, Place] = {}
        for target in targets:
            place = self._of[target.name] = Place(target, target.origin, target.base_path)
            scheme, _, host = target.origin.partition("://")
            for name in (host, host + _PORTS[scheme]):
                self._places.setdefault(name, []).append(place)
        for places in self._places.values():  # of /a and /a/b, the latter first
            places.sort(key=lambda place: len(place.base_path), reverse=True)

    @property
    def origins(self) -> frozenset[str]:
        """All of them."""
        return frozenset(place.origin for place in self._of.values())

    @property
    def secure(self) -> bool:
        """Whether browsers reach every one of them over https."""
        return all(origin.startswith("https:") for origin in self.origins)

    def of(self, target: GrafanaTarget) -> Place:
        """Where a target is."""
        return self._of[target.name]

    def at(self, host: str) -> Sequence[Place]:
        """The targets at a host, whose port may be left out where it is the scheme's."""
        return self._places.get(host.lower(), ())


def _after_prefix(environ: Mapping[str, Any]) -> str | None:
    """Of a request to ``/gateway/auth/…``, as the bytes came: decoding happens once, elsewhere."""
    raw: str = environ.get("REQUEST_URI", "")
    return raw.removeprefix(AUTH) if raw.startswith(f"{AUTH}/") else None


def _seen(environ: Mapping[str, Any]) -> str:
    """For the hint: which proxy's words came instead."""
    told = {kind.uri for kind in KINDS.values() if environ.get(_variable(kind.uri) or "")}
    names = [name for name, kind in KINDS.items() if kind.uri in told]
    return f", and there are the headers of {' or '.join(names)}" if names else ""


def _variable(header: str | None) -> str | None:
    return None if header is None else f"HTTP_{header.upper().replace('-', '_')}"
