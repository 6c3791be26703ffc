"""A document as Grafana decodes it: the claims it knows by name, or nothing of it at all."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any


class UnreadableDocument(ValueError):
    """A claim has a JSON type that Grafana cannot decode, so that it drops the whole document."""


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

    The rules are those of Go's ``encoding/json``: keys match whatever their case, a later key
    overrides an earlier one, ``null`` leaves a text as it is, another wrong type is an error.
    """
    if not isinstance(document, Mapping):
        raise UnreadableDocument("it is not a JSON object")
    record = Record()
    for key, value in document.items():
        name = key
        if name not in _KNOWN:
            name = key.casefold() if isinstance(key, str) else ""
            if name not in _KNOWN:
                continue
        if name == "attributes":
            _add_attributes(record, value)
        elif isinstance(value, str):
            setattr(record, name, value)
        elif value is not None:
            raise UnreadableDocument(f"{name} is not a string")
    return record


def _add_attributes(record: Record, value: Any) -> None:
    """Merge a map of lists of strings, as decoding twice into one Go map does."""
    if value is None:
        record.attributes = {}
        return
    if not isinstance(value, Mapping):
        raise UnreadableDocument("attributes is not an object")
    for key, items in value.items():
        record.attributes[key] = [_text(item) for item in _list(items)]


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
