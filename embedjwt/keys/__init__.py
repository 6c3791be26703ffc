"""Signing keys: their states, where they are kept, and how they sign."""

from embedjwt.keys.directory import DirectoryKeyStore, LoadedKeys
from embedjwt.keys.keyring import KeyRing
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
