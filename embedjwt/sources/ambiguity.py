"""Header fields that came in a way that nobody can tell who sent them."""

from __future__ import annotations

from werkzeug.wrappers import Request

AMBIGUOUS_HEADERS = "embedjwt.ambiguous_headers"
"""In the WSGI environment: names, in lower case and with dashes, of fields that came twice or also
under a name with an underscore. ``embedjwt serve`` says so (``web/asgi.py``); other servers do not.
"""


def is_ambiguous(request: Request, name: str) -> bool:
    """Whether nobody may believe this header."""
    return name.lower() in request.environ.get(AMBIGUOUS_HEADERS, ())
