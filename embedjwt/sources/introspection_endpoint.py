"""A provider that is asked about a token: introspection (RFC 7662), and UserInfo."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from embedjwt.errors import SessionRefused, UpstreamUnavailable
from embedjwt.identity import VerifiedClaims
from embedjwt.oidc.client_auth import AuthenticatedClient
from embedjwt.outbound import Outbound, unavailable
from embedjwt.sources.discovery import discover
from embedjwt.sources.remote import Remote
from embedjwt.sources.single_flight import ProviderDown


@dataclass(frozen=True, slots=True)
class Place:
    """The introspection endpoint's URL, and how a client may authenticate there.

    ``from_data_of`` is the issuer whose metadata names the URL; ``None``: the settings do.
    """

    url: str
    from_data_of: str | None = None
    auth_methods: tuple[str, ...] = ()


class IntrospectionEndpoint:
    """Asks about one token at a time.

    ``url`` wins over what discovery at ``issuer`` finds. ``api_url`` is where UserInfo is;
    ``None``: it is not asked.
    """

    def __init__(
        self,
        *,
        url: str | None,
        issuer: str | None,
        api_url: str | None,
        client: AuthenticatedClient,
        outbound: Outbound,
        clock: Callable[[], float],
        timeout: float,
    ) -> None:
        self._place = None if url is None else Place(url)
        self._issuer = issuer or ""
        self._api_url = api_url
        self._client = client
        self._outbound = outbound
        self._discovered = Remote(self._load, url=self._issuer, clock=clock, timeout=timeout)

    def introspect(self, token: str, deadline: float) -> Mapping[str, Any]:
        """The answer about a token.

        ``ProviderDown`` where the next token would fare no better, else ``UpstreamUnavailable``.
        """
        try:
            place = self._place or self._discovered.current()
            answer = self._client.post(
                place.url,
                {"token": token, "token_type_hint": "access_token"},
                deadline=deadline,
                from_data_of=place.from_data_of,
                supported=place.auth_methods,
            )
        except UpstreamUnavailable as error:
            raise _down(error.hint) from None
        status = answer.status
        if status == 401:
            raise _down(
                unavailable(place.url, "it answered 401: compare client_id and client_secret").hint
            )
        if status in (429, 503):
            raise _down(unavailable(place.url, f"it answered {status}").hint)
        # Anybody can send a token that the provider, or a firewall before it, stumbles over: that
        # is no reason to stop asking about those of others.
        if status != 200 or not isinstance(answer.document, dict):
            raise unavailable(place.url, f"it answered {status}, or no JSON object")
        return answer.document

    def userinfo(self, token: str, subject: str, deadline: float) -> VerifiedClaims | None:
        """The UserInfo claims of the token's person; ``None`` where they are not asked for.

        ``SessionRefused`` where they are of another person (OpenID Connect Core 5.3.2).
        """
        if self._api_url is None:
            return None
        document = self._outbound.get_json(self._api_url, deadline, bearer=token)
        if not isinstance(document, dict):
            raise unavailable(self._api_url, "its answer is no JSON object")
        if document.get("sub") != subject:
            raise SessionRefused(
                "UserInfo tells of another person than the token.",
                code="userinfo_mismatch",
                hint=f"{self._api_url} has no sub, or another than introspection",
            )
        return VerifiedClaims(document)

    def _load(self, deadline: float) -> Place:
        found = discover(self._outbound, self._issuer, deadline)
        methods = found.values.get("introspection_endpoint_auth_methods_supported")
        listed = methods if isinstance(methods, list) else []
        return Place(
            found.required_endpoint("introspection_endpoint"),
            from_data_of=self._issuer,
            auth_methods=tuple(method for method in listed if isinstance(method, str)),
        )


def _down(hint: str) -> ProviderDown:
    return ProviderDown("The identity provider does not answer usably at the moment.", hint=hint)
