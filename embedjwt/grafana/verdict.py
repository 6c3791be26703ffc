"""What Grafana made of a token, and by which rules."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Step:
    """One rule of Grafana's: whether the token passed it, why, and where Grafana says so."""

    name: str
    ok: bool
    text: str
    source: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What Grafana makes of a token.

    ``selected`` is false where the JWT client does not run at all: the request goes on to the next
    client and ends, with nobody signed in, as a redirect to ``/login``. ``reason`` is "ok" or a
    stable code. ``role`` is the role in the default organization, or, where ``org_mapping`` gave
    the roles, the one that ``role_attribute_path`` gave directly. ``org_roles`` is what Grafana
    sets; empty, it leaves a person's roles alone. ``auth_id`` is what Grafana knows the person by.
    ``warnings`` are sentences on the settings, whatever became of the token.
    """

    selected: bool
    accepted: bool
    reason: str
    detail: str
    steps: tuple[Step, ...]
    login: str = ""
    email: str = ""
    name: str = ""
    role: str = ""
    is_grafana_admin: bool = False
    org_roles: dict[int, str] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    auth_id: str = ""
    warnings: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """The answer of ``embedjwt verify --json``."""
        return {
            "selected": self.selected,
            "accepted": self.accepted,
            "reason": self.reason,
            "detail": self.detail,
            "login": self.login,
            "email": self.email,
            "name": self.name,
            "role": self.role,
            "is_grafana_admin": self.is_grafana_admin,
            "org_roles": {str(org): role for org, role in self.org_roles.items()},
            "groups": list(self.groups),
            "warnings": list(self.warnings),
            "steps": [asdict(step) for step in self.steps],
        }


class Rejected(Exception):
    """The token got no further than the last step; it never leaves ``verify``."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(reason)
        self.reason = reason
        self.detail = detail


class Trail:
    """The rules in the order in which Grafana comes to them."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.selected = False

    def passed(self, name: str, text: str, source: str) -> None:
        """Note a rule the token passed."""
        self.steps.append(Step(name, True, text, source))

    def refused(self, name: str, reason: str, text: str, source: str) -> Rejected:
        """Note the rule it failed at; the caller raises what comes back."""
        self.steps.append(Step(name, False, text, source))
        return Rejected(reason, text)

    def verdict(self, reason: str, detail: str) -> Verdict:
        """How it ended, with nothing yet of who it is."""
        return Verdict(self.selected, reason == "ok", reason, detail, tuple(self.steps))
