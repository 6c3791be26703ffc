"""``[gateway]`` and ``[[gateway.rule]]``: how the gateway is asked, and what people may reach."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from embedjwt.config.section import Section
from embedjwt.config.values import Duration, Origin, split_list

PATH_SETS = ("panel", "dashboard", "everything")
"""Names that stand for many patterns; ``embedjwt/gateway/panel.py`` says which."""

DASHBOARD = "{dashboard}"
"""The segment of a pattern that is a dashboard's uid."""

ProxyKind = Literal["nginx", "caddy", "traefik", "haproxy", "envoy"]

_KNOWN_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_METHODS = re.compile(r"[A-Z][A-Z-]*(,[A-Z][A-Z-]*)*")
_LITERAL = re.compile(r"[^\x00-\x20\x7f-\x9f%\\;?#*{}]+")
_WRITE = 'write "/path", "GET /path", "GET,POST /path" or one of "panel", "dashboard", "everything"'


@dataclass(frozen=True, slots=True)
class PathPattern:
    """Requests that a rule allows.

    No ``methods``: any. A segment is literal, ``*`` (any one) or ``{dashboard}``; with
    ``open_end``, any number of segments may follow.
    """

    methods: frozenset[str]
    segments: tuple[str, ...]
    open_end: bool

    @property
    def of_dashboards(self) -> bool:
        """Whether a list of dashboards limits it."""
        return DASHBOARD in self.segments


def read_pattern(text: str) -> PathPattern:
    """A pattern such as ``GET,POST /api/*/resources/**``; ``GET`` includes ``HEAD``.

    Raises ``ValueError``, which says what to write.
    """
    head, slash, tail = text.partition("/")
    methods = head.removesuffix(" ")
    if not slash or (head and (head == methods or not _METHODS.fullmatch(methods))):
        raise ValueError(f"is no pattern: {_WRITE}; methods in capitals, one space after them")
    named = frozenset(methods.split(",")) if methods else frozenset()
    if unknown := sorted(named - _KNOWN_METHODS):
        raise ValueError(f"names the method {unknown[0]}, which no request to Grafana has")
    segments = tail.split("/") if tail else []
    open_end = segments[-1:] == ["**"]
    if open_end:
        segments.pop()
    for segment in segments:
        _check_segment(segment)
    head_too = {"HEAD"} if "GET" in named else set()
    return PathPattern(named | head_too, tuple(segments), open_end)


def _check_segment(segment: str) -> None:
    if segment in ("*", DASHBOARD):
        return
    if segment == "**":
        raise ValueError("has ** before its end; ** stands only last, * is one segment")
    if not segment:
        raise ValueError("has an empty segment; write single slashes, and none at the end")
    if not segment.strip(". "):
        raise ValueError("has a segment of dots, which no request can have; write the whole path")
    if not _LITERAL.fullmatch(segment):
        raise ValueError(
            r"has a segment with a space, control or one of % \ ; ? # * { }: write a segment as it "
            "reads decoded, or * for any one segment, or {dashboard}; queries are not looked at"
        )


def _listed(value: Any) -> Any:
    """One pattern, or a JSON list of them; no commas, which divide methods."""
    if isinstance(value, str):
        return split_list(value) if value.lstrip().startswith("[") else (value,)
    return value


def _check_allow(value: str) -> str:
    if value in PATH_SETS:
        return value
    try:
        read_pattern(value)
    except ValueError as error:
        raise ValueError(f"{value!r} {error}") from None
    return value


GrafanaRole = Literal["None", "Viewer", "Editor", "Admin", "GrafanaAdmin"]
Names = Annotated[
    tuple[Annotated[str, Field(min_length=1)], ...],
    BeforeValidator(split_list),
]
Uid = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$")]


class GatewayRule(Section):
    """``[[gateway.rule]]``: what some people may reach of a Grafana.

    Who: ``roles``, ``groups`` (one of them is enough), ``origins`` of the host app, names of
    ``grafana`` targets; an empty list is everyone. What: ``allow``, patterns or names of sets;
    where ``dashboards`` is not empty, only these uids stand for ``{dashboard}`` in them.
    """

    roles: Annotated[tuple[GrafanaRole, ...], BeforeValidator(split_list)] = ()
    groups: Names = ()
    origins: Annotated[tuple[Origin, ...], BeforeValidator(split_list)] = ()
    grafana: Names = ()
    allow: Annotated[
        tuple[Annotated[str, AfterValidator(_check_allow)], ...],
        BeforeValidator(_listed),
        Field(min_length=1),
    ]
    dashboards: Annotated[tuple[Uid, ...], BeforeValidator(split_list)] = ()

    @model_validator(mode="after")
    def _dashboards_limit(self) -> GatewayRule:
        if not self.dashboards:
            return self
        if "everything" in self.allow:
            raise ValueError(
                'dashboards cannot limit "everything"; write allow = ["panel"] or ["dashboard"]'
            )
        if not any(self._of_dashboards(item) for item in self.allow):
            raise ValueError(
                "dashboards limits only patterns with {dashboard}, and allow has none; write it "
                'where the uid is ("/d-solo/{dashboard}"), or add "panel"'
            )
        return self

    @staticmethod
    def _of_dashboards(item: str) -> bool:
        return item in PATH_SETS or read_pattern(item).of_dashboards


class GatewaySettings(Section):
    """``[gateway]``: the reverse proxy in front of Grafana that asks for each request.

    ``proxy`` says whose headers are believed; unset, the gateway is off. ``lifetime`` is in
    seconds, of a gateway session whose upstream session has no end of its own. ``rule_mode =
    "log"`` only logs what the rules would refuse. Without ``rule`` the default rules hold.
    ``trust_identity_headers``: the headers of ``type = "proxy"`` sources are believed here too,
    because the proxy in front of Grafana sets them itself.
    """

    proxy: ProxyKind | None = None
    lifetime: Annotated[Duration, Field(ge=60, le=31 * 86400)] = 3600
    cookie_name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "embedjwt_gateway"
    rule_mode: Literal["enforce", "log"] = "enforce"
    rule: tuple[GatewayRule, ...] = ()
    trust_identity_headers: bool = False
