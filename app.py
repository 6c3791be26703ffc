"""WSGI entry point: any WSGI server can serve ``app:app``.

Settings come from ``./embedjwt.toml``, or the file that ``EMBEDJWT_CONFIG`` names, and from
``EMBEDJWT_…`` variables.
"""

from embedjwt import create_app
from embedjwt.log import configure_logging

configure_logging()
app = create_app()
