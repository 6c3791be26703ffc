"""Roles and ``org_mapping`` as Grafana's JWT client resolves them.

Sources: ``pkg/services/org`` (role type) and ``pkg/login/social/connectors/org_role_mapper.go``.
Kept apart from ``embedjwt.mapping`` on purpose: this is the judge of what that computes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence

from embedjwt.grafana.versions import ROLE_NONE_SINCE, Version

GRAFANA_ADMIN = "GrafanaAdmin"
EVERYONE = "*"
ALL_ORGS = -1
"""``mapperMatchAllOrgID``: the id that ``*`` as a target stands for."""

_PRECEDENCE = {"None": 10, "Viewer": 20, "Editor": 30, "Admin": 40}
_LIST_ITEM = re.compile(r'"[^"]+"|[^,\t\n\v\f\r ]+')

OrgMapping = dict[str, dict[int, str]]
"""External organization → organization id → role."""


def is_valid_role(role: str, version: Version) -> bool:
    """``RoleType.IsValid``: exact case, and ``None`` only where that Grafana has it."""
    return role in _PRECEDENCE and (role != "None" or version >= ROLE_NONE_SINCE)


def top_role(current: str, other: str) -> str:
    """``getTopRole``: the higher one; a word that is no role counts as the lowest."""
    if current == "":
        return other
    higher = _PRECEDENCE.get(current, 0) >= _PRECEDENCE.get(other, 0)
    return current if higher else other


def split_string(text: str) -> list[str]:
    """``util.SplitString``: a JSON list, or words apart by comma or space; nothing if it fails."""
    if text.strip().startswith("["):
        try:
            items = json.loads(text)
        except (ValueError, RecursionError):
            return []
        return items if all(isinstance(item, str) for item in items) else []
    return [item.strip('"') for item in _LIST_ITEM.findall(text)]


def split_org_mapping(entry: str) -> list[str]:
    """``splitOrgMapping``: parts apart by ``:``, where ``\\:`` is a colon; none if more than 3."""
    parts = [part.replace(r"\:", ":") for part in re.split(r"(?<!\\):", entry)]
    return parts if len(parts) <= 3 else []


def org_id(name: str, orgs: Mapping[str, int]) -> int | None:
    """``getOrgIDForInternalMapping``: an id, ``*``, or the name of an organization that is there.

    A whole number is taken as it stands, whether or not there is such an organization.
    """
    if name == EVERYONE:
        return ALL_ORGS
    if re.fullmatch(r"[+-]?[0-9]{1,18}", name):
        return int(name)
    return orgs.get(name)


def parse_org_mapping(
    entries: Sequence[str], *, strict: bool, orgs: Mapping[str, int], version: Version
) -> OrgMapping:
    """``ParseOrgMappingSettings``: under ``role_attribute_strict`` one bad entry drops them all.

    Otherwise a bad entry is skipped, and a missing or bad role becomes ``Viewer``. Of two entries
    with one source and one target the last wins.
    """
    mapping: OrgMapping = {}
    for entry in entries:
        parts = split_org_mapping(entry)
        target = org_id(parts[1], orgs) if len(parts) > 1 else None
        valid_role = len(parts) > 2 and is_valid_role(parts[2], version)
        if target is None or (strict and not valid_role):
            if strict:
                return {}
            continue
        mapping.setdefault(parts[0], {})[target] = parts[2] if valid_role else "Viewer"
    return mapping


def map_org_roles(
    mapping: OrgMapping, external: Sequence[str], direct: str, all_orgs: Sequence[int]
) -> dict[int, str]:
    """``MapOrgRoles`` without its fallback: empty where no entry matched.

    ``direct`` is the role of ``role_attribute_path``; the higher of it and a mapped role wins.
    """
    roles = dict(mapping.get(EVERYONE, {}))
    for source in external:
        for target, role in mapping.get(source, {}).items():
            roles[target] = top_role(roles.get(target, ""), role)
    everywhere = roles.pop(ALL_ORGS, None)
    if everywhere is not None:
        roles |= {org: top_role(roles.get(org, ""), everywhere) for org in all_orgs}
    if direct == "":
        return roles
    return {org: top_role(direct, role) for org, role in roles.items()}
