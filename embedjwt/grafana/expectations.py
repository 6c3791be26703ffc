"""Times and ``expect_claims``, as Grafana checks them in a token whose signature is good.

Sources: ``pkg/services/auth/jwt/validation.go``; go-jose ``jwt/validation.go``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from embedjwt.grafana.versions import JOSE_V4_SINCE, Version
from embedjwt.grafana.words import listed, shown

LEEWAY = 60
"""Seconds: go-jose's ``DefaultLeeway``, which Grafana does not change."""


class UnusableExpectations(ValueError):
    """``expect_claims`` at which Grafana fails to start (or, from 13, to take any token)."""


@dataclass(frozen=True, slots=True)
class Expectations:
    """``expect_claims``, parsed; an empty ``issuer``, ``subject``, ``audience`` is not checked."""

    issuer: str = ""
    subject: str = ""
    audience: tuple[str, ...] = ()
    others: tuple[tuple[str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Mismatch:
    """The first check that failed: a stable code, and words that tell ``iss`` and ``aud`` only."""

    reason: str
    detail: str


def parse_expectations(text: str) -> Expectations:
    """``initClaimExpectations``; raises ``UnusableExpectations``."""
    try:
        expected = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UnusableExpectations("expect_claims is not JSON") from error
    if expected is None:
        return Expectations()
    if not isinstance(expected, dict):
        raise UnusableExpectations("expect_claims is not a JSON object")
    others = tuple((k, v) for k, v in expected.items() if k not in ("iss", "sub", "aud"))
    issuer, subject = (_text(expected, name) for name in ("iss", "sub"))
    audience = audiences(expected["aud"]) if "aud" in expected else ()
    if audience is None:
        raise UnusableExpectations("aud in expect_claims is neither a string nor a list of strings")
    return Expectations(issuer, subject, audience, others)


def audiences(value: Any) -> tuple[str, ...] | None:
    """An ``aud`` as a list; ``None`` where it is neither a string nor strings in a list."""
    if isinstance(value, str):
        return (value,)
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return tuple(value)
    return None


def wrongly_typed_claim(claims: Mapping[str, Any]) -> str:
    """The registered claim whose type go-jose cannot read; "" if none is so. A null it can."""
    for name in ("iss", "sub", "jti"):
        if not isinstance(claims.get(name), str | None):
            return name
    if claims.get("aud") is not None and audiences(claims["aud"]) is None:
        return "aud"
    for name in ("exp", "nbf", "iat"):
        if claims.get(name) is not None and not _is_number(claims[name]):
            return name
    return ""


def mismatch(
    claims: Mapping[str, Any], expected: Expectations, *, now: int, version: Version
) -> Mismatch | None:
    """The first failing check in Grafana's order; ``now`` is in Unix seconds.

    A missing ``exp`` is accepted; at exactly the leeway's end a token still is.
    """
    for name in ("iss", "aud"):
        if name in claims and claims[name] is None:
            return Mismatch("claim_type", f"{name} is null")
    if expected.issuer and claims.get("iss") != expected.issuer:
        has = _told("iss", (claims["iss"],) if "iss" in claims else None)
        return Mismatch("issuer_mismatch", f"{has}; expect_claims wants {shown(expected.issuer)}")
    if expected.subject and claims.get("sub") != expected.subject:
        return Mismatch("subject_mismatch", "sub is not the one that expect_claims wants")
    return (
        _other_audience(audiences(claims.get("aud")), expected.audience, version)
        or _untimely(claims, now)
        or _other_mismatch(claims, expected)
    )


def _other_audience(
    found: tuple[str, ...] | None, expected: tuple[str, ...], version: Version
) -> Mismatch | None:
    """go-jose v3 wants every expected audience in the token, v4 (``AnyAudience``) one of them."""
    one_is_enough = version >= JOSE_V4_SINCE
    holds = [name in (found or ()) for name in expected]
    if not expected or (any(holds) if one_is_enough else all(holds)):
        return None
    which = "" if len(expected) == 1 else "one of " if one_is_enough else "all of "
    text = f"{_told('aud', found)}; expect_claims wants {which}{listed(expected)}"
    return Mismatch("audience_mismatch", text)


def _told(name: str, found: tuple[str, ...] | None) -> str:
    if found is None:
        return f"the token has no {name}"
    return f"{name} is {listed(found)}" if found else f"{name} is an empty list"


def _untimely(claims: Mapping[str, Any], now: int) -> Mismatch | None:
    nbf, exp, iat = (_numeric_date(claims.get(name)) for name in ("nbf", "exp", "iat"))
    if nbf is not None and now + LEEWAY < nbf:
        return Mismatch("not_yet_valid", f"nbf is {nbf - now} s ahead of Grafana's clock")
    if exp is not None and now - LEEWAY > exp:
        return Mismatch("expired", f"exp was {now - exp} s ago; {LEEWAY} s are forgiven")
    if iat is not None and now + LEEWAY < iat:
        return Mismatch("issued_in_future", f"iat is {iat - now} s ahead of Grafana's clock")
    return None


def _other_mismatch(claims: Mapping[str, Any], expected: Expectations) -> Mismatch | None:
    for name, value in expected.others:
        if name not in claims:
            return Mismatch("claim_missing", f"the token has no {shown(name)}; expect_claims has")
        if not _deep_equal(claims[name], value):
            return Mismatch("claim_mismatch", f"{shown(name)} is not what expect_claims says")
    return None


def _text(expected: Mapping[str, Any], name: str) -> str:
    value = expected.get(name, "")
    if not isinstance(value, str):
        raise UnusableExpectations(f"{name} in expect_claims is not a string")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeric_date(value: Any) -> int | None:
    """Whole seconds: Go cuts the fraction off, and what 64 bits do not hold becomes their least
    (on amd64; other processors may differ)."""
    if value is None:
        return None
    seconds = int(value)
    return seconds if -(2**63) <= seconds < 2**63 else -(2**63)


def _deep_equal(left: Any, right: Any) -> bool:
    """``reflect.DeepEqual`` of decoded JSON: the order of a list counts, true is not 1."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_deep_equal(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        pairs = zip(left, right, strict=False)
        return len(left) == len(right) and all(_deep_equal(a, b) for a, b in pairs)
    if _is_number(left) and _is_number(right):
        return float(left) == float(right)
    return type(left) is type(right) and left == right
