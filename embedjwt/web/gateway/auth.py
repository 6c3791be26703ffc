"""``/gateway/auth``: the proxy asks about a request, and gets the header for Grafana or a refusal.

WSGI of its own, ahead of Flask: a panel makes dozens of requests, and each of them comes here.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.wrappers import Request

from embedjwt.gateway.decisions import Decision
from embedjwt.gateway.forwarded import AUTH
from embedjwt.gateway.gateway import Gateway
from embedjwt.web.asgi import Fields
from embedjwt.web.gateway.denial import Denials

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_NOT_STORED = ("Cache-Control", "no-store")
_EMPTY = ("Content-Length", "0")
_FIELDS = [(n.lower().encode(), v.encode()) for n, v in (_NOT_STORED, _EMPTY)]


class GatewayAuth:
    """The endpoint. With exactly 200, and only then, comes the header.

    Envoy asks about a path by putting it after ours.
    """

    def __init__(self, gateway: Gateway, denials: Denials) -> None:
        self._gateway = gateway
        self._denials = denials

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        try:
            decision = self._gateway.decide(environ)
        except Exception as error:
            answer = self._denials.answer(error, Request(environ), by_proxy=True)
            return answer(environ, start_response)
        return _pass(decision, start_response)


class GatewayDenied:
    """What the browser is told where the proxy cannot hand on our answer: asked once more, this
    never answers 200, and never with a token."""

    def __init__(self, gateway: Gateway, denials: Denials) -> None:
        self._gateway = gateway
        self._denials = denials

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        request = Request(environ)
        try:
            self._gateway.decide(environ)
        except Exception as error:
            answer = self._denials.answer(error, request, by_proxy=False)
        else:
            answer = self._denials.once_more(request)
        return answer(environ, start_response)


class QuickAuth:
    """Answers what is known, without waiting for anything, and leaves the rest to ``app``."""

    def __init__(self, gateway: Gateway, app: WSGIApplication) -> None:
        self._gateway = gateway
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        decision = self._known(environ)
        if decision is None:
            return self._app(environ, start_response)
        return _pass(decision, start_response)

    def fields(self, environ: WSGIEnvironment) -> Fields | None:
        """The same for ``AsgiBridge``: the header fields of the answer, ``None`` for the rest."""
        decision = self._known(environ)
        if decision is None:
            return None
        return [decision.header, *_FIELDS]

    def _known(self, environ: WSGIEnvironment) -> Decision | None:
        return self._gateway.quick(environ) if asks(environ["PATH_INFO"]) else None


def asks(path: str) -> bool:
    """Whether this is the endpoint's path."""
    return path == AUTH or path.startswith(f"{AUTH}/")


def _pass(decision: Decision, start_response: StartResponse) -> Iterable[bytes]:
    name, token = decision.header
    start_response("200 OK", [(name.decode(), token.decode()), _NOT_STORED, _EMPTY])
    return []
