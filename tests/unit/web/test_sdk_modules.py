"""The browser SDK's modules outside a browser: types, size, and what servers do with them."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest

from embedjwt.errors import RequestRefused
from embedjwt.grafana.urls import PanelRequest, panel_url
from embedjwt.web.sdk import Sdk, join
from tests_support import ROOT, need

STATIC = ROOT / "static"
NODE = ROOT / "tests" / "node"

WHOLE = 7168
"""Bytes in gzip that a page loads."""

CORE = 5120
"""Bytes in gzip of ``createEmbed`` without elements, skeleton and cards."""


@pytest.fixture(scope="module")
def modules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the modules that node takes for modules."""
    need("node", shutil.which("node") is not None, "apt install nodejs")
    directory = tmp_path_factory.mktemp("sdk")
    shutil.copytree(STATIC / "embedjwt", directory / "embedjwt")
    shutil.copy(STATIC / "embedjwt.js", directory)
    (directory / "package.json").write_text('{"type": "module"}')
    return directory


def node(script: str, *arguments: str | Path, stdin: str = "") -> Any:
    """What a script of ``tests/node`` prints, as JSON."""
    done = subprocess.run(
        ["node", NODE / script, *arguments],
        input=stdin,
        check=False,
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


class TestTypes:
    def test_modules_declarations_and_uses_agree(self, node_package: Callable[[str], Path]) -> None:
        """``tsc --checkJs --strict``; ``sdk_usage.ts`` also holds mistakes that must be found."""
        compiler = node_package("typescript") / "bin" / "tsc"
        done = subprocess.run(
            ["node", compiler, "--project", NODE],
            check=False,
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert (done.stdout, done.returncode) == ("", 0)


class TestSize:
    @pytest.mark.parametrize(
        ("entry", "budget"),
        [("embedjwt.js", WHOLE), ("embedjwt/embed.js", CORE)],
        ids=["whole", "core"],
    )
    def test_is_within_the_budget(self, entry: str, budget: int) -> None:
        sdk = Sdk(join(STATIC / entry))
        size = len(sdk.packed)
        assert size < budget, f"{entry}: {len(sdk.plain)} bytes, {size} in gzip, of {budget}"


class TestServerRendering:
    """Neither what servers lack is needed, nor anything left behind that keeps them running."""

    def test_importing_the_modules_does_nothing(self, modules: Path) -> None:
        assert_imported(modules / "embedjwt.js")

    def test_importing_what_pages_load_does_nothing(self, tmp_path: Path) -> None:
        need("node", shutil.which("node") is not None, "apt install nodejs")
        joined = tmp_path / "embedjwt.mjs"
        joined.write_text(join(STATIC / "embedjwt.js"))
        assert_imported(joined)


def assert_imported(path: Path) -> None:
    assert node("import_sdk.mjs", path) == {
        "exports": ["EmbedError", "GrafanaPanel", "GrafanaTimeRange", "createEmbed", "texts"],
        "globals": [],
        "active": [],
    }


BASE = "https://grafana.example.com"

PANELS: list[dict[str, Any]] = [
    {"panel": 3},
    {"panel": 0},
    {"panel": "3"},
    {"panel": "panel-3"},
    {},
    {"panel": None},
    {"panel": 3, "slug": "line-3"},
    {"panel": 3, "slug": "über all."},
    {"panel": 3, "slug": "x?y=z#a"},
    {"panel": 3, "slug": "..a"},
    {"panel": 3, "slug": "it's (not) *all*!~"},
    {"panel": 3, "slug": "javascript:alert(1)"},
    {"panel": 3, "slug": "日本 🎛"},
    {"panel": 3, "slug": "a+b&c;d,e"},
    {"panel": 3, "org_id": 1},
    {"org_id": 2**40},
    {"panel": 3, "from": "now-6h", "to": "now"},
    {"panel": 3, "from": "now-6h/d", "to": "now/d"},
    {"panel": 3, "from": 1_700_000_000_000, "to": 1_700_000_360_000},
    {"panel": 3, "from": 0, "to": 1},
    {"panel": 3, "from": "2026-01-01T00:00:00.000Z", "to": "2026-01-01T01:00:00+02:00"},
    {"panel": 3, "from": "-1"},
    {"panel": 3, "timezone": "browser"},
    {"panel": 3, "timezone": "Europe/Oslo"},
    {"panel": 3, "timezone": "Etc/GMT+5"},
    {"panel": 3, "refresh": "30s"},
    {"panel": 3, "refresh": "auto"},
    {"panel": 3, "theme": "light"},
    {"theme": "dark"},
    {"panel": 3, "theme": None, "from": None, "vars": None},
    {"panel": 3, "hide_time_picker": True},
    {"hide_variables": True, "hide_time_picker": True},
    {"panel": 3, "hide_variables": False},
    {"panel": 3, "vars": {}},
    {"panel": 3, "vars": {"host": "a"}},
    {"panel": 3, "vars": {"host": ["a", "b"], "site": "x"}},
    {"panel": 3, "vars": {"host": ["a", "a"]}},
    {"panel": 3, "vars": {"empty": "", "none": []}},
    {"panel": 3, "vars": {"n": 1.5, "yes": True, "no": False, "i": -2, "zero": 0}},
    {"panel": 3, "vars": {"all": "$__all", "re": "^a+(b|c)*$"}},
    {"panel": 3, "vars": {"x": "a&auth_token=b&c=d#e?f=g"}},
    {"panel": 3, "vars": {"x": "a b+c%20d%2B"}},
    {"panel": 3, "vars": {"x": "\"'<>`{}|\\^~[]"}},
    {"panel": 3, "vars": {"x": "é 日本 🎛 \u202e"}},
    {"panel": 3, "vars": {"x": ["../..", "//evil.example", "javascript:alert(1)"]}},
    {"panel": 3, "vars": {"auth_token": "z", "orgId": "7", "__proto": "p"}},
    {
        "vars": {"host": ["a b", "c&d=e"]},
        "theme": "dark",
        "refresh": "1m30s",
        "timezone": "utc",
        "to": "now",
        "from": "now-7d",
        "org_id": 2,
        "slug": "line 3",
        "panel": "panel-12",
        "hide_time_picker": True,
    },
]

NOT_IN_A_PATH: list[dict[str, Any]] = [
    *({"dashboard": uid} for uid in ("", ".", "..", "a/b", "a\\b", "x?y", "x#y", "%2e%2e", "a b")),
    *(
        {"dashboard": uid}
        for uid in ("javascript:alert(1)", "a" * 41, "é", "//evil.example", "a\n")
    ),
    *({"dashboard": "a", "slug": slug} for slug in (".", "..", "...", "a/b", "a\\b", "%2e%2e")),
    *({"dashboard": "a", "slug": slug} for slug in ("../..", "/", "100%", "a\n/../b")),
]


class TestAddresses:
    """Panels have the addresses that ``POST /v1/embed-token`` gives."""

    @pytest.mark.parametrize("base", [BASE, f"{BASE}/", f"{BASE}/sub/path", f"{BASE}/sub/path/"])
    def test_are_the_services(self, modules: Path, base: str) -> None:
        panels = [{"dashboard": "aB-_9", **panel} for panel in PANELS]
        ours = addresses(modules, base, panels)
        theirs = [panel_url(base, PanelRequest.parse(panel), token="eyJ.a-_") for panel in panels]
        assert list(map(parsed, ours)) == list(map(parsed, theirs))
        assert all(url.endswith("&auth_token=eyJ.a-_") for url in ours)

    def test_hold_nothing_that_leads_elsewhere(self, modules: Path) -> None:
        assert set(addresses(modules, BASE, NOT_IN_A_PATH)) == {"config"}
        for panel in NOT_IN_A_PATH:
            with pytest.raises(RequestRefused):
                PanelRequest.parse(panel)


def addresses(modules: Path, base: str, panels: list[dict[str, Any]]) -> list[str]:
    """By the SDK, with a token; the error's code where it refuses."""
    given = json.dumps({"base": base, "panels": [camel(panel) for panel in panels]})
    made: list[str] = node("panel_addresses.mjs", modules / "embedjwt" / "address.js", stdin=given)
    return made


def camel(panel: dict[str, Any]) -> dict[str, Any]:
    def renamed(name: str) -> str:
        first, *rest = name.split("_")
        return first + "".join(map(str.title, rest))

    return {renamed(name): value for name, value in panel.items()}


def parsed(url: str) -> tuple[str, list[str], list[tuple[str, str]]]:
    """Where it leads: origin, path, and the query in any order."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    path = [unquote(segment) for segment in parts.path.split("/")]
    return f"{parts.scheme}://{parts.netloc}", path, sorted(query)
