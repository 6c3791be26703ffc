"""May this identity have a token at all? Teams, organizations, groups, then e-mail domains.

The gates and their order are those of Grafana's ``pkg/login/social/connectors/generic_oauth.go``
(``IsTeamMember``, ``IsOrganizationMember``, ``IsGroupMember``) and ``common.go``
(``isEmailAllowed``). Grafana asks the provider's API for teams and organizations; here it is asked
where it can be (``oidc``), and otherwise the documents have to list them. A list that cannot be
read admits nobody.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from embedjwt.config.mapping import AdmissionSettings
from embedjwt.errors import AdmissionRefused
from embedjwt.expressions import Expression, ExpressionError
from embedjwt.identity import Documents, Identity, Lookups
from embedjwt.mapping import TraceStep
from embedjwt.mapping.attributes import compiled
from embedjwt.mapping.documents import DocumentView, read_documents

_LARGEST_ID = 2**63 - 1
_ONE_ADDRESS = re.compile(r"[^@\s]+@([^@\s]+)")


class Admission:
    """``[admission]``, compiled once at start."""

    def __init__(self, settings: AdmissionSettings) -> None:
        self._settings = settings
        self._memberships = _memberships(settings)
        self._domains = frozenset(map(_comparable, settings.allowed_domains))

    def check(
        self, identity: Identity, documents: Documents, trace: list[TraceStep] | None = None
    ) -> None:
        """Return where every gate is open; what was looked at is appended to ``trace``.

        Raises ``AdmissionRefused`` with the code ``team_not_allowed``,
        ``organization_not_allowed``, ``group_not_allowed``, ``email_not_verified`` or
        ``domain_not_allowed``.
        """
        if self._memberships:
            views = read_documents(documents, trace=None).views
            for membership in self._memberships:
                membership.check(views, documents.lookups, trace)
        self._check_groups(identity)
        self._check_domain(identity, documents)

    @property
    def asks_for_teams(self) -> bool:
        """Whether only members of some teams are admitted."""
        return bool(self._settings.team_ids)

    def unanswered(self, documents: Documents) -> frozenset[str]:
        """The settings, ``team_ids`` or ``allowed_organizations``, whose gates these documents do
        not open; the provider's API may know more."""
        if not self._memberships:
            return frozenset()
        views = read_documents(documents, trace=None).views
        return frozenset(
            gate.setting
            for gate in self._memberships
            if not gate.opens_to(views, documents.lookups)
        )

    def _check_groups(self, identity: Identity) -> None:
        allowed = self._settings.allowed_groups
        if allowed and set(allowed).isdisjoint(identity.groups):
            found = f"the {len(identity.groups)} groups that [mapping] groups_attribute_path found"
            raise AdmissionRefused(
                "You are in no group that is admitted.",
                code="group_not_allowed",
                hint=f"none of [admission] allowed_groups = {', '.join(allowed)} is among {found}; "
                "names are compared exactly, case included",
            )

    def _check_domain(self, identity: Identity, documents: Documents) -> None:
        if not self._domains:
            return
        if _says_unverified(documents, identity.email):
            raise AdmissionRefused(
                "Your e-mail address has not been verified.",
                code="email_not_verified",
                hint="the provider says email_verified = false of it, so that anybody might have "
                "claimed it; allowed_domains counts only for addresses that people really have",
            )
        address = _ONE_ADDRESS.fullmatch(identity.email)
        if address is None or _comparable(address[1]) not in self._domains:
            allowed = ", ".join(self._settings.allowed_domains)
            raise AdmissionRefused(
                "Your e-mail domain is not admitted.",
                code="domain_not_allowed",
                hint=f"the e-mail is in none of [admission] allowed_domains = {allowed}; "
                "domains are written without @, and a subdomain is another domain",
            )


