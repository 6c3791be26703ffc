"""Addresses of panels and dashboards, as Grafana's front end reads them."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Any
from urllib.parse import quote

from embedjwt.errors import RequestRefused

MAX_URL_LENGTH = 8000
"""Characters. Proxies and Grafana's own server refuse request lines that are much longer."""

_MAX_VARS = 50
_MAX_VALUES = 200
_MAX_VALUE_LENGTH = 1000
_NO_SLUG = "_"
"""Grafana wants something in the slug's place and takes anything."""


@dataclass(frozen=True, slots=True)
class PanelRequest:
    """Which panel, and how it is to be shown. Without ``panel`` it is the whole dashboard.

    ``panel`` is ``"3"`` or, as newer dashboards have it, ``"panel-3"``. ``from_`` and ``to`` are
    Grafana's: ``now-6h``, milliseconds since 1970, or an ISO 8601 time. ``hide_time_picker`` and
    ``hide_variables`` work from Grafana 11.3 on. ``vars`` are the dashboard's variables.
    """

    dashboard: str
    panel: str = ""
    slug: str = ""
    org_id: int | None = None
    from_: str = ""
    to: str = ""
    timezone: str = ""
    refresh: str = ""
    theme: str = ""
    hide_time_picker: bool = False
    hide_variables: bool = False
    vars: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> PanelRequest:
        """From a request's ``panel`` object; ``RequestRefused`` names the field that is wrong."""
        for name in data:
            if name not in _FIELDS:
                raise RequestRefused(_unknown_field(str(name)))
        given = {name: value for name, value in data.items() if value is not None}
        read = {name: _FIELDS[name](name, value) for name, value in given.items()}
        if "dashboard" not in read:
            raise RequestRefused("panel.dashboard is missing: the dashboard's uid")
        return cls(**{"from_" if name == "from" else name: value for name, value in read.items()})


def panel_url(target_url: str, panel: PanelRequest, *, token: str | None) -> str:
    """The address to frame: ``/d-solo`` for a panel, ``/d`` in kiosk mode for a whole dashboard.

    ``target_url`` may have a path (``https://example.com/grafana``). ``auth_token`` comes last, so
    that a cut-off log line loses the token first. ``RequestRefused`` where the address gets too
    long for the servers on its way.
    """
    page = "d-solo" if panel.panel else "d"
    path = f"{page}/{quote(panel.dashboard, safe='')}/{quote(panel.slug or _NO_SLUG, safe='')}"
    query = "&".join(_parameter(name, value) for name, value in _parameters(panel, token))
    url = f"{target_url.rstrip('/')}/{path}{'?' if query else ''}{query}"
    if len(url) > MAX_URL_LENGTH:
        raise RequestRefused(
            f"the panel's address would be longer than {MAX_URL_LENGTH} characters; "
            "send fewer or shorter panel.vars"
        )
    return url


def _parameters(panel: PanelRequest, token: str | None) -> Iterator[tuple[str, str]]:
    if panel.org_id is not None:
        yield "orgId", str(panel.org_id)
    if panel.panel:
        yield "panelId", panel.panel
    for name in ("from", "to", "timezone", "refresh", "theme"):
        value = getattr(panel, "from_" if name == "from" else name)
        if value:
            yield name, value
    for name, values in panel.vars.items():
        yield from ((f"var-{name}", value) for value in values)
    if panel.hide_time_picker:
        yield "_dash.hideTimePicker", "true"
    if panel.hide_variables:
        yield "_dash.hideVariables", "true"
    if not panel.panel:
        yield "kiosk", ""
    if token:
        yield "auth_token", token


def _parameter(name: str, value: str) -> str:
    """``name=value`` percent-encoded (RFC 3986); ``kiosk`` is a word by itself."""
    return f"{quote(name, safe='')}={quote(value, safe='')}" if value or name != "kiosk" else name


