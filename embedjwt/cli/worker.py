"""What each worker process of ``embedjwt serve`` loads."""

from __future__ import annotations

import os
import sys

from embedjwt import create_app
from embedjwt.config.environment import SERVE_THREADS
from embedjwt.errors import EmbedJWTError
from embedjwt.log import configure_logging
from embedjwt.web.asgi import AsgiBridge


def load() -> AsgiBridge:
    """The application, as granian serves it."""
    configure_logging()
    try:
        app = create_app()
    except EmbedJWTError as error:  # the file changed after the parent had read it
        sys.exit(f"error  {error.diagnostics()}")
    threads = int(os.environ.get(SERVE_THREADS, "1"))
    return AsgiBridge(app, max_body_size=app.config["MAX_CONTENT_LENGTH"], threads=threads)
