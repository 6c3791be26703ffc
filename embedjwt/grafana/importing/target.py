"""``[server]``, ``[users]``, ``[auth.jwt]`` and what else a Grafana says of itself."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from embedjwt.grafana.importing.draft import Carried, Left, Line, ToDo
from embedjwt.grafana.oauth_settings import OTHER_LOGINS, GrafanaSettings, Setting
from embedjwt.grafana.roles import split_org_mapping

_DEFAULT_URL = "%(protocol)s://%(domain)s:%(http_port)s/"
_SERVER = {"protocol": "http", "domain": "localhost", "http_port": "3000"}
_OWN_ORG = "Main Org."


@dataclass(slots=True)
class TargetDraft:
    """The ``[[grafana]]`` table so far."""

    lines: list[Line] = field(default_factory=list)
    carried: list[Carried] = field(default_factory=list)
    left: list[Left] = field(default_factory=list)
    todo: list[ToDo] = field(default_factory=list)

    def put(self, key: str, value: str | int, setting: Setting) -> None:
        """A line that one of Grafana's settings gives."""
        self.lines.append(Line(key, value))
        self.carried.append(Carried(setting.origin, f"[[grafana]] {key}", value))
        if setting.unknown:
            do = f"put in what {setting.unknown} is on Grafana's machine"
            self.todo.append(ToDo(f"grafana.0.{key}", do, blocks=True))


def read_target(grafana: GrafanaSettings, org_mapping: Iterable[str]) -> TargetDraft:
    """The Grafana that tokens are for. ``org_mapping`` holds the entries of all sources."""
    draft = TargetDraft()
    _read_url(grafana.section("server"), draft)
    _read_jwt(grafana, draft)
    _read_users(grafana, draft)
    _read_orgs(org_mapping, draft)
    _look_at_the_rest(grafana, draft)
    return draft


def _read_url(server: Mapping[str, Setting], draft: TargetDraft) -> None:
    known = _SERVER | {key: setting.value for key, setting in server.items()}
    template = known.get("root_url", _DEFAULT_URL)
    url = re.sub(r"%\((\w+)\)s", lambda match: known.get(match[1], match[0]), template).rstrip("/")
    setting = server.get("root_url") or server.get("domain")
    if setting is not None:
        draft.put("url", url, setting)
        return
    draft.lines.append(Line("url", url))
    draft.todo.append(ToDo("grafana.0.url", "the URL at which browsers reach Grafana"))


def _read_jwt(grafana: GrafanaSettings, draft: TargetDraft) -> None:
    jwt = grafana.section("auth.jwt")
    header = jwt.get("header_name")
    if header is not None:
        draft.put("header_name", header.value, header)
    if grafana.is_on("auth.jwt", "enabled"):
        reason = "a Grafana has one [auth.jwt], and trusts one key set"
        do = "what 'embedjwt grafana-config' prints replaces it, and its present tokens end"
        draft.left.append(Left(jwt["enabled"].origin, reason, do))


def _read_users(grafana: GrafanaSettings, draft: TargetDraft) -> None:
    users = grafana.section("users")
    number, role = users.get("auto_assign_org_id"), users.get("auto_assign_org_role")
    if number is not None:
        is_number = re.fullmatch("[0-9]{1,9}", number.value)
        draft.put("auto_assign_org_id", int(number.value) if is_number else number.value, number)
    if role is not None:
        draft.put("auto_assign_org_role", role.value, role)
    if not grafana.is_on("users", "auto_assign_org", default=True):
        reason = (
            "with tokens, newcomers always join auto_assign_org_id, none gets an org of his own"
        )
        do = "choose auto_assign_org_id and auto_assign_org_role for them"
        draft.left.append(Left(users["auto_assign_org"].origin, reason, do))


def _read_orgs(org_mapping: Iterable[str], draft: TargetDraft) -> None:
    """Names of organizations need their ids; an id of 0 is refused until somebody looks it up."""
    names: dict[str, int] = {}
    for entry in org_mapping:
        parts = split_org_mapping(entry)
        if len(parts) > 1 and parts[1] != "*" and not re.fullmatch(r"[+-]?[0-9]+", parts[1]):
            names[parts[1]] = 1 if parts[1] == _OWN_ORG else 0
    if not names:
        return
    comment = "Organization names that org_mapping uses, and their ids (Administration, "
    draft.lines.append(Line("orgs", names, comment + "Organizations)."))
    for name in (name for name, number in names.items() if not number):
        do = f"the id of the organization {name!r}, in place of 0; only Grafana knows it"
        draft.todo.append(ToDo(f"grafana.0.orgs.{name}", do, blocks=True))


def _look_at_the_rest(grafana: GrafanaSettings, draft: TargetDraft) -> None:
    draft.left += _of_auth(grafana.section("auth"))
    embedding = grafana.section("security").get("allow_embedding")
    if embedding is not None and not grafana.is_on("security", "allow_embedding"):
        reason = "browsers refuse to show this Grafana in a frame"
        do = "paste the [security] section that 'embedjwt grafana-config' prints"
        draft.left.append(Left(f"{embedding.origin} = false", reason, do))
    if grafana.is_on("auth.anonymous", "enabled"):
        reason = "whoever has no valid token sees what Grafana shows to anybody"
        origin = grafana.section("auth.anonymous")["enabled"].origin
        draft.left.append(Left(origin, reason, "switch it off if panels are not for everybody"))
    for section in OTHER_LOGINS:
        if grafana.is_on(section, "enabled"):
            origin = grafana.section(section)["enabled"].origin
            reason = "people who sign in by it have no session that embedjwt could recognise"
            draft.left.append(
                Left(origin, reason, "give them one of the sources in docs/sources.md")
            )


def _of_auth(auth: Mapping[str, Setting]) -> Iterator[Left]:
    lookup = auth.get("oauth_allow_insecure_email_lookup")
    yield Left(
        "[auth] oauth_allow_insecure_email_lookup" if lookup is None else lookup.origin,
        "for tokens Grafana always looks people up by login and e-mail, whatever this says",
        "trust only providers that verify e-mails, and let logins be unique",
    )
    age = auth.get("oauth_state_cookie_max_age")
    if age is not None:
        yield Left(age.origin, "a login attempt lives 10 minutes here")
