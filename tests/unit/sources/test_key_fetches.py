"""Who waits for a key set that is fetched again, and how often it may be."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from itertools import islice

import pytest
import sources_kit as kit

from embedjwt.errors import UpstreamUnavailable
from embedjwt.outbound import unavailable
from embedjwt.sources.jwks import RemoteKeys
from embedjwt.sources.keyset import KeySet, parse_jwks
from embedjwt.sources.remote import COOLDOWN, MAX_AGE

URL = "https://idp.example.com/jwks"
OLD = parse_jwks({"keys": [kit.jwk(kit.RSA_KEY, "rsa-1")]})
NEW = parse_jwks({"keys": [kit.jwk(kit.OTHER_RSA_KEY, "rsa-2")]})
TIMEOUT = 60
"""Seconds: so long that a request that waits in vain cannot pass for one that does not wait."""

SOON = 10
"""Seconds within which another thread has surely done what does not wait."""


class Loading:
    """A provider whose answer is set by the test; ``hangs`` until it is released."""

    def __init__(self, clock: kit.Clock) -> None:
        self.clock = clock
        self.answer: KeySet | UpstreamUnavailable = OLD
        self.takes = 0
        self.count = 0
        self.begun = threading.Event()
        self.released = threading.Event()
        self.released.set()

    def hangs(self) -> None:
        self.begun.clear()
        self.released.clear()

    def __call__(self, _deadline: float) -> KeySet:
        self.count += 1
        self.begun.set()
        self.released.wait(TIMEOUT)
        self.clock.seconds += self.takes
        if isinstance(self.answer, UpstreamUnavailable):
            raise self.answer
        return self.answer


@pytest.fixture
def loading(clock) -> Iterator[Loading]:
    loading = Loading(clock)
    yield loading
    loading.released.set()


@pytest.fixture
def keys(loading, clock) -> RemoteKeys:
    """Keys that were loaded once, so long ago that an unknown kid may have them fetched."""
    keys = RemoteKeys(loading, url=URL, clock=clock, timeout=TIMEOUT)
    assert keys.current() is OLD
    clock.seconds += COOLDOWN
    return keys


@pytest.fixture
def start(loading) -> Iterator[Callable[[Callable[[], KeySet]], Future[KeySet]]]:
    """Starts a request in a thread of its own; at the end none is left waiting."""
    with ThreadPoolExecutor(8) as pool:
        yield pool.submit
        loading.released.set()


def test_one_request_waits_for_an_unknown_kid(keys, loading, start):
    loading.answer = NEW
    loading.hangs()
    requests = [start(keys.after_unknown_kid) for _ in range(6)]
    answered = list(islice(as_completed(requests, timeout=SOON), 5))
    assert [request.result() for request in answered] == [OLD] * 5
    (waiting,) = set(requests) - set(answered)
    assert not waiting.done()
    loading.released.set()
    assert waiting.result(SOON) is NEW
    assert loading.count == 2


def test_an_unknown_kid_joins_a_fetch_that_age_has_begun(keys, loading, clock, start):
    clock.seconds += MAX_AGE
    loading.answer = NEW
    loading.hangs()
    assert keys.current() is OLD
    assert loading.begun.wait(SOON)
    waiting = start(keys.after_unknown_kid)
    with pytest.raises(TimeoutError):
        waiting.result(0.2)
    loading.released.set()
    assert waiting.result(SOON) is NEW
    assert loading.count == 2


def test_nobody_waits_for_a_provider_known_to_fail(keys, loading, clock, start):
    loading.answer = unavailable(URL, "down")
    assert keys.after_unknown_kid() is OLD
    clock.seconds += COOLDOWN
    loading.hangs()
    assert start(keys.after_unknown_kid).result(SOON) is OLD
    assert loading.begun.wait(SOON)


def test_a_provider_that_answers_again_is_waited_for_again(keys, loading, clock, start):
    def waits() -> bool:
        clock.seconds += COOLDOWN
        loading.hangs()
        request = start(keys.after_unknown_kid)
        try:
            request.result(0.2)
        except TimeoutError:
            return True
        finally:
            loading.released.set()
        time.sleep(0.01)  # lets the fetch that nobody waited for come to its end
        return False

    loading.answer = unavailable(URL, "down")
    assert keys.after_unknown_kid() is OLD
    assert not any(waits() for _ in range(3))
    loading.answer = NEW
    assert any(waits() for _ in range(10))


@pytest.mark.parametrize(
    "answer", [OLD, unavailable(URL, "it took too long")], ids=["good", "failing"]
)
def test_cooldown_counts_from_the_end_of_a_fetch(keys, loading, clock, answer):
    loading.answer = answer
    loading.takes = COOLDOWN - 1
    assert keys.after_unknown_kid() is OLD
    for seconds, fetches in ((COOLDOWN - 1, 2), (1, 3)):
        clock.seconds += seconds
        loading.begun.clear()
        assert keys.after_unknown_kid() is OLD
        assert fetches == 2 or loading.begun.wait(SOON)
        assert loading.count == fetches
