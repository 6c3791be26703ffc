"""Where browsers are sent: never where the settings do not say, as browsers themselves read it."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
from typing import Any
from urllib.parse import urljoin

import pytest
from hypothesis import given
from hypothesis import strategies as st

from embedjwt.web.session.return_to import safe_return_to
from tests_support import ROOT, need

ALLOWED = frozenset({"https://app.example.com"})
ISSUER = "https://embed.example.com"
AT = f"{ISSUER}/session/callback"

READ = """
const values = JSON.parse(require("fs").readFileSync(0));
const parsed = (value) => new URL(value, process.argv[1]).origin;
const read = (value) => { try { return parsed(value) } catch { return "" } };
console.log(JSON.stringify(values.map(read)));
"""


def corpus(name: str) -> list[str]:
    lines = (ROOT / "tests" / "data" / name).read_text("utf-8").splitlines()
    return [json.loads(line) for line in lines if line and not line.startswith("#")]


HOSTILE, FRIENDLY = corpus("hostile_next.txt"), corpus("friendly_next.txt")


def checked(value: str) -> str | None:
    return safe_return_to(value, issuer=ISSUER, allowed_origins=ALLOWED)


def origins(values: list[str]) -> list[str]:
    """What a browser's own parser (WHATWG URL, in Node) makes of a ``Location``."""
    need("node", shutil.which("node") is not None, "apt install nodejs")
    done = subprocess.run(
        ["node", "-e", READ, AT],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[str] = json.loads(done.stdout)
    return found


@pytest.mark.parametrize("value", HOSTILE, ids=[f"{n:03}" for n in range(len(HOSTILE))])
def test_hostile(value: str) -> None:
    assert checked(value) is None


@pytest.mark.parametrize("value", FRIENDLY)
def test_friendly(value: str) -> None:
    assert checked(value) is not None


@pytest.mark.parametrize("value", [None, ""])
def test_nothing_is_nowhere(value: Any) -> None:
    assert safe_return_to(value, issuer=ISSUER, allowed_origins=ALLOWED) is None


def test_the_corpus_has_teeth() -> None:
    """Most of it would really leave for another place, in a browser."""
    assert len(HOSTILE) >= 100
    writable = [value for value in HOSTILE if value.isprintable()]
    elsewhere = [origin for origin in origins(writable) if origin not in (*ALLOWED, ISSUER, "")]
    assert len(elsewhere) >= 100


def test_a_browser_reads_what_is_accepted_as_we_do() -> None:
    accepted = [found for value in FRIENDLY if (found := checked(value)) is not None]
    assert set(origins(accepted)) <= {*ALLOWED, ISSUER}


PIECES = [
    "/", "//", "\\", ".", "..", "@", ":", "?", "#", "%2f", "%5c", "%", ";", "x", "443", "\t",
    " ", "https:", "http:", "https://", "app.example.com", "evil.example", "embed.example.com",
    "javascript:", "[", "]", "::1", "\u3002", "\u2044", "&",
]  # fmt: skip
STARTS = ["", "/", "https://", *ALLOWED, *(f"{origin}/" for origin in ALLOWED), f"{ISSUER}/"]


def test_a_browser_agrees_about_whatever_is_put_together() -> None:
    made = random.Random(1)
    values = {
        made.choice(STARTS) + "".join(made.choices(PIECES, k=made.randint(0, 6)))
        for _ in range(20_000)
    }
    accepted = [value for value in sorted(values) if checked(value) is not None]
    assert len(accepted) > 500
    assert set(origins(accepted)) == {*ALLOWED, ISSUER}
    assert origins(accepted) == origins([checked(value) or "" for value in accepted])


@given(st.lists(st.sampled_from(PIECES), max_size=8).map("".join))
def test_whatever_is_put_together(value: str) -> None:
    """Accepted values are plain: no two readers can differ about where they lead."""
    found = checked(value)
    if found is None:
        return
    assert found.isascii()
    assert found.isprintable()
    assert "\\" not in found
    assert " " not in found
    there = urljoin(AT, found)
    assert there.startswith(("https://app.example.com/", f"{ISSUER}/"))
    assert not there.removeprefix(ISSUER).startswith("//")
