"""The documents that can be read, what is found in each, and the trace of the search."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedjwt.expressions import Expression, ExpressionError
from embedjwt.identity import DocumentName, Documents
from embedjwt.mapping.records import Record, UnreadableDocument, decode


@dataclass(frozen=True, slots=True)
class TraceStep:
    """One attempt to find an attribute: where, by which claim name or expression, and the outcome.

    ``value`` is what was found there, as it was found; ``error`` says why it does not count.
    """

    attribute: str
    document: str
    expression: str
    value: Any
    error: str | None


@dataclass(frozen=True, slots=True)
class DocumentView:
    """One readable document; every question asked of it goes into ``trace`` where that is kept."""

    name: DocumentName
    claims: Mapping[str, Any]
    record: Record
    trace: list[TraceStep] | None

    def claim(self, attribute: str, key: str, value: str) -> str:
        """A claim with a fixed name, already decoded."""
        if self.trace is not None:
            self.trace.append(TraceStep(attribute, self.name, key, value or None, None))
        return value

    def text(self, attribute: str, expression: Expression) -> str:
        """The string an expression finds; "" where it finds none or fails."""
        try:
            value = expression.search(self.claims)
        except ExpressionError as error:
            self.note(attribute, expression.text, None, error.detail)
            return ""
        if isinstance(value, str):
            self.note(attribute, expression.text, value, None)
            return value
        self.note(attribute, expression.text, value, None if value is None else "not a string")
        return ""

    def items(self, attribute: str, expression: Expression) -> list[Any]:
        """The list an expression finds, empty where it is no list; raises ``ExpressionError``."""
        try:
            value = expression.search(self.claims)
        except ExpressionError as error:
            self.note(attribute, expression.text, None, error.detail)
            raise
        if isinstance(value, list):
            self.note(attribute, expression.text, value, None)
            return value
        self.note(attribute, expression.text, value, None if value is None else "not an array")
        return []

    def note(self, attribute: str, expression: str, value: Any, error: str | None) -> None:
        """Remember an attempt."""
        if self.trace is not None:
            self.trace.append(TraceStep(attribute, self.name, expression, value, error))


@dataclass(frozen=True, slots=True)
class ReadableDocuments:
    """The documents in Grafana's order, and why the others were dropped."""

    views: list[DocumentView]
    dropped: list[str]


def read_documents(documents: Documents, trace: list[TraceStep] | None) -> ReadableDocuments:
    """Decode each document; one that Grafana could not decode is dropped whole."""
    views: list[DocumentView] = []
    dropped: list[str] = []
    for name, claims in documents.in_order():
        try:
            views.append(DocumentView(name, claims, decode(claims), trace))
        except UnreadableDocument as error:
            dropped.append(f"{name} was dropped: {error}")
            if trace is not None:
                problem = f"the whole document is dropped: {error}"
                trace.append(TraceStep("document", name, "", None, problem))
    return ReadableDocuments(views, dropped)


def only_strings(items: list[Any]) -> list[str]:
    """The strings of a list (``pkg/util``, ``SearchJSONForStringSliceAttr``)."""
    return [item for item in items if isinstance(item, str)]
