"""What ``embedjwt init --from-grafana`` says: where each setting went, and what is left to do."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import click

from embedjwt.cli.common import heading
from embedjwt.cli.keys.names import printable, shortened
from embedjwt.config import Problem
from embedjwt.grafana.importing import BUILT_IN, Carried, Import, Left, ToDo
from embedjwt.grafana.importing.toml import toml_value

_WIDEST = 100  # characters


def import_json(
    imported: Import, problems: Sequence[Problem], file: Path, jwks: str
) -> dict[str, Any]:
    """The same for machines."""
    return {
        "config": str(file),
        "jwks": jwks,
        "carried": [{"from": c.origin, "to": c.to, "value": c.value} for c in imported.carried],
        "not_carried": [
            {"from": one.origin, "reason": one.reason, "do": one.do} for one in imported.left
        ],
        "todo": [
            {"key": one.key, "do": one.do, "blocks": one.blocks}
            for one in things_to_do(imported, problems)
        ],
    }


def show_import(imported: Import, problems: Sequence[Problem], file: Path) -> None:
    """The same for people."""
    width = min(shutil.get_terminal_size().columns, _WIDEST)
    heading("\nCarried over")
    _show_carried(imported.carried, width)
    if imported.left:
        heading("\nNot carried over, or not quite")
        for one in imported.left:
            _show_left(one, width)
    todo = things_to_do(imported, problems)
    _show_todo("\nFill in first", [t for t in todo if t.blocks], width)
    _show_todo("\nLook at", [t for t in todo if not t.blocks], width)
    heading("\nNext")
    if file.parent != Path():
        click.echo(f"  0. cd {file.parent}")
    click.echo("  1. embedjwt check                        is it right?")
    click.echo("  2. embedjwt explain --cases cases.json   does everybody get the same roles?")
    click.echo("  3. embedjwt grafana-config               what to paste into grafana.ini")
    click.echo("  4. embedjwt serve")


def things_to_do(imported: Import, problems: Sequence[Problem]) -> list[ToDo]:
    """What the importer knows is missing, and whatever else ``embedjwt check`` would name."""
    blocking = [todo for todo in imported.todo if todo.blocks]
    known = {todo.key for todo in blocking}
    said = known | {key.rpartition(".")[0] for key in known if key.startswith("source.")}
    found = [
        ToDo(p.key, f"{p.message}; {p.fix}" if p.fix else p.message, blocks=True)
        for p in problems
        if p.key not in said
    ]
    return [*blocking, *found, *(todo for todo in imported.todo if not todo.blocks)]


def _show_carried(carried: Iterable[Carried], width: int) -> None:
    rows = [_row(one) for one in carried]
    first = max((len(key) for _, key, _, _ in rows), default=0)
    second = max((len(place) for _, _, place, _ in rows), default=0)
    room = max(width - first - second - len("    ") - len(" → ") - len("  "), 16)
    for section, group in groupby(rows, key=lambda row: row[0]):
        click.echo(f"  {click.style(section, fg='cyan')}")
        for _, key, place, value in group:
            arrow = click.style("→", fg="green")
            shown = click.style(shortened(value, room), dim=True)
            click.echo(f"    {key:<{first}} {arrow} {place:<{second}}  {shown}")


def _row(carried: Carried) -> tuple[str, str, str, str]:
    """The heading, the key, where it went (without its name where that is the same), the value."""
    table, _, new_key = carried.to.partition(" ")
    table = table.strip("[]")
    value = "(not shown)" if carried.value is None else printable(toml_value(carried.value))
    section, bracket, key = carried.origin.partition("] ")
    if key == BUILT_IN:
        return printable(carried.origin), new_key, table, value
    if not bracket:  # a variable's name
        same = carried.origin.lower().endswith(f"_{new_key}")
        return "environment", printable(section), table if same else f"{table} {new_key}", value
    place = table if key == new_key else f"{table} {new_key}"
    return f"{section}]", printable(key), place, value


def _show_left(left: Left, width: int) -> None:
    click.echo(f"  {click.style('!', fg='yellow', bold=True)} {printable(left.origin)}")
    _paragraph(left.reason, width, dim=True)
    if left.do:
        _paragraph(f"→ {left.do}", width, hanging="  ")


def _show_todo(title: str, todo: Sequence[ToDo], width: int) -> None:
    if not todo:
        return
    heading(title)
    mark = click.style("✗", fg="red", bold=True) if todo[0].blocks else click.style("·", dim=True)
    for one in todo:
        click.echo(f"  {mark} {click.style(printable(one.key), bold=one.blocks)}")
        _paragraph(one.do, width)


def _paragraph(text: str, width: int, *, dim: bool = False, hanging: str = "") -> None:
    lines = textwrap.wrap(
        printable(text), width - 4, subsequent_indent=hanging, break_on_hyphens=False
    )
    for line in lines:
        click.echo(f"    {click.style(line, dim=True) if dim else line}")
