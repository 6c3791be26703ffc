"""Which peers of a connection are the operator's own proxies."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from functools import lru_cache

from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused


class TrustedPeers:
    """``[web] trusted_proxies``: the other end of the connection must be in one of them.

    ``X-Forwarded-For`` plays no part; a peer without an address (a Unix socket) is not trusted.
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network) for network in networks]
        self.include = lru_cache(maxsize=256)(self._include)
        """Whether an address is among them."""

    def require(self, request: Request) -> None:
        """Raises ``SessionRefused`` where the peer is somebody else."""
        if not self.include(request.environ.get("REMOTE_ADDR", "")):
            raise SessionRefused(
                "Identity headers are not accepted from this address.",
                code="peer_not_trusted",
                hint="the connection's peer is not in [web] trusted_proxies",
            )

    def _include(self, peer: str) -> bool:
        try:
            address = ipaddress.ip_address(peer)
        except ValueError:
            return False
        # A server that listens on [::] sees IPv4 peers as ::ffff:192.0.2.1 (RFC 4291 2.5.5.2).
        mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
        return any((mapped or address) in network for network in self._networks)
