"""org_mapping: what an entry means, and which role wins."""

from __future__ import annotations

import pytest

from embedjwt.config.model import GrafanaTarget
from embedjwt.mapping.orgs import default_org_roles, map_org_roles, parse_org_mapping

IDS = {"Main Org.": 1, "Büro": 5, "12 Monkeys": 12}


def target(**keys: object) -> GrafanaTarget:
    return GrafanaTarget.model_validate({"url": "https://grafana.test", **keys})


@pytest.mark.parametrize(
    ("entry", "roles"),
    [
        ("a:2:Admin", {"a": {2: "Admin"}}),
        ("a:Main Org.:None", {"a": {1: "None"}}),
        ("büro:Büro:Editor", {"büro": {5: "Editor"}}),
        ("a:+7:Viewer", {"a": {7: "Viewer"}}),
        ("a:007:Viewer", {"a": {7: "Viewer"}}),
        ("a:12 Monkeys:Editor", {"a": {12: "Editor"}}),
        ("a:*:Editor", {"a": {-1: "Editor"}}),
        ("a:2", {"a": {2: "Viewer"}}),
        ("a:2:", {"a": {2: "Viewer"}}),
        ("a:2:ADMIN", {"a": {2: "Viewer"}}),
        ("a:2:GrafanaAdmin", {"a": {2: "Viewer"}}),
        (":2:Editor", {"": {2: "Editor"}}),
        (r"a\:b\:c:2:Editor", {"a:b:c": {2: "Editor"}}),
        (r"a\\:b:2:Editor", {r"a\:b": {2: "Editor"}}),
        ("a\\b\\:2:Editor", {}),
        ("a", {}),
        ("", {}),
        ("a:b:2:Editor", {}),
        ("a::Editor", {}),
        ("a:Nowhere:Editor", {}),
        ("a:main org.:Editor", {}),
        ("a:1_000:Editor", {}),
        ("a:\u0661:Editor", {}),
        ("a:" + "9" * 5000 + ":Editor", {}),
    ],
)
def test_what_an_entry_means(entry: str, roles: dict[str, dict[int, str]]) -> None:
    assert parse_org_mapping([entry], IDS, strict=False).roles == roles


@pytest.mark.parametrize(
    "bad", ["a:2", "a:2:editor", "a:Nowhere:Editor", "a", "a:b:2:Editor", "a::Editor"]
)
def test_strict_drops_everything_for_one_bad_entry(bad: str) -> None:
    entries = ["good:2:Editor", bad, "also:3:Viewer"]
    mapping = parse_org_mapping(entries, IDS, strict=True)
    assert mapping.roles == {}
    assert [entry for entry, _ in mapping.problems] == [bad]


def test_every_skipped_entry_is_told() -> None:
    mapping = parse_org_mapping(["a", "b:2:Editor", "c:Nowhere", "d:4"], IDS, strict=False)
    assert mapping.roles == {"b": {2: "Editor"}, "d": {4: "Viewer"}}
    assert [entry for entry, _ in mapping.problems] == ["a", "c:Nowhere", "d:4"]


@pytest.mark.parametrize(
    ("entries", "external", "direct", "org_roles"),
    [
        pytest.param([], ["a"], "Admin", {}, id="not-configured"),
        pytest.param(["a:2:Editor"], ["b"], "Admin", {}, id="nothing-mapped"),
        pytest.param(["a:2:Editor"], ["a"], "", {2: "Editor"}, id="mapped"),
        pytest.param(["a:2:Editor"], ["a"], "None", {2: "Editor"}, id="lower-direct-role"),
        pytest.param(["a:2:None"], ["a"], "Viewer", {2: "Viewer"}, id="higher-direct-role"),
        pytest.param(["*:2:Admin", "a:2:None"], ["a"], "", {2: "Admin"}, id="everyone-and-one"),
        pytest.param(["a:2:None", "b:2:Viewer"], ["a", "b"], "", {2: "Viewer"}, id="two-sources"),
        pytest.param(["*:*:None"], [], "", {1: "None", 9: "None"}, id="everyone-everywhere"),
        pytest.param(
            ["*:*:Editor", "a:*:Viewer", "a:9:Admin", "a:7:None"],
            ["a"],
            "",
            {1: "Editor", 9: "Admin", 7: "None"},
            id="everywhere-means-the-known-ones",
        ),
    ],
)
def test_which_role_wins(entries, external, direct, org_roles) -> None:
    grafana = target(orgs={"Main": 1, "Ninth": 9})
    mapping = parse_org_mapping(entries, grafana.orgs, strict=False)
    assert map_org_roles(mapping, external, direct, grafana) == org_roles


def test_everywhere_without_a_table_is_the_default_organization() -> None:
    mapping = parse_org_mapping(["*:*:Editor"], {}, strict=False)
    assert map_org_roles(mapping, [], "", target(auto_assign_org_id=3)) == {3: "Editor"}


def test_one_person_does_not_change_the_mapping_of_the_next() -> None:
    grafana = target(orgs={"Main": 1})
    mapping = parse_org_mapping(["*:*:Viewer", "a:1:Admin"], grafana.orgs, strict=False)
    assert map_org_roles(mapping, ["a"], "", grafana) == {1: "Admin"}
    assert map_org_roles(mapping, [], "", grafana) == {1: "Viewer"}


@pytest.mark.parametrize(
    ("direct", "strict", "org_roles"),
    [
        ("Editor", False, {4: "Editor"}),
        ("Editor", True, {4: "Editor"}),
        ("None", True, {4: "None"}),
        ("", False, {4: "Viewer"}),
        ("", True, {}),
    ],
)
def test_the_default_organization(direct: str, strict: bool, org_roles: dict[int, str]) -> None:
    assert default_org_roles(direct, target(auto_assign_org_id=4), strict=strict) == org_roles
