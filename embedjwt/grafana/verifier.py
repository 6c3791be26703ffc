"""How Grafana selects, verifies and maps a token under ``[auth.jwt]``: a pure model of it.

No I/O, and no clock but ``now``. Each rule names the file of grafana/grafana it was read in. It
judges what the rest of embedjwt makes, so it shares no code with the mapping or with the tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from embedjwt.expressions import ExpressionError, compile_expression
from embedjwt.grafana import jws
from embedjwt.grafana.advice import advice
from embedjwt.grafana.expectations import (
    UnusableExpectations,
    mismatch,
    parse_expectations,
    wrongly_typed_claim,
)
from embedjwt.grafana.jwt_settings import JwtAuthSettings, read_ini, settings_for_version
from embedjwt.grafana.role_word import role_word
from embedjwt.grafana.roles import GRAFANA_ADMIN, is_valid_role, map_org_roles, parse_org_mapping
from embedjwt.grafana.verdict import Rejected, Step, Trail, Verdict
from embedjwt.grafana.versions import HTTP_KEYS_SINCE, LATEST, ORG_MAPPING_SINCE
from embedjwt.grafana.words import listed, shown

__all__ = ["LATEST", "JwtAuthSettings", "Step", "Verdict", "read_ini", "verify"]

_CLIENT = "pkg/services/authn/clients/jwt.go"
_VERIFY = "pkg/services/auth/jwt/auth.go"
_KEY_SETS = "pkg/services/auth/jwt/key_sets.go"
_CLAIMS = "pkg/services/auth/jwt/validation.go"
_ROLES = "pkg/login/social/connectors/org_role_mapper.go"


def verify(
    token: str,
    settings: JwtAuthSettings,
    jwks: Mapping[str, Any],
    *,
    now: int,
    orgs: Mapping[str, int] | None = None,
) -> Verdict:
    """What a Grafana with these settings does with this token at ``now`` (Unix seconds).

    ``token`` is the header's or ``auth_token``'s value. ``jwks`` is what the configured key source
    holds; for ``key_file`` and ``key_value`` its first key stands for the PEM. ``orgs`` is the
    table of Grafana's organizations, name to id.
    """
    trail = Trail()
    settings = settings_for_version(settings)
    try:
        parsed = _select(token, settings, trail)
        trail.selected = True
        _check_signature(parsed, settings, jwks, trail)
        _check_claims(parsed, settings, now, trail)
        verdict = _identify(parsed.claims, settings, orgs or {}, trail)
    except Rejected as rejected:
        verdict = trail.verdict(rejected.reason, rejected.detail)
    return replace(verdict, warnings=advice(settings))


def _select(token: str, settings: JwtAuthSettings, trail: Trail) -> jws.SignedToken:
    """``JWT.Test``: whether the client takes the request. The signature is not looked at yet."""
    if not settings.enabled:
        text = settings.absent or "[auth.jwt] enabled is not true"
        raise trail.refused("enabled", "disabled", text, _CLIENT)
    if not settings.header_name:
        text = "header_name is empty: then even a token in the URL is not looked at"
        raise trail.refused("header_name", "header_name_unset", text, _CLIENT)
    trail.passed("enabled", f"JWT authentication is on, header {settings.header_name}", _CLIENT)
    _check_key_source(settings, trail)
    token = token.removeprefix("Bearer ")
    if not token:
        raise trail.refused("token", "no_token", "there is no token in the request", _CLIENT)
    try:
        parsed = jws.parse_compact(token)
    except jws.NotASignedToken as error:
        raise trail.refused("token", "not_a_jwt", str(error), _VERIFY) from error
    if parsed.algorithm not in jws.supported_algorithms(settings.version):
        text = "alg in the header is none that Grafana takes"
        raise trail.refused("algorithm", "algorithm_not_supported", text, _VERIFY)
    trail.passed("token", f"a signed token, alg {parsed.algorithm}", _VERIFY)
    _check_subject(parsed, trail)
    return parsed


def _check_subject(parsed: jws.SignedToken, trail: Trail) -> None:
    """``HasSubClaim`` also reads the other registered claims, and fails where a type is wrong."""
    wrong = wrongly_typed_claim(parsed.claims)
    if wrong:
        text = f"{wrong} has a type that Grafana does not read, so it passes the token over"
        raise trail.refused("registered claims", "claim_type", text, _VERIFY)
    if not parsed.claims.get("sub"):
        text = "no sub: Grafana passes the token over in silence and shows /login (#63254)"
        raise trail.refused("sub", "sub_missing", text, _VERIFY)
    trail.passed("sub", "the token names a subject", _VERIFY)


def _check_key_source(settings: JwtAuthSettings, trail: Trail) -> None:
    """``checkKeySetConfiguration`` and the rest of what is read once, at start."""
    sources = settings.key_sources
    if not sources:
        text = "none of jwk_set_url, jwk_set_file, key_file is set: Grafana does not start"
        raise trail.refused("key set", "key_set_not_configured", text, _KEY_SETS)
    if len(sources) > 1:
        text = f"only one source of keys may be set, not {' and '.join(sources)}"
        raise trail.refused("key set", "key_set_ambiguous", text, _KEY_SETS)
    if settings.jwk_set_url and not _may_be_fetched(settings):
        text = "jwk_set_url must be an https URL"
        if settings.version >= HTTP_KEYS_SINCE:
            text += "; http is for app_mode = development"
        raise trail.refused("key set", "jwk_set_url_not_https", text, _KEY_SETS)
    try:
        parse_expectations(settings.expect_claims)
    except UnusableExpectations as error:
        text = f"{error}: Grafana does not start"
        raise trail.refused("expect_claims", "expect_claims_invalid", text, _CLAIMS) from error
    trail.passed("key set", f"keys come from {sources[0]}", _KEY_SETS)


def _may_be_fetched(settings: JwtAuthSettings) -> bool:
    try:
        scheme = urlsplit(settings.jwk_set_url).scheme
    except ValueError:
        return False
    over_http = settings.app_mode == "development" and settings.version >= HTTP_KEYS_SINCE
    return scheme == "https" or over_http


def _check_signature(
    parsed: jws.SignedToken, settings: JwtAuthSettings, jwks: Mapping[str, Any], trail: Trail
) -> None:
    """``AuthService.Verify``: every key with the token's ``kid`` is tried, and no other."""
    if settings.key_file or settings.key_value:
        jwks = jws.as_pem_file(jwks, settings.key_id)
    keys = jws.keys_for(jwks, parsed.key_id)
    if not keys:
        raise trail.refused("key", "key_not_found", _no_key(parsed, jwks), _VERIFY)
    trail.passed("key", "the key set has the token's kid", _VERIFY)
    if parsed.unknown_critical:
        text = "crit in the header names an extension that Grafana does not know"
        raise trail.refused("signature", "signature_invalid", text, _VERIFY)
    if not any(jws.verifies(parsed, key, settings.version) for key in keys):
        text = "the signature was not made with this key, or its type does not fit alg"
        raise trail.refused("signature", "signature_invalid", text, _VERIFY)
    trail.passed("signature", "the signature is good", _VERIFY)


