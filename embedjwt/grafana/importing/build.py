"""The whole import: every enabled OAuth section a source, their Grafana the target."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from embedjwt.errors import EmbedJWTError
from embedjwt.grafana.importing.connectors import read_connector
from embedjwt.grafana.importing.document import Table, render
from embedjwt.grafana.importing.draft import Carried, Draft, Left, Line, ToDo
from embedjwt.grafana.importing.rules import is_admission, leave_out_the_admins
from embedjwt.grafana.importing.target import read_target
from embedjwt.grafana.oauth_settings import CONNECTORS, GrafanaSettings, Setting

DEFAULT_ISSUER = "http://localhost:8080"
_SECRET_FILE = "client-secret"
_ORDER = ("type", "name", "issuer", "client_id", "client_secret_file")

_WHO_ASKS = "Who is asking? People sign in at the provider, as they did with Grafana."
_WHO_ARE_THEY = "What will Grafana call them?"
_MAY_THEY = "May they have a token at all? Empty lists admit everyone."
_FOR_WHICH = "For which Grafana?"


class NothingToImport(EmbedJWTError):
    """The files enable no OAuth section."""

    code = "nothing_to_import"
    status = 400


@dataclass(frozen=True, slots=True)
class Import:
    """``text`` is the file to write; ``secrets`` are the files that belong beside it, by name."""

    text: str
    secrets: dict[str, str] = field(repr=False)
    carried: tuple[Carried, ...]
    left: tuple[Left, ...]
    todo: tuple[ToDo, ...]


def import_grafana(grafana: GrafanaSettings) -> Import:
    """The configuration that knows the same people as this Grafana, and gives them the same roles.

    What changes who gets in or as whom is carried or named, never dropped in silence. Raises
    :class:`NothingToImport`.
    """
    enabled = [name for name in CONNECTORS if grafana.is_on(name, "enabled")]
    if not enabled:
        raise _nothing(grafana)
    secret_files = [_SECRET_FILE if len(enabled) == 1 else _secret_file(name) for name in enabled]
    drafts = [
        read_connector(name, grafana.section(name), index=index, secret_file=secret_files[index])
        for index, name in enumerate(enabled)
    ]
    _apply_auth(grafana, drafts)
    if len(drafts) > 1:
        drafts = [_on_its_own(draft, index) for index, draft in enumerate(drafts)]
    target = read_target(grafana, _org_mapping(drafts))
    secrets = zip(secret_files, (draft.secret for draft in drafts), strict=True)
    return Import(
        text=render([*_tables(drafts), Table("[[grafana]]", target.lines, _FOR_WHICH)]),
        secrets={file: secret for file, secret in secrets if secret is not None},
        carried=(*(one for draft in drafts for one in draft.carried), *target.carried),
        left=(
            *(one for draft in drafts for one in draft.left),
            *target.left,
            *_skipped(grafana, enabled),
        ),
        todo=(*_first_steps(drafts), *(t for d in drafts for t in d.todo), *target.todo),
    )


def _nothing(grafana: GrafanaSettings) -> NothingToImport:
    off = [f"[{name}]" for name in CONNECTORS if grafana.section(name)]
    hint = (
        f"{', '.join(off)}: enabled is not true; switch on what is to be carried over"
        if off
        else "looked for " + ", ".join(f"[{name}]" for name in CONNECTORS)
    )
    return NothingToImport("No OAuth section is enabled there.", hint=hint)


def _secret_file(section: str) -> str:
    return f"{_SECRET_FILE}-{section.removeprefix('auth.').replace('_', '-')}"


def _apply_auth(grafana: GrafanaSettings, drafts: list[Draft]) -> None:
    """The keys of ``[auth]`` that hold for every OAuth section."""
    auth = grafana.section("auth")
    signout = auth.get("signout_redirect_url")
    if signout is not None:
        _apply_signout(signout, drafts)
    if grafana.is_on("auth", "oauth_auto_login"):
        _apply_auto_login(auth["oauth_auto_login"].origin, drafts)
    if grafana.is_on("auth", "oauth_skip_org_role_update_sync"):
        for draft in drafts:
            draft.rule("skip_org_role_sync", True)
            leave_out_the_admins(draft)
        origin = auth["oauth_skip_org_role_update_sync"].origin
        drafts[0].carried.append(Carried(origin, "[mapping] skip_org_role_sync", True))
        reason = "it is deprecated, and later Grafanas do not read it: roles are theirs to give"
        do = "remove skip_org_role_sync if your Grafana takes roles from the provider by now"
        drafts[0].left.append(Left(origin, reason, do))


def _apply_signout(signout: Setting, drafts: list[Draft]) -> None:
    key = "signout_redirect_url"
    without = [draft for draft in drafts if not draft.source_value(key)]
    for draft in without:
        draft.source.append(Line(key, signout.value))
    if without:
        drafts[0].carried.append(Carried(signout.origin, f"[[source]] {key}", signout.value))
    else:
        reason = "each section that is carried over has its own, which Grafana prefers, too"
        drafts[0].left.append(Left(signout.origin, reason))


def _apply_auto_login(origin: str, drafts: list[Draft]) -> None:
    if len(drafts) > 1:
        reason = "with several providers Grafana does not read it either"
        drafts[0].left.append(Left(origin, reason))
        return
    drafts[0].source = [line for line in drafts[0].source if line.key != "auto_login"]
    drafts[0].source.append(Line("auto_login", True))
    drafts[0].carried.append(Carried(origin, "[[source]] auto_login", True))


def _on_its_own(draft: Draft, index: int) -> Draft:
    """One of several: its rules are its own, and its subjects are kept apart."""
    name = next(str(line.value) for line in draft.source if line.key == "name")
    prefix = Line("subject_prefix", f"{name}:")
    tables = ("[mapping] ", "[admission] ")
    return replace(
        draft,
        source=[*draft.source, prefix, *draft.rules],
        carried=[
            replace(one, to=f"[[source]] {one.to.split(' ', 1)[1]}")
            if one.to.startswith(tables)
            else one
            for one in draft.carried
        ],
        todo=[
            replace(one, key=f"source.{index}.{one.key.split('.', 1)[1]}")
            if one.key.startswith(("mapping.", "admission."))
            else one
            for one in draft.todo
        ],
    )


def _org_mapping(drafts: list[Draft]) -> list[str]:
    values = [draft.rule_value("org_mapping") for draft in drafts]
    return [entry for value in values if isinstance(value, list) for entry in value]


def _tables(drafts: list[Draft]) -> Iterator[Table]:
    comment = "The URL of this service, as Grafana and browsers reach it: the tokens' iss."
    yield Table("", [Line("issuer", DEFAULT_ISSUER, comment)])
    for number, draft in enumerate(drafts):
        lines = [Line("type", "oidc"), *draft.source]
        known = {key: place for place, key in enumerate(_ORDER)}
        ordered = sorted(lines, key=lambda line: known.get(line.key, len(known)))
        yield Table("[[source]]", ordered, "" if number else _WHO_ASKS)
    if len(drafts) == 1:
        rules = drafts[0].rules
        mapping = [line for line in rules if not is_admission(line.key)]
        yield Table("[mapping]", mapping, _WHO_ARE_THEY)
        yield Table("[admission]", [line for line in rules if is_admission(line.key)], _MAY_THEY)


def _first_steps(drafts: list[Draft]) -> Iterator[ToDo]:
    do = f"the https URL at which Grafana and browsers reach embedjwt, in place of {DEFAULT_ISSUER}"
    yield ToDo("issuer", do)
    for index, _ in enumerate(drafts):
        do = "at the provider, add a redirect URI to this client: 'embedjwt check' prints it"
        yield ToDo(f"source.{index}", do)
    do = 'the origins of the pages that show panels, such as ["https://app.example.com"]'
    yield ToDo("web.allowed_origins", do)


def _skipped(grafana: GrafanaSettings, enabled: list[str]) -> Iterator[Left]:
    for name in CONNECTORS:
        if name not in enabled and grafana.section(name):
            switch = grafana.section(name).get("enabled")
            what = f"enabled is {switch.value}" if switch is not None else "enabled is not set"
            yield Left(f"[{name}]", f"skipped: {what}")
