"""How long keys must wait: the spans between two states, from how far others may lag behind.

Pure. The letters are those of docs/operations/keys.md: V how old a verifier's key set may be, T how
long a token lives, P how long one of our processes may go on with what it last read, H how long a
cache on the way may keep our answer, S how far two clocks may differ. All in seconds.
"""

from __future__ import annotations

from dataclasses import dataclass

CLOCK_SKEW = 60
"""Seconds a verifier's clock may differ from ours; also Grafana's own leeway."""

MAX_TOKEN_LIFE = 3600
"""Seconds no token outlives, whatever the settings say or said when it was issued."""

JWKS_MAX_AGE = 300
"""Seconds that ``Cache-Control`` allows caches on the way to keep the published set."""

_LEAD_SLACK = 60


@dataclass(frozen=True, slots=True)
class Timing:
    """``rotate_every``: how long a key signs, 0 = until someone rotates it. Spans in seconds."""

    rotate_every: int
    verifier_cache_ttl: int
    token_ttl: int
    propagation_delay: int
    clock_skew: int = CLOCK_SKEW

    @property
    def known_everywhere(self) -> int:
        """From a key's publication until no verifier can hold a set without it.

        P until every process publishes it, H + V until every older answer is gone, S for clocks.
        """
        return self.propagation_delay + JWKS_MAX_AGE + self.verifier_cache_ttl + self.clock_skew

    @property
    def overlap(self) -> int:
        """From a key's retirement until no token of it can be alive.

        P until the last process stops signing with it, then the longest life any token may have:
        not T, for the key may have signed while T was set to more than now.
        """
        return self.propagation_delay + MAX_TOKEN_LIFE + self.clock_skew

    @property
    def lead(self) -> int:
        """How long before a handover the key after the next one is published.

        So the next one's successor is known everywhere at the handover, and an emergency right
        after it has no need to wait.
        """
        return self.known_everywhere + _LEAD_SLACK

    @property
    def shortest_rotation(self) -> int:
        """The least ``rotate_every`` with a schedule in which nothing fails."""
        return self.lead + self.token_ttl + self.clock_skew + self.propagation_delay

    def unsafe(self) -> str | None:
        """Why no schedule is safe, with the arithmetic; ``None`` where one is."""
        if self.rotate_every == 0 or self.rotate_every >= self.shortest_rotation:
            return None
        return (
            f"{self.rotate_every} s is too short: a new key must be published for "
            f"{self.known_everywhere} s (propagation_delay {self.propagation_delay} + caches on "
            f"the way {JWKS_MAX_AGE} + verifier_cache_ttl {self.verifier_cache_ttl} + clock "
            f"skew {self.clock_skew}) before it may sign, is prepared {_LEAD_SLACK} s earlier, and "
            f"its predecessor's last token lives {self.token_ttl} s (ttl) + {self.clock_skew} + "
            f"{self.propagation_delay} s more: {self.shortest_rotation} s"
        )
