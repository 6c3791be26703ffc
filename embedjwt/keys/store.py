"""What a key store is: a ring that many read and one changes at a time, and private halves.

Two stores implement :class:`KeyStore` (``directory.py``, ``database.py``), and three places in
``custody/`` hold private halves. One suite of tests holds for all of them.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractContextManager
from typing import Protocol

from embedjwt.keys.jwk import Jwk
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.signer import PrivateKey, SigningKey


class Custody(Protocol):
    """Private halves: made, used, destroyed. Everything raises :class:`KeysUnavailable`."""

    def create(self, alg: str) -> Jwk:
        """Make a key pair and keep its private half; it is durable when this returns."""

    def adopt(self, private_key: PrivateKey, jwk: Jwk) -> None:
        """Keep the private half of a key that was made elsewhere."""

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """The private half, ready to sign; refused where it does not belong to the record."""

    def prune(self, ring: Ring) -> None:
        """Destroy the private halves that may not sign any more. Can be repeated."""


class Change(Protocol):
    """A ring held still: nobody else changes it until this ends."""

    @property
    def ring(self) -> Ring | None:
        """As it is now; ``None`` where there is none yet."""

    @property
    def custody(self) -> Custody:
        """Where private halves are made and kept."""

    def commit(self, ring: Ring) -> Ring:
        """Replace the ring, whole or not at all, then destroy what may not sign any more.

        Returns it with its new revision. Raises :class:`KeysUnavailable` where it could not be
        written, or where another process got in between after all.
        """


class KeyStore(Protocol):
    """Raises :class:`KeysUnavailable` from everything; ``keys_missing`` where there is no ring."""

    @property
    def location(self) -> str:
        """Where it is, for people; holds no secret."""

    def clock(self) -> float:
        """Unix seconds, by the clock that all who share this store go by."""

    def version(self) -> Hashable:
        """Something that differs after every change, and costs little to ask."""

    def ring(self) -> Ring:
        """The ring as it is now, without a look at any private half."""

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """The private half of a key, ready to sign."""

    def settle(self, ring: Ring) -> None:
        """Make what is derived from the ring (``jwks.json``) equal to it again, if it is not."""

    def concerns(self) -> list[str]:
        """What an operator should hear about the place itself."""

    def tidy(self, ring: Ring) -> None:
        """Bring what is kept beside the ring up to date; called now and then by a service."""

    def changing(self, *, wait: bool = True) -> AbstractContextManager[Change]:
        """Hold the ring still. Raises :class:`StoreBusy` where it is held and ``wait`` is false."""
