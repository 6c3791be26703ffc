"""What the OpenID providers of the tests have in common, whatever their make."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from queue import Queue
from threading import Thread
from typing import Any, ClassVar, Literal, Self
from urllib.parse import urlencode, urlsplit

import requests

from openid_front import Fault, Front
from openid_person import PASSWORD, Arrival, LoginFormShown, Person

PEOPLE: dict[str, dict[str, Any]] = {
    login: {
        "email": f"{login}@example.com",
        "name": name,
        "groups": groups,
        "password": PASSWORD,
    }
    for login, name, groups in [
        ("vera", "Vera Viewer", ["everyone"]),
        ("ada", "Ada Admin", ["everyone", "admins"]),
        ("greta", "Greta Groups", ["everyone", *(f"group-{number:03}" for number in range(300))]),
    ]
}
DISCOVERY = "/.well-known/openid-configuration"
START_TIMEOUT = 30


class NotSupported(Exception):
    """This make of provider cannot do that."""


@dataclass(frozen=True)
class Setup:
    """How a provider is to be; the names are those of client registration where it has one."""

    client_id: str = "embedjwt-tests"
    client_secret: str = "a secret of the tests, known to all"
    redirect_uris: Sequence[str] = ("https://app.example.com/callback",)
    post_logout_redirect_uris: Sequence[str] = ()
    backchannel_logout_uri: str | None = None
    backchannel_logout_session_required: bool = True
    token_endpoint_auth_method: str = "client_secret_basic"
    id_token_signed_response_alg: str | None = None  # of an RSA key; None: what the make prefers
    first_party: bool = True  # nobody is asked to consent
    refresh_tokens: bool = True  # for every code, with or without offline_access
    id_token_ttl: int = 3600  # seconds
    access_token_ttl: int = 3600  # seconds
    groups_in: Literal["id_token", "userinfo"] = "id_token"  # or in UserInfo alone
    access_tokens: Literal["default", "jwt"] = "default"


@dataclass(frozen=True)
class Authorization:
    """An authorization response, and what is needed to redeem its code."""

    arrival: Arrival
    redirect_uri: str
    nonce: str
    code_verifier: str


class ProviderKit(ABC):
    """A provider as a child process, behind a front that tests can make misbehave.

    A context manager. ``issuer`` is the front's URL and stays the same from start to end.
    """

    make: ClassVar[str]
    preferred_algorithm: ClassVar[str]

    def __init__(self, setup: Setup | None = None) -> None:
        setup = setup or Setup()
        self.algorithm = setup.id_token_signed_response_alg or self.preferred_algorithm
        self.setup = replace(setup, id_token_signed_response_alg=self.algorithm)
        self.client_id = self.setup.client_id
        self.client_secret = self.setup.client_secret
        self._said: Queue[str | None] = Queue()
        self.check()

    @abstractmethod
    def check(self) -> None:
        """Skips where the make is not installed; ``NotSupported`` where it cannot be set up so."""

    @abstractmethod
    def command(self, options: str) -> list[str]:
        """The command of the child; ``options`` is JSON: the setup, ``issuer`` and ``people``."""

    def __enter__(self) -> Self:
        self._front = Front()
        self.issuer = f"http://localhost:{self._front.port}"
        options = asdict(self.setup) | {"issuer": self.issuer, "people": PEOPLE}
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            self.command(json.dumps(options)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
        )
        self._reader = Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self._front.serve(self._answer()["port"])
            self.metadata: dict[str, Any] = requests.get(self.issuer + DISCOVERY, timeout=10).json()
            self._front.asked.clear()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._front.stop()
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._errors.close()

    # What may go wrong. ``only`` is an endpoint by its metadata name, or the beginning of a path.

    def slow(self, seconds: float, only: str = "/") -> None:
        """Answers so many seconds late; what was asked for is done at once."""
        self._front.misbehave(Fault(self.path(only), delay=seconds))

    def drip(self, pace: float = 0.2, only: str = "/") -> None:
        """Answers one byte every ``pace`` seconds, from the status line on."""
        self._front.misbehave(Fault(self.path(only), pace=pace))

    def fail(self, status: int = 500, only: str = "/") -> None:
        """Answers with ``status``; what was asked for is not done."""
        self._front.misbehave(Fault(self.path(only), status=status))

    def normal(self) -> None:
        """Ends ``slow``, ``drip`` and ``fail``."""
        self._front.misbehave(Fault())

    def stop(self) -> None:
        """Refuses connections, and ends any fault; sessions and tokens survive until ``start``."""
        self._front.stop()

    def start(self) -> None:
        self._front.start()

    def rotate_keys(self) -> None:
        """A new signing key under a new ``kid``; the old one leaves the JWKS at once."""
        self._tell("rotate_keys")

    def asked(self, endpoint: str) -> int:
        """How often an endpoint was asked since the start."""
        return self._front.asked[self.path(endpoint)]

    def path(self, endpoint: str) -> str:
        return endpoint if endpoint.startswith("/") else urlsplit(self.metadata[endpoint]).path

    # What people and clients do.

    def sign_in(self, person: Person, login: str) -> Authorization:
        """Opens a session at the provider, with whatever forms that takes."""
        return self.authorize(person, log_in_as=login)

    def authorize(
        self, person: Person, *, log_in_as: str | None = None, **parameters: str
    ) -> Authorization:
        """The authorization code flow up to the first of the client's redirect URIs, with PKCE."""
        redirect_uri = self.setup.redirect_uris[0]
        nonce, code_verifier = secrets.token_urlsafe(16), secrets.token_urlsafe(32)
        digest = hashlib.sha256(code_verifier.encode()).digest()
        query = {
            "client_id": self.client_id,
            "response_type": "code",
            "scope": "openid email profile groups",
            "redirect_uri": redirect_uri,
            "state": secrets.token_urlsafe(16),
            "nonce": nonce,
            "code_challenge": base64.urlsafe_b64encode(digest).rstrip(b"=").decode(),
            "code_challenge_method": "S256",
        } | parameters
        url = f"{self.metadata['authorization_endpoint']}?{urlencode(query)}"
        arrival = person.follow(url, redirect_uri, log_in_as=log_in_as)
        return Authorization(arrival, redirect_uri, nonce, code_verifier)

    def redeem(self, authorization: Authorization) -> dict[str, Any]:
        """The token response (RFC 6749 section 5.1) for a code."""
        answer = self.post(
            "token_endpoint",
            grant_type="authorization_code",
            code=authorization.arrival.query["code"],
            redirect_uri=authorization.redirect_uri,
            code_verifier=authorization.code_verifier,
        )
        assert answer.ok, answer.text
        tokens: dict[str, Any] = answer.json()
        return tokens

    def post(self, endpoint: str, **form: str) -> requests.Response:
        """Asks an endpoint as the client, authenticated as its registration says."""
        auth = None
        if self.setup.token_endpoint_auth_method == "client_secret_post":
            form |= {"client_id": self.client_id, "client_secret": self.client_secret}
        else:  # RFC 6749 section 2.3.1: form-urlencoded before it is Basic
            auth = (self.client_id, requests.utils.quote(self.client_secret, safe=""))
        return requests.post(self.metadata[endpoint], data=form, auth=auth, timeout=30)

    def sign_out(self, person: Person) -> None:
        """Ends the session at the provider, as a person does who goes to its logout page."""
        with suppress(LoginFormShown):  # where some end who are signed out
            person.follow(self.metadata["end_session_endpoint"], log_out=True)

    def _tell(self, command: str) -> None:
        assert self._process.stdin is not None
        print(command, file=self._process.stdin, flush=True)
        self._answer()

    def _answer(self) -> dict[str, Any]:
        line = self._said.get(timeout=START_TIMEOUT)
        if line is None:
            self._errors.seek(0)
            raise RuntimeError(f"{self.make} ended: {self._errors.read()}")
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _read(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("{"):
                    self._said.put(line)
        self._said.put(None)
