"""Name, login, e-mail, groups and external organizations, as one document gives them.

``pkg/login/social/connectors/generic_oauth.go``: ``extractUserName``, ``extractLogin``,
``extractEmail``, ``extractGroups``, ``extractOrgs``.
"""

from __future__ import annotations

import re

from embedjwt.config.mapping import MappingSettings
from embedjwt.expressions import Expression, ExpressionError, compile_expression
from embedjwt.mapping.documents import DocumentView, only_strings

_ATOM = r"[^\x00-\x20\x7f()<>\[\]:;@\\,.\"\ud800-\udfff]+"
_DOT_ATOM = rf"{_ATOM}(?:\.{_ATOM})*"
_ADDRESS = re.compile(rf"{_DOT_ATOM}@{_DOT_ATOM}")
_NAMED_ADDRESS = re.compile(rf'(?:[^<>()\[\]:;@\\,"]*|"[^"\\]*"[ \t]*)<({_DOT_ATOM}@{_DOT_ATOM})>')
_LONGEST_ADDRESS = 512


class AttributePaths:
    """The attribute settings with their expressions compiled."""

    def __init__(self, settings: MappingSettings) -> None:
        self._email_name = settings.email_attribute_name
        self._email = compiled(settings.email_attribute_path)
        self._login = compiled(settings.login_attribute_path)
        self._name = compiled(settings.name_attribute_path)
        self._groups = compiled(settings.groups_attribute_path)
        self._orgs = compiled(settings.org_attribute_path)

    def name(self, view: DocumentView) -> str:
        """``name_attribute_path``, then ``name``, then ``display_name``."""
        if self._name is not None and (name := view.text("name", self._name)):
            return name
        return view.claim("name", "name", view.record.name) or view.claim(
            "name", "display_name", view.record.display_name
        )

    def login(self, view: DocumentView) -> str:
        """``login``, then ``login_attribute_path``, then ``username``."""
        if login := view.claim("login", "login", view.record.login):
            return login
        if self._login is not None and (login := view.text("login", self._login)):
            return login
        return view.claim("login", "username", view.record.username)

    def email(self, view: DocumentView) -> str:
        """``email``, ``email_attribute_path``, ``email_attribute_name``, then ``upn``.

        The first item under ``email_attribute_name`` answers for good, even when it is empty.
        """
        if email := view.claim("email", "email", view.record.email):
            return email
        if self._email is not None and (email := view.text("email", self._email)):
            return email
        if listed := view.record.attributes.get(self._email_name):
            return view.claim("email", f"attributes[{self._email_name!r}][0]", listed[0])
        if upn := view.record.upn:
            address = parse_address(upn)
            view.note("email", "upn", upn, None if address else "not an e-mail address")
            return address
        return ""

    def groups(self, view: DocumentView) -> list[str]:
        """The strings under ``groups_attribute_path``; a failing expression gives none."""
        if self._groups is None:
            return []
        try:
            return only_strings(view.items("groups", self._groups))
        except ExpressionError:
            return []

    def orgs(self, view: DocumentView) -> list[str]:
        """The strings under ``org_attribute_path``; raises ``ExpressionError``."""
        return only_strings(view.items("orgs", self._orgs)) if self._orgs is not None else []


def compiled(text: str) -> Expression | None:
    """The expression of a setting, ``None`` where it is unset."""
    return compile_expression(text) if text else None


def parse_address(text: str) -> str:
    """The address in ``a@b`` or ``Name <a@b>`` (RFC 5322 section 3.4), "" where there is none.

    Go's ``mail.ParseAddress`` without comments, quoted local parts and domain literals.
    """
    if len(text) > _LONGEST_ADDRESS:
        return ""
    text = text.strip(" \t")
    if _ADDRESS.fullmatch(text):
        return text
    named = _NAMED_ADDRESS.fullmatch(text)
    return named[1] if named else ""
