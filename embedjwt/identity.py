"""The values that flow through embedjwt, from the upstream session to the token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NewType

UnverifiedClaims = NewType("UnverifiedClaims", Mapping[str, Any])
"""Claims that anybody may have written. Nothing downstream of the sources accepts them."""

VerifiedClaims = NewType("VerifiedClaims", Mapping[str, Any])
"""Claims whose signature, or whose sender, a session source has checked."""

DocumentName = Literal["id_token", "userinfo", "access_token"]


@dataclass(frozen=True, slots=True)
class Lookups:
    """What the provider's API said when it was asked beyond UserInfo; ``None``: it was not.

    ``email`` is the primary address of ``{api_url}/emails``, ``teams`` come from ``teams_url`` or
    ``{api_url}/teams``, ``organizations`` are the logins of ``{api_url}/orgs``.
    """

    email: str | None = None
    teams: tuple[str, ...] | None = None
    organizations: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Documents:
    """What the upstream says of a person, in the order Grafana asks it.

    Grafana's order is the ID token, then UserInfo, then the access token when that is a JWT
    (``pkg/login/social/connectors/generic_oauth.go``, ``collectUserInfoData``).
    """

    id_token: VerifiedClaims | None = None
    userinfo: VerifiedClaims | None = None
    access_token: VerifiedClaims | None = None
    lookups: Lookups = Lookups()

    def in_order(self) -> list[tuple[DocumentName, VerifiedClaims]]:
        """The documents that are there, first asked first."""
        named: list[tuple[DocumentName, VerifiedClaims | None]] = [
            ("id_token", self.id_token),
            ("userinfo", self.userinfo),
            ("access_token", self.access_token),
        ]
        return [(name, claims) for name, claims in named if claims is not None]


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class UpstreamSession:
    """The SSO session a person already has, as one session source verified it.

    ``expires_at`` is in Unix seconds; ``None`` where the source knows no end (a proxy's headers).
    ``ambient`` is true where the credential comes along by itself, a cookie or a front door's
    header, so that the request needs protection against forgery.
    ``subject_prefix`` keeps the subjects of several sources apart. ``id`` names the session in our
    own store; "" where somebody else keeps it.
    Two sessions are never equal: what was decided about one is remembered for that one alone.
    """

    source: str
    documents: Documents
    expires_at: int | None = None
    ambient: bool = False
    subject_prefix: str = ""
    id: str = ""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who Grafana will see.

    ``org_roles`` is what Grafana will end up with, by organization id, and ``role`` the one of them
    in the default organization, or "" where there is none. ``orgs_mapped`` says that they come from
    ``org_mapping``. ``orgs`` are the external organizations that ``org_attribute_path`` found.
    """

    sub: str
    login: str
    email: str
    name: str = ""
    role: str = ""
    is_grafana_admin: bool = False
    groups: tuple[str, ...] = ()
    orgs: tuple[str, ...] = ()
    org_roles: Mapping[int, str] = field(default_factory=dict)
    orgs_mapped: bool = False
