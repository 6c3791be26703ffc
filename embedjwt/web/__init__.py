"""The thin HTTP layer: one module a concern, wired here."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask
from werkzeug.wrappers import Response

from embedjwt.assets import static_dir
from embedjwt.errors import RequestRefused
from embedjwt.service import Service
from embedjwt.sources import SourceChain
from embedjwt.web import health, jwks, metrics, problems, sdk
from embedjwt.web.gateway_paths import SESSION
from embedjwt.web.guard import OriginGuard, SafeAnswers
from embedjwt.web.tokens import PATH, EmbedTokens

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

    from embedjwt.web.gateway import GatewayPaths


def build_app(service: Service, sources: SourceChain) -> Flask:
    """The application that serves one configuration: the token endpoint, and Flask for the rest."""
    static = static_dir()
    app = Flask("embedjwt", static_folder=str(static), static_url_path="/static")
    app.url_map.merge_slashes = False  # no redirects to whatever Host the client names
    app.config["MAX_CONTENT_LENGTH"] = service.settings.web.max_body_size
    app.extensions["embedjwt"] = service
    problems.install(app)
    jwks.install(app, service)
    health.install(app, service, sources.state)
    metrics.install(app, service, sources.state)
    sdk.install(app, service, static)
    origins = OriginGuard(service.settings)
    shared_paths, login = {PATH, SESSION}, None
    if sources.own_login is not None:
        # Imported here, for most installations have no login of their own.
        from embedjwt.web import session  # noqa: PLC0415

        session.install(app, service, sources.own_login)
        shared_paths |= session.SHARED_PATHS
        login = session.LOGIN
    paths = None
    if service.settings.behind_gateway and sources.state is not None:
        from embedjwt.web import gateway  # noqa: PLC0415

        paths = gateway.install(
            app, service, sources, state=sources.state, guard=origins, login=login
        )
    else:
        _say_that_the_gateway_is_off(app)
    ahead = _ahead(EmbedTokens(service, sources, origins), paths, app.wsgi_app)
    safe = SafeAnswers(ahead, origins, shared_paths=frozenset(shared_paths))
    quick = None if paths is None else paths.quickly(safe)
    if quick is not None:
        app.extensions["embedjwt.quick"] = quick.fields
    app.wsgi_app = quick or safe  # type: ignore[method-assign]  # as Flask documents it
    return app


def _say_that_the_gateway_is_off(app: Flask) -> None:
    """A proxy or a page that asks it should not be left with a path that nobody knows."""

    @app.route("/gateway/<path:_path>", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
    def gateway_off(_path: str) -> Response:
        raise GatewayOff(
            "the gateway is off",
            hint='it needs [gateway] proxy, and a [[grafana]] with mode = "gateway"',
        )


class GatewayOff(RequestRefused):
    """Somebody asks a gateway that is not configured."""

    code = "gateway_off"
    status = 404


def _ahead(
    tokens: WSGIApplication, gateway: GatewayPaths | None, others: WSGIApplication
) -> WSGIApplication:
    """``tokens`` on its path, the proxy's paths of the gateway, ``others`` on every other."""

    def dispatch(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        app = tokens if path == PATH else None
        if app is None and gateway is not None:
            app = gateway.for_path(path)
        return (app or others)(environ, start_response)

    return dispatch
