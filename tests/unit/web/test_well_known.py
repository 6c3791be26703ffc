"""The key set as Grafana fetches it, the issuer metadata, and health."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask

from tests_support import FakeClock

JWKS = "/.well-known/jwks.json"
MakeApp = Callable[..., Flask]


class TestJwks:
    def test_public_members_only(self, make_app: MakeApp) -> None:
        answer = make_app().test_client().get(JWKS)
        assert answer.status_code == 200
        assert answer.content_type == "application/jwk-set+json"
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        keys = json.loads(answer.text)["keys"]
        assert len(keys) == 2
        for key in keys:
            assert key.keys() == {"kty", "kid", "use", "alg", "crv", "x", "y"}

    def test_unchanged_is_304(self, make_app: MakeApp) -> None:
        client = make_app().test_client()
        etag = client.get(JWKS).headers["ETag"]
        again = client.get(JWKS, headers={"If-None-Match": etag})
        assert again.status_code == 304
        assert again.data == b""
        assert client.get(JWKS, headers={"If-None-Match": '"x"'}).status_code == 200

    def test_head(self, make_app: MakeApp) -> None:
        answer = make_app().test_client().head(JWKS)
        assert answer.status_code == 200
        assert answer.data == b""

    @pytest.mark.parametrize("method", ["post", "delete", "put"])
    def test_errors_are_never_json(self, make_app: MakeApp, method: str) -> None:
        """Grafana caches any JSON body as a key set, whatever the status says."""
        answer = getattr(make_app().test_client(), method)(JWKS)
        assert answer.status_code == 405
        assert answer.mimetype == "text/plain"
        with pytest.raises(ValueError, match="Expecting value"):
            json.loads(answer.text)

    def test_a_store_that_breaks_leaves_the_last_good_keys(
        self, make_app: MakeApp, tmp_path: Path, clock: FakeClock
    ) -> None:
        client = make_app().test_client()
        before = client.get(JWKS).data
        assert client.get("/readyz").status_code == 200
        (tmp_path / "jwks" / "ring.json").write_text("{")
        clock.now += 2
        assert client.get(JWKS).data == before
        unready = client.get("/readyz")
        assert unready.status_code == 503
        assert unready.get_json()["code"] == "keys_unavailable"
        assert str(tmp_path) not in unready.text


def test_metadata(make_app: MakeApp) -> None:
    body = make_app().test_client().get("/.well-known/openid-configuration").get_json()
    assert body["issuer"] == "https://embed.example.com"
    assert body["jwks_uri"] == "https://embed.example.com/.well-known/jwks.json"
    assert body["id_token_signing_alg_values_supported"] == ["ES256"]


def test_alive(make_app: MakeApp) -> None:
    assert make_app().test_client().get("/healthz").get_json() == {"status": "ok"}


def test_static_files_may_be_loaded_by_host_pages(make_app: MakeApp) -> None:
    answer = make_app().test_client().get("/static/demo/host.js")
    assert answer.status_code == 200
    assert answer.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    assert answer.headers["Access-Control-Allow-Origin"] == "*"
    answer.close()
