"""From the documents to the identity: what the person is called, and the roles that result."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field

from embedjwt.config.mapping import MappingSettings
from embedjwt.config.model import GrafanaTarget
from embedjwt.errors import MappingRefused
from embedjwt.expressions import ExpressionError
from embedjwt.identity import Documents, Identity
from embedjwt.mapping.attributes import AttributePaths, compiled
from embedjwt.mapping.documents import DocumentView, ReadableDocuments, TraceStep, read_documents
from embedjwt.mapping.orgs import OrgMapping, default_org_roles, map_org_roles, parse_org_mapping
from embedjwt.mapping.roles import direct_role

_LONGEST = 255
"""Characters, the most a ``sub`` may have (OpenID Connect Core 1.0 section 2); all share it."""

_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffd]")
"""No part of a name: controls, line separators, direction overrides, half surrogates, and U+FFFD,
which half surrogates are decoded to, so that different names would look the same."""

_REFUSALS = {
    "org_attribute_failed": (
        "Your organizations could not be determined.",
        "org_attribute_path failed on a document, and Grafana refuses such a login; write it so "
        "that a missing field gives null, e.g. `orgs || `[]``",
    ),
    "role_missing": (
        "Your account has no role in Grafana.",
        "role_attribute_strict is set, and neither role_attribute_path nor org_mapping gave a "
        "valid role; give the person a role upstream, or end the expression in || 'Viewer'",
    ),
    "email_missing": (
        "Your account has no e-mail address.",
        "no document has email, and neither email_attribute_path, email_attribute_name nor upn "
        "gave an address; let the upstream send one (scope email) or set email_attribute_path",
    ),
    "email_invalid": ("Your e-mail address cannot be used.", ""),
    "login_invalid": ("Your login name cannot be used.", ""),
    "sub_invalid": ("Your account's identifier cannot be used.", ""),
}
_INVALID_HINT = (
    f"it is blank or has white space around it, is longer than {_LONGEST} characters, or holds "
    "control or invisible characters; correct it upstream or choose another claim"
)
_INVALID_NAME = f"it is blank, longer than {_LONGEST} characters, or holds control characters"


class IdentityRefused(MappingRefused):
    """The documents do not make an identity; ``identity`` holds what was found all the same."""

    def __init__(self, detail: str, *, hint: str, code: str, identity: Identity) -> None:
        super().__init__(detail, hint=hint, code=code)
        self.identity = identity


@dataclass(slots=True)
class _Found:
    """What the documents have given so far."""

    sub: str = ""
    name: str = ""
    login: str = ""
    email: str = ""
    role: str = ""
    is_grafana_admin: bool = False
    groups: list[str] = field(default_factory=list)
    orgs: list[str] = field(default_factory=list)
    orgs_failed: bool = False


class Mapper:
    """``[mapping]``, compiled once at start; ``identity`` may be called from any thread."""

    def __init__(self, settings: MappingSettings) -> None:
        self._settings = settings
        self._paths = AttributePaths(settings)
        self._role = compiled(settings.role_attribute_path)
        self._org_mappings: dict[str, tuple[GrafanaTarget, OrgMapping]] = {}

    def identity(
        self,
        documents: Documents,
        target: GrafanaTarget,
        *,
        subject_prefix: str = "",
        trace: list[TraceStep] | None = None,
    ) -> Identity:
        """Who these documents are in that Grafana.

        Each attempt is appended to ``trace`` where one is given. Raises ``IdentityRefused`` with
        the code ``org_attribute_failed``, ``role_missing``, ``email_missing``, ``email_invalid``,
        ``login_invalid`` or ``sub_invalid``.
        """
        readable = read_documents(documents, trace)
        found = self._find(readable)
        if not found.email and documents.lookups.email:
            found.email = documents.lookups.email
            if trace is not None:
                trace.append(TraceStep("email", "emails", "primary", found.email, None))
        identity = self._identity(found, target, subject_prefix, trace)
        code = self._refusal(found, identity)
        if code:
            detail, hint = _REFUSALS[code]
            hint = "; ".join([hint or _INVALID_HINT, *readable.dropped])
            raise IdentityRefused(detail, hint=hint, code=code, identity=identity)
        return identity

    def unanswered(self, documents: Documents) -> frozenset[str]:
        """The attributes for which these documents hold nothing, of those that are asked for.

        Whoever has them need not ask the provider for more: each attribute takes the first answer.
        """
        found = self._find(read_documents(documents, None))
        settings = self._settings
        answers: dict[str, object] = {
            "sub": found.sub,
            "name": found.name,
            "login": found.login,
            "email": found.email,
            "groups": found.groups or not settings.groups_attribute_path,
        }
        if not settings.skip_org_role_sync:
            answers["role"] = found.role or not settings.role_attribute_path
            answers["orgs"] = found.orgs or not settings.org_attribute_path
        return frozenset(name for name, answer in answers.items() if not answer)

    def _find(self, readable: ReadableDocuments) -> _Found:
        """Each attribute from the first document that has it (``generic_oauth.go``, UserInfo)."""
        found, paths = _Found(), self._paths
        for view in readable.views:
            found.sub = found.sub or view.claim("sub", "sub", view.record.sub)
            found.name = found.name or paths.name(view)
            found.login = found.login or paths.login(view)
            found.email = found.email or paths.email(view)
            groups = None if found.groups else paths.groups(view)
            if not self._settings.skip_org_role_sync:
                self._find_role(found, view, groups)
                self._find_orgs(found, view)
            found.groups = found.groups or groups or []
        return found

    def _find_role(self, found: _Found, view: DocumentView, groups: list[str] | None) -> None:
        if self._role is not None and not found.role:
            found.role, is_admin = direct_role(
                self._role, view, lambda: self._paths.groups(view) if groups is None else groups
            )
            found.is_grafana_admin = is_admin and self._settings.allow_assign_grafana_admin

    def _find_orgs(self, found: _Found, view: DocumentView) -> None:
        if not found.orgs and not found.orgs_failed:
            try:
                found.orgs = self._paths.orgs(view)
            except ExpressionError:
                found.orgs_failed = True

    def _identity(
        self,
        found: _Found,
        target: GrafanaTarget,
        subject_prefix: str,
        trace: list[TraceStep] | None,
    ) -> Identity:
        login = found.login or found.email
        subject = found.sub or login
        if trace is not None:
            _trace_fallbacks(found, subject, trace)
        role, org_roles, mapped = self._org_roles(found, target, trace)
        return Identity(
            sub=subject_prefix + subject if subject else "",
            login=login,
            email=found.email,
            name=found.name if _is_usable(found.name) else "",
            role=role,
            is_grafana_admin=found.is_grafana_admin,
            groups=tuple(found.groups),
            orgs=tuple(found.orgs),
            org_roles=org_roles,
            orgs_mapped=mapped,
        )

    def _org_roles(
        self, found: _Found, target: GrafanaTarget, trace: list[TraceStep] | None
    ) -> tuple[str, dict[int, str], bool]:
        """The role in the default organization, all of them, and whether they were mapped."""
        if self._settings.skip_org_role_sync:
            return "", {}, False
        mapping = self._org_mapping(target)
        org_roles = map_org_roles(mapping, found.orgs, found.role, target)
        mapped = bool(org_roles)
        if not mapped:
            strict = self._settings.role_attribute_strict
            org_roles = default_org_roles(found.role, target, strict=strict)
        if trace is not None:
            _trace_org_roles(mapping, org_roles, mapped, trace)
        return org_roles.get(target.auto_assign_org_id, ""), org_roles, mapped

    def _org_mapping(self, target: GrafanaTarget) -> OrgMapping:
        """``org_mapping`` for this Grafana, parsed when it is first met."""
        known = self._org_mappings.get(target.name)
        if known is None or known[0] is not target:
            parsed = parse_org_mapping(
                self._settings.org_mapping,
                target.orgs,
                strict=self._settings.role_attribute_strict,
            )
            known = self._org_mappings[target.name] = (target, parsed)
        return known[1]

    def _refusal(self, found: _Found, identity: Identity) -> str:
        """The code of the first reason against this identity, in Grafana's order."""
        if found.orgs_failed:
            return "org_attribute_failed"
        if not identity.org_roles and not self._settings.skip_org_role_sync:
            return "role_missing"
        if not identity.email:
            return "email_missing"
        if not _is_identifier(identity.email):
            return "email_invalid"
        if not _is_identifier(identity.login):
            return "login_invalid"
        usable = _is_usable(identity.sub) and _is_identifier(found.sub)
        return "" if usable else "sub_invalid"


