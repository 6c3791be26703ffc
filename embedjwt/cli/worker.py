"""What each worker process of ``embedjwt serve`` loads."""

from __future__ import annotations

import os

from embedjwt import create_app
from embedjwt.config.environment import SERVE_THREADS
from embedjwt.log import configure_logging
from embedjwt.web.asgi import AsgiBridge

configure_logging()
_app = create_app()
app = AsgiBridge(
    _app,
    max_body_size=_app.config["MAX_CONTENT_LENGTH"],
    threads=int(os.environ.get(SERVE_THREADS, "1")),
)
