"""What somebody meant by a key that does not exist."""

from __future__ import annotations

import difflib
import types
import typing
from typing import Any

from pydantic import BaseModel

from embedjwt.config.model import GrafanaTarget, Settings
from embedjwt.config.provider import OidcSource

SECTIONS = ("token", "keys", "session", "gateway", "mapping", "admission", "web")
"""The tables that are there once."""

_TARGET_KEYS = frozenset(GrafanaTarget.model_fields) - {"name", "ttl"}

_SIGN_IN_KEYS = frozenset(OidcSource.model_fields) - {"name", "type", "domain", "tenant"}

_LEFT_OUT = {
    "validate_id_token": "leave it out: ID tokens are always verified",
    "login_prompt": "leave it out: the provider is asked silently first, then as it sees fit",
    "client_authentication": "leave it out: auth_style says how client_id and secret are sent",
}
"""``[auth.generic_oauth]`` keys that have no counterpart here, and why."""

_SYNONYMS = {"username_attribute_path": "login_attribute_path"}
"""``[auth.jwt]`` words for what ``[auth.generic_oauth]`` calls otherwise."""


def what_was_meant(word: str, model: type[BaseModel]) -> str:
    """Where a key that ``model`` does not know belongs, or which of its keys it resembles."""
    for section in SECTIONS:
        inner = inner_model(Settings.model_fields[section].annotation)
        if inner is not None and inner is not model and word in inner.model_fields:
            return f"it belongs under [{section}]"
    if word in _TARGET_KEYS and model is not GrafanaTarget:
        return "it belongs under [[grafana]]"
    if word in _LEFT_OUT:
        return _LEFT_OUT[word]
    if word in _SIGN_IN_KEYS and model is not OidcSource:
        return 'it says how people sign in: it belongs into a [[source]] of type = "oidc"'
    close = difflib.get_close_matches(_SYNONYMS.get(word, word), list(model.model_fields), n=1)
    return f"did you mean {close[0]!r}?" if close else f"known: {', '.join(model.model_fields)}"


def inner_model(annotation: Any) -> type[BaseModel] | None:
    """The one table type inside an annotation such as ``tuple[GrafanaTarget, ...]``."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        return annotation if issubclass(annotation, BaseModel) else None
    for argument in typing.get_args(annotation):
        if found := inner_model(argument):
            return found
    return None
