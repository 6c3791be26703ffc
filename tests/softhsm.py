"""A real PKCS#11 token for each test: SoftHSM 2, with its own configuration and directory."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests_support import need

if TYPE_CHECKING:
    from pkcs11.types import Session

    from embedjwt.keys.custody.pkcs11 import Pkcs11Custody

_MODULES = ("lib/softhsm", "lib/*/softhsm", "lib64/softhsm", "local/lib/softhsm")
_SECURITY_OFFICER = "87654321"


@dataclass(frozen=True)
class SoftHsm:
    """One token, and what people with its PIN can see in it."""

    module: Path
    label: str = "embedjwt test"
    pin: str = "not-0815"

    def custody(self, *, label: str | None = None, pin: str | None = None) -> Pkcs11Custody:
        from embedjwt.keys.custody.pkcs11 import Pkcs11Custody

        return Pkcs11Custody(self.module, label or self.label, pin or self.pin)

    def add_token(self, label: str) -> None:
        """One more token, with the same PIN."""
        subprocess.run(
            [
                *("softhsm2-util", "--init-token", "--free", "--label", label),
                *("--pin", self.pin, "--so-pin", _SECURITY_OFFICER),
            ],
            check=True,
            capture_output=True,
        )

    def open(self) -> Session:
        """A session beside that of a custody; the first of a process logs in for all of them."""
        import pkcs11

        token = pkcs11.lib(str(self.module)).get_token(token_label=self.label)
        try:
            return token.open(rw=True, user_pin=self.pin)
        except pkcs11.UserAlreadyLoggedIn:
            return token.open(rw=True)

    def private_keys(self) -> dict[str, Any]:
        """By their labels; refuses two of one label."""
        from pkcs11 import Attribute, ObjectClass

        keys = list(self.open().get_objects({Attribute.CLASS: ObjectClass.PRIVATE_KEY}))
        by_label = {key[Attribute.LABEL]: key for key in keys}
        assert len(by_label) == len(keys)
        return by_label

    def restart(self) -> None:
        """Every session of this process is lost."""
        import pkcs11

        pkcs11.lib(str(self.module)).reinitialize()


@pytest.fixture(name="softhsm")
def softhsm_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[SoftHsm]:
    modules = [path for each in _MODULES for path in Path("/usr").glob(f"{each}/libsofthsm2.so")]
    there = bool(modules) and shutil.which("softhsm2-util") is not None
    need("softhsm2", there, "apt install softhsm2")
    need("python-pkcs11", importlib.util.find_spec("pkcs11") is not None, "embedjwt[pkcs11]")
    import pkcs11

    tokens = tmp_path / "tokens"
    tokens.mkdir()
    configuration = tmp_path / "softhsm2.conf"
    configuration.write_text(f"directories.tokendir = {tokens}\nlog.level = ERROR\n")
    # Read whenever the library is initialised: it is left uninitialised after every test.
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    softhsm = SoftHsm(modules[0])
    softhsm.add_token(softhsm.label)
    yield softhsm
    pkcs11.lib(str(softhsm.module)).finalize()
