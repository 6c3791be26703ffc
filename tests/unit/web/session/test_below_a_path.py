"""An issuer with a path: a proxy in front serves us below it, and takes it away."""

from __future__ import annotations

import re
from collections.abc import Callable

from flask import Flask

OIDC = {
    "type": "oidc",
    "issuer": "https://idp.example.com",
    "auth_url": "https://idp.example.com/authorize",
    "token_url": "https://idp.example.com/token",
    "jwk_set_url": "https://idp.example.com/jwks",
    "client_id": "c",
    "client_secret": "s",
}


def test_pages_and_redirects_stay_below_it(make_app: Callable[..., Flask]) -> None:
    issuer = "https://tools.example.com/embed"
    client = make_app(issuer=issuer, source=[OIDC, {**OIDC, "name": "other"}]).test_client()
    page = client.get("/session/login", headers={"Accept": "text/html"}).text
    places = re.findall(r'(?:href|src|action)="([^"]+)"', page)
    assert places
    assert all(place.startswith("/embed/") for place in places)
    answer = client.get("/session/login?source=other&prompt=none")
    assert "tools.example.com%2Fembed%2Fsession%2Fcallback%2Fother" in answer.headers["Location"]