def _no_key(parsed: jws.SignedToken, jwks: Mapping[str, Any]) -> str:
    kid = f"the token's kid is {shown(parsed.key_id)}" if parsed.key_id else "the token has no kid"
    there = listed([name or "a key without kid" for name in jws.key_ids(jwks)])
    return (
        f"{kid}; the key set has {there or 'no keys'}. "
        f"Grafana does not fetch again before cache_ttl is over"
    )


def _check_claims(
    parsed: jws.SignedToken, settings: JwtAuthSettings, now: int, trail: Trail
) -> None:
    expected = parse_expectations(settings.expect_claims)
    problem = mismatch(parsed.claims, expected, now=now, version=settings.version)
    if problem:
        raise trail.refused("claims", problem.reason, problem.detail, _CLAIMS)
    trail.passed("claims", "the token is timely and has the claims that are expected", _CLAIMS)


def _identify(
    claims: Mapping[str, Any], settings: JwtAuthSettings, orgs: Mapping[str, int], trail: Trail
) -> Verdict:
    """``JWT.Authenticate`` after ``Verify``."""
    login = _name("username", claims, settings, trail)
    email = _name("email", claims, settings, trail)
    name = claims.get("name")
    groups = _strings("groups_attribute_path", settings.groups_attribute_path, claims, trail)
    roles = _roles(claims, settings, orgs, trail)
    if not login and not email:
        text = "neither username_claim nor email_claim found a text (401 jwt.missing_claim)"
        raise trail.refused("login", "login_and_email_missing", text, _CLIENT)
    trail.passed("login", "the token says who this is", _CLIENT)
    if not settings.auto_sign_up:
        text = "auto_sign_up is off: someone whom Grafana does not know yet is refused"
        trail.passed("sign-up", text, _CLIENT)
    return replace(
        trail.verdict("ok", "Grafana takes this token"),
        login=login,
        email=email,
        name=name if isinstance(name, str) else "",
        role=roles.org_roles.get(settings.default_org_id, ""),
        is_grafana_admin=roles.is_grafana_admin,
        org_roles=roles.org_roles,
        groups=tuple(groups),
        auth_id=claims["sub"],
    )


