"""The ``[auth.jwt]`` that makes a Grafana see exactly what embedjwt decided.

embedjwt decides, Grafana obeys: the role or, where ``org_mapping`` is set, the roles travel
resolved in the token, and what is printed here makes Grafana take them as they are.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from embedjwt.config.mapping import MappingSettings
from embedjwt.config.model import GrafanaTarget, Settings
from embedjwt.config.provider import OidcSource
from embedjwt.errors import RequestRefused
from embedjwt.grafana.ini import DEFAULT_SECTION
from embedjwt.grafana.render import Entry, Format, IniSection, render
from embedjwt.grafana.roles import ALL_ORGS, GRAFANA_ADMIN, split_org_mapping
from embedjwt.grafana.versions import (
    ENVIRONMENT_SINCE,
    HTTP_KEYS_SINCE,
    ORG_MAPPING_SINCE,
    ROLE_NONE_SINCE,
    Version,
    has_key,
)

_ROLES = ("Admin", "Editor", "Viewer", "None")


@dataclass(frozen=True, slots=True)
class GrafanaConfig:
    """What to paste, and what to know about it.

    ``losses`` names each field of the identity that this Grafana cannot take as embedjwt sends it,
    with a sentence for a person; it is empty from 12.0 on. ``warnings`` are sentences too.
    """

    text: str
    losses: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def grafana_config(
    settings: Settings,
    target: GrafanaTarget,
    *,
    version: Version,
    format: Format = "ini",
    jwks: Literal["url", "file"] = "url",
    jwks_file: Path | None = None,
    revocations: int = 0,
) -> GrafanaConfig:
    """The sections of ``grafana.ini`` for one target, with only those keys that the version has.

    ``jwks_file`` is where Grafana finds the key set as a file; with ``jwks = "file"`` alone it is
    the published set of the key store. ``revocations`` counts the keys ever revoked. Raises
    ``RequestRefused`` where that Grafana would not take ``expect_claims`` from the environment: it
    would let in the tokens of others.
    """
    if format == "env" and version < ENVIRONMENT_SINCE:
        raise RequestRefused(
            "Grafana before {}.{} ignores GF_AUTH_JWT_EXPECT_CLAIMS: neither issuer nor audience "
            "would be checked".format(*ENVIRONMENT_SINCE),
            hint="use --format ini and mount the file",
        )
    jwks = "file" if jwks_file else jwks
    key_file = jwks_file or settings.keys.directory / "jwks.json"
    key_source = (
        Entry("jwk_set_url", jwk_set_url(settings.issuer, revocations))
        if jwks == "url"
        else Entry("jwk_set_file", str(key_file))
    )
    entries = [*_verification(settings, target, key_source), *_identity(settings, target, version)]
    known = tuple(entry for entry in entries if has_key(entry.key, version))
    sections = [IniSection("auth.jwt", known), _SECURITY, _users(target, version)]
    if _fetches_over_http(settings, jwks) and version >= HTTP_KEYS_SINCE:
        sections.insert(0, _APP_MODE)
    heading = (
        f"For the Grafana {target.name!r} at {target.url}, version {version[0]}.{version[1]},",
        f"to trust the tokens of {settings.issuer}. Restart Grafana after pasting.",
    )
    return GrafanaConfig(
        render(format, heading, sections),
        tuple(_losses(settings.combined_mapping, target, version)),
        tuple(_warnings(settings, target, version, jwks)),
    )


def jwk_set_url(issuer: str, revocations: int) -> str:
    """Where Grafana fetches the keys; another URL after each revocation.

    Grafana caches the key set by its URL (``pkg/services/auth/jwt/key_sets.go``), and a remote
    cache outlives a restart: only a new query string makes it forget a revoked key at once.
    """
    query = f"?v={revocations}" if revocations else ""
    return f"{issuer}/.well-known/jwks.json{query}"


def _verification(settings: Settings, target: GrafanaTarget, key_source: Entry) -> Iterator[Entry]:
    yield Entry("enabled", True)
    yield Entry("header_name", target.header_name)
    if target.mode == "url":
        yield Entry("url_login", True, "the token comes as ?auth_token= in the panel's URL")
    yield key_source
    if key_source.key == "jwk_set_url":
        yield Entry("cache_ttl", _go_duration(settings.keys.verifier_cache_ttl))
    expected = {"iss": settings.issuer, "aud": target.token_audience}
    yield Entry("expect_claims", json.dumps(expected))


def _identity(settings: Settings, target: GrafanaTarget, version: Version) -> Iterator[Entry]:
    mapping = settings.combined_mapping
    yield Entry("username_claim", "login")
    yield Entry("email_claim", "email")
    yield _sign_up(settings)
    if mapping.groups_attribute_path:
        yield Entry("groups_attribute_path", "groups", "team sync (Grafana Enterprise)")
    if mapping.skip_org_role_sync:
        yield Entry("skip_org_role_sync", True, "roles are given in Grafana")
        return
    yield Entry("role_attribute_path", _role_path(mapping, target, version))
    yield Entry("role_attribute_strict", True, "a token without a role is refused")
    yield Entry("allow_assign_grafana_admin", mapping.allow_assign_grafana_admin)
    if mapping.org_mapping:
        yield Entry("org_attribute_path", "orgs", "embedjwt has resolved its org_mapping already")
        yield Entry("org_mapping", ", ".join(_org_mapping(mapping, target)))


def _sign_up(settings: Settings) -> Entry:
    """``allow_sign_up = false`` is Grafana's to obey: it alone knows whom it knows."""
    refused = [s.name for s in settings.source if isinstance(s, OidcSource) and not s.allow_sign_up]
    if not refused:
        return Entry("auto_sign_up", True)
    return Entry("auto_sign_up", False, f"allow_sign_up = false in source {', '.join(refused)}")


