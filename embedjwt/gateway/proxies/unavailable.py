"""What a proxy answers by itself where embedjwt does not answer.

Both stand between single quotes or backticks, and hold neither of them nor ``$`` nor a backslash.
"""

from __future__ import annotations

PROBLEM = (
    '{"type":"about:blank","title":"Service Unavailable","status":503,'
    '"code":"gateway_unavailable","detail":"embedjwt does not answer"}'
)
"""For scripts."""

PAGE = (
    '<!doctype html><html lang="en"><meta charset="utf-8"><title>Not available</title>'
    '<meta http-equiv="refresh" content="10">'
    '<body style="font-family:sans-serif;text-align:center;padding:2em">'
    "<p>This cannot be shown at the moment, for the service that signs you in does not answer."
    "<p>It is tried again by itself, in a few seconds."
)
"""For people: it comes back by itself, as nobody tells the host page."""
