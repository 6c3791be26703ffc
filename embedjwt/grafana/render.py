"""Sections of ``grafana.ini`` as text to paste: ini, environment file, Helm values."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from embedjwt.grafana.ini import DEFAULT_SECTION, quote_ini

Format = Literal["ini", "env", "helm"]


@dataclass(frozen=True, slots=True)
class Entry:
    """``key = value``, with a comment above it where one helps."""

    key: str
    value: str | bool
    comment: str = ""


@dataclass(frozen=True, slots=True)
class IniSection:
    """``[name]`` and its keys; ``note`` is a comment below them."""

    name: str
    entries: tuple[Entry, ...]
    note: str = ""


def render(format: Format, heading: Iterable[str], sections: Iterable[IniSection]) -> str:
    """The exact text, with ``heading`` as comment lines on top."""
    lines = [f"# {line}" for line in heading]
    return "\n".join([*lines, *_RENDERERS[format](list(sections))]) + "\n"


def _ini(sections: list[IniSection]) -> list[str]:
    lines = []
    for section in sections:
        lines += [""] if section.name == DEFAULT_SECTION else ["", f"[{section.name}]"]
        for entry in section.entries:
            lines += [*_comment(entry.comment), f"{entry.key} = {quote_ini(_plain(entry.value))}"]
        lines += _comment(section.note)
    return lines


def _env(sections: list[IniSection]) -> list[str]:
    """``GF_<SECTION>_<KEY>`` (``applyEnvVariableOverrides`` in ``pkg/setting/setting.go``).

    Grafana takes these values as they are, so only the shell's quoting applies.
    """
    lines = ["# Quoted for a shell, systemd and docker compose; docker --env-file keeps quotes."]
    for section in sections:
        lines.append("")
        for entry in section.entries:
            name = f"GF_{section.name}_{entry.key}".upper().replace(".", "_").replace("-", "_")
            lines += [*_comment(entry.comment), f"{name}={shlex.quote(_plain(entry.value))}"]
        lines += _comment(section.note)
    return lines


def _helm(sections: list[IniSection]) -> list[str]:
    """Values of the ``grafana.ini`` map, which the chart writes into an ini file as they stand.

    Hence two layers of quoting: the ini's, then YAML's (a JSON string is one, YAML 1.2). Text goes
    through the chart's ``tpl`` as well, where only ``{{`` has a meaning.
    """
    lines = ["grafana.ini:"]
    for section in sections:
        indent = "  "
        if section.name != DEFAULT_SECTION:  # the chart writes what is no map above the sections
            lines.append(f"  {section.name}:")
            indent = "    "
        for entry in section.entries:
            value = entry.value
            text = _plain(value) if isinstance(value, bool) else json.dumps(_tpl(quote_ini(value)))
            comment = [f"{indent}{line}" for line in _comment(entry.comment)]
            lines += [*comment, f"{indent}{entry.key}: {text}"]
        lines += [f"{indent}{line}" for line in _comment(section.note)]
    return lines


_RENDERERS: dict[Format, Callable[[list[IniSection]], list[str]]] = {
    "ini": _ini,
    "env": _env,
    "helm": _helm,
}


def _comment(text: str) -> list[str]:
    return [f"# {line}" for line in text.splitlines()]


def _plain(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value


def _tpl(text: str) -> str:
    return text.replace("{{", '{{ "{{" }}')
