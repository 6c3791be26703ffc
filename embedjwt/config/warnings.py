"""What an operator should hear at every start: allowed, but worth a thought."""

from __future__ import annotations

from itertools import permutations
from urllib.parse import urlsplit

from embedjwt.config.model import Settings
from embedjwt.config.provider import IntrospectionSource, OidcSource
from embedjwt.config.secrets import read_secret_file
from embedjwt.config.source import AnySource, CookieSource, JwtSource, ProxySource
from embedjwt.config.upstream import UpstreamTls
from embedjwt.config.values import is_loopback

_GUESSABLE = 16  # characters


def warnings(settings: Settings) -> list[str]:
    """Sentences that name the key, the risk, and the way out. Empty where there is nothing."""
    found: list[str] = []
    if settings.development:
        found.append("development = true: checks that protect production are off; remove it there")
    urls = {"issuer": settings.issuer}
    urls |= {f"grafana {target.name!r} url": target.url for target in settings.grafana}
    urls |= {f"allowed origin {origin}": origin for origin in settings.web.allowed_origins}
    for key, url in urls.items():
        parts = urlsplit(url)
        if parts.scheme == "http" and not is_loopback(parts.hostname or ""):
            found.append(f"{key} is http: tokens and keys can be read and replaced on the way")
    for source in settings.source:
        if isinstance(source, JwtSource):
            found += _jwt_warnings(source)
        if isinstance(source, CookieSource):
            found += _cookie_warnings(source)
        if isinstance(source, OidcSource):
            found += _oidc_warnings(source)
        found += _admission_warnings(settings, source)
        if isinstance(source, UpstreamTls) and source.tls_skip_verify_insecure:
            found.append(
                f"source {source.name!r}: tls_skip_verify_insecure: anybody on the way can replace "
                "the provider's keys and sign in as anyone"
            )
    found += _introspection_before_jwt(settings)
    if not settings.web.allowed_origins and any(_is_browsers(s) for s in settings.source):
        found.append(
            "[web] allowed_origins is empty: no page may ask for a token with a session that its "
            'browser brings along; write allowed_origins = ["https://app.example.com"]'
        )
    found += _gateway_warnings(settings)
    found += _several_sources(settings)
    return list(dict.fromkeys(found))


def _gateway_warnings(settings: Settings) -> list[str]:
    found = []
    on = settings.gateway.proxy is not None
    for target in settings.grafana:
        if target.mode == "gateway" and not on:
            found.append(
                f'grafana {target.name!r} has mode = "gateway": panel URLs carry no token; set '
                "[gateway] proxy, or let a reverse proxy of yours set the header on every request"
            )
    if on and not settings.behind_gateway:
        found.append('[gateway] proxy has no effect: no [[grafana]] has mode = "gateway"')
    if settings.behind_gateway and not settings.web.trusted_proxies:
        found.append(
            "[web] trusted_proxies is empty: the gateway refuses every request; write the address "
            "of the proxy in front of Grafana as embedjwt sees it"
        )
    if settings.behind_gateway and not settings.web.allowed_origins:
        found.append(
            "[web] allowed_origins is empty: no page may open a session at the gateway, or show "
            'panels; write allowed_origins = ["https://app.example.com"]'
        )
    for target in settings.behind_gateway:
        base = urlsplit(target.url).path
        for rule in settings.gateway.rule:
            found += [
                f"[[gateway.rule]] allow {text!r}: paths count from Grafana's own, so leave out "
                f"{base}"
                for text in rule.allow
                if base and f"/{text.partition('/')[2]}/".startswith(f"{base}/")
            ]
    by_group = any(rule.groups for rule in settings.gateway.rule)
    mapped = any(settings.mapping_of(s).groups_attribute_path for s in settings.source)
    if settings.behind_gateway and by_group and not mapped:
        found.append(
            "a [[gateway.rule]] is for groups, and groups_attribute_path is unset: it never applies"
        )
    if settings.behind_gateway and settings.gateway.rule_mode == "log":
        found.append('[gateway] rule_mode = "log": people may reach all that Grafana lets them')
    return found


