"""What is wrong with settings under which a Grafana starts and says nothing."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from embedjwt.grafana.expectations import UnusableExpectations, parse_expectations
from embedjwt.grafana.jwt_settings import JwtAuthSettings
from embedjwt.grafana.versions import KEY_SINCE, has_key
from embedjwt.grafana.words import shown

_ELSEWHERE = frozenset({"signout_redirect_url"})
"""Keys that stand in Grafana's own ``[auth.jwt]`` and have no part in taking a token."""


def advice(settings: JwtAuthSettings) -> tuple[str, ...]:
    """Sentences, most dangerous first; none for a file without ``[auth.jwt]``."""
    if settings.absent:
        return ()
    unread = [*_not_expanded(settings), *_not_read(settings)]
    if not settings.enabled:
        return tuple(unread)
    return (*_open(settings), *unread, *_not_shown(settings))


def _open(settings: JwtAuthSettings) -> Iterator[str]:
    """What lets more tokens in than anybody meant."""
    try:
        expected = parse_expectations(settings.expect_claims)
    except UnusableExpectations:
        return  # the verdict says so
    if not expected.audience:
        yield "expect_claims has no aud: no audience is checked, any token of this key set passes"
    if not expected.issuer:
        yield "expect_claims has no iss: no issuer is checked"
    if settings.jwk_set_url and settings.tls_skip_verify_insecure:
        yield "tls_skip_verify_insecure is on: whoever sits between can put in keys of their own"
    if settings.unknown_role and "auto_assign_org_role" not in dict(settings.placeholders):
        yield (
            f"auto_assign_org_role = {shown(settings.unknown_role)} is no role of this Grafana: "
            f"new people whom no token gives a role become {settings.auto_assign_org_role}"
        )


def _not_expanded(settings: JwtAuthSettings) -> Iterator[str]:
    for key, placeholder in settings.placeholders:
        yield f"{key}: cannot expand {shown(placeholder)} here; put the value in for this check"


def _not_read(settings: JwtAuthSettings) -> Iterator[str]:
    """A Grafana never complains of a key it does not read."""
    for key in settings.ignored:
        if key in KEY_SINCE:
            since = "{}.{}".format(*KEY_SINCE[key])
            yield f"{key} is ignored: this Grafana does not read it, {since} is the first that does"
        elif key == "enable_login_token":
            yield "enable_login_token is ignored: no Grafana ever read it in [auth.jwt]"
        elif key not in _ELSEWHERE:
            known = [name for name in KEY_SINCE if has_key(name, settings.version)]
            near = difflib.get_close_matches(key[:60], known, n=1)
            meant = f"; the nearest key is {near[0]}" if near else ""
            yield f"{shown(key)} is ignored: Grafana reads no such key in [auth.jwt]{meant}"


def _not_shown(settings: JwtAuthSettings) -> Iterator[str]:
    """What keeps a good token from making a panel appear in a frame."""
    if not settings.url_login:
        yield (
            f"url_login is off: only the header {shown(settings.header_name)} is read, a panel "
            f"URL's ?auth_token= is ignored"
        )
    if not settings.allow_embedding:
        yield 'allow_embedding is not true in [security]: browsers say "Refused to display"'
