"""The one reading of a request's path, or a refusal where two servers could read it differently.

A rule is only worth something if the proxy, Grafana and whatever is behind Grafana (its data
source proxy decodes once more) all see the path that the rule saw. So nothing is repaired here:
a path that somebody would normalise is refused.
"""

from __future__ import annotations

import re
from urllib.parse import unquote, unquote_to_bytes

from embedjwt.errors import EmbedJWTError

MAX_PATH = 8192
"""Characters; nginx and Grafana's own limits for a request line are of this size."""

# Before decoding. A raw "?" is no longer path; nginx ends a path at a raw "#", Go does not; bytes
# over 0x7E must come encoded (RFC 3986 section 2), and proxies differ on those that do not.
_RAW_REFUSED = re.compile(r"[^\x21-\x7e]|[\\;?#]")
_BROKEN_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
# After decoding. A separator that was encoded is a separator for some and a character for others;
# "%" and two digits is an escape for whoever decodes twice; C1 controls (U+0080 to U+009F) are
# controls like any other.
_DECODED_REFUSED = re.compile(r"[\x00-\x1f\x7f-\x9f/\\;?#]|%[0-9A-Fa-f]{2}")


class PathRefused(EmbedJWTError):
    """The path has more than one reading, or none."""

    code = "path_not_normal"
    status = 400


def segments_of(raw_path: str) -> tuple[str, ...]:
    """The segments of a request's path, each decoded once; ``/`` has none.

    ``raw_path`` is the path as it was sent, without its query, as Latin-1 text of the wire bytes.

    - One trailing slash is dropped: Grafana's router does that too (``pkg/web/tree.go``,
      ``Match``), and its front end asks for ``/apis/dashboard.grafana.app/`` so.
    - ``;`` is refused, raw and encoded. To Grafana it is a character like any other, but Java
      servers behind Grafana's data source proxy cut path parameters off, which makes ``..;`` a
      ``..``. Nothing that a panel asks for has one.
    - Letters that look like ASCII (fullwidth forms, U+FF0E) stay what they are: nginx, Go and
      Grafana compare bytes, and a reading that folded them would be the one that differs.

    Raises ``PathRefused``.
    """
    if not raw_path.startswith("/"):
        raise _refused("it does not begin with /")
    if len(raw_path) > MAX_PATH:
        raise _refused(f"it is longer than {MAX_PATH} characters")
    if _RAW_REFUSED.search(raw_path):
        raise _refused(r"it holds a raw control, space, non-ASCII character, or one of \ ; ? #")
    if _BROKEN_ESCAPE.search(raw_path):
        raise _refused("it holds a % that begins no escape")
    parts = raw_path[1:].split("/")
    if not parts[-1]:
        parts.pop()
    return tuple(_decoded(part) if "%" in part else _checked(part) for part in parts)


def has_parameter(raw_query: str, name: str) -> bool:
    """Whether a query names a parameter, however its name is encoded.

    Reads as Go's ``url.ParseQuery`` does: pairs between ``&``, keys decoded, ``+`` a space. Values
    are not looked at, so a pair that Go drops for a bad value still counts: the page's own script
    reads it. ``name`` is ASCII without spaces.
    """
    if name not in raw_query and "%" not in raw_query:
        return False
    keys = (pair.partition("=")[0] for pair in raw_query.split("&"))
    return any(key == name or ("%" in key and unquote(key) == name) for key in keys)


def _decoded(part: str) -> str:
    try:
        text = unquote_to_bytes(part).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused("an escape in it is not UTF-8") from None
    if _DECODED_REFUSED.search(text):
        raise _refused("an escape in it hides a control, a separator or another escape")
    return _checked(text)


def _checked(segment: str) -> str:
    # With spaces, because Windows drops dots and spaces at the end of a name: "..%20" is "..".
    if not segment.strip(". "):
        raise _refused("a segment of it is empty, or made of dots")
    return segment


def _refused(why: str) -> PathRefused:
    return PathRefused(
        "the path of the request can be read in more than one way", hint=f"the path: {why}"
    )
