"""What an issuer says of itself (OpenID Connect Discovery 1.0 section 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedjwt.outbound import Outbound, as_safe_as, unavailable


@dataclass(frozen=True, slots=True)
class DiscoveryDocument:
    """The metadata of an issuer. Its URLs are data: they are the issuer's word, not ours."""

    issuer: str
    url: str
    values: Mapping[str, Any]

    def endpoint(self, name: str) -> str | None:
        """A URL of it; ``None`` where it is missing, ``UpstreamUnavailable`` where not safe."""
        uri = self.values.get(name)
        if uri is None:
            return None
        if not isinstance(uri, str) or not as_safe_as(self.issuer, uri):
            raise unavailable(self.url, f"its {name} is neither https nor on http beside it")
        return uri

    def required_endpoint(self, name: str) -> str:
        """The same, for one that nothing works without."""
        uri = self.endpoint(name)
        if uri is None:
            raise unavailable(self.url, f"its {name} is missing")
        return uri


def discover(outbound: Outbound, issuer: str, deadline: float) -> DiscoveryDocument:
    """Fetch it; ``UpstreamUnavailable`` where it cannot be had, or speaks for another issuer."""
    url = f"{issuer.rstrip('/')}/.well-known/openid-configuration"
    values = outbound.get_json(url, deadline)
    if not isinstance(values, dict):
        raise unavailable(url, "its answer is no JSON object")
    # Section 4.3: the issuer must be the very one asked, or one provider could speak for another.
    if values.get("issuer") != issuer:
        found = ascii(values.get("issuer"))[:200]
        raise unavailable(url, f"its issuer is {found}, and the settings say {issuer!r}")
    return DiscoveryDocument(issuer, url, values)
