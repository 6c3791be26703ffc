"""What an operator should hear about a key ring: allowed, but risky or stuck."""

from __future__ import annotations

from embedjwt.keys.operations import Operator
from embedjwt.keys.ring import Ring
from embedjwt.times import moment, span


def key_concerns(ring: Ring, now: float, operator: Operator) -> list[str]:
    """Sentences that say what is the matter and what to do. Empty where there is nothing."""
    timing, algorithm = operator.timing, operator.algorithm
    found = list(operator.store.concerns())
    ahead = ring.moment(now) - int(now)
    if ahead > timing.clock_skew:
        found.append(
            f"this machine's clock is {span(ahead)} behind the newest time in the key ring: keys "
            "do not rotate until it has caught up; is the clock right?"
        )
    key = ring.signs(algorithm)
    if key is not None and key.alg != algorithm:
        how = "the next rotation" if timing.rotate_every else "`embedjwt keys rotate`, run twice,"
        found.append(
            f"[keys] algorithm is {algorithm}, but the ring signs with {key.alg}: {how} changes "
            "over"
        )
    elif key is not None and timing.rotate_every:
        due = (key.activates_at or 0) + timing.rotate_every
        if now > due + 2 * timing.lead:
            found.append(
                f"the signing key should have been replaced on {moment(due)} UTC, and was not: is "
                "a service running that may write the key store?"
            )
    return found
