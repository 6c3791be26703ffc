"""Reads the configuration and reports every problem at once."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from embedjwt.config.environment import CONFIG_FILE, overlay
from embedjwt.config.model import Settings
from embedjwt.config.problems import ConfigError, Problem
from embedjwt.config.provider import IntrospectionSource, OidcSource
from embedjwt.config.section import Section
from embedjwt.config.source import CookieSource, JwtSource, ProxySource
from embedjwt.config.unknown import SECTIONS, inner_model, what_was_meant

DEFAULT_FILE = "embedjwt.toml"

_MAX_ROUNDS = 5

_SOURCES: dict[str, type[Section]] = {
    "jwt": JwtSource,
    "proxy": ProxySource,
    "cookie": CookieSource,
    "oidc": OidcSource,
    "introspection": IntrospectionSource,
}
_TYPES = 'type = "jwt", "oidc", "introspection", "proxy" or "cookie"'


def load_settings(file: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The settings from ``file`` (or ``EMBEDJWT_CONFIG``, or ``./embedjwt.toml``) and environment.

    Relative paths count from the file's directory. Raises :class:`ConfigError` with all problems.
    """
    environ = os.environ if environ is None else environ
    file = file or Path(environ.get(CONFIG_FILE) or DEFAULT_FILE)
    return parse_settings(_read(file, environ), environ, base=file.parent.absolute(), origin=file)


def parse_settings(
    raw: dict[str, Any], environ: Mapping[str, str], *, base: Path, origin: Path | str
) -> Settings:
    """The settings from tables already read; see :func:`load_settings`."""
    merged, origins, problems = overlay(raw, environ)
    for section in SECTIONS:
        merged.setdefault(section, {})
    web = merged["web"]
    context = {
        "base": base,
        "development": merged.get("development") in (True, "true", "1"),
        "trusted_proxies": isinstance(web, dict) and bool(web.get("trusted_proxies")),
    }
    settings, found = _validate(merged, context, origins)
    problems += found
    if settings is None or problems:
        raise ConfigError(problems, origin=str(origin))
    return settings


def _validate(
    tables: dict[str, Any], context: dict[str, Any], origins: dict[tuple[str, ...], str]
) -> tuple[Settings | None, list[Problem]]:
    """The settings, and what is wrong with them.

    A value that is wrong by itself hides what is wrong with its table, so it is taken out and the
    rest is looked at again, until nothing new turns up.
    """
    problems: list[Problem] = []
    for _ in range(_MAX_ROUNDS):
        try:
            return Settings.model_validate(tables, context=context), problems
        except ValidationError as error:
            details = error.errors()
        known = {problem.key for problem in problems}
        found = [_problem(detail, origins) for detail in details]
        problems += [problem for problem in found if problem.key not in known]
        removed = [_remove(tables, _locate(detail["loc"])[1]) for detail in details]
        if not any(removed):
            break
    return None, problems


def _remove(tables: Any, path: list[str]) -> bool:
    """Takes one key out of a table; whole tables stay, for others may be wrong in them too."""
    if not path:
        return False  # of the whole: nothing to take out
    *way, last = path
    for part in way:
        if isinstance(tables, list) and part.isdecimal() and int(part) < len(tables):
            tables = tables[int(part)]
        elif isinstance(tables, dict) and part in tables:
            tables = tables[part]
        else:
            return False
    if not isinstance(tables, dict) or isinstance(tables.get(last), dict | list):
        return False
    return tables.pop(last, None) is not None


def _read(file: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The file's tables; none where it is missing but the environment alone says enough."""
    try:
        return tomllib.loads(file.read_text("utf-8-sig"))
    except FileNotFoundError as error:
        if "EMBEDJWT_ISSUER" in environ:
            return {}
        problem = Problem(
            str(file),
            "there is no such file",
            "name yours with --config; 'embedjwt init' writes a new one",
        )
        raise ConfigError([problem], origin=str(file)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(file), f"cannot be read: {error}")]) from error
    except tomllib.TOMLDecodeError as error:
        fix = "texts need quotes: ttl = \"5m\"; JMESPath is best between three: '''…'''"
        problem = Problem(str(file), f"is not valid TOML: {error}", fix)
        raise ConfigError([problem], origin=str(file)) from error


def _problem(detail: ErrorDetails, origins: dict[tuple[str, ...], str]) -> Problem:
    location = detail["loc"]
    model, path = _locate(location)
    key = ".".join(path)
    variable = origins.get(tuple(path))
    message = _sentence(detail)
    fix = f"set by {variable}" if variable else ""
    if detail["type"] == "extra_forbidden":
        message = "there is no such key"
        fix = what_was_meant(path[-1], model) + (f" ({fix})" if fix else "")
    return Problem(key, message, fix)


def _locate(location: tuple[int | str, ...]) -> tuple[type[BaseModel], list[str]]:
    """The model that a location's last part lies in, and the location as one writes it."""
    model: Any = Settings
    path: list[str] = []
    for index, part in enumerate(location):
        if part in _SOURCES and len(path) == 2 and path[0] == "source":
            model = _SOURCES[str(part)]  # the discriminator's tag is no part of the path
            continue
        path.append(str(part))
        last = index == len(location) - 1
        if not last and isinstance(part, str) and part in getattr(model, "model_fields", {}):
            model = inner_model(model.model_fields[part].annotation) or model
    return model, path


def _sentence(detail: ErrorDetails) -> str:
    """The validator's words without the library's own preamble."""
    match detail["type"]:
        case "missing":
            return "is required, and missing"
        case "union_tag_not_found":
            return f"has no type; write {_TYPES}"
        case "union_tag_invalid":
            return f"has an unknown type; write {_TYPES}"
        case "too_short":
            return "needs at least one entry"
        case "tuple_type" | "list_type":
            return "must be a list"
        case "model_type" | "model_attributes_type" | "dict_type":
            return "must be a table"
        case "less_than_equal":
            return f"must be at most {detail['ctx']['le']}"
        case "greater_than_equal":
            return f"must be at least {detail['ctx']['ge']}"
    text = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]
