"""What each worker process of ``embedjwt serve`` loads."""

from embedjwt import create_app
from embedjwt.log import configure_logging

configure_logging()
app = create_app()
