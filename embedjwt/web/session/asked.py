"""What a request to ``/session/login`` asks for, checked."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from werkzeug.wrappers import Request

from embedjwt.errors import RequestRefused
from embedjwt.oidc.authorization import Display
from embedjwt.web.session.return_to import safe_return_to

_FRAMES = frozenset({"iframe", "frame", "embed", "object", "fencedframe"})


@dataclass(frozen=True, slots=True)
class LoginAsked:
    """``source`` is the provider's name, "" where none is named. ``clicked``: a person's own click
    led here, and not a script. ``silent``: no page is wanted where nobody is signed in."""

    source: str
    return_to: str
    display: Display
    opener_origin: str
    clicked: bool
    silent: bool


def read_login(request: Request, *, issuer: str, allowed_origins: Collection[str]) -> LoginAsked:
    """The question in a request's query or form. Raises ``RequestRefused``.

    ``next`` is where a page goes afterwards, ``origin`` whom a popup or frame reports to; both must
    be on ``[web] allowed_origins``.
    """
    values = request.values
    display = _display(request)
    origin = values.get("origin", "")
    if origin and origin not in allowed_origins:
        raise RequestRefused(
            "Pages of this origin may not ask for a sign-in.",
            code="origin_not_allowed",
            hint="add the page's exact origin to [web] allowed_origins",
        )
    wanted = values.get("next", "")
    return_to = safe_return_to(wanted, issuer=issuer, allowed_origins=allowed_origins)
    if wanted and return_to is None:
        raise RequestRefused(
            "The address to return to is not allowed.",
            code="return_to_not_allowed",
            hint="next must be a path here, or an address whose exact origin is in [web] "
            "allowed_origins; encoded with encodeURIComponent, and without //, dots or encoded "
            "slashes in its path",
        )
    if values.get("prompt", "") not in ("", "none"):
        raise RequestRefused("prompt can only be none.", hint="leave it out, or ask silently")
    return LoginAsked(
        source=values.get("source", ""),
        return_to=return_to or "",
        display=display,
        opener_origin=origin,
        clicked=display != "iframe" and _clicked(request, issuer),
        silent=values.get("prompt") == "none",
    )


def in_frame(request: Request) -> bool:
    """Whether the answer will show inside another page (Fetch Metadata, ``Sec-Fetch-Dest``)."""
    return request.headers.get("Sec-Fetch-Dest", "") in _FRAMES


def wants_page(request: Request) -> bool:
    """Whether a browser navigates: scripts take anything (``*/*``), but do not name HTML."""
    return "text/html" in request.accept_mimetypes.values()


def same_origin(request: Request, issuer: str) -> bool:
    """Whether one of our own pages sent this (Fetch Metadata, or ``Origin`` in older browsers)."""
    site = request.headers.get("Sec-Fetch-Site")
    if site is not None:
        return site == "same-origin"
    return request.headers.get("Origin") == issuer


def _display(request: Request) -> Display:
    asked = request.values.get("display", "page")
    if in_frame(request) or asked == "iframe":
        return "iframe"
    if asked not in ("page", "popup"):
        raise RequestRefused("display must be page, popup or iframe.")
    return "popup" if asked == "popup" else "page"


def _clicked(request: Request, issuer: str) -> bool:
    if in_frame(request):
        return False
    if request.method == "POST":
        return same_origin(request, issuer)
    # A browser says so only of a navigation that a person's own click or typing led to.
    return request.headers.get("Sec-Fetch-User") == "?1"
