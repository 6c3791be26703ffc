"""From a ``[[source]] type = "introspection"`` table to its source."""

from __future__ import annotations

from collections.abc import Callable

from embedjwt.config.provider import IntrospectionSource
from embedjwt.config.secrets import read_secret
from embedjwt.oidc.client_auth import AuthenticatedClient
from embedjwt.sources.calls import build_outbound
from embedjwt.sources.carrier import Carrier
from embedjwt.sources.introspection import IntrospectionPolicy, OpaqueTokens
from embedjwt.sources.introspection_endpoint import IntrospectionEndpoint
from embedjwt.sources.single_flight import SingleFlight


def opaque_tokens(
    source: IntrospectionSource, key: str, carrier: Carrier, clock: Callable[[], float]
) -> OpaqueTokens:
    """The source of a table, whose place in the settings is ``key``. Raises ``ConfigError``."""
    outbound = build_outbound(source, key, clock)
    client = AuthenticatedClient(
        outbound,
        client_id=source.client_id,
        client_secret=read_secret(
            f"{key}.client_secret", source.client_secret, source.client_secret_file
        ),
        auth_style=source.auth_style,
    )
    return OpaqueTokens(
        name=source.name,
        subject_prefix=source.subject_prefix,
        carrier=carrier,
        policy=IntrospectionPolicy(
            issuer=source.issuer,
            audience=source.audience or (),
            required_scopes=source.required_scopes,
            leeway=source.leeway,
        ),
        endpoint=IntrospectionEndpoint(
            url=source.introspection_url,
            issuer=source.issuer,
            api_url=source.api_url,
            client=client,
            outbound=outbound,
            clock=clock,
            timeout=source.timeout,
        ),
        answers=SingleFlight(clock=clock, timeout=source.timeout),
        cache_ttl=source.cache_ttl,
    )
