"""The thin HTTP layer: one module a concern, wired here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

from embedjwt.assets import static_dir
from embedjwt.service import Service
from embedjwt.sources import SourceChain
from embedjwt.web import health, jwks, metrics, problems
from embedjwt.web.guard import OriginGuard, SafeAnswers
from embedjwt.web.tokens import PATH, EmbedTokens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


def build_app(service: Service, sources: SourceChain) -> Flask:
    """The application that serves one configuration: the token endpoint, and Flask for the rest."""
    app = Flask("embedjwt", static_folder=str(static_dir()), static_url_path="/static")
    app.url_map.merge_slashes = False  # no redirects to whatever Host the client names
    app.config["MAX_CONTENT_LENGTH"] = service.settings.web.max_body_size
    app.extensions["embedjwt"] = service
    problems.install(app)
    jwks.install(app, service)
    health.install(app, service)
    metrics.install(app, service)
    shared_paths = {PATH}
    if sources.own_login is not None:
        # Imported here, for most installations have no login of their own.
        from embedjwt.web import session  # noqa: PLC0415

        session.install(app, service, sources.own_login)
        shared_paths |= session.SHARED_PATHS

    origins = OriginGuard(service.settings)
    ahead = _ahead(EmbedTokens(service, sources, origins), app.wsgi_app)
    app.wsgi_app = SafeAnswers(ahead, origins, shared_paths=frozenset(shared_paths))  # type: ignore[method-assign]
    return app


def _ahead(tokens: WSGIApplication, others: WSGIApplication) -> WSGIApplication:
    """``tokens`` on its path, ``others`` on every other."""

    def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        app = tokens if environ.get("PATH_INFO") == PATH else others
        return app(environ, start_response)

    return dispatch
