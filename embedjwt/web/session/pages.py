"""What people see of ``/session/…``: small pages that say what is going on, and one next step.

The templates are in ``templates/session/``, script and style in ``static/session.js`` and ``.css``.
Nothing on a page is worth stealing, and each says in its headers who may frame it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal
from urllib.parse import urlencode

import flask
from werkzeug.wrappers import Response

from embedjwt.oidc.authorization import Display

Status = Literal["signed_in", "signed_out", "login_required", "failed"]
"""What a popup or a frame reports; ``static/session.js`` says to whom."""


def choice_page(
    names: Iterable[str], hidden: Mapping[str, str], form_actions: Iterable[str] = ()
) -> Response:
    """A button for each provider of ``names``; ``hidden`` goes along with the click.

    ``form_actions`` are more places that the form's redirects may lead to, as CSP sources.
    """
    return _page(
        "choice.html",
        {"names": list(names), "hidden": hidden},
        form_action=("'self'", *form_actions),
    )


def framed_page(source: str, opener_origin: str, framed_by: Iterable[str] = ()) -> Response:
    """Inside a frame, and nobody is signed in: a button that opens the login in a popup.

    ``source`` is the provider's name, "" where the popup is to ask. Once the popup has reported
    success, the frame tells its parent, if that is of ``opener_origin``.
    """
    query = {"source": source} if source else {}
    login = f"/session/login?{urlencode(query | {'display': 'popup'})}"
    return _page(
        "framed.html",
        {"source": source, "login": login, "opener_origin": opener_origin},
        framed_by=framed_by,
    )


def result_page(
    status: Status,
    opener_origin: str,
    return_to: str,
    display: Display,
    *,
    code: str | None = None,
    framed_by: Iterable[str] = (),
) -> Response:
    """The end of a login. A popup tells its opener and closes, a frame tells its parent; both only
    if that is of ``opener_origin``. ``return_to`` is a way on for whoever reads the page."""
    return _page(
        "result.html",
        {
            "status": status,
            "code": code,
            "display": display,
            "opener_origin": opener_origin,
            "return_to": return_to,
        },
        framed_by=framed_by,
    )


def signed_in_page() -> Response:
    """The end of a login that knows no page to return to."""
    return result_page("signed_in", "", "", "page")


def signed_out_page() -> Response:
    """The end of a logout, and what there is to see where nobody is signed in."""
    return result_page("signed_out", "", "", "page")


def logout_page(return_to: str = "", form_actions: Iterable[str] = ()) -> Response:
    """A button that signs out, for a link must not; ``return_to`` is where to go afterwards."""
    return _page("logout.html", {"return_to": return_to}, form_action=("'self'", *form_actions))


def error_page(
    status: int,
    code: str,
    detail: str,
    trace_id: str,
    *,
    retry_url: str | None = None,
    framed_by: Iterable[str] = (),
) -> Response:
    """A refusal or a failure: the problem's ``code`` and ``detail``, and how to ask about it."""
    found = {
        "status": status,
        "code": code,
        "detail": _sentence(detail),
        "trace_id": trace_id,
        "retry_url": retry_url,
    }
    response = _page("error.html", found, framed_by=framed_by)
    response.status_code = status
    return response


def json_answer(document: Mapping[str, Any]) -> Response:
    """For a page's script."""
    return Response(
        flask.json.dumps(document),
        mimetype="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _page(
    template: str,
    values: Mapping[str, Any],
    *,
    form_action: Iterable[str] = ("'none'",),
    framed_by: Iterable[str] = (),
) -> Response:
    policy = {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "form-action": " ".join(form_action),
        "frame-ancestors": " ".join(framed_by) or "'none'",
    }
    return Response(
        flask.render_template(f"session/{template}", **values),
        mimetype="text/html",
        headers={
            "Cache-Control": "no-store",
            "Content-Security-Policy": "; ".join(f"{name} {policy[name]}" for name in policy),
            # With no-referrer, browsers would send our own forms with "Origin: null".
            "Referrer-Policy": "same-origin",
        },
    )


def _sentence(text: str) -> str:
    """``text`` with a capital and a full stop, which problem details do without."""
    text = text[:1].upper() + text[1:]
    return text if text.endswith((".", "!", "?")) else f"{text}."
