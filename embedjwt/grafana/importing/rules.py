"""The keys that say who a person is and whether they are let in, as they stand."""

from __future__ import annotations

from collections.abc import Iterable

from embedjwt.config.mapping import AdmissionSettings, MappingSettings
from embedjwt.grafana.importing.client import unknown
from embedjwt.grafana.importing.draft import Carried, Draft, Left, Reader, as_list
from embedjwt.grafana.importing.toml import Value
from embedjwt.grafana.ini import ini_bool

_SWITCHES = ("role_attribute_strict", "allow_assign_grafana_admin", "skip_org_role_sync")
_LISTS = (
    "org_mapping",
    "allowed_domains",
    "allowed_organizations",
    "allowed_groups",
    "team_ids",
)


def read_rules(reader: Reader, draft: Draft, keys: Iterable[str]) -> None:
    """Carries those of ``keys`` that are set, or that Grafana has a default of its own for."""
    for key in keys:
        setting = reader.given(key)
        text = reader.text(key)
        if not text and (setting is None or not setting.file):
            continue
        value = text if setting is not None and setting.unknown else _value(key, text)
        if setting is not None:
            draft.carried.append(Carried(setting.origin, place(key), value))
            todo = unknown(setting, path(key))
            if todo is not None:
                draft.todo.append(todo)
                value = value or f"$__file{{{setting.file}}}"
        if value is not False:
            draft.rule(key, value)
    if draft.rule_value("skip_org_role_sync") is True:
        leave_out_the_admins(draft)


def place(key: str) -> str:
    """Where a key is written, as people write it."""
    return f"[{_table(key)}] {key}"


def path(key: str) -> str:
    """Where a key is, as ``check`` names it."""
    return f"{_table(key)}.{key}"


def is_admission(key: str) -> bool:
    """Whether a key says who is let in, rather than who they are."""
    return key in AdmissionSettings.model_fields


def _table(key: str) -> str:
    return "admission" if is_admission(key) else "mapping"


def _value(key: str, text: str) -> Value:
    if key in _SWITCHES:
        return ini_bool(text, False)
    return as_list(text) if key in _LISTS else text


def leave_out_the_admins(draft: Draft) -> None:
    """With ``skip_org_role_sync`` Grafana makes nobody a server admin, whatever the other says."""
    key = "allow_assign_grafana_admin"
    if draft.rule_value(key) is None:
        return
    draft.rules = [line for line in draft.rules if line.key != key]
    origins = [carried.origin for carried in draft.carried if carried.to == place(key)]
    draft.carried = [carried for carried in draft.carried if carried.to != place(key)]
    reason = "skip_org_role_sync is on, and without role sync nobody is made a server admin"
    do = "remove skip_org_role_sync to have both"
    draft.left += [Left(origin, reason, do) for origin in origins]


KNOWN = (*MappingSettings.model_fields, *AdmissionSettings.model_fields)
"""Every key of both tables."""
