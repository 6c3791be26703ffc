"""HTTP requests to identity providers, within limits of time, size and place."""

from __future__ import annotations

import base64
import ipaddress
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from requests.utils import select_proxy
from urllib3.connection import HTTPConnection
from urllib3.exceptions import HTTPError

from embedjwt.errors import UpstreamUnavailable
from embedjwt.strict_json import JSONRefused, strict_loads
from embedjwt.upstream_url import as_safe_as, failed, is_public, unavailable

__all__ = ["Answer", "Outbound", "as_safe_as", "failed", "is_public", "unavailable"]

MAX_SIZE = 1024 * 1024
"""Bytes of one answer."""

CONNECT_TIMEOUT = 5
"""Seconds for a connection to one address, where the deadline is not nearer."""

_CHUNK = 64 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """What a server said to a form. ``document`` is parsed JSON, ``None`` where it is none."""

    status: int
    document: Any


class Outbound:
    """How other servers are asked.

    ``verify`` is a CA bundle's path, or whether to check TLS at all; ``certificate`` are the paths
    of a client certificate and its key. ``clock`` is in seconds and never goes back; the
    ``deadline`` of a call is a time on it, by default ``total`` seconds ahead. No call lasts
    longer, whatever name servers and servers that drip do.

    ``from_data_of`` is the configured issuer whose discovery document a URL came in. Such a URL is
    used only where it is as safe as the issuer (``as_safe_as``), and where its host is the issuer's
    or the address connected to is public, so that a document cannot make us talk to our own
    network. Redirects are never followed. Whatever fails is ``UpstreamUnavailable``.
    """

    def __init__(
        self,
        *,
        verify: str | bool,
        certificate: tuple[str, str] | None = None,
        clock: Callable[[], float] = time.monotonic,
        total: float = 10.0,
    ) -> None:
        self._verify = verify
        self._certificate = certificate
        self._clock = clock
        self._total = total

    def get_json(
        self,
        url: str,
        deadline: float | None = None,
        *,
        bearer: str | None = None,
        from_data_of: str | None = None,
    ) -> Any:
        """The document of a plain, punctual 200; ``bearer`` is an access token (RFC 6750)."""
        headers = {"Accept": "application/json"}
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        body = self._get(url, headers, deadline, from_data_of)
        try:
            return strict_loads(body)
        except JSONRefused as error:
            raise unavailable(url, f"its answer was refused: {error}") from None

    def get_bytes(
        self, url: str, deadline: float | None = None, *, from_data_of: str | None = None
    ) -> bytes:
        """The body of a plain, punctual 200, such as a PEM file."""
        return self._get(url, {}, deadline, from_data_of)

    def post_form(
        self,
        url: str,
        form: Mapping[str, str],
        *,
        basic: tuple[str, str] | None = None,
        deadline: float | None = None,
        from_data_of: str | None = None,
    ) -> Answer:
        """The answer to a form, whatever its status; ``basic`` are a user and a password."""
        headers = {"Accept": "application/json"}
        if basic is not None:
            credentials = base64.b64encode(":".join(basic).encode()).decode()
            headers["Authorization"] = f"Basic {credentials}"
        request = requests.Request("POST", url, headers=headers, data=dict(form))
        status, body = self._exchange(request, deadline, from_data_of)
        try:
            return Answer(status, strict_loads(body))
        except JSONRefused:
            return Answer(status, None)

    def _get(
        self,
        url: str,
        headers: dict[str, str],
        deadline: float | None,
        from_data_of: str | None,
    ) -> bytes:
        request = requests.Request("GET", url, headers=headers)
        status, body = self._exchange(request, deadline, from_data_of)
        if status != 200:
            raise unavailable(url, f"it answered {status}, not 200")
        return body

    def _exchange(
        self, request: requests.Request, deadline: float | None, from_data_of: str | None
    ) -> tuple[int, bytes]:
        """The status and the body, by a thread of its own: its caller can stop waiting for it."""
        left = self._total if deadline is None else deadline - self._clock()
        if left <= 0:
            raise _too_late(request.url)
        line = _Line(request.url, _trusted_host(request.url, from_data_of))
        answer: Future[tuple[int, bytes]] = Future()

        def run() -> None:
            try:
                answer.set_result(self._talk(request, line, left))
            except BaseException as error:
                answer.set_exception(error)

        threading.Thread(target=run, name="outbound", daemon=True).start()
        try:
            return answer.result(left)
        except TimeoutError:
            raise _too_late(request.url) from None
        finally:
            line.cut()

    def _talk(self, request: requests.Request, line: _Line, left: float) -> tuple[int, bytes]:
        request.headers |= {"Accept-Encoding": "identity", "User-Agent": "embedjwt"}
        request.auth = _no_credentials
        try:
            with requests.Session() as session, closing(_Adapter(line)) as adapter:
                prepared = session.prepare_request(request)
                settings: Any = session.merge_environment_settings(
                    prepared.url, {}, True, self._verify, self._certificate
                )
                # Not session.send: to find where a redirect leads, it reads any body to its end.
                timeout = (min(left, CONNECT_TIMEOUT), left)
                with adapter.send(prepared, timeout=timeout, **settings) as response:
                    return response.status_code, _read(request.url, response)
        except (requests.RequestException, HTTPError, OSError, ValueError) as error:
            raise unavailable(request.url, type(error).__name__) from None


