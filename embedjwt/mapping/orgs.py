r"""``org_mapping``: external organizations to roles in Grafana's organizations.

Each entry is ``external:orgNameOrId:role``, ``\:`` an escaped colon, ``*`` everyone or every
organization. ``pkg/login/social/connectors/org_role_mapper.go``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from embedjwt.config.model import GrafanaTarget
from embedjwt.mapping.roles import is_role, top_role

_ALL_ORGS = -1
_SEPARATOR = re.compile(r"(?<!\\):")
_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class OrgMapping:
    """``org_mapping`` parsed for one Grafana: role by organization id by external organization.

    ``problems`` are the entries that do not count, each with the reason.
    """

    roles: Mapping[str, Mapping[int, str]]
    problems: tuple[tuple[str, str], ...] = ()


def parse_org_mapping(
    entries: Iterable[str], org_ids: Mapping[str, int], *, strict: bool
) -> OrgMapping:
    """Parse the entries; names are looked up in ``org_ids``.

    A bad entry is skipped and a bad role becomes Viewer; under ``strict`` either drops the whole
    mapping. Of two entries with one source and target the last wins.
    """
    roles: dict[str, dict[int, str]] = {}
    problems: list[tuple[str, str]] = []
    for entry in entries:
        parts = [part.replace(r"\:", ":") for part in _SEPARATOR.split(entry)]
        org_id = _org_id(parts[1], org_ids) if len(parts) in (2, 3) else None
        role = parts[2] if len(parts) == 3 else ""
        problem = _problem(parts, org_id, role)
        if problem:
            problems.append((entry, problem))
            if strict:
                return OrgMapping({}, ((entry, f"{problem}; strict: no entry counts"),))
        if org_id is not None:
            roles.setdefault(parts[0], {})[org_id] = role if is_role(role) else "Viewer"
    return OrgMapping(roles, tuple(problems))


def map_org_roles(
    mapping: OrgMapping, external_orgs: Iterable[str], direct_role: str, target: GrafanaTarget
) -> dict[int, str]:
    """The roles by organization id that the mapping gives, empty where nothing is mapped.

    The direct role, where there is one, counts in each of them when it is higher.
    """
    if not mapping.roles:
        return {}
    mapped = dict(mapping.roles.get("*", {}))
    for external in external_orgs:
        for org_id, role in mapping.roles.get(external, {}).items():
            mapped[org_id] = top_role(mapped.get(org_id, ""), role)
    everywhere = mapped.pop(_ALL_ORGS, None)
    if everywhere is not None:
        for org_id in target.orgs.values() or (target.auto_assign_org_id,):
            mapped[org_id] = top_role(mapped.get(org_id, ""), everywhere)
    return {org_id: top_role(direct_role, role) for org_id, role in mapped.items()}


def default_org_roles(direct_role: str, target: GrafanaTarget, *, strict: bool) -> dict[int, str]:
    """The role in the default organization, where no organization is mapped; none if strict."""
    if strict and not direct_role:
        return {}
    return {target.auto_assign_org_id: direct_role or target.auto_assign_org_role}


def _org_id(text: str, org_ids: Mapping[str, int]) -> int | None:
    if text == "*":
        return _ALL_ORGS
    if _INTEGER.fullmatch(text):
        return int(text)
    return org_ids.get(text) if text else None


def _problem(parts: list[str], org_id: int | None, role: str) -> str:
    if len(parts) not in (2, 3):
        return "skipped: not external:orgNameOrId:role"
    if org_id is None:
        return "skipped: its organization is not in the target's orgs table"
    if not is_role(role):
        return "counts as Viewer: its role is missing or not None, Viewer, Editor or Admin"
    return ""
