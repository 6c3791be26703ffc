"""A real OpenID provider (PyPI canaille) on loopback, for the tests.

Started by ``tests/canaille_provider.py`` in a virtual environment of its own: its options are
one JSON argument. It prints one JSON line {port} when it is ready, and answers each line of its
standard input with one; end of input ends it.
"""

from __future__ import annotations

import json
import sys
from tempfile import TemporaryDirectory
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from canaille.app import models
from canaille.backends import Backend
from canaille.oidc import provider
from flask import Flask
from joserfc.jwk import RSAKey
from werkzeug.serving import WSGIRequestHandler, make_server

from canaille import create_app


def main() -> None:
    options = json.loads(sys.argv[1])
    with TemporaryDirectory() as directory:
        app = make_app(options, directory)
        server = make_server("127.0.0.1", 0, app, request_handler=Quiet)
        Thread(target=server.serve_forever, daemon=True).start()
        say(port=server.server_port)
        for line in sys.stdin:
            if line.strip() != "rotate_keys":
                raise ValueError(line)
            app.config["CANAILLE_OIDC"]["ACTIVE_JWKS"] = [signing_key()]
            say(done=True)


def make_app(options: dict[str, Any], directory: str) -> Flask:
    ttl = options["access_token_ttl"]
    provider.OpenIDCode.DEFAULT_EXPIRES_IN = options["id_token_ttl"]
    app = create_app(
        {
            "SECRET_KEY": "tests only",
            "SERVER_NAME": urlsplit(options["issuer"]).netloc,
            "PREFERRED_URL_SCHEME": "http",
            "OAUTH2_TOKEN_EXPIRES_IN": {"authorization_code": ttl, "refresh_token": ttl},
            "CANAILLE": {"DATABASE": "sql", "SMTP": None, "JAVASCRIPT": False, "HTMX": False},
            "CANAILLE_SQL": {"DATABASE_URI": f"sqlite:///{directory}/canaille.sqlite"},
            "CANAILLE_OIDC": {"ACTIVE_JWKS": [signing_key()], "TRUSTED_DOMAINS": ["localhost"]},
        }
    )
    with app.app_context(), Backend.instance.session():
        add_people(options["people"])
        add_client(options)
    return app


def add_people(people: dict[str, Any]) -> None:
    members: dict[str, list[Any]] = {}
    for login, person in people.items():
        user = models.User(
            user_name=login,
            formatted_name=person["name"],
            family_name=person["name"],
            emails=[person["email"]],
        )
        Backend.instance.save(user)
        Backend.instance.set_user_password(user, person["password"])
        for group in person["groups"]:
            members.setdefault(group, []).append(user)
    groups = [models.Group(display_name=name, members=users) for name, users in members.items()]
    Backend.instance.db_session.add_all(groups)
    Backend.instance.db_session.commit()  # one by one, hundreds take more than a second


def add_client(options: dict[str, Any]) -> None:
    """A trusted domain is what canaille has for a first-party client: no consent page."""
    client = models.Client(
        client_id=options["client_id"],
        client_secret=options["client_secret"],
        client_name="embedjwt",
        client_uri="http://localhost" if options["first_party"] else "https://app.example.com",
        redirect_uris=options["redirect_uris"],
        post_logout_redirect_uris=options["post_logout_redirect_uris"],
        grant_types=["authorization_code", *["refresh_token"] * options["refresh_tokens"]],
        response_types=["code"],
        token_endpoint_auth_method=options["token_endpoint_auth_method"],
        id_token_signed_response_alg=options["id_token_signed_response_alg"],
        scope=["openid", "email", "profile", "groups"],
    )
    Backend.instance.save(client)
    client.audience = [client]
    Backend.instance.save(client)


def signing_key() -> dict[str, Any]:
    return RSAKey.generate_key(2048, auto_kid=True).as_dict(private=True)


def say(**answer: Any) -> None:
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()


class Quiet(WSGIRequestHandler):
    def log(self, *_: Any) -> None:
        pass


if __name__ == "__main__":
    main()