class _Line:
    """The connection of one call: it leads where it may, and is cut when nobody waits any more.

    ``trusted_host`` is the one host that may have any address; ``None`` where all may.
    """

    def __init__(self, url: str, trusted_host: str | None) -> None:
        self._url = url
        self._trusted_host = trusted_host
        self._lock = threading.Lock()
        self._handle: socket.socket | None = None
        self._is_cut = False

    def judge(self, host: str, address: str) -> None:
        """``UpstreamUnavailable`` where the address may not be talked to."""
        if self._trusted_host in (None, host.strip("[]").lower()) or is_public(address):
            return
        raise unavailable(
            self._url,
            "the issuer's metadata names it, and its address is not public; if that is right, "
            "name the URL in the settings",
        )

    def opened(self, sock: socket.socket) -> None:
        """Keep a handle, so that ``cut`` ends whatever reads from the connection."""
        with self._lock:
            if self._is_cut:
                raise _too_late(self._url)
            self._handle = sock.dup()

    def cut(self) -> None:
        """End it, now or as soon as it opens; harmless where it has ended."""
        with self._lock:
            self._is_cut = True
            if self._handle is not None:
                with suppress(OSError):
                    self._handle.shutdown(socket.SHUT_RDWR)
                self._handle.close()


class _Adapter(HTTPAdapter):
    """Connections of one call, each looked at before anything is sent over it."""

    def __init__(self, line: _Line) -> None:
        super().__init__()
        self._line = line

    def get_connection_with_tls_context(
        self, request: Any, verify: Any, proxies: Any = None, cert: Any = None
    ) -> Any:
        """The pool for a request, which makes connections that are watched."""
        pool: Any = super().get_connection_with_tls_context(
            request, verify, proxies=proxies, cert=cert
        )
        direct = select_proxy(request.url, proxies) is None
        if not direct:
            # A proxy (HTTPS_PROXY) resolves the name and connects, so that no address is seen
            # here: it is the proxy's part not to lead into the operator's network. What remains to
            # be judged here is a URL that names an address itself.
            with suppress(ValueError):
                ipaddress.ip_address(pool.host.strip("[]"))
                self._line.judge(pool.host, pool.host.strip("[]"))
        pool.ConnectionCls = _watched(pool.ConnectionCls, self._line, direct)
        return pool


def _watched(kind: Any, line: _Line, direct: bool) -> type[HTTPConnection]:
    class Watched(kind):  # type: ignore[misc]
        def _new_conn(self) -> socket.socket:
            sock: socket.socket = super()._new_conn()
            try:
                if direct:
                    line.judge(self.host, sock.getpeername()[0])
                line.opened(sock)
            except BaseException:
                sock.close()
                raise
            return sock

    return Watched


def _trusted_host(url: str, from_data_of: str | None) -> str | None:
    if from_data_of is None:
        return None
    if not as_safe_as(from_data_of, url):
        raise unavailable(
            url, "the issuer's metadata names it, and it is not as safe as the issuer"
        )
    return urlsplit(from_data_of).hostname or ""


def _read(url: str, response: requests.Response) -> bytes:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise unavailable(url, "its answer is compressed though that was not asked for")
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK, decode_content=False):
        body += chunk
        if len(body) > MAX_SIZE:
            raise unavailable(url, f"its answer is larger than {MAX_SIZE} bytes")
    return bytes(body)


def _no_credentials(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keeps requests from taking a password out of ~/.netrc."""
    return request


def _too_late(url: str) -> UpstreamUnavailable:
    return unavailable(url, "it took too long")
