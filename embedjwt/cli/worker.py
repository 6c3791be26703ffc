"""What each worker process of ``embedjwt serve`` loads."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import TYPE_CHECKING, Any

from embedjwt.config.environment import SERVE_THREADS
from embedjwt.log import configure_logging

if TYPE_CHECKING:
    from embedjwt.web.raw_headers import AsgiApp, Receive, Scope, Send


def wsgi() -> Any:
    """The application itself."""
    from embedjwt import create_app

    configure_logging()
    return create_app()


def asgi() -> AsgiApp:
    """The application behind a look at the header names as they came, for ``proxy`` sources."""
    from a2wsgi import WSGIMiddleware as Threads

    from embedjwt.config import load_settings
    from embedjwt.sources import identity_header_names
    from embedjwt.web.raw_headers import UnambiguousHeaders

    threads: Any = Threads(wsgi(), workers=int(os.environ[SERVE_THREADS]))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # granian hands over awaitables where a2wsgi insists on coroutines.
        async def received() -> MutableMapping[str, Any]:
            return await receive()

        async def sent(message: MutableMapping[str, Any]) -> None:
            await send(message)

        await threads(scope, received, sent)

    return UnambiguousHeaders(app, identity_header_names(load_settings()))
