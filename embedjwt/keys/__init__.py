"""Signing keys: their states and times, where they are kept, and how they sign.

``ring.py`` what a key may do (pure) → ``timing.py``, ``schedule.py`` when → ``operations.py`` what
is done to a store → ``keyring.py``, ``keeper.py`` a running service's view of one.
"""

from embedjwt.keys.directory import DirectoryKeyStore
from embedjwt.keys.keyring import KeyRing, LoadedKeys
from embedjwt.keys.ring import KeyRecord, KeyState, Ring
from embedjwt.keys.signer import SigningKey

__all__ = [
    "DirectoryKeyStore",
    "KeyRecord",
    "KeyRing",
    "KeyState",
    "LoadedKeys",
    "Ring",
    "SigningKey",
]
