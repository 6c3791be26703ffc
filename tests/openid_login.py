"""Signs a person in at the real provider of the tests, as a browser would."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urljoin, urlsplit

import requests

from tests_support import ROOT

NODE_TESTS = ROOT / "tests" / "node"


@contextmanager
def running_provider() -> Iterator[dict[str, Any]]:
    """The provider as a child process, and what it says of itself."""
    process = subprocess.Popen(
        ["node", "provider.mjs"],
        cwd=NODE_TESTS,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert process.stdout is not None
        with process.stdout as lines:
            for line in lines:
                if line.startswith("{"):
                    yield json.loads(line)
                    return
        raise RuntimeError("the provider did not start")
    finally:
        process.terminate()
        process.wait(timeout=10)


def sign_in(provider: dict[str, Any], login: str) -> dict[str, Any]:
    """The token response (RFC 6749 section 5.1) for a person who signs in and consents."""
    with requests.Session() as browser:
        code = _authorize(browser, provider, login)
        answer = browser.post(
            f"{provider['issuer']}/token",
            data={
                "grant_type": "authorization_code",
                "code": code,
                "redirect_uri": provider["redirect_uri"],
            },
            auth=(provider["client_id"], requests.utils.quote(provider["client_secret"], safe="")),
            timeout=10,
        )
        answer.raise_for_status()
        tokens: dict[str, Any] = answer.json()
        return tokens


def _authorize(browser: requests.Session, provider: dict[str, Any], login: str) -> str:
    """Follows the provider's redirects and fills in its forms until it sends the code back."""
    answer = browser.get(
        f"{provider['issuer']}/auth",
        params={
            "client_id": provider["client_id"],
            "response_type": "code",
            "scope": "openid email profile groups",
            "redirect_uri": provider["redirect_uri"],
        },
        allow_redirects=False,
        timeout=10,
    )
    for _ in range(12):
        if location := answer.headers.get("Location"):
            target = urljoin(answer.url, location)
            if target.startswith(provider["redirect_uri"]):
                return parse_qs(urlsplit(target).query)["code"][0]
            answer = browser.get(target, allow_redirects=False, timeout=10)
            continue
        prompt = re.search(r'name="prompt" value="(\w+)"', answer.text)
        action = re.search(r'action="([^"]+)"', answer.text)
        if prompt is None or action is None:
            raise RuntimeError(f"not a form of the provider: {answer.text[:500]}")
        answer = browser.post(
            urljoin(answer.url, action[1]),
            data={"prompt": prompt[1], "login": login, "password": "any"},
            allow_redirects=False,
            timeout=10,
        )
    raise RuntimeError("the provider never sent a code")
