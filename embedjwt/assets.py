"""Where the files for browsers are: in the installed package, or in the checkout."""

from __future__ import annotations

from pathlib import Path

from embedjwt.errors import EmbedJWTError


class AssetsMissing(EmbedJWTError):
    """The files for browsers were left out of this installation."""

    code = "assets_missing"


def static_dir() -> Path:
    """The directory of the SDK, the console and the demo.

    A wheel carries it as ``embedjwt/static``; a checkout has it beside the package. Raises
    ``AssetsMissing`` where neither is there.
    """
    package = Path(__file__).resolve().parent
    for candidate in (package / "static", package.parent / "static"):
        if (candidate / "demo").is_dir():
            return candidate
    raise AssetsMissing(
        "the directory static/ is missing from this installation",
        hint="install the wheel (pip install embedjwt), or run from a complete checkout",
    )
