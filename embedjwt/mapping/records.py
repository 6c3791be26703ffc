"""A document as Grafana decodes it: the claims it knows by name, or nothing of it at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class UnreadableDocument(ValueError):
    """A claim has a JSON type that Grafana cannot decode, or two spellings: none of it counts."""


@dataclass(slots=True)
class Record:
    """The claims with a fixed name (``generic_oauth.go``, ``UserInfoJson``)."""

    sub: str = ""
    name: str = ""
    display_name: str = ""
    login: str = ""
    username: str = ""
    email: str = ""
    upn: str = ""
    attributes: dict[str, Sequence[str]] = field(default_factory=dict)


_TEXTS = frozenset({"sub", "name", "display_name", "login", "username", "email", "upn"})
_KNOWN = _TEXTS | {"attributes"}


def decode(document: Any) -> Record:
    """The record in a document; ``UnreadableDocument`` names the claim that spoils it.

    The rules are those of Go's ``encoding/json``: keys match whatever their case, ``null`` is
    empty, another wrong type is an error. Where Go lets the later of two spellings win
    (``{"sub": …, "SUB": …}``), the document is refused: which one is the person is anybody's guess.
    """
    if not isinstance(document, Mapping):
        raise UnreadableDocument("it is not a JSON object")
    record = Record()
    seen: set[str] = set()
    for key, value in document.items():
        name = key
        if name not in _KNOWN:
            name = key.casefold() if isinstance(key, str) else ""
            if name not in _KNOWN:
                continue
        if name in seen:
            raise UnreadableDocument(f"{name} comes in two spellings")
        seen.add(name)
        if name == "attributes":
            record.attributes = _attributes(value)
        elif isinstance(value, str):
            setattr(record, name, value)
        elif value is not None:
            raise UnreadableDocument(f"{name} is not a string")
    return record


def _attributes(value: Any) -> dict[str, Sequence[str]]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise UnreadableDocument("attributes is not an object")
    return {key: [_text(item) for item in _list(items)] for key, items in value.items()}


def _list(items: Any) -> Sequence[Any]:
    if items is None:
        return ()
    if not isinstance(items, list):
        raise UnreadableDocument("a value in attributes is not a list")
    return items


def _text(item: Any) -> str:
    if item is None:
        return ""
    if not isinstance(item, str):
        raise UnreadableDocument("a list in attributes holds something that is not a string")
    return item
