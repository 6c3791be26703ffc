"""The configurations of reverse proxies in front of Grafana, as text.

``site.py`` says what a configuration is made of, ``unavailable.py`` what a proxy answers by itself;
``templates/`` holds one directory a proxy, each file of which becomes one file of the answer.
"""

from __future__ import annotations

from typing import get_args

from jinja2 import Environment, PackageLoader, StrictUndefined

from embedjwt.config.gateway import ProxyKind
from embedjwt.gateway.proxies import unavailable
from embedjwt.gateway.proxies.site import GatewaySite, check_site, site_for

__all__ = ["KINDS", "GatewaySite", "Kind", "render", "site_for"]

Kind = ProxyKind
KINDS: tuple[Kind, ...] = get_args(Kind)


_TEMPLATES_OF: dict[Kind, tuple[str, ...]] = {
    "nginx": ("embedjwt-gateway.conf",),
    "caddy": ("Caddyfile", "embedjwt-gateway.caddy"),
    "traefik": ("traefik.yml", "embedjwt-gateway.yml"),
    "haproxy": ("haproxy.cfg", "embedjwt.lua"),
    "envoy": ("envoy.yaml",),
}


def render(kind: Kind, site: GatewaySite) -> dict[str, str]:
    """The files of a proxy's configuration, by name.

    What is one Grafana's own is in a file ``embedjwt-gateway-NAME…``, where the proxy reads several
    files. Raises ``RequestRefused`` where a value of the site cannot be written safely.
    """
    check_site(site)
    return {
        template.replace("embedjwt-gateway", f"embedjwt-gateway-{site.name}"): (
            _TEMPLATES.get_template(f"{kind}/{template}").render(site=site)
        )
        for template in _TEMPLATES_OF[kind]
    }


def comment(name: str, text: str) -> str:
    """A comment line in the language of a file."""
    return f"{'--' if name.endswith('.lua') else '#'} {text}"


_TEMPLATES = Environment(
    loader=PackageLoader("embedjwt.gateway.proxies"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - no HTML; check_site refuses what would need quoting
)
_TEMPLATES.globals |= {
    "unavailable_page": unavailable.PAGE,
    "unavailable_problem": unavailable.PROBLEM,
}
