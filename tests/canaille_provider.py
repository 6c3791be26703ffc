"""PyPI canaille for the tests: ``aud`` is a list, ``auth_time`` has a fraction.

It has no back-channel logout, and its dependencies have a virtual environment of their own.
"""

from __future__ import annotations

from openid_providers import NotSupported, ProviderKit
from tests_support import ROOT, need

DIRECTORY = ROOT / "tests" / "canaille"


class CanailleProvider(ProviderKit):
    make = "canaille"
    # Two access tokens of one person in one second are the same string under RS256; canaille
    # answers 500 to the second. PS256 is randomised.
    preferred_algorithm = "PS256"

    def check(self) -> None:
        if self.setup.backchannel_logout_uri is not None:
            raise NotSupported("canaille has no back-channel logout")
        if self.setup.groups_in == "userinfo":
            raise NotSupported("canaille puts every claim of a scope into the ID token too")
        there = (DIRECTORY / ".venv" / ".ready").is_file()
        need(self.make, there, "make tests/canaille/.venv/.ready")

    def command(self, options: str) -> list[str]:
        python = DIRECTORY / ".venv" / "bin" / "python"
        return [str(python), "-I", str(DIRECTORY / "provider.py"), options]
