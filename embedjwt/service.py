"""The parts, wired: from an upstream session to a token, without any web framework."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from weakref import WeakKeyDictionary

import structlog

from embedjwt.config import GrafanaTarget, MappingSettings, Settings, warnings
from embedjwt.errors import RequestRefused
from embedjwt.identity import Identity, UpstreamSession
from embedjwt.keys import KeyRing
from embedjwt.keys.build import key_store, operator
from embedjwt.keys.concerns import key_concerns
from embedjwt.keys.operations import Operator
from embedjwt.mapping.orgs import parse_org_mapping
from embedjwt.rules import Rules, build_rules
from embedjwt.tokens import EmbedToken, TokenIssuer

_log = structlog.get_logger("embedjwt.tokens")

Clock = Callable[[], float]
"""Unix seconds; ``time.time`` outside the tests."""


@dataclass(frozen=True, slots=True)
class Service:
    """Everything that turns a verified session into a token, compiled and loaded at start."""

    settings: Settings
    keys: KeyRing
    rules: Mapping[str, Rules]
    issuer: TokenIssuer
    operator: Operator
    clock: Clock
    _identities: WeakKeyDictionary[UpstreamSession, dict[str, Identity]] = field(
        default_factory=WeakKeyDictionary, repr=False
    )

    def target(self, name: str | None) -> GrafanaTarget:
        """The Grafana a caller means. Raises :class:`RequestRefused` for an unknown name."""
        target = self.settings.target(name)
        if target is None:
            known = ", ".join(known.name for known in self.settings.grafana)
            raise RequestRefused(
                "no Grafana of that name is configured",
                code="grafana_unknown",
                hint=f"asked for one that is not among [[grafana]]: {known}",
            )
        return target

    def token(self, session: UpstreamSession, target: GrafanaTarget) -> EmbedToken:
        """Map, admit, sign. Raises :class:`EmbedJWTError` where any of them refuses."""
        return self.issuer.issue(
            self.admitted(session, target),
            audience=target.token_audience,
            ttl=self.settings.ttl(target),
            session_expires_at=session.expires_at,
            session_id=session.id,
        )

    def admitted(self, session: UpstreamSession, target: GrafanaTarget) -> Identity:
        """Who the session's person is for this Grafana, if they may have a token at all.

        Mapping and admission depend on nothing but the session and the settings, so the answer is
        kept as long as a source keeps the session. Refusals are found anew.
        """
        known = self._identities.setdefault(session, {})
        identity = known.get(target.name)
        if identity is None:
            rules = self.rules[session.source]
            identity = rules.mapper.identity(
                session.documents, target, subject_prefix=session.subject_prefix
            )
            rules.admission.check(identity, session.documents)
            known[target.name] = identity
        return identity

    def concerns(self) -> list[str]:
        """What an operator should hear at every start: allowed, but risky or of no effect."""
        found = warnings(self.settings)
        for target in self.settings.grafana:
            for source in self.settings.source:
                found += _org_mapping_concerns(self.settings.mapping_of(source), target)
        found = list(dict.fromkeys(found))
        found += key_concerns(self.keys.ring, self.clock(), self.operator)
        return found


def log_issued(token: EmbedToken, session: UpstreamSession, target: GrafanaTarget) -> None:
    """For whoever hands a token out: which one, for what, and nothing of the person."""
    _log.debug(
        "token_issued",
        source=session.source,
        grafana=target.name,
        kid=token.kid,
        jti=token.claims["jti"],
    )


def _org_mapping_concerns(mapping: MappingSettings, target: GrafanaTarget) -> list[str]:
    parsed = parse_org_mapping(
        mapping.org_mapping, target.orgs, strict=mapping.role_attribute_strict
    )
    return [
        f"org_mapping {entry!r}, for grafana {target.name!r}: {problem}"
        for entry, problem in parsed.problems
    ]


def build_service(settings: Settings, clock: Clock | None = None) -> Service:
    """Loads the keys and compiles the mapping. Raises :class:`EmbedJWTError` where that fails.

    Keys rotate by their store's clock, tokens are issued by this machine's, unless another is
    given for both.
    """
    store = key_store(settings)
    acting = operator(settings, store, "serve", clock)
    clock = clock or time.time
    keys = KeyRing(
        store,
        settings.keys.algorithm,
        clock,
        propagation_delay=settings.keys.propagation_delay,
    )
    return Service(
        settings=settings,
        keys=keys,
        rules=build_rules(settings),
        issuer=TokenIssuer(settings.issuer, keys, clock, reuse=settings.token.reuse),
        operator=acting,
        clock=clock,
    )
