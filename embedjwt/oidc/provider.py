"""One configured provider: who we are to it, where its endpoints are, and its keys."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Literal

from embedjwt.expressions import Expression
from embedjwt.oidc.client_auth import AuthenticatedClient
from embedjwt.outbound import Outbound, unavailable
from embedjwt.sources.discovery import DiscoveryDocument, discover
from embedjwt.sources.jwks import KeySource, RemoteKeys, load_jwks
from embedjwt.sources.keyset import KeySet
from embedjwt.sources.remote import Remote

_limit: ContextVar[float] = ContextVar("embedjwt_provider_limit", default=math.inf)
"""A time on the provider's clock."""

AuthStyle = Literal["AutoDetect", "InParams", "InHeader"]
"""How ``client_id`` and ``client_secret`` are sent (golang.org/x/oauth2, ``AuthStyle``)."""


@dataclass(frozen=True, slots=True)
class Metadata:
    """Where a provider's endpoints are, and what it can (RFC 8414 section 2, RFC 9207 section 3).

    ``issuer`` is "" where none is configured. No ``token_endpoint_auth_methods`` means that it does
    not say.
    """

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    userinfo_endpoint: str | None = None
    jwks_uri: str | None = None
    end_session_endpoint: str | None = None
    iss_parameter_supported: bool = False
    token_endpoint_auth_methods: tuple[str, ...] = ()


class Provider:
    """A provider as the settings describe it, safe to share between threads.

    A URL that is given wins over the one that discovery at ``issuer`` finds, and nothing is
    discovered where all that are needed are given. Without an ``issuer`` this is plain OAuth 2.0.
    ``client_secret`` is ``None`` for a public client. ``scopes`` is the whole list; an empty one
    asks for none. ``leeway`` and ``timeout`` are in seconds; ``clock`` never goes back and is the
    one of ``outbound``.

    NOTE: ID tokens signed with the client secret (HS256) are not supported: whoever knows it could
    make them, and a provider that cannot sign with a key of its own is rare.
    """

    def __init__(
        self,
        *,
        name: str,
        client_id: str,
        client_secret: str | None,
        issuer: str | None,
        auth_url: str | None,
        token_url: str | None,
        api_url: str | None,
        teams_url: str | None,
        jwk_set_url: str | None,
        team_ids_attribute_path: Expression | None,
        scopes: tuple[str, ...],
        use_pkce: bool,
        auth_style: AuthStyle,
        id_token_attribute_name: str,
        algorithms: tuple[str, ...],
        leeway: int,
        outbound: Outbound,
        clock: Callable[[], float],
        timeout: float,
    ) -> None:
        self.name = name
        self.client_id = client_id
        self.issuer = issuer
        self.auth_url = auth_url
        self.token_url = token_url
        self.api_url = api_url
        self.teams_url = teams_url
        self.jwk_set_url = jwk_set_url
        self.team_ids_attribute_path = team_ids_attribute_path
        self.scopes = scopes
        self.use_pkce = use_pkce
        self.id_token_attribute_name = id_token_attribute_name
        self.algorithms = algorithms
        self.leeway = leeway
        self.outbound = outbound
        self.client = AuthenticatedClient(
            outbound, client_id=client_id, client_secret=client_secret, auth_style=auth_style
        )
        self._clock = clock
        self._timeout = timeout
        named = issuer or auth_url or name
        self._metadata = Remote(self._load_metadata, url=named, clock=clock, timeout=timeout)
        self._keys = RemoteKeys(
            self._load_keys, url=jwk_set_url or named, clock=clock, timeout=timeout
        )

    @property
    def uses_id_token(self) -> bool:
        """Whether an ID token is asked for and can be believed; otherwise one is ignored."""
        return self.issuer is not None and "openid" in self.scopes

    @property
    def keys(self) -> KeySource:
        """The keys that sign this provider's tokens."""
        return self._keys

    def metadata(self) -> Metadata:
        """The endpoints; ``UpstreamUnavailable`` where they cannot be found out.

        What was once discovered serves on while the provider is down, as its keys do.
        """
        if self._is_complete():
            return self._explicit(self.auth_url or "", self.token_url or "")
        return self._metadata.current()

    @property
    def identity(self) -> str:
        """Who vouches, and to whom: what was opened by another provider, or for another client,
        is nothing of this one's."""
        return json.dumps([self.issuer or self.token_url, self.client_id])

    def deadline(self) -> float:
        """Until when a request that starts now waits for this provider, on its clock."""
        return min(self._clock() + self._timeout, _limit.get())

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """All requests made inside together may take no longer than this."""
        token = _limit.set(min(self._clock() + seconds, _limit.get()))
        try:
            yield
        finally:
            _limit.reset(token)

    def data_of(self, url: str) -> str | None:
        """``from_data_of`` for a URL: ``None`` where the operator gave it, or what it is below."""
        given = (self.auth_url, self.token_url, self.api_url, self.teams_url, self.jwk_set_url)
        api = (self.api_url or "").partition("?")[0].rstrip("/")
        below = bool(api) and url.startswith(f"{api}/")
        return None if url in given or below else self.issuer

    def _is_complete(self) -> bool:
        if self.auth_url is None or self.token_url is None:
            return False
        return self.jwk_set_url is not None or not self.uses_id_token

    def _explicit(self, auth_url: str, token_url: str) -> Metadata:
        return Metadata(
            issuer=self.issuer or "",
            authorization_endpoint=auth_url,
            token_endpoint=token_url,
            userinfo_endpoint=self.api_url,
            jwks_uri=self.jwk_set_url,
        )

    def _load_metadata(self, deadline: float) -> Metadata:
        if self.issuer is None:
            raise unavailable(self.name, "it needs an issuer, or auth_url and token_url")
        found = discover(self.outbound, self.issuer, deadline)
        return Metadata(
            issuer=self.issuer,
            authorization_endpoint=(
                self.auth_url or found.required_endpoint("authorization_endpoint")
            ),
            token_endpoint=self.token_url or found.required_endpoint("token_endpoint"),
            userinfo_endpoint=self.api_url or found.endpoint("userinfo_endpoint"),
            jwks_uri=self.jwk_set_url or found.endpoint("jwks_uri"),
            end_session_endpoint=found.endpoint("end_session_endpoint"),
            iss_parameter_supported=_flag(found, "authorization_response_iss_parameter_supported"),
            token_endpoint_auth_methods=_words(found, "token_endpoint_auth_methods_supported"),
        )

    def _load_keys(self, deadline: float) -> KeySet:
        url = self.jwk_set_url or self.metadata().jwks_uri
        if url is None:
            raise unavailable(self.issuer or self.name, "it names no jwks_uri; set jwk_set_url")
        return load_jwks(self.outbound, url, deadline, from_data_of=self.data_of(url))


def _flag(document: DiscoveryDocument, name: str) -> bool:
    return document.values.get(name) is True


def _words(document: DiscoveryDocument, name: str) -> tuple[str, ...]:
    words: Any = document.values.get(name)
    listed = words if isinstance(words, list) else []
    return tuple(word for word in listed if isinstance(word, str))
