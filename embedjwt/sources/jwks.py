"""The keys of an issuer: fixed ones, or a remote set that is fetched again when it has to be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from embedjwt.outbound import Outbound, unavailable
from embedjwt.sources.discovery import discover
from embedjwt.sources.keyset import KeySet, parse_jwks
from embedjwt.sources.remote import Remote


class KeySource(Protocol):
    """Where a verifier takes its keys from."""

    def current(self) -> KeySet:
        """The set to use now; the same object as before where nothing changed."""

    def after_unknown_kid(self) -> KeySet:
        """The set to look into again, fetched anew if that may be done now."""


@dataclass(frozen=True, slots=True)
class FixedKeys:
    """Keys that were read at start."""

    keys: KeySet

    def current(self) -> KeySet:
        return self.keys

    def after_unknown_kid(self) -> KeySet:
        return self.keys


class RemoteKeys(Remote[KeySet]):
    """A key set behind a URL, safe to share between threads."""

    def after_unknown_kid(self) -> KeySet:
        """The set, fetched anew unless that was done for an unknown kid a moment ago."""
        return self.after_unknown()


def load_jwks(
    outbound: Outbound, url: str, deadline: float, *, from_data_of: str | None = None
) -> KeySet:
    """The key set at a URL; ``from_data_of`` as ``Outbound`` has it."""
    try:
        return parse_jwks(outbound.get_json(url, deadline, from_data_of=from_data_of))
    except ValueError as error:
        raise unavailable(url, str(error)) from None


def load_discovered(outbound: Outbound, issuer: str, deadline: float) -> KeySet:
    """The key set that an issuer's metadata names (OpenID Connect Discovery 1.0 section 4)."""
    uri = discover(outbound, issuer, deadline).required_endpoint("jwks_uri")
    return load_jwks(outbound, uri, deadline, from_data_of=issuer)
