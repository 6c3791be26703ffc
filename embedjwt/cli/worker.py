"""What each worker process of ``embedjwt serve`` loads."""

from __future__ import annotations

import os

from flask import Flask

from embedjwt import create_app
from embedjwt.config.environment import SERVE_THREADS
from embedjwt.log import configure_logging
from embedjwt.web.asgi import AsgiBridge


def wsgi() -> Flask:
    """The application, for configurations in which only bearer tokens say who asks."""
    configure_logging()
    return create_app()


def asgi() -> AsgiBridge:
    """The application for all others: it sees header fields as they came."""
    app = wsgi()
    threads = int(os.environ.get(SERVE_THREADS, "1"))
    return AsgiBridge(app, max_body_size=app.config["MAX_CONTENT_LENGTH"], threads=threads)
