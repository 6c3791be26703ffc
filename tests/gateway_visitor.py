"""A browser at Grafana's own host, behind a stand-in for nginx, for tests in one process."""

from __future__ import annotations

from typing import Any

from flask import Flask
from werkzeug.test import TestResponse

APP = "https://app.example.com"
GRAFANA = "https://grafana.example.com"
COOKIE = "__Host-embedjwt_gateway"
PANEL = "/d-solo/cpu/_?panelId=3"

BEHIND_GATEWAY: dict[str, Any] = {
    "grafana": [{"url": GRAFANA, "mode": "gateway"}],
    "gateway": {"proxy": "nginx"},
    "web": {"allowed_origins": [APP], "trusted_proxies": ["127.0.0.1"]},
}
"""Settings, for ``make_app``."""

AS_SCRIPT = {"Sec-Fetch-Mode": "cors", "Sec-Fetch-Dest": "empty", "Accept": "*/*"}
AS_FRAME = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe", "Accept": "text/html,*/*"}
AS_TAB = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document", "Accept": "text/html,*/*"}
CROSS_SITE = {"Sec-Fetch-Site": "cross-site"}


class Visitor:
    """Has its own cookies; ``host`` is that of Grafana, as the proxy tells it."""

    def __init__(self, app: Flask, host: str = "grafana.example.com") -> None:
        self._client = app.test_client(use_cookies=False)
        self.host = host
        self.cookie = ""

    def open(self, headers: dict[str, str], **body: Any) -> TestResponse:
        """The host page's ``POST /gateway/session``."""
        answer = self._client.post(
            "/gateway/session", json=body, headers={**self._base, "Origin": APP, **headers}
        )
        return self._keep(answer)

    def close(self, **headers: str) -> TestResponse:
        answer = self._client.delete(
            "/gateway/session", headers={**self._base, "Origin": APP, **headers}
        )
        return self._keep(answer)

    def enter(self, url: str, **headers: str) -> TestResponse:
        path = url.removeprefix(GRAFANA)
        return self._keep(self._client.get(path, headers={**self._base, **AS_FRAME, **headers}))

    def ask(self, uri: str = PANEL, method: str = "GET", **headers: str) -> TestResponse:
        """The proxy asks about a request of this browser's."""
        return self._ask("/gateway/auth", uri, method, headers)

    def denied(self, uri: str = PANEL, method: str = "GET", **headers: str) -> TestResponse:
        """nginx wants to know what to tell the browser."""
        return self._ask("/gateway/denied", uri, method, headers)

    def _ask(self, path: str, uri: str, method: str, headers: dict[str, str]) -> TestResponse:
        told = {"X-Original-Method": method, "X-Original-URI": uri}
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._client.get(path, headers={**self._base, **told, **named})

    @property
    def _base(self) -> dict[str, str]:
        cookie = {"Cookie": self.cookie} if self.cookie else {}
        return {"X-Forwarded-Host": self.host, **cookie}

    def _keep(self, answer: TestResponse) -> TestResponse:
        if set_cookie := answer.headers.get("Set-Cookie"):
            pair = set_cookie.partition(";")[0]
            self.cookie = "" if "Max-Age=0" in set_cookie else pair
        return answer
