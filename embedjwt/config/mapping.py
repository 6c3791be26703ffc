"""``[mapping]`` and ``[admission]``, and the same keys for one ``[[source]]`` alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TypeVar

from pydantic import model_validator

from embedjwt.config.section import Section
from embedjwt.config.values import Expression, Words


class MappingSettings(Section):
    """``[mapping]``: Grafana's generic OAuth attribute settings, same names and meaning."""

    email_attribute_name: str = "email:primary"
    email_attribute_path: Expression = ""
    login_attribute_path: Expression = ""
    name_attribute_path: Expression = ""
    groups_attribute_path: Expression = ""
    role_attribute_path: Expression = ""
    role_attribute_strict: bool = False
    allow_assign_grafana_admin: bool = False
    skip_org_role_sync: bool = False
    org_attribute_path: Expression = ""
    org_mapping: Words = ()

    @model_validator(mode="after")
    def _consistent(self) -> MappingSettings:
        if self.allow_assign_grafana_admin and self.skip_org_role_sync:
            raise ValueError(
                "allow_assign_grafana_admin and skip_org_role_sync exclude each other: without "
                "role sync no one is ever made (or unmade) a server admin; remove one of them"
            )
        return self


class AdmissionSettings(Section):
    """``[admission]``: who may have a token at all; an empty list admits everyone.

    ``team_ids_attribute_path`` and ``organizations_attribute_path`` say where the upstream claims
    list teams and organizations.
    """

    allowed_domains: Words = ()
    allowed_organizations: Words = ()
    allowed_groups: Words = ()
    team_ids: Words = ()
    team_ids_attribute_path: Expression = ""
    organizations_attribute_path: Expression = ""


class Overrides(Section):
    """The keys of both tables as a source may have them; ``None``: as the tables say."""

    email_attribute_name: str | None = None
    email_attribute_path: Expression | None = None
    login_attribute_path: Expression | None = None
    name_attribute_path: Expression | None = None
    groups_attribute_path: Expression | None = None
    role_attribute_path: Expression | None = None
    role_attribute_strict: bool | None = None
    allow_assign_grafana_admin: bool | None = None
    skip_org_role_sync: bool | None = None
    org_attribute_path: Expression | None = None
    org_mapping: Words | None = None
    allowed_domains: Words | None = None
    allowed_organizations: Words | None = None
    allowed_groups: Words | None = None
    team_ids: Words | None = None
    team_ids_attribute_path: Expression | None = None
    organizations_attribute_path: Expression | None = None


def combined(tables: Sequence[MappingSettings]) -> MappingSettings:
    """What one Grafana has to be told where several sources map people each in its own way."""
    return tables[0].model_copy(
        update={
            "groups_attribute_path": next(
                (t.groups_attribute_path for t in tables if t.groups_attribute_path), ""
            ),
            "allow_assign_grafana_admin": any(t.allow_assign_grafana_admin for t in tables),
            "org_mapping": tuple(dict.fromkeys(e for t in tables for e in t.org_mapping)),
        }
    )


class HasMapping(Protocol):
    """A preset: what it proposes for keys that nobody has set."""

    @property
    def mapping(self) -> Mapping[str, Any]: ...


Table = TypeVar("Table", MappingSettings, AdmissionSettings)


def effective(table: Table, source: Overrides | None, presets: Mapping[str, HasMapping]) -> Table:
    """A table as it holds for a source: its own keys, then the table's, then its preset's.

    Raises ``pydantic.ValidationError`` where the result contradicts itself.
    """
    if source is None:
        return table
    keys = type(table).model_fields
    preset = presets.get(getattr(source, "preset", None) or "")
    proposed = {k: v for k, v in (preset.mapping if preset else {}).items() if k in keys}
    said = {k: getattr(table, k) for k in table.model_fields_set}
    own = {k: v for k in keys if (v := getattr(source, k)) is not None}
    return type(table).model_validate(proposed | said | own)
