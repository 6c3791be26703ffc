"""The thin HTTP layer: one module a concern, wired here."""

from __future__ import annotations

from flask import Flask

from embedjwt.assets import static_dir
from embedjwt.service import Service
from embedjwt.sources import SourceChain
from embedjwt.web import health, jwks, problems, tokens
from embedjwt.web.guard import OriginGuard, SafeAnswers


def build_app(service: Service, sources: SourceChain) -> Flask:
    """The Flask application that serves one configuration."""
    app = Flask("embedjwt", static_folder=str(static_dir()), static_url_path="/static")
    app.config["MAX_CONTENT_LENGTH"] = service.settings.web.max_body_size
    problems.install(app)
    jwks.install(app, service)
    health.install(app, service)
    origins = OriginGuard(service.settings)
    tokens.install(app, service, sources, origins)
    shared = frozenset({tokens.PATH})
    app.wsgi_app = SafeAnswers(app.wsgi_app, origins, shared_paths=shared)  # type: ignore[method-assign]
    return app