def _cookie_warnings(source: CookieSource) -> list[str]:
    keys = [key.get_secret_value() for key in source.secret_keys]
    if source.secret_keys_file is not None:
        keys += read_secret_file("secret_keys_file", source.secret_keys_file).split()
    if all(len(key) >= _GUESSABLE for key in keys):
        return []
    return [
        f"source {source.name!r}: a secret key under {_GUESSABLE} characters is guessable, and "
        "whoever guesses it signs in as anyone"
    ]


def _oidc_warnings(source: OidcSource) -> list[str]:
    found = []
    if not source.use_pkce:
        found.append(
            f"source {source.name!r}: use_pkce = false: who sees a code on its way may redeem it"
        )
    if source.icon:
        found.append(f"source {source.name!r}: icon has no effect; the sign-in page shows names")
    return found


def _is_browsers(source: AnySource) -> bool:
    """Whether the session comes along with whatever a page asks, so that its origin counts."""
    if isinstance(source, JwtSource):
        return source.cookie is not None or source.preset is not None
    if isinstance(source, ProxySource):
        return source.preset == "azure-app-service"
    return isinstance(source, OidcSource | CookieSource)


def _admission_warnings(settings: Settings, source: AnySource) -> list[str]:
    admission = settings.admission_of(source)
    found = [
        f"allowed_domains {domain!r} admits nobody: write it without the @"
        for domain in admission.allowed_domains
        if "@" in domain
    ]
    if not isinstance(source, OidcSource):
        return found
    if source.teams_url and admission.team_ids and not admission.team_ids_attribute_path:
        found.append(
            f"source {source.name!r}: teams_url without team_ids_attribute_path admits nobody"
        )
    gates = (
        *(admission.allowed_domains, admission.allowed_organizations),
        *(admission.allowed_groups, admission.team_ids),
    )
    place = source.issuer or source.auth_url or ""
    if (urlsplit(place).hostname or "") in _ANYBODYS and not any(gates):
        found.append(
            f"source {source.name!r}: anybody in the world can have an account at {place}, and "
            "nothing in [admission] says who of them may come in"
        )
    return found


_ANYBODYS = frozenset(
    {"accounts.google.com", "bitbucket.org", "github.com", "gitlab.com", "login.live.com"}
)


def _introspection_before_jwt(settings: Settings) -> list[str]:
    """An introspection source answers for every token that is where it looks."""
    found = []
    for number, source in enumerate(settings.source):
        if not isinstance(source, IntrospectionSource):
            continue
        for later in settings.source[number + 1 :]:
            if isinstance(later, JwtSource) and _place(later) == _place(source):
                found.append(
                    f"source {later.name!r} is never asked: {source.name!r} before it answers for "
                    "every token in the same place; put the jwt source first"
                )
    return found


def _place(source: JwtSource | IntrospectionSource) -> tuple[str, str]:
    if source.cookie is not None:
        return "cookie", source.cookie
    return "header", (source.header or "Authorization").lower()


def _several_sources(settings: Settings) -> list[str]:
    prefixes = [source.subject_prefix for source in settings.source]
    if len(prefixes) < 2:
        return []
    found = [
        "several sources: Grafana takes people with one login or e-mail for one person, whichever "
        "source they come from; list only sources that you trust alike"
    ]
    pairs = permutations(prefixes, 2)
    if any(longer.startswith(shorter) for shorter, longer in pairs):
        found.append(
            "one source's subject_prefix begins with another's (or is the same, or empty): two "
            'people may get one sub; give each source a prefix of its own, such as "crm:"'
        )
    return found


def _jwt_warnings(source: JwtSource) -> list[str]:
    found = []
    if source.audience == ():
        found.append(
            f"source {source.name!r}: audience = []: a token that {source.issuer} gave to any "
            "other application is accepted too, unless it names an audience"
        )
    if source.secret is not None and len(source.secret.get_secret_value()) < 32:
        found.append(f"source {source.name!r}: a secret under 32 bytes (RFC 7518 section 3.2)")
    return found