def _text(pattern: str, meaning: str) -> Callable[[str, Any], str]:
    compiled = re.compile(pattern)

    def read(name: str, value: Any) -> str:
        if not isinstance(value, str) or not compiled.fullmatch(value):
            raise RequestRefused(f"panel.{name} must be {meaning}")
        return value

    return read


_time = _text(r"[A-Za-z0-9+\-/:. ]{1,64}", 'a time such as "now-6h", or milliseconds')
_panel_name = _text(r"(panel-)?[0-9]{1,10}", 'a panel id such as 3 or "panel-3"')


def _panel(name: str, value: Any) -> str:
    return _panel_name(name, _digits(value))


def _moment(name: str, value: Any) -> str:
    return _time(name, _digits(value))


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise RequestRefused(f"panel.{name} must be true or false")
    return value


def _org(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value < 2**63:
        raise RequestRefused(f"panel.{name} must be an organization's id, a whole number from 1 on")
    return value


def _vars(name: str, value: Any) -> dict[str, tuple[str, ...]]:
    if not isinstance(value, Mapping):
        raise RequestRefused(f"panel.{name} must be an object of variable names to values")
    if len(value) > _MAX_VARS:
        raise RequestRefused(f"panel.{name} must not hold more than {_MAX_VARS} variables")
    read = {}
    for variable, values in value.items():
        if not isinstance(variable, str) or not re.fullmatch(r"[A-Za-z0-9_]{1,100}", variable):
            raise RequestRefused(f"panel.{name} has a name that is not letters, digits and _")
        listed = values if isinstance(values, list | tuple) else (values,)
        read[variable] = tuple(_value(f"{name}.{variable}", item) for item in listed)
    if sum(len(values) for values in read.values()) > _MAX_VALUES:
        raise RequestRefused(f"panel.{name} must not hold more than {_MAX_VALUES} values")
    return read


def _value(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    value = str(value) if isinstance(value, float) and isfinite(value) else _digits(value)
    if not isinstance(value, str) or not _is_encodable(value):
        raise RequestRefused(f"panel.{name} must be a text, a number, true or false, or a list")
    if len(value) > _MAX_VALUE_LENGTH:
        raise RequestRefused(f"panel.{name} must not be longer than {_MAX_VALUE_LENGTH} characters")
    return value


def _digits(value: Any) -> Any:
    """A number that fits 64 bits as text; anything else as it is."""
    is_number = isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63
    return str(value) if is_number else value


def _is_encodable(text: str) -> bool:
    return not re.search("[\x00-\x1f\x7f\ud800-\udfff]", text)


def _unknown_field(name: str) -> str:
    near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.5)
    hint = f"; did you mean {near[0]}?" if near else f"; it knows {', '.join(_FIELDS)}"
    return f"panel has no field {name[:40]!r}{hint}"


_FIELDS: dict[str, Callable[[str, Any], Any]] = {
    "dashboard": _text(r"[A-Za-z0-9_-]{1,40}", "a dashboard's uid: letters, digits, - and _"),
    "panel": _panel,
    # No dots: browsers resolve ".." in a path, also where it is percent-encoded.
    # Browsers resolve a segment of dots alone, even percent-encoded (WHATWG URL Standard).
    "slug": _text(r"(?!\.+$)[^\x00-\x1f\x7f/\\%]{1,200}", "text without / \\ %, and not only dots"),
    "org_id": _org,
    "from": _moment,
    "to": _moment,
    "timezone": _text(r"[A-Za-z0-9_+\-/]{1,64}", 'a time zone such as "browser" or "Europe/Oslo"'),
    "refresh": _text(r"auto|(?:[0-9]{1,6}(?:ms|[smhdwMy])){1,4}", 'an interval such as "30s"'),
    "theme": _text(r"light|dark", '"light" or "dark"'),
    "hide_time_picker": _flag,
    "hide_variables": _flag,
    "vars": _vars,
}
