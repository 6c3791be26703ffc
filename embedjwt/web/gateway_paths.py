"""The gateway's paths, those for browsers; ``gateway/forwarded.py`` has those for the proxy."""

SESSION = "/gateway/session"
ENTER = "/gateway/enter"
