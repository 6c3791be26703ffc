"""``/session/…``: embedjwt's own login, where an ``oidc`` source is configured.

``login.py`` to the provider and back; ``account.py`` whose session it is, and logout;
``backchannel.py`` the provider's logout; ``asked.py``, ``return_to.py`` and ``attempts.py`` what
is believed of a request; ``pages.py`` what people see.
"""

from __future__ import annotations

from collections.abc import Collection
from urllib.parse import urlsplit

import flask
from werkzeug.wrappers import Request, Response

from embedjwt.oidc.own_login import OwnLogin
from embedjwt.service import Service
from embedjwt.web import problems
from embedjwt.web.session import pages
from embedjwt.web.session.account import LOGOUT, Account
from embedjwt.web.session.asked import in_frame, wants_page
from embedjwt.web.session.attempts import AttemptCookies
from embedjwt.web.session.backchannel import backchannel_logout
from embedjwt.web.session.login import Login

LOGIN = "/session/login"
CALLBACK = "/session/callback"
ME = "/session/me"
BACKCHANNEL_LOGOUT = "/session/backchannel-logout"

SHARED_PATHS = frozenset({ME, LOGOUT})
"""What pages of the host application may ask by themselves."""


def install(app: flask.Flask, service: Service, own: OwnLogin) -> None:
    """Adds the paths. What goes wrong before people's eyes is a page, else problem JSON."""
    settings = service.settings
    attempts = AttemptCookies(
        own.cookie_keys,
        secure=settings.issuer.startswith("https:"),
        samesite=settings.session.cookie_samesite,
        clock=service.clock,
    )
    login = Login(service, own, attempts)
    account = Account(service, own)
    # A proxy in front may serve us below a path of the issuer's.
    app.jinja_env.globals["base"] = urlsplit(settings.issuer).path
    views = flask.Blueprint("session", __name__, template_folder="templates")

    @views.route(LOGIN, methods=["GET", "POST"])
    def start() -> Response:
        return login.start(flask.request, _now())

    @views.get(CALLBACK)
    @views.get(f"{CALLBACK}/<path:name>")
    def callback(name: str | None = None) -> Response:
        return login.callback(flask.request, _now(), name)

    @views.get(ME)
    def me() -> flask.Response:
        return flask.jsonify(account.me(flask.request, _now()))

    @views.get(LOGOUT)
    def logout_page() -> Response:
        return account.logout_page(flask.request, _now())

    @views.post(LOGOUT)
    def logout() -> Response:
        return account.logout(flask.request)

    @views.post(BACKCHANNEL_LOGOUT)
    def backchannel() -> Response:
        return backchannel_logout(flask.request, own, _now())

    @views.errorhandler(Exception)
    def failed(error: Exception) -> Response:
        answer = problems.answer_error(error, flask.request)
        if not _for_people(flask.request):
            return answer
        # A frame shows it too, instead of the browser's own sad face.
        framed_by = settings.web.allowed_origins if in_frame(flask.request) else ()
        return _as_page(answer, flask.request, framed_by)

    def _now() -> int:
        return int(service.clock())

    app.register_blueprint(views)


def _for_people(request: Request) -> bool:
    """Whether a person looks at the answer: a browser navigates and says that it takes HTML."""
    navigates = request.path in (LOGIN, LOGOUT) or _is_callback(request)
    return navigates and wants_page(request)


def _is_callback(request: Request) -> bool:
    return request.path == CALLBACK or request.path.startswith(f"{CALLBACK}/")


def _as_page(answer: Response, request: Request, framed_by: Collection[str]) -> Response:
    problem = flask.json.loads(answer.get_data())
    return pages.error_page(
        answer.status_code,
        problem["code"],
        problem["detail"],
        problem["trace_id"],
        retry_url=LOGIN if _is_callback(request) and not framed_by else None,
        framed_by=framed_by,
    )
