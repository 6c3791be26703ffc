"""The documentation keeps up with the code."""

from __future__ import annotations

import re
from pathlib import Path

import click
import pytest

from embedjwt.cli import cli
from tests_support import ROOT

DOCS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
SOURCES = sorted((ROOT / "embedjwt").rglob("*.py"))


def test_every_error_code_is_documented() -> None:
    found = set()
    for source in SOURCES:
        found |= set(re.findall(r'\bcode(?:: ClassVar\[str\])? ?= ?"(\w+)"', source.read_text()))
    assert len(found) > 40
    documented = set(re.findall(r"`(\w+)`", (ROOT / "docs/errors.md").read_text()))
    assert found - documented == set()


@pytest.mark.parametrize("page", DOCS, ids=[str(page.relative_to(ROOT)) for page in DOCS])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if "://" not in link]
    assert [link for link in local if not (page.parent / link).exists()] == []


def test_every_command_is_in_the_docs() -> None:
    text = "".join(page.read_text() for page in DOCS)
    commands = cli.list_commands(click.Context(cli))
    assert [name for name in commands if f"embedjwt {name}" not in text] == []
