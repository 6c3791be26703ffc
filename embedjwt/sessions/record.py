"""What is kept of a login, and how it is written. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from embedjwt.identity import Documents, Lookups, VerifiedClaims

FORMAT = 1
"""Changes whenever an older release would misunderstand what this one writes."""


class RecordUnreadable(ValueError):
    """Not a record as this release writes them: most likely a newer one wrote it."""


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """A person's session, as the upstream vouched for it. Its ``repr`` tells nothing of the person.

    All times are in Unix seconds. ``expires_at``: as far as the upstream vouched. ``ends_at``: the
    absolute end, which renewals never pass. ``sid`` is the upstream's own name of its session
    (OpenID Connect Back-Channel Logout 1.0 section 2.1), "" where it gives none.

    The last four are the gateway's: ``grafana`` is the origin of the Grafana that the session is
    for, "" for a login's; ``host_app`` the origin of the page that opened it; ``opened_by`` the id
    of the login's session that it stands on and falls with, which then has the documents; and
    ``redeem_until`` makes it a ticket, good until then for one such session.
    """

    source: str
    issuer: str
    sub: str = field(repr=False)
    sid: str = field(repr=False)
    documents: Documents = field(repr=False)
    created_at: int
    expires_at: int
    ends_at: int
    refresh_token: str | None = field(repr=False)
    grafana: str = ""
    host_app: str = ""
    opened_by: str | None = field(default=None, repr=False)
    redeem_until: int | None = None

    @property
    def usable_until(self) -> int:
        """From then on it is over: a refresh token can still renew it until ``ends_at``."""
        if self.redeem_until is not None:
            return self.redeem_until
        if self.refresh_token is not None:
            return self.ends_at
        return min(self.expires_at, self.ends_at)


def dump(record: SessionRecord) -> bytes:
    """The record as JSON, with the number of its format."""
    return json.dumps({"format": FORMAT, **asdict(record)}, separators=(",", ":")).encode()


def load(data: bytes) -> SessionRecord:
    """The record that :func:`dump` was given.

    Only for data whose author is known, such as what :func:`~embedjwt.sessions.sealing.unseal`
    returns: its documents come out as verified. Raises :class:`RecordUnreadable`.
    """
    try:
        fields = json.loads(data)
        if fields.pop("format") == FORMAT:
            return SessionRecord(**{**fields, "documents": _documents(fields["documents"])})
    except (ValueError, TypeError, LookupError, AttributeError):
        pass  # it had the number of our format, and is something else
    raise RecordUnreadable("not a record of this release")


def _documents(fields: Mapping[str, Any]) -> Documents:
    claims = {
        name: None if fields[name] is None else VerifiedClaims(fields[name])
        for name in ("id_token", "userinfo", "access_token")
    }
    return Documents(**claims, lookups=_lookups(**fields["lookups"]))


def _lookups(
    email: str | None, teams: list[str] | None, organizations: list[str] | None
) -> Lookups:
    """JSON has no tuples."""
    return Lookups(
        email=email,
        teams=None if teams is None else tuple(teams),
        organizations=None if organizations is None else tuple(organizations),
    )
