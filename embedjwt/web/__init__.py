"""The thin HTTP layer: one module a concern, wired here."""

from __future__ import annotations

from flask import Flask

from embedjwt.assets import static_dir
from embedjwt.service import Service
from embedjwt.sources import SourceChain
from embedjwt.web import guard, health, jwks, problems, tokens


def build_app(service: Service, sources: SourceChain) -> Flask:
    """The Flask application that serves one configuration."""
    app = Flask("embedjwt", static_folder=str(static_dir()), static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = service.settings.web.max_body_size
    problems.install(app)
    origins = guard.OriginGuard(service.settings)
    guard.install(app, origins, shared_paths=frozenset({tokens.PATH}))
    jwks.install(app, service)
    health.install(app, service)
    tokens.install(app, service, sources, origins)
    return app
