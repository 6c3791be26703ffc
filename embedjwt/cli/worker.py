"""What each worker process of ``embedjwt serve`` loads."""

from __future__ import annotations

import os
import sys
import time

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
    except EmbedJWTError as error:  # something changed after the parent had looked
        # granian gives up, and stops the workers that are well, where one fails twice in 5.5 s.
        time.sleep(6)
        sys.exit(f"error  {error.diagnostics()}")
    threads = int(os.environ.get(SERVE_THREADS, "1"))
    return AsgiBridge(
        app,
        max_body_size=app.config["MAX_CONTENT_LENGTH"],
        threads=threads,
        quick=app.extensions.get("embedjwt.quick"),
    )
