"""``/metrics``, in Prometheus' text format. Every worker of one service answers the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, get_args

from flask import Flask, Response
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from embedjwt.keys.ring import KeyState
from embedjwt.keys.schedule import upcoming
from embedjwt.service import Service

if TYPE_CHECKING:
    from embedjwt.sessions.build import SessionState

_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def install(app: Flask, service: Service, state: SessionState | None) -> None:
    """Adds ``/metrics``; it holds nothing secret."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Keys(service))
    if state is not None:
        registry.register(_State(state))

    @app.get("/metrics")
    def metrics() -> Response:
        return Response(generate_latest(registry), content_type=_CONTENT_TYPE)


class _State(Collector):
    """How the state store is doing."""

    def __init__(self, state: SessionState) -> None:
        self._state = state

    def collect(self) -> Iterator[Metric]:
        """Read afresh for each scrape."""
        yield GaugeMetricFamily(
            "embedjwt_state_store_up",
            "Whether sessions can be read: of logins, and of the gateway.",
            float(self._state.works()),
        )


class _Keys(Collector):
    """How the key ring is doing."""

    def __init__(self, service: Service) -> None:
        self._service = service

    def collect(self) -> Iterator[Metric]:
        """Read afresh for each scrape; times in seconds."""
        operator, keys, now = self._service.operator, self._service.keys, self._service.clock()
        ring = keys.ring
        states = GaugeMetricFamily("embedjwt_keys", "Signing keys by state.", labels=["state"])
        for state in get_args(KeyState):
            states.add_metric([state], len(ring.in_state(state)))
        yield states
        published = [key.published_at or 0 for key in ring.in_state("next")]
        if published:
            yield GaugeMetricFamily(
                "embedjwt_key_next_age_seconds",
                "How long the oldest next key has been published.",
                max(0.0, now - min(published)),
            )
        ready = [key.may_sign_from(operator.timing) <= now for key in ring.in_state("next")]
        yield GaugeMetricFamily(
            "embedjwt_key_next_ready",
            "Whether a next key is known everywhere, so that an emergency needs no wait.",
            float(any(ready)),
        )
        step = upcoming(ring, now, operator.timing, operator.algorithm)
        if step is not None:
            yield GaugeMetricFamily(
                "embedjwt_key_transition_seconds",
                "Until the next transition of any key; 0 where one is due.",
                max(0.0, step.at - now),
            )
        yield GaugeMetricFamily(
            "embedjwt_key_store_age_seconds",
            "How long ago the key store was last read.",
            keys.age,
        )
        yield GaugeMetricFamily("embedjwt_key_revocations", "Keys ever revoked.", ring.revocations)
