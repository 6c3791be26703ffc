"""The key set as Grafana fetches it, the issuer metadata, and health."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from embedjwt.errors import KeysUnavailable
from embedjwt.keys import SigningKey
from tests_support import FakeClock

JWKS = "/.well-known/jwks.json"
MakeApp = Callable[..., Flask]
Bearer = Callable[..., dict[str, str]]


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

    def test_a_damaged_ring_leaves_the_last_good_keys(
        self, make_app: MakeApp, tmp_path: Path, clock: FakeClock, bearer: Bearer
    ) -> None:
        app = make_app()
        client = app.test_client()
        before = client.get(JWKS).data
        assert client.get("/readyz").get_json()["status"] == "ready"
        (tmp_path / "jwks" / "ring.json").write_text("{")
        clock.now += 1
        app.extensions["embedjwt"].keys.refresh()  # as the keeper does twice a second
        clock.now += 86400
        assert client.get(JWKS).data == before
        assert client.post("/v1/embed-token", headers=bearer(), json={}).status_code == 200
        degraded = client.get("/readyz")
        assert degraded.status_code == 200
        assert degraded.get_json()["status"] == "degraded"
        assert str(tmp_path) not in degraded.text

    def test_a_lost_store_is_survived_as_long_as_that_is_safe(
        self, make_app: MakeApp, tmp_path: Path, clock: FakeClock, bearer: Bearer
    ) -> None:
        client = make_app().test_client()
        before = client.get(JWKS).data
        ring = tmp_path / "jwks" / "ring.json"
        ring.rename(tmp_path / "aside")
        clock.now += 120  # propagation_delay
        assert client.get(JWKS).data == before
        assert client.post("/v1/embed-token", headers=bearer(), json={}).status_code == 200
        assert client.get("/readyz").status_code == 200
        clock.now += 1
        for path in (JWKS, "/readyz"):
            assert client.get(path).status_code == 503
        refused = client.post("/v1/embed-token", headers=bearer(), json={})
        assert refused.status_code == 503
        assert refused.get_json()["code"] == "keys_stale"
        assert str(tmp_path) not in refused.text
        assert client.get(JWKS).mimetype == "text/plain", "Grafana would cache any JSON"
        (tmp_path / "aside").rename(ring)
        clock.now += 3
        assert client.get(JWKS).data == before
        assert client.post("/v1/embed-token", headers=bearer(), json={}).status_code == 200
        assert client.get("/readyz").get_json()["status"] == "ready"

    def test_a_query_makes_another_url_of_the_same_set(self, make_app: MakeApp) -> None:
        """After a revocation, for verifiers that cache by URL."""
        client = make_app().test_client()
        assert client.get(JWKS, query_string={"v": "1"}).data == client.get(JWKS).data


class TestMetrics:
    def test_tells_of_keys(self, make_app: MakeApp, clock: FakeClock, tmp_path: Path) -> None:
        client = make_app().test_client()
        assert gauges(client)["embedjwt_key_next_ready"] == 0
        clock.now += 4080  # propagation_delay, caches, verifier_cache_ttl, clock skew
        told = gauges(client)
        assert told['embedjwt_keys{state="active"}'] == 1
        assert told["embedjwt_key_next_ready"] == 1
        assert told["embedjwt_key_next_age_seconds"] == 4080
        assert told["embedjwt_key_transition_seconds"] == 30 * 86400 - 4080 - 4080 - 60
        assert told["embedjwt_key_revocations"] == 0

    def test_without_a_plan_there_is_no_next_transition(self, make_app: MakeApp) -> None:
        client = make_app(keys={"rotate_every": 0}).test_client()
        assert "embedjwt_key_transition_seconds" not in gauges(client)

    def test_holds_no_kid(self, make_app: MakeApp) -> None:
        client = make_app().test_client()
        kid = client.get("/readyz").get_json()["kid"]
        assert kid not in client.get("/metrics").text


def gauges(client: FlaskClient) -> dict[str, float]:
    answer = client.get("/metrics")
    assert answer.mimetype == "text/plain"
    lines = [line for line in answer.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


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


def test_not_ready_where_the_key_cannot_sign(
    make_app: MakeApp, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when an HSM is gone, which no look at the key store would show."""
    client = make_app().test_client()
    assert client.get("/readyz").status_code == 200

    def gone(*_: object) -> str:
        raise KeysUnavailable("the key cannot sign at the moment", code="hsm_unavailable")

    monkeypatch.setattr(SigningKey, "sign", gone)
    refused = client.get("/readyz")
    assert refused.status_code == 503
    assert refused.get_json()["code"] == "hsm_unavailable"
    assert client.get("/healthz").status_code == 200
