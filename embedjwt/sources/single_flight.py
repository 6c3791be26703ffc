"""Questions to a provider that many requests have at once: each asked once, a few at a time."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from embedjwt.errors import EmbedJWTError, UpstreamUnavailable
from embedjwt.outbound import failed
from embedjwt.sources.remote import RETRY_AFTER

MAX_AT_ONCE = 16
"""Questions under way to one provider; further ones wait for their turn, or for their deadline."""

MAX_REMEMBERED = 4096
"""Answers of each kind: a flood of wrong tokens pushes out no right one."""

REFUSAL_AGE = 5
"""Seconds for which a refusal is remembered."""

A = TypeVar("A")


class ProviderDown(UpstreamUnavailable):
    """The provider answers nobody: whatever is asked next would fail as well."""


class _NotAsked(UpstreamUnavailable):
    """It was not this question's turn in time, which says nothing about its answer."""


@dataclass(slots=True)
class _Question(Generic[A]):
    """A question under way, and how it ended.

    ``probe`` says that it shall find out whether the provider is back.
    """

    probe: bool
    done: threading.Event = field(default_factory=threading.Event)
    answer: A | None = None
    refusal: EmbedJWTError | None = None


@dataclass(frozen=True, slots=True)
class _Remembered(Generic[A]):
    """How a question ended, and until when (on the clock) that holds."""

    answer: A | None
    refusal: EmbedJWTError | None
    until: float


class SingleFlight(Generic[A]):
    """Asks about keys, safe to share between threads.

    Of several requests with the same key one asks, and all get its answer. After ``ProviderDown``
    nobody asks for ``RETRY_AFTER`` seconds and then one at a time, until a question ends otherwise.
    ``clock`` is in seconds and never goes back; ``timeout`` is how many a request waits at most.
    """

    def __init__(self, *, clock: Callable[[], float], timeout: float) -> None:
        self._clock = clock
        self._timeout = timeout
        self._lock = threading.Lock()
        self._turns = threading.BoundedSemaphore(MAX_AT_ONCE)
        self._under_way: dict[bytes, _Question[A]] = {}
        self._answers: OrderedDict[bytes, _Remembered[A]] = OrderedDict()
        self._refusals: OrderedDict[bytes, _Remembered[A]] = OrderedDict()
        self._down: str | None = None
        self._down_at = 0.0
        self._probing = False

    def ask(self, key: bytes, question: Callable[[float], tuple[A, float]]) -> A:
        """The answer, or the refusal raised.

        ``question`` is called with a deadline on the clock, and gives the answer and for how many
        seconds it may be remembered. What it raises, if an ``EmbedJWTError``, is remembered for
        ``REFUSAL_AGE`` seconds.
        """
        deadline = self._clock() + self._timeout
        with self._lock:
            known = self._remembered(key)
            if known is not None:
                return _ended(known)
            asked = self._under_way.get(key)
            mine = asked is None
            if asked is None:
                asked = self._under_way[key] = _Question(probe=self._is_probe())
        if mine:
            self._run(key, asked, question, deadline)
        elif not asked.done.wait(max(0.0, deadline - self._clock())):
            raise failed("another request asks the same, and it took too long")
        return _ended(asked)

    def _remembered(self, key: bytes) -> _Remembered[A] | None:
        now = self._clock()
        for kept in (self._answers, self._refusals):
            found = kept.get(key)
            if found is not None and now < found.until:
                kept.move_to_end(key)
                return found
        return None

    def _is_probe(self) -> bool:
        """Whether a new question would be one; raises where none may be asked now."""
        if self._down is None:
            return False
        if self._probing or self._clock() - self._down_at < RETRY_AFTER:
            raise failed(self._down)
        self._probing = True
        return True

    def _run(
        self,
        key: bytes,
        asked: _Question[A],
        question: Callable[[float], tuple[A, float]],
        deadline: float,
    ) -> None:
        age: float = REFUSAL_AGE
        try:
            asked.answer, age = self._in_turn(asked, question, deadline)
        except EmbedJWTError as refusal:
            asked.refusal = _copy(refusal)
        finally:
            with self._lock:
                self._remember(key, asked, age)
                del self._under_way[key]
            asked.done.set()

    def _in_turn(
        self,
        asked: _Question[A],
        question: Callable[[float], tuple[A, float]],
        deadline: float,
    ) -> tuple[A, float]:
        if not self._turns.acquire(timeout=max(0.0, deadline - self._clock())):
            raise _not_asked(f"{MAX_AT_ONCE} questions are under way, and none ended in time")
        try:
            if self._down is not None and not asked.probe:
                raise _not_asked(self._down)
            return question(deadline)
        finally:
            self._turns.release()

    def _remember(self, key: bytes, asked: _Question[A], age: float) -> None:
        if asked.probe:
            self._probing = False
        if isinstance(asked.refusal, _NotAsked) or (asked.answer is None and not asked.refusal):
            return
        if isinstance(asked.refusal, ProviderDown):
            self._down, self._down_at = asked.refusal.hint, self._clock()
            return
        self._down = None
        kept = self._answers if asked.refusal is None else self._refusals
        kept[key] = _Remembered(asked.answer, asked.refusal, self._clock() + age)
        kept.move_to_end(key)
        if len(kept) > MAX_REMEMBERED:
            kept.popitem(last=False)


def _ended(ended: _Question[A] | _Remembered[A]) -> A:
    if ended.answer is not None:
        return ended.answer
    raise _copy(ended.refusal or failed("another request asked the same, and failed"))


def _copy(refusal: EmbedJWTError) -> EmbedJWTError:
    """The same without its traceback, whose frames hold what was asked about."""
    return type(refusal)(refusal.detail, hint=refusal.hint, code=refusal.code)


def _not_asked(hint: str) -> _NotAsked:
    return _NotAsked("The identity provider does not answer usably at the moment.", hint=hint)
