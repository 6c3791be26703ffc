"""The gateway: a reverse proxy in front of Grafana asks here on each request for a fresh header.

``forwarded.py`` what the proxy says of the request → ``paths.py`` its one reading → ``rules.py``
what its person may reach (``panel.py``: what a panel needs); ``sessions.py`` the cookie's session
and tickets, ``decisions.py`` what is remembered of them; ``gateway.py`` puts them together.
``proxies/`` are the configurations that ``embedjwt gateway-config`` prints.
"""
