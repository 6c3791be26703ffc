"""WSGI entry point: any WSGI server can serve ``app:app``.

Settings come from ``./embedjwt.toml``, or the file that ``EMBEDJWT_CONFIG`` names, and from
``EMBEDJWT_…`` variables.
"""

from embedjwt import create_app

app = create_app()
