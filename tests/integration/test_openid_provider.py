"""The whole way, on real parts: a real provider's ID token in, a token that others accept out."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from openid_login import NODE_TESTS, running_provider, sign_in
from running_service import embedjwt, free_port, running_service

AUDIENCE = "https://grafana.example.com"


@pytest.fixture
def provider(node_package: Callable[[str], Path]) -> Iterator[dict[str, Any]]:
    node_package("oidc-provider")
    with running_provider() as provider:
        yield provider


@pytest.fixture
def service(tmp_path: Path, provider: dict[str, Any]) -> Iterator[str]:
    port = free_port()
    (tmp_path / "embedjwt.toml").write_text(
        f"""
        issuer = "http://localhost:{port}"
        [[source]]
        type = "jwt"
        issuer = "{provider["issuer"]}"
        audience = ["{provider["client_id"]}"]
        [mapping]
        login_attribute_path = "sub"
        groups_attribute_path = "groups"
        role_attribute_path = "contains(groups[*], 'admins') && 'Admin' || 'Viewer'"
        [[grafana]]
        url = "{AUDIENCE}"
        """
    )
    embedjwt("init", cwd=tmp_path)
    embedjwt("check", cwd=tmp_path)
    with running_service(tmp_path, port) as url:
        yield url


def exchange(service: str, id_token: str, **body: Any) -> requests.Response:
    return requests.post(
        f"{service}/v1/embed-token",
        json=body,
        headers={"Authorization": f"Bearer {id_token}"},
        timeout=10,
    )


def test_an_id_token_becomes_a_token_that_another_language_accepts(
    provider: dict[str, Any],
    service: str,
    tmp_path: Path,
    node_package: Callable[[str], Path],
) -> None:
    node_package("jose")
    tokens = sign_in(provider, "ada")

    answer = exchange(service, tokens["id_token"], panel={"dashboard": "abc", "panel": 3})
    assert answer.status_code == 200, answer.text
    token = answer.json()["token"]
    assert answer.json()["embed_url"].endswith(f"&auth_token={token}")

    # Node's jose fetches our JWKS by itself, and verifies signature, issuer and audience.
    verified = subprocess.run(
        ["node", "verify.mjs", token, f"{service}/.well-known/jwks.json", service, AUDIENCE],
        cwd=NODE_TESTS,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    seen = json.loads(verified.stdout)
    assert seen["header"]["alg"] == "ES256"
    claims = seen["payload"]
    assert claims["sub"] == claims["login"] == "ada"
    assert claims["email"] == "ada@example.com"
    assert claims["role"] == "Admin"
    assert claims["groups"] == ["everyone", "admins"]
    assert claims["exp"] - claims["iat"] == 300

    # And Grafana, with the settings we print, would make the same person of it.
    (tmp_path / "grafana.ini").write_text(embedjwt("grafana-config", cwd=tmp_path))
    (tmp_path / "jwks.json").write_text(embedjwt("keys", "export", cwd=tmp_path))
    verdict = json.loads(
        embedjwt(
            *("verify", token, "--grafana-ini", "grafana.ini", "--jwks", "jwks.json", "--json"),
            cwd=tmp_path,
        )
    )
    assert verdict["accepted"] is True
    assert verdict["login"] == "ada"
    assert verdict["org_roles"] == {"1": "Admin"}

    # A person without the group is a viewer; the same service, the same keys.
    viewer = exchange(service, sign_in(provider, "vera")["id_token"]).json()
    assert "embed_url" not in viewer
    assert viewer["refresh_in"] < viewer["expires_in"] <= 300


def test_a_token_for_another_jwks_is_refused_by_jose(
    provider: dict[str, Any], service: str, node_package: Callable[[str], Path]
) -> None:
    """The check above can fail: the provider's own token does not verify against our keys."""
    node_package("jose")
    verified = subprocess.run(
        [
            *("node", "verify.mjs", sign_in(provider, "ada")["id_token"]),
            *(f"{service}/.well-known/jwks.json", service, AUDIENCE),
        ],
        cwd=NODE_TESTS,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert json.loads(verified.stdout) == {"error": "ERR_JWKS_NO_MATCHING_KEY"}


def test_tampering_and_the_wrong_token_are_refused(provider: dict[str, Any], service: str) -> None:
    tokens = sign_in(provider, "vera")
    header, payload, signature = tokens["id_token"].split(".")
    forged = f"{header}.{payload[:-2]}AA.{signature}"
    assert exchange(service, forged).status_code == 401
    opaque = exchange(service, tokens["access_token"])
    assert opaque.status_code == 401
    assert opaque.json()["code"] == "token_malformed"
    assert exchange(service, tokens["id_token"]).status_code == 200
