"""What would Grafana make of these claims, and why? One person, or a file of mapping tests.

Pure: no I/O, no clock.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, TypeVar

from pydantic import ValidationError

from embedjwt.admission import Admission
from embedjwt.config.mapping import AdmissionSettings, MappingSettings
from embedjwt.config.model import GrafanaTarget, Settings
from embedjwt.config.upstream import SourceSettings
from embedjwt.errors import AdmissionRefused
from embedjwt.identity import Documents, Identity, VerifiedClaims
from embedjwt.mapping import IdentityRefused, Mapper, TraceStep
from embedjwt.oidc.rehearsal import API_ANSWERS, live_differences, lookups_of
from embedjwt.tokens import identity_claims

_TARGET_KEYS = ("auto_assign_org_id", "auto_assign_org_role", "orgs")
_DOCUMENT_KEYS = ("id_token", "userinfo", "access_token")
_CASE_KEYS = ("name", "settings", *_DOCUMENT_KEYS, "expect", "source", *API_ANSWERS)
_IDENTITY_KEYS = (
    "sub", "login", "email", "name", "role", "is_grafana_admin", "groups", "orgs", "org_roles",
)  # fmt: skip
_DEEPEST = 8
_LONGEST_TEXT = 1000
_LONGEST_LIST = 100
_LARGEST_NUMBER = 2**63

Model = TypeVar("Model", MappingSettings, AdmissionSettings, GrafanaTarget)


@dataclass(frozen=True, slots=True)
class Explanation:
    """The outcome for one person, with every step that led to it.

    ``denied`` is the code of the refusal, or ``None``; ``hint`` tells what to do about it.
    ``identity`` holds what was found even where the mapping refused. ``claims`` are those a token
    would carry beside ``iss``, ``aud``, its times and ``jti``; none where nobody gets one.
    """

    identity: Identity
    denied: str | None
    hint: str
    claims: Mapping[str, Any]
    trace: tuple[TraceStep, ...]

    @property
    def admitted(self) -> bool:
        """Whether this person would get a token."""
        return self.denied is None

    def as_json(self) -> dict[str, Any]:
        """The answer of ``embedjwt explain --json``; long and deep values are cut short."""
        return {
            "admitted": self.admitted,
            "denied": self.denied,
            "hint": self.hint,
            "identity": _identity_json(self.identity),
            "claims": dict(self.claims),
            "trace": [
                {
                    "attribute": step.attribute,
                    "document": step.document,
                    "expression": step.expression,
                    "value": _presentable(step.value),
                    "error": step.error,
                }
                for step in self.trace
            ],
        }


@dataclass(frozen=True, slots=True)
class CaseResult:
    """One mapping test: what came out, and whether that was expected."""

    name: str
    ok: bool
    got: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CaseReport:
    """The outcome of a file of mapping tests."""

    cases: tuple[CaseResult, ...]

    @property
    def passed(self) -> int:
        """How many came out as expected."""
        return sum(case.ok for case in self.cases)

    @property
    def failed(self) -> int:
        """How many did not."""
        return len(self.cases) - self.passed

    def as_json(self) -> dict[str, Any]:
        """The answer of ``embedjwt explain --cases --json``."""
        return {
            "passed": self.passed,
            "failed": self.failed,
            "cases": [
                {"name": case.name, "ok": case.ok, "got": dict(case.got)} for case in self.cases
            ],
        }


def explain(
    settings: Settings,
    documents: Documents,
    target: GrafanaTarget,
    source: SourceSettings | None = None,
    answers: Mapping[str, Any] | None = None,
) -> Explanation:
    """Map and admit as a request would, and tell every step.

    ``source`` is where the person comes from; ``None``: as the tables say for everybody.
    ``answers`` are those of the provider's API, by ``API_ANSWERS``. Raises ``ValueError`` where one
    has another shape than Grafana reads.
    """
    admission = settings.admission_of(source)
    looked_up = replace(documents, lookups=lookups_of(answers or {}, admission, source))
    return _explain(settings.mapping_of(source), admission, looked_up, target, source)


def run_cases(
    settings: Settings,
    target: GrafanaTarget,
    cases: list[Any],
    source: SourceSettings | None = None,
) -> CaseReport:
    """Run mapping tests, each over the settings with its own overrides.

    A case is about a person of ``source``, unless it names another one itself.

    A case that cannot be run (an unknown key, a value the settings refuse, nothing expected) fails
    with ``{"error": …}`` as its result; no case raises.
    """
    return CaseReport(
        tuple(_run(settings, target, source, case, number) for number, case in enumerate(cases, 1))
    )


def _explain(
    mapping: MappingSettings,
    admission: AdmissionSettings,
    documents: Documents,
    target: GrafanaTarget,
    source: SourceSettings | None,
) -> Explanation:
    trace = live_differences(documents, source)
    prefix = source.subject_prefix if source is not None else ""
    try:
        identity = Mapper(mapping).identity(documents, target, subject_prefix=prefix, trace=trace)
    except IdentityRefused as refused:
        return Explanation(refused.identity, refused.code, refused.hint, {}, tuple(trace))
    try:
        Admission(admission).check(identity, documents, trace)
    except AdmissionRefused as refused:
        return Explanation(identity, refused.code, refused.hint, {}, tuple(trace))
    return Explanation(identity, None, "", identity_claims(identity), tuple(trace))


class _BadCase(ValueError):
    """A mapping test that cannot be run."""


def _run(
    settings: Settings,
    target: GrafanaTarget,
    source: SourceSettings | None,
    case: Any,
    number: int,
) -> CaseResult:
    named = case.get("name") if isinstance(case, dict) else None
    name = named if isinstance(named, str) and named else f"case {number}"
    try:
        expected = _expected(case)
        documents = _documents(case)
        source = _source(settings, source, case.get("source"))
        mapping, admission, target = _overridden(settings, target, source, case.get("settings"))
        answers = {key: case[key] for key in API_ANSWERS if key in case}
        try:
            documents = replace(documents, lookups=lookups_of(answers, admission, source))
        except ValueError as error:
            raise _BadCase(str(error)) from error
    except _BadCase as error:
        return CaseResult(name, ok=False, got={"error": str(error)})
    explanation = _explain(mapping, admission, documents, target, source)
    notes = [step.error for step in live_differences(documents, source)]
    got: dict[str, Any] = {"notes": notes} if notes else {}
    got |= {"denied": explanation.denied, **_identity_json(explanation.identity)}
    ok = all(_same(value, got[field]) for field, value in expected.items())
    return CaseResult(name, ok=ok, got=got)


def _expected(case: Any) -> dict[str, Any]:
    if not isinstance(case, dict):
        raise _BadCase("a case is an object with settings, id_token, … and expect")
    _refuse_unknown(case, _CASE_KEYS, "a case")
    expected = case.get("expect")
    if not isinstance(expected, dict) or not expected:
        raise _BadCase('nothing is expected; write "expect": {"role": "Editor"} or the like')
    _refuse_unknown(expected, ("denied", *_IDENTITY_KEYS), "expect")
    return expected


def _documents(case: Mapping[str, Any]) -> Documents:
    for key in _DOCUMENT_KEYS:
        if not isinstance(case.get(key), dict | None):
            raise _BadCase(f"{key} is the claims themselves: a JSON object, or left out")
    # The person who writes a case vouches for its claims; no token is made of them.
    id_token, userinfo, access_token = (case.get(key) for key in _DOCUMENT_KEYS)
    return Documents(
        id_token=None if id_token is None else VerifiedClaims(id_token),
        userinfo=None if userinfo is None else VerifiedClaims(userinfo),
        access_token=None if access_token is None else VerifiedClaims(access_token),
    )


def _source(settings: Settings, source: SourceSettings | None, name: Any) -> SourceSettings | None:
    if name is None:
        return source
    named = settings.source_named(name) if isinstance(name, str) else None
    if named is None:
        known = ", ".join(known.name for known in settings.source)
        raise _BadCase(f"there is no source of that name; known: {known}")
    return named


def _overridden(
    settings: Settings, target: GrafanaTarget, source: SourceSettings | None, overrides: Any
) -> tuple[MappingSettings, AdmissionSettings, GrafanaTarget]:
    mapping, admission = settings.mapping_of(source), settings.admission_of(source)
    if overrides is None:
        return mapping, admission, target
    if not isinstance(overrides, dict):
        raise _BadCase("settings is an object of keys of [mapping], [admission] and [[grafana]]")
    mapping_keys, admission_keys = MappingSettings.model_fields, AdmissionSettings.model_fields
    _refuse_unknown(overrides, (*mapping_keys, *admission_keys, *_TARGET_KEYS), "settings")
    development = settings.development
    return (
        _with(mapping, mapping_keys, overrides, development),
        _with(admission, admission_keys, overrides, development),
        _with(target, _TARGET_KEYS, overrides, development),
    )


def _with(model: Model, keys: Iterable[str], overrides: dict[str, Any], development: bool) -> Model:
    changed = {key: overrides[key] for key in keys if key in overrides}
    if not changed:
        return model
    try:
        return model.model_validate(
            model.model_dump() | changed, context={"development": development}
        )
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
        told = [f"{'.'.join(map(str, p['loc'])) or 'settings'}: {p['msg']}" for p in problems]
        raise _BadCase("; ".join(told)) from error


def _refuse_unknown(given: Iterable[str], known: Iterable[str], where: str) -> None:
    known = list(known)
    for key in given:
        if key not in known:
            near = difflib.get_close_matches(key[:60], known, n=1)
            advice = f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
            raise _BadCase(f"{where} has no {key[:60]!r}; {advice}")


def _same(expected: Any, got: Any) -> bool:
    """Equality as JSON has it, where ``true`` is not ``1``."""
    if expected is None:
        return got is None or got == ""
    return type(expected) is type(got) and bool(expected == got)


def _identity_json(identity: Identity) -> dict[str, Any]:
    """The identity in the words of the contract (``_IDENTITY_KEYS``)."""
    return {
        "sub": _text(identity.sub),
        "login": _text(identity.login),
        "email": _text(identity.email),
        "name": identity.name,
        "role": identity.role,
        "is_grafana_admin": identity.is_grafana_admin,
        "groups": list(identity.groups),
        "orgs": list(identity.orgs),
        "org_roles": {str(org): role for org, role in sorted(identity.org_roles.items())},
    }


def _presentable(value: Any, depth: int = 0) -> Any:
    """A value that any JSON writer and any terminal can take: cut where it is long or deep."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        return _text(value if len(value) <= _LONGEST_TEXT else value[:_LONGEST_TEXT] + "…")
    if isinstance(value, int | float):
        return value if abs(value) <= _LARGEST_NUMBER else "a number out of range"
    if depth == _DEEPEST or not isinstance(value, list | dict):
        return "…"
    more = ["…"] if len(value) > _LONGEST_LIST else []
    if isinstance(value, list):
        return [_presentable(item, depth + 1) for item in value[:_LONGEST_LIST]] + more
    shown = islice(value.items(), _LONGEST_LIST)
    cut = {_text(str(key)[:_LONGEST_TEXT]): _presentable(item, depth + 1) for key, item in shown}
    return cut | dict.fromkeys(more, "…")


def _text(text: str) -> str:
    """Half surrogates, which no UTF-8 stream takes, become question marks."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
