"""Role words, their order, and the role that a document gives directly.

``pkg/login/social/connectors/social_base.go``: ``extractRoleAndAdminOptional``, ``searchRole``,
``getRoleFromSearch``; ``pkg/services/org/model.go``: ``RoleType``.
"""

from __future__ import annotations

from collections.abc import Callable

from embedjwt.expressions import Expression, ExpressionError
from embedjwt.mapping.documents import DocumentView, TraceStep

_RANK = {"None": 0, "Viewer": 1, "Editor": 2, "Admin": 3}
_BY_LOWER_CASE = {role.lower(): (role, False) for role in _RANK} | {"grafanaadmin": ("Admin", True)}
_NO_ROLE = ("", False)


def is_role(word: str) -> bool:
    """Whether a word is one of Grafana's organization roles, in exactly this case."""
    return word in _RANK


def top_role(current: str, other: str) -> str:
    """The higher of two roles; "" is lower than any."""
    return current if _RANK.get(current, -1) >= _RANK.get(other, -1) else other


def direct_role(
    expression: Expression, view: DocumentView, groups: Callable[[], list[str]]
) -> tuple[str, bool]:
    """The role a document gives, and whether it said ``GrafanaAdmin``; ("", False) for none.

    Any case counts. Where the document gives no text, the expression is tried on
    ``{"groups": [...]}``, the groups of the same document. A word that is no role gives none, and
    is not tried again.
    """
    word = view.text("role", expression) or _retry_on_groups(expression, view, groups())
    if not word:
        return _NO_ROLE
    role = _BY_LOWER_CASE.get(word.lower())
    if role is None:
        view.note("role", expression.text, word, "not a Grafana role")
        return _NO_ROLE
    return role


def _retry_on_groups(expression: Expression, view: DocumentView, groups: list[str]) -> str:
    value, problem = None, None
    try:
        value = expression.search({"groups": groups})
    except ExpressionError as error:
        problem = error.detail
    if view.trace is not None:
        where = f"groups of {view.name}"
        view.trace.append(TraceStep("role", where, expression.text, value, problem))
    return value if isinstance(value, str) else ""
