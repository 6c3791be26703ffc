"""URLs of providers: which of them may be asked, and what a log may say of them."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit, urlunsplit

from embedjwt.errors import UpstreamUnavailable

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
"""RFC 6052 section 2.1: the last 32 bits are an IPv4 address."""

_NOT_PUBLIC = tuple(
    map(
        ipaddress.ip_network,
        (
            "64:ff9b:1::/48",  # RFC 8215: NAT64 of one's own network
            "fec0::/10",  # RFC 3879: what private addresses once were
            "::/96",  # RFC 4291 section 2.5.5.1: an IPv4 address in another form
            "::ffff:0:0:0/96",  # RFC 2765: the same
            "192.0.0.0/24",  # RFC 6890: for protocols, and some clouds' metadata
            "192.88.99.0/24",  # RFC 7526: relays of old
            "3fff::/20",  # RFC 9637: documentation
            "5f00::/16",  # RFC 9602: segment routing
            "168.63.129.16/32",  # the host of an Azure machine
        ),
    )
)
"""What Python takes for public (as of 3.11), and is not, or need not be."""


def as_safe_as(issuer: str, url: str) -> bool:
    """Whether a URL is https, or on the very host that the settings let us ask over http.

    No URL with userinfo is (RFC 3986 section 3.2.1).
    """
    try:
        asked, named = urlsplit(issuer), urlsplit(url)
    except ValueError:
        return False
    # urlsplit drops line breaks, and whoever passes the URL on does not.
    if not (url.isascii() and url.isprintable()) or " " in url:
        return False
    if "@" in named.netloc or "\\" in url or not named.hostname:
        return False
    if named.scheme == "https":
        return True
    return asked.scheme == named.scheme == "http" and asked.hostname == named.hostname


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, and so is an IPv4 address inside it."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    if any(ip.version == network.version and ip in network for network in _NOT_PUBLIC):
        return False
    return ip.is_global and not ip.is_multicast


def unavailable(url: str, why: str) -> UpstreamUnavailable:
    """The failure to get something usable from a provider.

    The hint goes to the logs, so it names the URL without what may be secret in it: the query and
    the userinfo (RFC 3986 section 3.2.1).
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        return failed(f"a URL that is none: {why}")
    host = parts.netloc.rpartition("@")[2]
    return failed(f"{urlunsplit((parts.scheme, host, parts.path, '', ''))}: {why}")


def failed(hint: str) -> UpstreamUnavailable:
    """The same, where the hint is already made."""
    return UpstreamUnavailable(
        "The identity provider does not answer usably at the moment.", hint=hint
    )
