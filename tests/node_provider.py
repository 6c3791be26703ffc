"""npm oidc-provider for the tests: certified, and the one with back-channel logout."""

from __future__ import annotations

import shutil

from openid_providers import ProviderKit
from tests_support import NODE_MODULES, ROOT, need


class NodeProvider(ProviderKit):
    make = "oidc-provider"
    preferred_algorithm = "RS256"

    def check(self) -> None:
        there = shutil.which("node") is not None and (NODE_MODULES / self.make).is_dir()
        need(f"node with {self.make}", there, "npm ci --prefix tests/node")

    def command(self, options: str) -> list[str]:
        return ["node", str(ROOT / "tests" / "node" / "provider.mjs"), options]