def _is_usable(text: str) -> bool:
    """Whether a text can be shown as a name: not blank, not too long, nothing unprintable."""
    return len(text) <= _LONGEST and not _UNPRINTABLE.search(text) and not text.isspace()


def _is_identifier(text: str) -> bool:
    """Whether a text can tell people apart: two that look the same must not be two accounts.

    Invisible format characters (Unicode category Cf) are legitimate in a name only.
    """
    return (
        _is_usable(text)
        and text == text.strip()
        and (text.isascii() or all(unicodedata.category(char) != "Cf" for char in text))
    )


def _trace_fallbacks(found: _Found, subject: str, trace: list[TraceStep]) -> None:
    if not found.login and found.email:
        trace.append(TraceStep("login", "", "email", found.email, None))
    if not found.sub and subject:
        trace.append(TraceStep("sub", "", "login", subject, None))
    if not _is_usable(found.name):
        trace.append(TraceStep("name", "", "", found.name, "dropped: " + _INVALID_NAME))


def _trace_org_roles(
    mapping: OrgMapping, org_roles: dict[int, str], mapped: bool, trace: list[TraceStep]
) -> None:
    trace.extend(
        TraceStep("org_mapping", "", entry, None, problem) for entry, problem in mapping.problems
    )
    rule = "org_mapping" if mapped else "auto_assign_org_id"
    value = {str(org_id): role for org_id, role in org_roles.items()}
    trace.append(TraceStep("org_roles", "", rule, value, None))
