"""What the commands share: options, reading JSON, and saying things well."""

from __future__ import annotations

import functools
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

import click

from embedjwt.config import ConfigError, GrafanaTarget, Settings, load_settings
from embedjwt.config.upstream import SourceSettings
from embedjwt.errors import EmbedJWTError
from embedjwt.log import configure_logging

Command = TypeVar("Command", bound=Callable[..., Any])

_JWT = re.compile(r"[\w-]{8,}\.[\w-]{8,}\.[\w-]*$")
_WIDEST = 60  # characters; longer texts would push every detail off the screen
_MAX_FILE = 4 * 1024 * 1024

config_option = click.option(
    "--config",
    "config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file  [default: $EMBEDJWT_CONFIG or ./embedjwt.toml]",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
grafana_option = click.option(
    "--grafana", "grafana", metavar="NAME", help="Which [[grafana]]  [default: the first]"
)

source_option = click.option(
    "--source",
    "source_name",
    metavar="NAME",
    help="Which [[source]] the person comes from  [default: the first]",
)


def refusals_shown(function: Command) -> Command:
    """Errors of ours end the command with status 1 and a text that says what to do."""

    @functools.wraps(function)
    def shown(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except EmbedJWTError as error:
            if kwargs.get("as_json"):
                print_json({"error": error_json(error)})
            else:
                print_error(error)
            sys.exit(1)

    return shown  # type: ignore[return-value]


def log_to_standard_error() -> None:
    """The audit trail of a command; a person at a terminal is told by the command itself."""
    configure_logging(logging.WARNING if sys.stderr.isatty() else logging.INFO)


def print_error(error: EmbedJWTError) -> None:
    """What happened and what to do; goes to standard error."""
    click.echo(f"{click.style('error', fg='red', bold=True)}  {error.diagnostics()}", err=True)


def error_json(error: EmbedJWTError) -> dict[str, Any]:
    """An error for machines."""
    if isinstance(error, ConfigError):
        problems = [{"key": p.key, "message": p.message, "fix": p.fix} for p in error.problems]
        return {"code": error.code, "problems": problems}
    return {"code": error.code, "detail": error.detail, "hint": error.hint}


def settings_and_target(
    config: Path | None, grafana: str | None = None
) -> tuple[Settings, GrafanaTarget]:
    """The settings, and the Grafana that ``--grafana`` names."""
    settings = load_settings(config)
    target = settings.target(grafana)
    if target is None:
        names = ", ".join(known.name for known in settings.grafana)
        raise click.BadParameter(f"no [[grafana]] is named {grafana!r}; there are: {names}")
    return settings, target


def source_or_first(settings: Settings, name: str | None) -> SourceSettings:
    """The source that ``--source`` names."""
    source = settings.source[0] if name is None else settings.source_named(name)
    if source is None:
        names = ", ".join(known.name for known in settings.source)
        raise click.BadParameter(f"no [[source]] is named {name!r}; there are: {names}")
    return source


def read_json(path: str | None) -> Any:
    """The JSON in a file (``-`` is standard input); ``None`` where no file was named."""
    if path is None:
        return None
    if _JWT.match(path):
        usage_error("name a file, not the token itself: a command line is no place for tokens")
    try:
        with click.open_file(path, encoding="utf-8") as file:
            text = file.read(_MAX_FILE + 1)
    except (OSError, UnicodeDecodeError) as error:
        usage_error(f"cannot read {path}: {error}")
    if len(text) > _MAX_FILE:
        usage_error(f"{path} is larger than {_MAX_FILE // 1024 // 1024} MiB")
    if _JWT.match(text.strip()):
        usage_error(f"{path} holds a JWT; give its claims, the decoded middle part, as JSON")
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        usage_error(f"{path} is not valid JSON: {error}")


def read_claims(path: str | None) -> Any:
    """The claims in a JSON file; they must be an object."""
    claims = read_json(path)
    if claims is not None and not isinstance(claims, dict):
        usage_error(
            f'{path} must hold a JSON object of claims, such as {{"sub": "…", "email": "…"}}'
        )
    return claims


def usage_error(message: str) -> NoReturn:
    """Ends the command with status 2."""
    raise click.UsageError(message)


def print_json(value: Any) -> None:
    """A result for machines: one JSON document."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False))


def heading(text: str) -> None:
    """A line that starts a part of the output."""
    click.echo(click.style(text, bold=True))


def tick(ok: bool | None, text: str, detail: str = "") -> None:
    """One checked thing: ✓, ✗, or a dot where there was nothing to check."""
    marks = {
        True: click.style("✓", fg="green"),
        False: click.style("✗", fg="red", bold=True),
        None: click.style("·", dim=True),
    }
    click.echo(f"  {marks[ok]} {text}" + (f"  {click.style(detail, dim=True)}" if detail else ""))


def ticks(rows: Sequence[tuple[bool | None, str, str]]) -> None:
    """Several checked things, their details aligned where the texts are not too long."""
    width = max((len(text) for _, text, _ in rows if len(text) <= _WIDEST), default=0)
    for ok, text, detail in rows:
        tick(ok, f"{text:<{width}}" if detail else text, detail)


def warn(text: str) -> None:
    """Something allowed that an operator should hear; goes to standard error."""
    click.echo(f"{click.style('warning', fg='yellow', bold=True)}  {text}", err=True)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Aligned columns under a dim header."""
    widths = [max(len(row[i]) for row in [header, *rows]) for i in range(len(header))]
    line = "  ".join(f"{name:<{width}}" for name, width in zip(header, widths, strict=True))
    click.echo(f"  {click.style(line.rstrip(), dim=True)}")
    for row in rows:
        line = "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True))
        click.echo(f"  {line.rstrip()}")


def pairs(rows: Sequence[tuple[str, str]]) -> None:
    """Names and values, values aligned."""
    width = max(len(name) for name, _ in rows)
    for name, value in rows:
        click.echo(f"  {click.style(f'{name:<{width}}', dim=True)}  {value}")
