"""What embedjwt is measured against, on the same server: bare WSGI, and a bare Flask route."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flask import Flask

_BODY = b'{"ok": true}'


def bare_wsgi(
    environ: dict[str, Any], start_response: Callable[[str, list[tuple[str, str]]], Any]
) -> Iterable[bytes]:
    """The least an answer can cost: read the body, answer JSON."""
    environ["wsgi.input"].read()
    start_response(
        "200 OK", [("Content-Type", "application/json"), ("Content-Length", str(len(_BODY)))]
    )
    return [_BODY]


bare_flask = Flask("bare")


@bare_flask.post("/v1/embed-token")
def embed_token() -> dict[str, bool]:
    return {"ok": True}


def __getattr__(name: str) -> Any:
    """embedjwt as its workers load it; the bare ones must not carry it along."""
    from embedjwt.cli import worker  # noqa: PLC0415

    if name == "embedjwt":
        return worker.load()
    raise AttributeError(name)
