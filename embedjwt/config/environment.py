"""``EMBEDJWT_…`` variables over the file: ``EMBEDJWT_GRAFANA__0__URL`` is ``grafana.0.url``."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from embedjwt.config.problems import Problem

PREFIX = "EMBEDJWT_"
CONFIG_FILE = "EMBEDJWT_CONFIG"
"""Names the configuration file."""

SERVE_THREADS = "EMBEDJWT_SERVE_THREADS"
"""Tells a worker of ``embedjwt serve`` how many threads it may use."""

_NO_SETTINGS = frozenset({CONFIG_FILE, SERVE_THREADS})

_MAX_TABLES = 64


def overlay(
    raw: dict[str, Any], environ: Mapping[str, str]
) -> tuple[dict[str, Any], dict[tuple[str, ...], str], list[Problem]]:
    """The file's tables with the environment's values over them.

    Two underscores separate the levels; a number counts the ``[[tables]]`` of a kind from 0. Tables
    and lists of tables may be JSON. Returns the merged tables, which variable each path came from,
    and what does not fit.
    """
    merged = _copy(raw)
    origins: dict[tuple[str, ...], str] = {}
    problems: list[Problem] = []
    for variable in sorted(environ):
        if not variable.startswith(PREFIX) or variable in _NO_SETTINGS:
            continue
        path = tuple(part.lower() for part in variable.removeprefix(PREFIX).split("__"))
        try:
            _put(merged, path, _value(environ[variable]))
        except (LookupError, TypeError, ValueError) as error:
            problems.append(Problem(".".join(path), f"{variable}: {error}"))
        else:
            origins[path] = variable
    return merged, origins, problems


def _value(text: str) -> Any:
    """JSON tables and lists of tables as what they are; everything else as the text it is."""
    stripped = text.strip()
    if stripped.startswith(("{", "[{")):
        try:
            return json.loads(stripped)
        except ValueError as error:
            raise ValueError("looks like JSON, but is not valid JSON") from error
    return text


def _put(node: Any, path: tuple[str, ...], value: Any) -> None:
    head, rest = path[0], path[1:]
    if isinstance(node, list):
        if not head.isdecimal() or int(head) > min(len(node), _MAX_TABLES):
            raise LookupError(f"{head!r} should be the table's number, at most {len(node)} here")
        if int(head) == len(node):
            node.append({})
        if rest:
            _put(node[int(head)], rest, value)
        else:
            node[int(head)] = value
    elif not isinstance(node, dict):
        raise TypeError(f"has no key {head!r} below it")
    elif rest:
        _put(node.setdefault(head, [] if rest[0].isdecimal() else {}), rest, value)
    else:
        node[head] = value


def _copy(node: Any) -> Any:
    if isinstance(node, dict):
        return {key: _copy(value) for key, value in node.items()}
    if isinstance(node, list):
        return [_copy(value) for value in node]
    return node
