"""The public keys, and where they are.

Rules from how Grafana consumes them (``pkg/services/auth/jwt/key_sets.go``): it ignores the status
and caches any body that is JSON, so an error here is never JSON and an empty set is never served.
"""

from __future__ import annotations

import json

from flask import Flask, Response, request

from embedjwt.keys.timing import JWKS_MAX_AGE
from embedjwt.service import Service
from embedjwt.web.problems import JWKS_PATH

_CACHING = f"public, max-age={JWKS_MAX_AGE}"


def install(app: Flask, service: Service) -> None:
    """Adds the two well-known documents."""

    @app.get(JWKS_PATH)
    def jwks() -> Response:
        keys = service.keys.current  # body and tag of one moment
        answer = Response(keys.jwks, content_type="application/jwk-set+json")
        answer.headers["Cache-Control"] = _CACHING
        answer.set_etag(keys.etag)
        answer.make_conditional(request)
        return answer

    @app.get("/.well-known/openid-configuration")
    def openid_configuration() -> Response:
        answer = Response(json.dumps(_metadata(service)), mimetype="application/json")
        answer.headers["Cache-Control"] = _CACHING
        return answer


def _metadata(service: Service) -> dict[str, object]:
    """Issuer metadata (RFC 8414 section 2), as far as there is anything to say."""
    issuer = service.settings.issuer
    return {
        "issuer": issuer,
        "jwks_uri": f"{issuer}{JWKS_PATH}",
        "response_types_supported": [],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": sorted(
            {key.alg for key in service.keys.current.ring.published()}
        ),
    }
