"""The ring as it is stored, and the key set as it is published. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, fields
from typing import Any, get_args

from embedjwt.errors import KeysUnavailable, RingDamaged
from embedjwt.keys.jwk import is_public_jwk
from embedjwt.keys.ring import KeyRecord, KeyState, Ring, is_reason

_VERSION = 2
_READ = (1, 2)  # 1 had neither revision nor revocations
_MEMBERS = {field.name for field in fields(KeyRecord)}
_SINCE_2 = {"revoked_at", "reason", "imported"}
_TIMES = ("published_at", "activates_at", "retires_at", "removes_at", "revoked_at")
_KNOWN_TIMES: dict[KeyState, tuple[str, ...]] = {
    "next": ("published_at", "activates_at"),
    "active": ("published_at", "activates_at"),
    "retiring": ("published_at", "activates_at", "retires_at"),
    "removed": (),
    "revoked": (),
}
_REPAIR = "restore it from a backup; do not edit it by hand"


def jwk_set(ring: Ring) -> bytes:
    """The published set (RFC 7517 section 5), the same bytes for the same ring.

    Raises :class:`KeysUnavailable` rather than make an empty set, which Grafana would cache.
    """
    keys = [dict(key.jwk) for key in ring.published()]
    if not keys:
        raise RingDamaged("the key ring holds no key to publish", hint="embedjwt keys list")
    return json.dumps({"keys": keys}, separators=(",", ":")).encode()


def entity_tag(body: bytes) -> str:
    """An opaque tag that changes with the bytes, without quotes (RFC 9110 section 8.8.3)."""
    return hashlib.sha256(body).hexdigest()[:32]


def to_json(ring: Ring) -> bytes:
    """The ring as it is stored."""
    document = {
        "version": _VERSION,
        "revision": ring.revision,
        "revocations": ring.revocations,
        "changed_by": ring.changed_by,
        "keys": [asdict(key) | {"jwk": dict(key.jwk)} for key in ring.records],
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def parse_ring(text: bytes, source: str) -> Ring:
    """The ring that :func:`to_json` wrote to ``source``.

    Raises :class:`RingDamaged`, naming ``source``, where anything at all is not as it writes it:
    half an understanding of who may sign is worse than none. What a newer release wrote raises
    :class:`KeysUnavailable`: others may go on from it.
    """
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise RingDamaged(f"{source} is not JSON", hint=_REPAIR) from error
    if not isinstance(document, dict) or not {"version", "keys"} <= set(document):
        raise RingDamaged(f"{source} is not a key ring", hint=_REPAIR)
    version = document["version"]
    if type(version) is not int or version not in _READ:
        raise KeysUnavailable(
            f"{source} has a version that this embedjwt does not know",
            hint=f"this release reads version {_VERSION}; run the release that wrote the file",
        )
    counts = {"revision", "revocations"} if version > 1 else set()
    texts = {"changed_by"} if version > 1 else set()
    if set(document) != {"version", "keys"} | counts | texts:
        raise RingDamaged(f"{source} is not a key ring", hint=_REPAIR)
    if not isinstance(document["keys"], list):
        raise RingDamaged(f"{source} holds no list of keys", hint=_REPAIR)
    if not all(type(document[name]) is int and document[name] >= 0 for name in counts):
        raise RingDamaged(f"{source} does not count its changes", hint=_REPAIR)
    if not all(isinstance(document[name], str) for name in texts):
        raise RingDamaged(f"{source} does not say who changed it", hint=_REPAIR)
    records = tuple(
        _record(entry, version, f"{source}, key {number}")
        for number, entry in enumerate(document["keys"], start=1)
    )
    _check_unique([key.kid for key in records], f"{source} holds one key twice")
    _check_unique(
        [key.alg for key in records if key.state == "active"],
        f"{source} holds two active keys of one algorithm",
    )
    if not any(key.state == "active" for key in records):
        raise RingDamaged(f"{source} holds no key that signs", hint=_REPAIR)
    return Ring(
        records,
        document.get("revision", 1),
        document.get("revocations", 0),
        document.get("changed_by", ""),
    )


def _record(entry: object, version: int, where: str) -> KeyRecord:
    def wrong(what: str) -> RingDamaged:
        return RingDamaged(f"{where}: {what}", hint=_REPAIR)

    members = _MEMBERS if version > 1 else _MEMBERS - _SINCE_2
    if not isinstance(entry, dict) or set(entry) != members:
        raise wrong("not the members of a key")
    if entry["state"] not in get_args(KeyState):
        raise wrong(f"unknown state; known are {', '.join(get_args(KeyState))}")
    jwk, imported = entry["jwk"], entry.get("imported", False)
    if not isinstance(imported, bool):
        raise wrong("imported must be true or false")
    names = (entry["kid"], entry["alg"])
    if not is_public_jwk(jwk, foreign_kid=imported) or (jwk["kid"], jwk["alg"]) != names:
        raise wrong("kid, alg and jwk do not belong together")
    for name in _TIMES:
        time: Any = entry.get(name)
        # type(), for True is an int.
        if time is not None and (type(time) is not int or time < 0):
            raise wrong(f"{name} must be whole Unix seconds or null")
    for name in _KNOWN_TIMES[entry["state"]]:
        if entry[name] is None:
            raise wrong(f"{name} is missing, and a key that is {entry['state']} has one")
    reason = entry.get("reason", "")
    if not isinstance(reason, str) or (reason and not is_reason(reason)):
        raise wrong("reason must be a line of text")
    if version == 1 and entry["state"] == "next":
        entry = entry | {"activates_at": entry["published_at"]}  # it was a plan, no promise
    return KeyRecord(**entry)


def _check_unique(items: list[str], message: str) -> None:
    if len(set(items)) < len(items):
        raise RingDamaged(message, hint=_REPAIR)
