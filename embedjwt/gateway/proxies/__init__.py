"""The configurations of reverse proxies in front of Grafana, as text.

``site.py`` says what a configuration is made of; ``templates/`` holds one directory a proxy, each
file of which becomes one file of the answer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import get_args

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from embedjwt.config.gateway import ProxyKind
from embedjwt.gateway.proxies.site import GatewaySite, check_site, site_for

__all__ = ["FILES", "KINDS", "GatewaySite", "Kind", "render", "site_for"]

Kind = ProxyKind
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class _File:
    """A file to write, and how a comment starts in it."""

    name: str
    comment: str = "#"


FILES: dict[Kind, tuple[_File, ...]] = {
    "nginx": (_File("embedjwt-gateway.conf"),),
    "caddy": (_File("Caddyfile"),),
    "traefik": (_File("traefik.yml"), _File("embedjwt-gateway.yml")),
    "haproxy": (_File("haproxy.cfg"), _File("embedjwt.lua", "--")),
    "envoy": (_File("envoy.yaml"),),
}


def render(kind: Kind, site: GatewaySite) -> dict[str, str]:
    """The files of a proxy's configuration, by name.

    Raises ``RequestRefused`` where a value of the site cannot be written safely.
    """
    check_site(site)
    return {file.name: _template(kind, file.name).render(site=site) for file in FILES[kind]}


def comment(kind: Kind, name: str, text: str) -> str:
    """A comment line in the language of a file."""
    mark = next(file.comment for file in FILES[kind] if file.name == name)
    return f"{mark} {text}"


_TEMPLATES = Environment(
    loader=PackageLoader("embedjwt.gateway.proxies"),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
    autoescape=False,  # noqa: S701 - no HTML; check_site refuses what would need quoting
)


def _template(kind: Kind, name: str) -> Template:
    return _TEMPLATES.get_template(f"{kind}/{name}")