@dataclass(frozen=True, slots=True)
class _Membership:
    """A gate that opens to members of one of ``allowed``, as a path or a claim lists them."""

    setting: str
    allowed: tuple[str, ...]
    path_setting: str
    path: Expression | None
    claim: str
    of_path: Callable[[Any], str | None]
    of_claim: Callable[[Any], str | None]
    of_lookups: Callable[[Lookups], tuple[str, ...] | None]
    code: str
    detail: str

    def opens_to(self, views: list[DocumentView], lookups: Lookups) -> bool:
        return not self._memberships_of(views, lookups, None).isdisjoint(self.allowed)

    def check(
        self, views: list[DocumentView], lookups: Lookups, trace: list[TraceStep] | None
    ) -> None:
        found = self._memberships_of(views, lookups, trace)
        if found.isdisjoint(self.allowed):
            where = f"{self.path_setting} = {self.path.text}" if self.path else self.claim
            raise AdmissionRefused(
                self.detail,
                code=self.code,
                hint=f"none of [admission] {self.setting} = {', '.join(self.allowed)} is among "
                f"the {len(found)} that {where} found"
                + ("" if self.path else f"; {self.path_setting} says where else to look"),
            )

    def _memberships_of(
        self, views: list[DocumentView], lookups: Lookups, trace: list[TraceStep] | None
    ) -> set[str]:
        """What the provider's API said, where it was asked; else what the first document lists
        that lists anything."""
        looked_up = self.of_lookups(lookups)
        if looked_up is not None:
            if trace is not None:
                step = TraceStep(self.setting, self.claim, "the provider's API", [*looked_up], None)
                trace.append(step)
            return set(looked_up)
        for view in (DocumentView(v.name, v.claims, v.record, trace) for v in views):
            found = self._by_path(view, self.path) if self.path else self._by_claim(view)
            if found:
                return found
        return set()

    def _by_path(self, view: DocumentView, path: Expression) -> set[str]:
        try:
            items = view.items(self.setting, path)
        except ExpressionError:
            return set()
        return {member for item in items if (member := self.of_path(item)) is not None}

    def _by_claim(self, view: DocumentView) -> set[str]:
        """All of the claim's list, or nothing where an item has another shape (Go's decoding)."""
        value = view.claims.get(self.claim)
        members = [self.of_claim(item) for item in value] if isinstance(value, list) else [None]
        found = {member for member in members if member is not None}
        whole = value is None or None not in members
        view.note(self.setting, self.claim, value, None if whole else "not a list of the kind")
        return found if whole else set()


def _memberships(settings: AdmissionSettings) -> tuple[_Membership, ...]:
    teams = _Membership(
        setting="team_ids",
        allowed=settings.team_ids,
        path_setting="team_ids_attribute_path",
        path=compiled(settings.team_ids_attribute_path),
        claim="teams",
        of_path=_team,
        of_claim=lambda item: _number(item.get("id")) if isinstance(item, dict) else None,
        of_lookups=lambda lookups: lookups.teams,
        code="team_not_allowed",
        detail="You are in no team that is admitted.",
    )
    organizations = _Membership(
        setting="allowed_organizations",
        allowed=settings.allowed_organizations,
        path_setting="organizations_attribute_path",
        path=compiled(settings.organizations_attribute_path),
        claim="organizations",
        of_path=_string,
        of_claim=lambda item: _string(item.get("login") if isinstance(item, dict) else item),
        of_lookups=lambda lookups: lookups.organizations,
        code="organization_not_allowed",
        detail="You are in no organization that is admitted.",
    )
    return tuple(gate for gate in (teams, organizations) if gate.allowed)


def _says_unverified(documents: Documents, email: str) -> bool:
    """Whether a document says of this very address that it is not verified (OpenID Connect Core
    1.0 section 5.1)."""
    return any(
        claims.get("email") == email and claims.get("email_verified") in (False, "false")
        for _, claims in documents.in_order()
    )


def _comparable(domain: str) -> tuple[bool, str]:
    """In any case, but nothing beyond ASCII becomes ASCII: U+212A (Kelvin) is no ``k``."""
    return domain.isascii(), domain.lower()


def _team(item: Any) -> str | None:
    return item if isinstance(item, str) else _number(item)


def _string(item: Any) -> str | None:
    return item if isinstance(item, str) else None


def _number(item: Any) -> str | None:
    """The decimal text of a whole number that fits into Go's ``int``."""
    is_number = isinstance(item, int) and not isinstance(item, bool)
    return str(item) if is_number and abs(item) <= _LARGEST_ID else None
