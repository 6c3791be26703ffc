"""The browser SDK as one file: ``static/embedjwt.js`` with what it imports, less the comments.

Its modules work as they are, on any file server. This service joins them when it starts: an entry
from one replica and an import from another could be of two releases during an upgrade, and the hash
that a page names (Subresource Integrity) covers the entry alone.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import json
import re
from pathlib import Path

from flask import Flask, Response, request, send_from_directory
from rjsmin import jsmin

from embedjwt import __version__
from embedjwt.assets import AssetsMissing
from embedjwt.errors import RequestRefused
from embedjwt.service import Service

_REVALIDATED = "no-cache"  # an upgrade reaches pages at once
_FOR_EVER = "public, max-age=31536000, immutable"  # RFC 8246

_NAMES = r"\{\s*[\w$]+(?:\s*,\s*[\w$]+)*\s*,?\s*\}"
_LINK = re.compile(rf'^(import|export) ({_NAMES}) from "\./(\w[\w/-]*\.js)";\n', re.M)
_DECLARATION = re.compile(
    r"^(export )?((?:async )?(?:function\*?|class|const|let|var) ([\w$]+))", re.M
)
_COMMENT = re.compile(r"/\*\*.*?(?:\*/|$)|^\s*(?:\*|//).*", re.M)
_STRAY = re.compile(r"^\s*(?:import|export)\b.*|\bimport\s*[(.].*", re.M)


class SdkBroken(AssetsMissing):
    """The SDK's modules are not all there, or use more of the language than is joined here."""


class SdkVersionUnknown(RequestRefused):
    """A page asks for an SDK that this release does not carry."""

    code = "sdk_version_unknown"
    status = 404


def install(app: Flask, service: Service, static: Path) -> None:
    """Adds the SDK of the directory ``static``, at two addresses, and what names the second.

    Raises :class:`SdkBroken`.
    """
    sdk = Sdk(join(static / "embedjwt.js"))
    about = json.dumps(sdk.about(service.settings.issuer), indent=2) + "\n"

    @app.get("/static/embedjwt.js")
    def sdk_newest() -> Response:
        return _script(sdk, _REVALIDATED)

    @app.get("/static/embedjwt-<version>.js")
    def sdk_of_version(version: str) -> Response:
        if version != sdk.version:
            raise SdkVersionUnknown(
                "this release has no SDK of that version: an upgrade retires the address; read "
                "the new one in /static/embedjwt.json, or keep a copy of the file with your own "
                "assets"
            )
        return _script(sdk, _FOR_EVER)

    @app.get("/static/embedjwt.json")
    def sdk_about() -> Response:
        answer = Response(about, mimetype="application/json")
        answer.headers["Cache-Control"] = _REVALIDATED
        answer.add_etag()
        answer.make_conditional(request)
        return answer

    @app.get("/static/embedjwt.d.ts")
    def sdk_types() -> Response:  # computers disagree on what .ts is: video, or translations
        return send_from_directory(static, "embedjwt.d.ts", mimetype="text/plain")


class Sdk:
    """The joined SDK without comments, ready to be sent, and what it is recognised by."""

    def __init__(self, text: str) -> None:
        self.plain = jsmin(text).encode()
        self.packed = gzip.compress(self.plain, 9, mtime=0)
        self.tag = hashlib.sha256(self.plain).hexdigest()
        self.version = f"{__version__}-{self.tag[:12]}"
        """No two contents have the same: releases, and what is between them."""

    def about(self, issuer: str) -> dict[str, object]:
        """What a page needs to name exactly this SDK; ``size`` is in bytes."""
        url = f"{issuer}/static/embedjwt-{self.version}.js"
        digest = hashlib.sha384(self.plain).digest()
        integrity = f"sha384-{base64.b64encode(digest).decode()}"
        return {
            "version": self.version,
            "url": url,
            "integrity": integrity,
            "html": f'<script type="module" src="{html.escape(url)}" integrity="{integrity}" '
            'crossorigin="anonymous"></script>',
            "size": {"bytes": len(self.plain), "gzip": len(self.packed)},
        }


def _script(sdk: Sdk, caching: str) -> Response:
    packed = request.accept_encodings.quality("gzip") > 0
    answer = Response(sdk.packed if packed else sdk.plain, mimetype="text/javascript")
    if packed:
        answer.headers["Content-Encoding"] = "gzip"
    answer.headers["Vary"] = "Accept-Encoding"
    answer.headers["Cache-Control"] = caching
    answer.set_etag(sdk.tag, weak=True)  # one for both encodings (RFC 9110 section 8.8.1)
    answer.make_conditional(request)
    return answer


def join(entry: Path) -> str:
    """The text of one module that does what ``entry`` and all that it imports do.

    Knows ``import { a, b } from "./x.js";``, ``export`` before a declaration that begins its line,
    and in ``entry`` also ``export { a, b } from "./x.js";`` and ``import.meta.url``. No name may be
    declared twice at the top of modules. Raises :class:`SdkBroken` for everything else, so that
    nothing that works otherwise than its modules do is ever served.
    """
    joiner = _Joiner()
    joiner.add(entry, ())
    return "".join(joiner.texts)


class _Joiner:
    def __init__(self) -> None:
        self.texts: list[str] = []  # those that others import come first
        self._exports: dict[Path, set[str]] = {}
        self._declared_in: dict[str, Path] = {}

    def add(self, path: Path, importers: tuple[Path, ...]) -> None:
        if path in importers:
            raise _broken(path, "imports itself by way of others")
        if path in self._exports:
            return
        text = _read(path)
        for kind, names, target in _LINK.findall(text):
            if kind == "export" and importers:
                raise _broken(path, f"exports from {target}, as the entry alone may")
            self.add(path.parent / target, (*importers, path))
            unknown = set(re.findall(r"[\w$]+", names)) - self._exports[path.parent / target]
            if unknown:
                raise _broken(path, f"{target} does not export {min(unknown)}")
        self._declare(path, text)
        self.texts.append(_joined(path, text, entry=not importers))

    def _declare(self, path: Path, text: str) -> None:
        declarations = _DECLARATION.findall(text)
        for _, _, name in declarations:
            other = self._declared_in.setdefault(name, path)
            if other != path:
                raise _broken(path, f"{other.name} declares {name} as well")
        self._exports[path] = {name for exported, _, name in declarations if exported}


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except OSError as error:
        raise _broken(path, "cannot be read") from error


def _joined(path: Path, text: str, *, entry: bool) -> str:
    """``text`` without its imports and, unless it is the ``entry``, without exports."""
    rest = _COMMENT.sub("", _DECLARATION.sub("", _LINK.sub("", text)))
    if entry:
        rest = rest.replace("import.meta.url", "")  # the joined module is where the entry is
    stray = _STRAY.search(rest)
    if stray:
        raise _broken(path, f"cannot be joined: {stray[0].strip()}")
    text = _LINK.sub(lambda link: f"export {link[2]};\n" if link[1] == "export" else "", text)
    return text if entry else _DECLARATION.sub(r"\2", text)


def _broken(path: Path, what: str) -> SdkBroken:
    return SdkBroken(
        f"the browser SDK's {path.name}: {what}",
        hint="install embedjwt again; in a checkout, join() in embedjwt/web/sdk.py says what the "
        "modules in static/ may be made of",
    )
