"""Where a browser may be sent after a login or a logout: a path here, or a page of the host's."""

from __future__ import annotations

import re
from collections.abc import Collection
from urllib.parse import urlsplit

MAX_LENGTH = 2048
"""Characters."""

# RFC 3986 section 2, and nothing else: white space, controls, backslashes and whatever is not ASCII
# are where browsers (WHATWG URL) and parsers part ways.
_PLAIN = re.compile(r"(?:[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=]|%[0-9A-Fa-f]{2})+")
_ABSOLUTE = re.compile(
    r"(https?)://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?(/.*|[?#].*)?"
)
_PORTS = {"http": 80, "https": 443}

# In a path, a proxy that decodes too early would find another one: slashes, backslashes, dots,
# controls, and percent signs that decode to them in a second round.
_ENCODED = re.compile(r"%(?:2f|5c|2e|25|7f|[01][0-9a-f])", re.IGNORECASE)
# Browsers leave these as they are in a query or fragment (URL.href), and RFC 3986 encodes them.
_RAW_IN_QUERY = re.compile(r"[?#].*", re.DOTALL)
_TOLERATED = frozenset("|{}^`")

_DOTS = frozenset({".", ".."})


def safe_return_to(
    value: str | None,
    *,
    issuer: str,
    allowed_origins: Collection[str],
    max_length: int = MAX_LENGTH,
) -> str | None:
    """The address, fit for a ``Location``; ``None`` where a browser must not be sent there.

    That is an absolute path on this service, or an http(s) URL whose exact origin is the issuer's
    or in ``allowed_origins``; a query and a fragment may follow. Whatever is not plain is refused.
    """
    value = _RAW_IN_QUERY.sub(_encoded, value or "", count=1)
    if not value or len(value) > max_length or not _PLAIN.fullmatch(value):
        return None
    if value.startswith("/"):
        return value if _is_plain_path(value) else None
    found = _ABSOLUTE.fullmatch(value)
    if found is None:
        return None
    scheme, host, port, rest = found.groups(default="")
    origin = f"{scheme}://{host.lower()}{_port(port, scheme)}"
    rest = rest if rest.startswith("/") else f"/{rest}"
    known = origin in allowed_origins or origin == _origin(issuer)
    return origin + rest if known and _is_plain_path(rest) else None


def _encoded(found: re.Match[str]) -> str:
    return "".join(f"%{ord(c):02X}" if c in _TOLERATED else c for c in found[0])


def _is_plain_path(value: str) -> bool:
    """Whether it has no empty or dotted segment, and nothing encoded that could make one."""
    path = re.split(r"[?#]", value, maxsplit=1)[0]
    segments = path.split("/")[1:]
    inner = segments[:-1]
    return "" not in inner and _DOTS.isdisjoint(segments) and not _ENCODED.search(path)


def _port(port: str, scheme: str) -> str:
    return "" if port == "" or int(port) == _PORTS[scheme] else f":{int(port)}"


def _origin(url: str) -> str:
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    return f"{parts.scheme}://{host}{_port(str(parts.port or ''), parts.scheme)}"
