"""The word that ``role_attribute_path`` finds in a token, and what is wrong with it.

Source: ``extractRoleAndAdmin`` in ``pkg/services/authn/clients/jwt.go``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedjwt.expressions import ExpressionError, compile_expression
from embedjwt.grafana.jwt_settings import JwtAuthSettings
from embedjwt.grafana.roles import GRAFANA_ADMIN, is_valid_role
from embedjwt.grafana.versions import ROLE_NONE_SINCE, Version
from embedjwt.grafana.words import shown

_WORDS = ("None", "Viewer", "Editor", "Admin", GRAFANA_ADMIN)


@dataclass(frozen=True, slots=True)
class RoleWord:
    """What was found, "" if it is no text; ``problem`` says why it is no role, if so."""

    word: str
    problem: str = ""


def role_word(claims: Mapping[str, Any], settings: JwtAuthSettings) -> RoleWord:
    """An expression that fails means no role; case is not folded."""
    path = settings.role_attribute_path
    if not path:
        return RoleWord("", "role_attribute_path is not set")
    try:
        expression = compile_expression(path)
    except ExpressionError as error:
        return RoleWord("", f"role_attribute_path does not compile: {error.detail}")
    try:
        found = expression.search(claims)
    except ExpressionError as error:
        return RoleWord("", f"role_attribute_path fails on this token: {error.detail}")
    if isinstance(found, str):
        return RoleWord(found, _problem(found, settings.version))
    if found is None and path.isidentifier() and path not in claims:
        return RoleWord("", f"the token has no claim {shown(path)}, which is role_attribute_path")
    return RoleWord("", f"role_attribute_path finds {_kind(found)} in this token, no word")


def _kind(value: Any) -> str:
    if value is None:
        return "nothing"
    kinds = ((bool, "true or false"), (list, "a list"), (dict, "an object"))
    return next((kind for type_, kind in kinds if isinstance(value, type_)), "a number")


def _problem(word: str, version: Version) -> str:
    if word == GRAFANA_ADMIN or is_valid_role(word, version):
        return ""
    if word == "None":
        return "None is a role only since Grafana {}.{}".format(*ROLE_NONE_SINCE)
    meant = {role.lower(): role for role in _WORDS}.get(word.strip().lower())
    if meant:
        return f"{shown(word)} is no role: Grafana wants {meant}, exactly so"
    return f"{shown(word)} is no role: roles are {', '.join(_WORDS)}"
