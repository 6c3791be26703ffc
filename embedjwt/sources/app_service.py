"""``type = "proxy"``, ``preset = "azure-app-service"``: who Azure App Service has signed in."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from typing import Any

from werkzeug.wrappers import Request

from embedjwt.errors import SessionRefused
from embedjwt.identity import Documents, UpstreamSession, VerifiedClaims
from embedjwt.sources.ambiguity import is_ambiguous
from embedjwt.sources.carrier import Places
from embedjwt.sources.claims import MAX_TIME
from embedjwt.sources.peers import TrustedPeers
from embedjwt.strict_json import JSONRefused, strict_loads

HEADER = "X-MS-CLIENT-PRINCIPAL"
ID_HEADER = "X-MS-CLIENT-PRINCIPAL-ID"
NAME_HEADER = "X-MS-CLIENT-PRINCIPAL-NAME"

MAX_LENGTH = 64 * 1024
"""Characters of the header: three hundred groups are about forty thousand."""

_SOAP = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
_IDENTITY = "http://schemas.microsoft.com/identity/claims/"
_WS2008 = "http://schemas.microsoft.com/ws/2008/06/identity/claims/"

SHORT_NAMES = {
    f"{_SOAP}nameidentifier": "sub",
    f"{_SOAP}emailaddress": "email",
    f"{_SOAP}name": "name",
    f"{_SOAP}givenname": "given_name",
    f"{_SOAP}surname": "family_name",
    f"{_SOAP}upn": "upn",
    f"{_IDENTITY}objectidentifier": "oid",
    f"{_IDENTITY}tenantid": "tid",
    f"{_IDENTITY}scope": "scp",
    f"{_IDENTITY}identityprovider": "idp",
    f"{_WS2008}role": "roles",
    f"{_WS2008}groups": "groups",
    "role": "roles",
}
"""What App Service's claims mapping calls the claims of a token, and what the token calls them."""

_LISTS = frozenset({"roles", "groups"})
_SINGLE = frozenset(
    {
        "sub", "oid", "tid", "email", "name", "given_name", "family_name", "upn", "unique_name",
        "preferred_username", "login", "username", "display_name", "iss", "aud", "idp", "exp",
    }
)  # fmt: skip
"""Claims that say who a person is: with two values, it would be anybody's guess who."""

_ENTRA = "aad"
_PROVIDER = re.compile(r"[A-Za-z0-9._-]{1,64}", re.ASCII)


class AppServicePrincipal:
    """A session source: the principal header, which only a trusted peer may send.

    The claims have the short names of ``SHORT_NAMES``; ``roles`` and ``groups`` are lists, another
    claim is one where it comes more than once. ``sub`` is what the provider's ID token has as
    ``sub`` and App Service as ``nameidentifier``, not ``oid``: so a person stays the same one when
    embedjwt's own login at the same client takes over. With a provider other than Microsoft Entra
    ID it begins with the provider's name, since ``42`` at one is not ``42`` at another.
    """

    def __init__(self, *, name: str, subject_prefix: str, trusted: TrustedPeers) -> None:
        self.name = name
        self._subject_prefix = subject_prefix
        self._trusted = trusted

    @property
    def places(self) -> Places:
        """The headers, believed because a trusted peer sent them."""
        return Places(headers=frozenset({HEADER, ID_HEADER, NAME_HEADER}), by_peer=True)

    def session(self, request: Request, now: int) -> UpstreamSession | None:  # noqa: ARG002
        """The session the principal tells of; ``None`` where the header is missing or empty."""
        twins = [n for n in (HEADER, ID_HEADER, NAME_HEADER) if is_ambiguous(request, n)]
        value = request.headers.get(HEADER, "").strip(" \t")
        if not value and not twins:
            return None
        self._trusted.require(request)
        if twins:
            raise SessionRefused(
                "An identity header came twice, or under a name with an underscore.",
                code="identity_header_ambiguous",
                hint=f"{twins[0]}: App Service sends it once; somebody else reaches this service",
            )
        claims = _claims(value)
        _check_beside(request, claims)
        exp = claims.get("exp")
        return UpstreamSession(
            source=self.name,
            documents=Documents(id_token=VerifiedClaims(claims)),
            expires_at=exp,
            ambient=True,
            subject_prefix=self._subject_prefix,
        )


