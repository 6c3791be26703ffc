"""The comparison with Grafana's page leaves no key out, and names only tests that exist."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest
from compare_kit import EXAMPLE

from embedjwt.config import AdmissionSettings, MappingSettings, OidcSource
from tests_support import ROOT

PAGES = sorted((ROOT / "docs" / "compare").glob("*.md"))
PAGE = ROOT / "docs" / "compare" / "generic-oauth.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::([\w:]+)`")

ELSEWHERE_ON_THE_PAGE = {
    "allow_assign_grafana_admin", "allowed_organizations", "email_attribute_name",
    "email_attribute_path", "groups_attribute_path", "id_token_attribute_name",
    "login_attribute_path", "name_attribute_path", "role_attribute_path", "role_attribute_strict",
    "team_ids", "team_ids_attribute_path", "teams_url",
}  # fmt: skip
"""What the page has beside its example section."""

OTHERS_OF_GRAFANA = {
    "allowed_groups", "auto_login", "jwk_set_url", "login_prompt", "org_attribute_path",
    "org_mapping", "signout_redirect_url", "skip_org_role_sync", "use_refresh_token",
    "validate_id_token",
}  # fmt: skip
"""What ``[auth.generic_oauth]`` has and the page does not show (``conf/defaults.ini``)."""

GRAFANAS = EXAMPLE.keys() | ELSEWHERE_ON_THE_PAGE | OTHERS_OF_GRAFANA


@cache
def defined_in(file: str) -> frozenset[str]:
    """``test_name`` and ``TestClass::test_name`` of a file."""
    tree = ast.parse((ROOT / file).read_text("utf-8"))
    found = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{f.name}" for f in node.body if isinstance(f, ast.FunctionDef)}
    return frozenset(found)


def sections(page: Path) -> dict[str, str]:
    """The text below each heading."""
    parts = re.split(r"^## (.+)$", page.read_text("utf-8"), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def rows(text: str) -> list[list[str]]:
    """The cells of a text's table rows, without headings."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]
    return [row for number, row in enumerate(cells) if not _is_head(cells, number)]


def _is_head(cells: list[list[str]], number: int) -> bool:
    around = cells[number : number + 2]
    return any(set("".join(row)) <= {"-"} for row in around)


def keys_of(text: str) -> set[str]:
    """The keys that rows are about: in the first cell, in backticks."""
    return {key for row in rows(text) for key in re.findall(r"`([a-z_]+)[^`]*`", row[0])}


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_test_that_is_named_exists(page: Path) -> None:
    named = NAMED.findall(page.read_text("utf-8"))
    assert len(named) > 10
    assert [f"{file}::{test}" for file, test in named if test not in defined_in(file)] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_every_row_that_is_shown_by_a_test_names_one(page: Path) -> None:
    untold = []
    for table in re.findall(r"(?:^\|.*\n)+", page.read_text("utf-8"), flags=re.MULTILINE):
        if "shown by" in table.splitlines()[0]:
            untold += [row[0] for row in rows(table) if not NAMED.search(row[-1])]
    assert untold == []


def test_every_key_of_the_example_section_has_its_row() -> None:
    assert EXAMPLE.keys() - keys_of(sections(PAGE)["The example section"]) == set()


@pytest.mark.parametrize("key", sorted(GRAFANAS))
def test_every_key_of_grafana_has_a_row(key: str) -> None:
    text = PAGE.read_text("utf-8")
    told = {word for row in rows(text) for word in re.findall(r"`([a-z_]+)[^`]*`", row[0])}
    assert key in told


def test_every_key_that_grafana_does_not_have_is_explained() -> None:
    ours = OidcSource.model_fields.keys() - GRAFANAS
    assert ours == keys_of(sections(PAGE)["More than Grafana"])


def test_every_key_of_grafana_can_be_written_or_is_said_to_be_left_out() -> None:
    known = OidcSource.model_fields.keys()
    assert known >= MappingSettings.model_fields.keys() | AdmissionSettings.model_fields.keys()
    left_out = GRAFANAS - known
    said = {
        key
        for row in rows(sections(PAGE)["Keys that the page does not show"])
        for key in re.findall(r"`([a-z_]+)`", row[0])
        if row[1].startswith("left out")
    }
    assert left_out == said
