"""The kinds of value a setting can have: durations, URLs, origins, lists as Grafana splits them."""

from __future__ import annotations

import ipaddress
import json
import re
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, ValidationInfo

from embedjwt.expressions import ExpressionError, compile_expression

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
_LARGEST_NETWORK = {4: 8, 6: 16}  # prefix lengths; 10.0.0.0/8 is the largest private network
_LIST_ITEM = re.compile(r'"[^"]+"|[^,\t\n\v\f\r ]+')


def parse_duration(value: Any) -> int:
    """Seconds from ``300``, ``"300"``, ``"5m"``, ``"1h"``, ``"30d"`` or a sum: ``"1h30m"``."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError('must be a number of seconds or a text such as "5m", "1h" or "30d"')
    if isinstance(value, int):
        return value
    text = value.strip()
    if text.isdecimal():
        return int(text)
    if not re.fullmatch(r"(\d+[smhd])+", text):
        raise ValueError('must be a number of seconds or a text such as "5m", "1h" or "30d"')
    return sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)([smhd])", text))


def split_list(value: Any) -> Any:
    """A list as Grafana reads one: JSON, or words split by commas or spaces, quotes kept whole.

    ``pkg/util/strings.go``, ``SplitStringWithError``. Lists and everything else pass unchanged.
    """
    if isinstance(value, list | tuple):
        # Numbers of teams and organizations are as often written as what they are.
        return [str(v) if isinstance(v, int) and not isinstance(v, bool) else v for v in value]
    if not isinstance(value, str):
        return value
    if value.strip().startswith("["):
        try:
            return split_list(json.loads(value))
        except ValueError as error:
            raise ValueError('looks like a JSON list but is none; write ["a", "b"]') from error
    return [item.strip('"') for item in _LIST_ITEM.findall(value)]


def is_loopback(host: str) -> bool:
    """Whether a URL's host can only be this machine."""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def check_url(value: str, info: ValidationInfo) -> str:
    """An absolute http(s) URL without user, query or fragment; http only on loopback."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an absolute URL such as https://embed.example.com")
    if parts.username or parts.password:
        raise ValueError("must not hold a user name or password")
    if parts.fragment or any(c.isspace() for c in value):
        raise ValueError("must not hold a fragment (#…) or white space")
    development = bool((info.context or {}).get("development"))
    if parts.scheme == "http" and not is_loopback(parts.hostname) and not development:
        raise ValueError(
            "must be https: over http anybody on the way can read and replace it "
            "(http is for loopback; development = true lifts this on a test machine)"
        )
    return value


def check_base_url(value: str, info: ValidationInfo) -> str:
    """A URL that others are built from: no query, no trailing slash."""
    if urlsplit(check_url(value, info)).query:
        raise ValueError("must not hold a query (?…)")
    return value.rstrip("/")


def check_origin(value: str) -> str:
    """An exact web origin (RFC 6454): scheme, host, and port where it is not the default."""
    parts = urlsplit(value)
    if value == "*" or "*" in value:
        raise ValueError("must be an exact origin; a wildcard would let any site read tokens")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an origin such as https://app.example.com")
    if parts.path or parts.query or parts.fragment or parts.username:
        raise ValueError(f"must be only scheme://host[:port]: {parts.scheme}://{parts.netloc}")
    default = {"http": 80, "https": 443}[parts.scheme]
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = "" if parts.port in (None, default) else f":{parts.port}"
    return f"{parts.scheme}://{host}{port}"


def check_network(value: str) -> str:
    """An address or network of a reverse proxy."""
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError as error:
        raise ValueError('must be an address or network such as "10.0.0.0/8"') from error
    if network.prefixlen < _LARGEST_NETWORK[network.version]:
        raise ValueError(
            "is too large a part of the internet: whoever is in it can forge identity headers"
        )
    return str(network)


def check_expression(value: str) -> str:
    """A JMESPath expression that Grafana's library and ours understand alike."""
    if value:
        try:
            compile_expression(value)
        except ExpressionError as error:
            raise ValueError(error.diagnostics()) from error
    return value


def check_header_name(value: str) -> str:
    """A field name (RFC 9110 section 5.1), without ``_``, which proxies treat as ``-`` or drop."""
    if not re.fullmatch(r"[A-Za-z0-9!#$%&'*+.^`|~-]+", value):
        raise ValueError(
            'must be a header name such as "X-JWT-Assertion" (letters, digits, dashes)'
        )
    return value


def unique_names(items: tuple[Any, ...]) -> tuple[Any, ...]:
    """Named tables whose names differ."""
    names = [item.name for item in items]
    twins = sorted({name for name in names if names.count(name) > 1})
    if twins:
        raise ValueError(f"two tables have the name {twins[0]!r}; give each its own name")
    return items


def absolute(path: Path, info: ValidationInfo) -> Path:
    """A path counts from the directory of the file it is written in."""
    return Path((info.context or {}).get("base", ".")) / path.expanduser()


FileName = Annotated[Path, AfterValidator(absolute)]
Duration = Annotated[int, BeforeValidator(parse_duration)]
Url = Annotated[str, AfterValidator(check_url)]
BaseUrl = Annotated[str, AfterValidator(check_base_url)]
Origin = Annotated[str, AfterValidator(check_origin)]
Network = Annotated[str, AfterValidator(check_network)]
Expression = Annotated[str, AfterValidator(check_expression)]
HeaderName = Annotated[str, AfterValidator(check_header_name)]
Words = Annotated[tuple[str, ...], BeforeValidator(split_list)]
