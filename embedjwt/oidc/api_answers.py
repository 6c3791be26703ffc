"""What a provider's API lists of a person: e-mail addresses, teams, organizations. Pure.

``pkg/login/social/connectors/generic_oauth.go``: ``fetchPrivateEmail``, ``fetchTeamMemberships``,
``fetchOrganizations``.
"""

from __future__ import annotations

from typing import Any

from embedjwt.expressions import Expression

_VERIFIED = ("verified", "is_confirmed", "email_verified")
"""What GitHub, Bitbucket and OpenID Connect call it."""


class UnusableAnswer(ValueError):
    """An answer of another shape; the text says which and quotes nothing."""


def read_emails(document: Any) -> str | None:
    """The first entry that is marked as primary, of a list or of the list under ``values``
    (Bitbucket); ``None`` where there is none, or it is not verified."""
    for record in _records(document.get("values") if isinstance(document, dict) else document):
        if record.get("primary") is True or record.get("is_primary") is True:
            email = record.get("email")
            # One that somebody has only claimed to have could be anybody's.
            unverified = any(record.get(name) is False for name in _VERIFIED)
            return email if isinstance(email, str) and email and not unverified else None
    return None


def read_teams(document: Any, path: Expression | None, *, at_teams_url: bool) -> tuple[str, ...]:
    """What ``team_ids_attribute_path`` finds; of ``{api_url}/teams`` otherwise each ``id``.

    May raise ``ExpressionError``.
    """
    found = () if path is None else _found(path, document)
    return found if found or at_teams_url else _ids(document)


def read_organizations(document: Any) -> tuple[str, ...]:
    """The ``login`` of each."""
    logins = [record.get("login") for record in _records(document)]
    return tuple(login for login in logins if isinstance(login, str) and login)


def _records(document: Any) -> list[dict[str, Any]]:
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise UnusableAnswer("it is no list of objects")
    return document


def _found(path: Expression, document: Any) -> tuple[str, ...]:
    """The texts and whole numbers that an expression finds; a missing list is an empty one."""
    found = path.search(document)
    if found is None:
        return ()
    if not isinstance(found, list):
        raise UnusableAnswer("team_ids_attribute_path finds no list in it")
    texts = [str(int(item)) if _is_int(item) else item for item in found]
    return tuple(text for text in texts if isinstance(text, str) and text)


def _is_int(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return isinstance(value, int) or value.is_integer()


def _ids(document: Any) -> tuple[str, ...]:
    return tuple(str(record["id"]) for record in _records(document) if _is_int(record.get("id")))