def _claims(value: str) -> dict[str, Any]:
    principal = _decode(value)
    provider = principal.get("auth_typ")
    if not isinstance(provider, str) or not _PROVIDER.fullmatch(provider):
        raise _invalid("auth_typ is missing, or no provider's name")
    values: dict[str, list[str]] = {}
    for typ, val in _pairs(principal.get("claims")):
        values.setdefault(_short(typ, provider), []).append(val)
    claims: dict[str, Any] = {name: _value(name, found) for name, found in values.items()}
    if not claims.get("sub"):
        raise SessionRefused(
            "The identity headers name nobody.",
            code="identity_header_missing",
            hint="the principal has no nameidentifier (sub) claim",
        )
    if provider != _ENTRA:
        claims["sub"] = f"{provider}:{claims['sub']}"
    if "exp" in claims:
        claims["exp"] = _time(claims["exp"])
    return claims


def _decode(value: str) -> Mapping[str, Any]:
    if len(value) > MAX_LENGTH:
        raise _invalid(f"it is longer than {MAX_LENGTH} characters")
    try:
        principal = strict_loads(base64.b64decode(value, validate=True))
    except JSONRefused as error:
        raise _invalid(f"its JSON was refused: {error}") from None
    except ValueError:
        raise _invalid("it is not base64, or came twice") from None
    if not isinstance(principal, dict):
        raise _invalid("it is no JSON object")
    return principal


def _pairs(entries: Any) -> Iterable[tuple[str, str]]:
    if not isinstance(entries, list):
        raise _invalid("claims is no list")
    for entry in entries:
        typ, val = (entry.get("typ"), entry.get("val")) if isinstance(entry, dict) else (None, None)
        if not isinstance(typ, str) or not isinstance(val, str):
            raise _invalid("a claim has not the form {typ, val}, both texts")
        yield typ, val


def _short(typ: str, provider: str) -> str:
    # Of an Entra token that claim is unique_name (a login), and its name stays "name".
    if typ == f"{_SOAP}name" and provider == _ENTRA:
        return "unique_name"
    return SHORT_NAMES.get(typ, typ)


def _value(name: str, found: list[str]) -> str | list[str]:
    if name in _LISTS:
        return found
    different = list(dict.fromkeys(found))
    if len(different) == 1:
        return different[0]
    if name in _SINGLE:
        raise _invalid(f"the claim {name} comes with two values")
    return different


def _time(text: str) -> int:
    """The ``exp`` of the token that App Service got at the login, in Unix seconds."""
    if not re.fullmatch(r"[0-9]{1,12}", text) or int(text) > MAX_TIME:
        raise _invalid("exp is no time of this age")
    return int(text)


def _check_beside(request: Request, claims: Mapping[str, Any]) -> None:
    """What the other two headers say must be in the principal too, or they are of two requests."""
    identifier = request.headers.get(ID_HEADER, "")
    subject = claims["sub"]
    if identifier and identifier not in (subject, subject.partition(":")[2], claims.get("oid")):
        raise _invalid(f"{ID_HEADER} is neither its sub nor its oid")
    name = request.headers.get(NAME_HEADER, "")
    # How text that is not ASCII arrives there is not documented.
    if name and name.isascii() and name not in _texts(claims.values()):
        raise _invalid(f"{NAME_HEADER} is in none of its claims")


def _texts(values: Iterable[Any]) -> set[str]:
    return {value for value in values if isinstance(value, str)}


def _invalid(why: str) -> SessionRefused:
    return SessionRefused(
        "An identity header is not acceptable.",
        code="identity_header_invalid",
        hint=f"{HEADER}: {why}",
    )
