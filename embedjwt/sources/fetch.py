"""A JSON document from an identity provider, within limits of time and size."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from embedjwt.errors import UpstreamUnavailable
from embedjwt.sources.strict_json import JSONRefused, strict_loads

MAX_SIZE = 1024 * 1024
"""Bytes of one document."""

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Fetcher:
    """How documents are fetched. ``verify`` is a CA bundle's path, or whether to check TLS at all.

    ``clock`` is in seconds and never goes back; the ``deadline`` of a call is a time on it.
    """

    verify: str | bool
    clock: Callable[[], float]

    def get_json(self, url: str, deadline: float) -> Any:
        """The document; ``UpstreamUnavailable`` for anything but a plain, punctual 200 with JSON.

        Redirects are not followed: the URL is one the operator, or the provider's own discovery
        document, has named.
        """
        left = deadline - self.clock()
        if left <= 0:
            raise unavailable(url, "it took too long")
        try:
            with requests.get(
                url,
                headers={"Accept": "application/json", "Accept-Encoding": "identity"},
                auth=_no_credentials,
                timeout=(left, left),
                verify=self.verify,
                allow_redirects=False,
                stream=True,
            ) as response:
                _check_head(url, response)
                body = self._read(url, response, deadline)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise unavailable(url, type(error).__name__) from None
        try:
            return strict_loads(body)
        except JSONRefused as error:
            raise unavailable(url, f"its answer was refused: {error}") from None

    def _read(self, url: str, response: requests.Response, deadline: float) -> bytes:
        body = bytearray()
        # read1 comes back after each packet, so that a provider that drips is noticed.
        while chunk := response.raw.read1(_CHUNK, decode_content=False):
            body += chunk
            if len(body) > MAX_SIZE:
                raise unavailable(url, f"its answer is larger than {MAX_SIZE} bytes")
            if self.clock() > deadline:
                raise unavailable(url, "it took too long")
        return bytes(body)


def unavailable(url: str, why: str) -> UpstreamUnavailable:
    """The failure to get something usable from a provider.

    The hint goes to the logs, so it names the URL without what may be secret in it: the query and
    the userinfo (RFC 3986 section 3.2.1).
    """
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return failed(f"{urlunsplit((parts.scheme, host, parts.path, '', ''))}: {why}")


def failed(hint: str) -> UpstreamUnavailable:
    """The same, where the hint is already made."""
    return UpstreamUnavailable(
        "The identity provider's keys cannot be had at the moment.", hint=hint
    )


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from taking a password out of ~/.netrc."""
    return request


def _check_head(url: str, response: requests.Response) -> None:
    if response.status_code != 200:
        raise unavailable(url, f"it answered {response.status_code}, not 200")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise unavailable(url, "its answer is compressed though that was not asked for")
