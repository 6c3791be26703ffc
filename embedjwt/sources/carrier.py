"""Where in a request a credential sits: a bearer header, another header, or a cookie."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Protocol

from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.sources.ambiguity import is_ambiguous

_HIDDEN_BEARER = re.compile(r",\s*bearer\s", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Places:
    """Where in a request somebody looks: names of headers and of cookies.

    ``by_peer``: what is there is believed because of who sent it, and not for a signature.
    """

    headers: frozenset[str] = frozenset()
    cookies: frozenset[str] = frozenset()
    by_peer: bool = False


class Carrier(Protocol):
    """A place in a request. Equal carriers name the same place."""

    @property
    def places(self) -> Places:
        """Where that is."""

    @property
    def ambient(self) -> bool:
        """Whether a browser may attach the credential without the page asking for it."""

    def read(self, request: Request) -> str | None:
        """What is there; ``None`` where there is nothing for us."""


@dataclass(frozen=True, slots=True)
class BearerHeader:
    """``Authorization: Bearer`` (RFC 6750 section 2.1); other schemes are not for us."""

    ambient: bool = False

    @property
    def places(self) -> Places:
        """The one header."""
        return Places(headers=frozenset({"Authorization"}))

    def read(self, request: Request) -> str | None:
        """What follows ``Bearer``, which may be empty."""
        refuse_ambiguous(request, "Authorization")
        value = request.headers.get("Authorization", "")
        scheme, _, rest = value.partition(" ")
        if scheme.lower() == "bearer":
            return rest.strip(" ")
        # WSGI servers join repeated fields with a comma.
        if _HIDDEN_BEARER.search(value):
            raise _ambiguous("Authorization")
        return None


@dataclass(frozen=True, slots=True)
class NamedHeader:
    """A header that holds the bare token, or the token after ``Bearer``."""

    name: str
    ambient: bool = False

    @property
    def places(self) -> Places:
        """The one header."""
        return Places(headers=frozenset({self.name}))

    def read(self, request: Request) -> str | None:
        """The token; ``None`` where the header is missing or empty."""
        refuse_ambiguous(request, self.name)
        value = request.headers.get(self.name, "").strip(" ")
        if value[:7].lower() == "bearer ":
            value = value[7:].strip(" ")
        return value or None


@dataclass(frozen=True, slots=True)
class Cookie:
    """A cookie by its exact name."""

    name: str
    ambient: bool = True

    @property
    def places(self) -> Places:
        """The one cookie."""
        return Places(cookies=frozenset({self.name}))

    def read(self, request: Request) -> str | None:
        """The value; ``None`` where it is missing or empty (deleted).

        Two values under one name are refused: a sibling subdomain can plant a cookie beside the
        real one, and which of them comes first depends on paths (RFC 6265 section 8.6).
        """
        values = {value for value in request.cookies.getlist(self.name) if value}
        if len(values) > 1:
            raise SessionRefused(
                "The request has two cookies of the same name.",
                code="credential_ambiguous",
                hint=f"cookie {self.name!r} is set for several domains or paths; delete the others",
            )
        return values.pop() if values else None


def refuse_ambiguous(request: Request, name: str) -> None:
    """Raises ``SessionRefused`` where a header came twice, or also with an underscore."""
    if is_ambiguous(request, name):
        raise _ambiguous(name)


def _ambiguous(name: str) -> SessionRefused:
    return SessionRefused(
        "The request has more than one header of this name.",
        code="credential_ambiguous",
        hint=f"{name} came twice, or also with an underscore: the proxy in front must replace it",
    )
