"""The file that is written: the tables and their lines, as people write them."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass

from embedjwt.grafana.importing.draft import Line
from embedjwt.grafana.importing.toml import toml_comment, toml_value

_WIDTH = 98

_HEAD = """\
# embedjwt.toml, carried over from Grafana's settings by 'embedjwt init --from-grafana'.
# Only what is set stands here; 'embedjwt init DIR' writes a file that explains every key there is.
# Relative paths count from this file.
"""


@dataclass(frozen=True, slots=True)
class Table:
    """A table with its header ("" for the keys above all tables) and the comment above it."""

    header: str
    lines: Sequence[Line]
    comment: str = ""


def render(tables: Sequence[Table]) -> str:
    """The text of the file. Tables without lines are left out."""
    return "\n".join([_HEAD, *(_table(table) for table in tables if table.lines)])


def _table(table: Table) -> str:
    head = [f"# --- {table.comment}\n"] if table.comment else []
    if table.header:
        head.append(table.header)
    above = "\n" if table.comment else ""
    return above + "\n".join([*head, *(text for line in table.lines for text in _line(line)), ""])


def _line(line: Line) -> list[str]:
    # Not broken at hyphens: what is named in a comment is to be found by searching for it.
    comment = textwrap.wrap(toml_comment(line.comment), _WIDTH, break_on_hyphens=False)
    text = f"{line.key} = {toml_value(line.value)}"
    return [*(f"# {part}" for part in comment), text if line.live else f"# {text}"]