_SECURITY = IniSection(
    "security",
    (Entry("allow_embedding", True, 'without it browsers say "Refused to display"'),),
    "Tokens need no cookie. Should people also sign in to this Grafana inside frames of another\n"
    "site: cookie_samesite = none, with cookie_secure = true.",
)


_APP_MODE = IniSection(
    DEFAULT_SECTION,
    (Entry("app_mode", "development", "above the first [section]; only for keys over http"),),
)


_HTTP_KEYS = (
    "The issuer is http, so Grafana fetches the keys over http, which it does only with "
    "app_mode = development. Good for a trial; in production make the issuer https."
)
_NO_HTTP_KEYS = (
    "The issuer is http, and Grafana before 10.1 does not start with keys over http: make the "
    "issuer https, or give it the keys as a file (--jwks file)."
)


def _fetches_over_http(settings: Settings, jwks: Literal["url", "file"]) -> bool:
    return jwks == "url" and urlsplit(settings.issuer).scheme != "https"


def _users(target: GrafanaTarget, version: Version) -> IniSection:
    role = target.auto_assign_org_role
    has_role = role != "None" or version >= ROLE_NONE_SINCE
    entries = (
        Entry("auto_assign_org", True),
        Entry("auto_assign_org_id", str(target.auto_assign_org_id), "as in embedjwt.toml"),
        *((Entry("auto_assign_org_role", role),) if has_role else ()),
    )
    return IniSection("users", entries)


def _role_path(mapping: MappingSettings, target: GrafanaTarget, version: Version) -> str:
    """``role``; before 12.0 also the role in the default organization, out of ``orgs``.

    Without the latter everybody whose organizations are mapped would be refused there.
    """
    if not mapping.org_mapping or version >= ORG_MAPPING_SINCE:
        return "role"
    org = target.auto_assign_org_id
    found = [f'(orgs[?@==`"{org}:{role}"`] && `"{role}"`)' for role in _ROLES]
    return " || ".join(["role", *found])


def _org_mapping(mapping: MappingSettings, target: GrafanaTarget) -> list[str]:
    """Every ``<id>:<Role>`` that a token can carry, mapped to itself.

    ``\\:`` keeps the colon within the source (``splitOrgMapping``, ``org_role_mapper.go``).
    """
    return [
        rf"{org}\:{role}:{org}:{role}" for org in _known_orgs(mapping, target) for role in _ROLES
    ]


def _known_orgs(mapping: MappingSettings, target: GrafanaTarget) -> list[int]:
    orgs = {target.auto_assign_org_id, *target.orgs.values()}
    for entry in mapping.org_mapping:
        parts = split_org_mapping(entry)
        if len(parts) > 1 and re.fullmatch(r"[+-]?[0-9]{1,18}", parts[1]):
            orgs.add(int(parts[1]))
    return sorted(orgs - {ALL_ORGS})


def _losses(
    mapping: MappingSettings, target: GrafanaTarget, version: Version
) -> Iterator[tuple[str, str]]:
    if mapping.groups_attribute_path and not has_key("groups_attribute_path", version):
        yield "groups", "Groups are not read before Grafana 10.4: no team sync."
    if mapping.skip_org_role_sync:
        return
    if not has_key("role_attribute_path", version):
        yield (
            "role",
            "Roles are not read before Grafana 9.2: new people get auto_assign_org_role, others "
            "you give in Grafana by hand.",
        )
        yield "org_roles", "Nor are the roles in organizations."
        if mapping.allow_assign_grafana_admin:
            yield "is_grafana_admin", f"Nor is {GRAFANA_ADMIN}: nobody becomes a server admin."
        return
    if version < ROLE_NONE_SINCE:
        yield (
            "role",
            "The role None came with Grafana 10.2: before, people who have it are refused.",
        )
    if mapping.org_mapping and version < ORG_MAPPING_SINCE:
        yield (
            "org_roles",
            f"Organizations are not read before Grafana 12.0: only the role in organization "
            f"{target.auto_assign_org_id} arrives, and people who have none there are refused.",
        )


def _warnings(
    settings: Settings, target: GrafanaTarget, version: Version, jwks: Literal["url", "file"]
) -> Iterator[str]:
    if _fetches_over_http(settings, jwks):
        yield _HTTP_KEYS if version >= HTTP_KEYS_SINCE else _NO_HTTP_KEYS
    if jwks == "file":
        yield "Grafana reads jwk_set_file at start only: restart it whenever the keys change."
    if target.mode == "gateway":
        yield (
            'mode = "gateway": the reverse proxy in front of Grafana has to set '
            f"{target.header_name} on every request; 'embedjwt gateway-config' prints its "
            "configuration. Nobody may reach Grafana around that proxy."
        )
    elif not has_key("url_login", version):
        yield (
            'mode = "url" needs Grafana 9.1 (url_login): here, use mode = "gateway" and a reverse '
            "proxy of your own that adds the header."
        )
    if target.auto_assign_org_role == "None" and version < ROLE_NONE_SINCE:
        yield (
            'auto_assign_org_role = "None" came with Grafana 10.2 and is left out: by Grafana\'s '
            "default, new people who get no role from a token are Viewers."
        )
    if not has_key("auto_sign_up", version):
        yield "Before Grafana 8.4 nobody is signed up by a token: create the users beforehand."
    if (urlsplit(target.url).hostname or "").endswith(".grafana.net"):
        yield "Grafana Cloud has no JWT authentication: this works with a Grafana of your own."


def _go_duration(seconds: int) -> str:
    return f"{seconds // 60}m" if seconds % 60 == 0 else f"{seconds}s"
