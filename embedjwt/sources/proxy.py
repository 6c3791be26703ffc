"""``type = "proxy"``: identity headers from a reverse proxy that has signed the person in."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from typing import Any

from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sources.ambiguity import is_ambiguous
from embedjwt.sources.carrier import Places
from embedjwt.sources.peers import TrustedPeers

MAX_VALUE_LENGTH = 1024
"""Characters of a subject, login, e-mail or name."""

MAX_GROUPS_LENGTH = 16 * 1024

_COMMA = re.compile(",")
_BARE_COMMA = re.compile(r",(?! )")
_CONTROL_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class IdentityHeaders:
    """The names of a proxy's headers, and what divides the groups in theirs."""

    subject: str | None = None
    user: str | None = None
    email: str | None = None
    name: str | None = None
    groups: str | None = None
    separator: str = ","

    def names(self) -> list[str]:
        """The headers that are read."""
        named = (self.subject, self.user, self.email, self.name, self.groups)
        return [name for name in named if name is not None]

    def overridden(self, **given: str | None) -> IdentityHeaders:
        """These names with those that are given in their place."""
        return replace(self, **{field: name for field, name in given.items() if name is not None})


PRESETS = {
    "oauth2-proxy": IdentityHeaders(
        subject="X-Auth-Request-User",
        user="X-Auth-Request-Preferred-Username",
        email="X-Auth-Request-Email",
        groups="X-Auth-Request-Groups",
    ),
    "authelia": IdentityHeaders(
        user="Remote-User",
        email="Remote-Email",
        name="Remote-Name",
        groups="Remote-Groups",
    ),
    "authentik": IdentityHeaders(
        subject="X-authentik-uid",
        user="X-authentik-username",
        email="X-authentik-email",
        name="X-authentik-name",
        groups="X-authentik-groups",
        separator="|",
    ),
}
"""What these proxies send by default."""


class ProxyHeaders:
    """A session source: headers that only a trusted peer may send.

    The claims are ``sub`` (the subject, or else the user),
    ``login`` and ``preferred_username`` (the user), ``email``, ``name`` and ``groups``, each only
    where its header says something.

    NOTE: WSGI shows ``X_User`` and ``X-User`` as one variable, so twins cannot be seen here alone:
    ``web/asgi.py`` sees them and says so. Werkzeug, gunicorn and waitress drop the former.
    """

    def __init__(
        self,
        *,
        name: str,
        subject_prefix: str,
        headers: IdentityHeaders,
        trusted: TrustedPeers,
    ) -> None:
        self.name = name
        self._subject_prefix = subject_prefix
        self._headers = headers
        self._trusted = trusted

    @property
    def places(self) -> Places:
        """The headers, believed because a trusted peer sent them."""
        return Places(headers=frozenset(self._headers.names()), by_peer=True)

    def session(self, request: Request, now: int) -> UpstreamSession | None:  # noqa: ARG002
        """The session the headers tell of; ``None`` where all of them are missing or empty."""
        twins = [name for name in self._headers.names() if is_ambiguous(request, name)]
        values = self._read(request)
        if not values and not twins:
            return None
        self._trusted.require(request)
        if twins:
            raise SessionRefused(
                "An identity header came twice, or under a name with an underscore.",
                code="identity_header_ambiguous",
                hint=f"{twins[0]}: the proxy in front must replace these headers, and drop names "
                "with an underscore",
            )
        return UpstreamSession(
            source=self.name,
            documents=Documents(id_token=self._claims(values)),
            subject_prefix=self._subject_prefix,
        )

    def _read(self, request: Request) -> dict[str, str]:
        names = self._headers
        fields = {
            "subject": names.subject,
            "user": names.user,
            "email": names.email,
            "name": names.name,
            "groups": names.groups,
        }
        found = {
            field: request.headers.get(header, "").strip(" \t")
            for field, header in fields.items()
            if header is not None
        }
        return {field: value for field, value in found.items() if value}

    def _claims(self, values: dict[str, str]) -> VerifiedClaims:
        claims: dict[str, Any] = {}
        user = _identifier(values, "user")
        subject = _identifier(values, "subject") or user
        if not subject:
            raise SessionRefused(
                "The identity headers name nobody.",
                code="identity_header_missing",
                hint=f"source {self.name!r}: the proxy sent neither the subject's nor the user's "
                "header",
            )
        claims["sub"] = subject
        if user:
            claims |= {"login": user, "preferred_username": user}
        if email := _identifier(values, "email"):
            claims["email"] = email
        if "name" in values:
            # "Doe, Jane" has a space after its comma; two joined header fields have none.
            claims["name"] = _text("name", values["name"], MAX_VALUE_LENGTH, refuse=_BARE_COMMA)
        if "groups" in values:
            claims["groups"] = self._groups(values["groups"])
        return VerifiedClaims(claims)

    def _groups(self, value: str) -> list[str]:
        separator = self._headers.separator
        refuse = None if separator == "," else _BARE_COMMA
        text = _text("groups", value, MAX_GROUPS_LENGTH, refuse=refuse)
        return [group for item in text.split(separator) if (group := item.strip())]


def _identifier(values: dict[str, str], field: str) -> str:
    """A value that tells people apart: no comma, and no character that cannot be seen."""
    text = _text(field, values.get(field, ""), MAX_VALUE_LENGTH, refuse=_COMMA)
    if not text.isprintable():
        raise _invalid(field, "holds invisible characters")
    return text


def _text(field: str, value: str, limit: int, *, refuse: re.Pattern[str] | None) -> str:
    """A header's text: UTF-8, which WSGI hands over as Latin-1 (PEP 3333).

    WSGI servers join repeated header fields with a comma, so ``refuse`` is how a doubled field
    shows.
    """
    if len(value) > limit:
        raise _invalid(field, f"is longer than {limit} bytes")
    try:
        text = value.encode("latin-1").decode("utf-8")
    except UnicodeError:
        raise _invalid(field, "is not UTF-8") from None
    if any(unicodedata.category(character) in _CONTROL_CATEGORIES for character in text):
        raise _invalid(field, "holds control characters")
    if refuse is not None and refuse.search(text):
        raise _invalid(field, "came twice, or holds a comma, which looks the same")
    return text


def _invalid(field: str, why: str) -> SessionRefused:
    return SessionRefused(
        "An identity header is not acceptable.",
        code="identity_header_invalid",
        hint=f"the header for {field} {why}",
    )
