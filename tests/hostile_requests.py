"""Hostile paths and tokens, and a judgement of what has got through."""

from __future__ import annotations

import json
import re
from posixpath import normpath
from urllib.parse import unquote

import jwt
from cryptography.hazmat.primitives.asymmetric import ec

from recording_grafana import Recorded
from tests_support import ROOT

PANEL_NEEDS = re.compile(
    r"/(d-solo/|public(/|$)|avatar/|apis/|bootdata$|log$|log-grafana-javascript-agent$|api/(ds/query$"
    r"|dashboards/uid/|datasources/|live/ws$|annotations$|plugins/|library-elements/|prometheus/"
    r"|frontend/settings$|frontend-metrics$|login/ping$|folders/|alerts/states-for-dashboard$))"
)
"""Written down anew, and more roughly than in ``embedjwt/gateway/panel.py``."""

HOSTILE = [
    json.loads(line)
    for line in (ROOT / "tests" / "data" / "hostile_paths.txt").read_text().splitlines()
    if line.startswith('"')
]
"""Method and target of each."""


def assert_within(reached: list[Recorded]) -> None:
    """Some proxies resolve dots before they ask; what Grafana gets is what counts."""
    for came in reached:
        for reading in readings(came.path):
            assert PANEL_NEEDS.match(reading), (came.target, reading)
            assert "/../" not in f"{reading}/", came.target


def readings(path: str) -> set[str]:
    """What any server on the way could take a path for."""
    found, last = set(), ""
    while path != last:
        slashed = re.sub(r"/+", "/", re.sub(r";[^/]*", "", path.replace("\\", "/")))
        found |= {path, slashed, normpath(slashed)}
        path, last = unquote(path, encoding="latin-1"), path
    return found


def on_the_wire(target: str) -> bytes:
    """Latin-1 is text of the bytes; what is beyond it goes out as UTF-8."""
    return target.encode("latin-1" if max(target) < "\u0100" else "utf-8")


def forged(genuine: str) -> str:
    """The same claims for an administrator, signed with a key of the attacker's own."""
    claims = jwt.decode(genuine, options={"verify_signature": False})
    claims |= {"login": "admin", "email": "admin@example.com", "role": "GrafanaAdmin"}
    kid = jwt.get_unverified_header(genuine)["kid"]
    return jwt.encode(claims, ec.generate_private_key(ec.SECP256R1()), "ES256", {"kid": kid})


def unsigned(genuine: str) -> str:
    claims = jwt.decode(genuine, options={"verify_signature": False})
    return jwt.encode(claims | {"role": "GrafanaAdmin"}, "", "none")