@dataclass(frozen=True, slots=True)
class _Roles:
    org_roles: dict[int, str] = field(default_factory=dict)
    is_grafana_admin: bool = False


def _roles(
    claims: Mapping[str, Any], settings: JwtAuthSettings, orgs: Mapping[str, int], trail: Trail
) -> _Roles:
    if settings.skip_org_role_sync:
        trail.passed("role", "skip_org_role_sync: Grafana keeps the roles it has", _CLIENT)
        return _Roles()
    found = role_word(claims, settings)
    direct = "Admin" if found.word == GRAFANA_ADMIN else found.word
    is_admin = settings.allow_assign_grafana_admin and found.word == GRAFANA_ADMIN
    mapped = _mapped_roles(claims, settings, orgs, direct, trail)
    org_roles = mapped or _default_role(settings, direct)
    problem = f"{found.problem}; no org_mapping matches" if settings.org_mapping else found.problem
    if not org_roles and settings.role_attribute_strict:
        text = f"{problem}; role_attribute_strict is on (403 jwt.invalid_role)"
        raise trail.refused("role", "role_invalid", text, _CLIENT)
    if mapped or not found.problem:
        trail.passed("role", "the token gives a role in each of its organizations", _ROLES)
    else:
        who = "the role" if org_roles else "the role of new people"
        trail.passed("role", f"{problem}: auto_assign_org_role is {who}", _CLIENT)
    return _Roles(org_roles, is_admin)


def _mapped_roles(
    claims: Mapping[str, Any],
    settings: JwtAuthSettings,
    orgs: Mapping[str, int],
    direct: str,
    trail: Trail,
) -> dict[int, str]:
    """``MapOrgRoles`` where ``org_mapping`` matches; empty where it does not."""
    version, strict = settings.version, settings.role_attribute_strict
    external = _strings("org_attribute_path", settings.org_attribute_path, claims, trail)
    mapping = parse_org_mapping(settings.org_mapping, strict=strict, orgs=orgs, version=version)
    if settings.org_mapping and not mapping:
        trail.passed("org_mapping", "no entry of org_mapping counts: one of them is bad", _ROLES)
    all_orgs = sorted({settings.default_org_id, *orgs.values()})
    return map_org_roles(mapping, external, direct, all_orgs)


def _default_role(settings: JwtAuthSettings, direct: str) -> dict[int, str]:
    """``getDefaultOrgMapping``; before 12.0 an invalid role set no role at all (``getRoles``)."""
    role = direct if is_valid_role(direct, settings.version) else ""
    if not role and settings.version >= ORG_MAPPING_SINCE and not settings.role_attribute_strict:
        role = settings.auto_assign_org_role
    return {settings.default_org_id: role} if role else {}


def _name(which: str, claims: Mapping[str, Any], settings: JwtAuthSettings, trail: Trail) -> str:
    """A top-level claim; the expression only where the claim's key is unset."""
    claim, setting = getattr(settings, f"{which}_claim"), f"{which}_attribute_path"
    path = getattr(settings, setting)
    if not claim and not path:
        return ""
    value = claims.get(claim) if claim else _search(path, setting, claims, trail)
    return value if isinstance(value, str) else ""


def _strings(setting: str, path: str, claims: Mapping[str, Any], trail: Trail) -> list[str]:
    """``SearchJSONForStringSliceAttr``: the strings of an array; anything else is none."""
    found = _search(path, setting, claims, trail) if path else None
    return [item for item in found if isinstance(item, str)] if isinstance(found, list) else []


def _search(path: str, setting: str, claims: Mapping[str, Any], trail: Trail) -> Any:
    failed = "does not compile"
    try:
        expression = compile_expression(path)
        failed = "fails on this token"
        return expression.search(claims)
    except ExpressionError as error:
        text = f"{setting} {failed}: {error.detail}"
        raise trail.refused("expression", "jmespath_error", text, _CLIENT) from error
