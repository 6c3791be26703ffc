"""The keys of a running service: the newest that could be read, and never too old a view of them.

Others may be about to publish, retire or remove a key. They wait for us as long as
``propagation_delay``; whoever could not look for longer must neither sign nor publish.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass

from embedjwt.errors import KeysExposed, KeysUnavailable, RingDamaged
from embedjwt.keys.document import entity_tag, jwk_set
from embedjwt.keys.ring import Ring
from embedjwt.keys.signer import SigningKey
from embedjwt.keys.store import KeyStore

_JUST_NOW = 2.0
"""Seconds within which a keeper, which looks twice a second, has looked."""

_PATIENCE = 0.25
"""Seconds that a request waits for another thread's look; at a sound store one takes less, and at
a dead one only one request in ``_JUST_NOW`` waits."""


@dataclass(frozen=True, slots=True)
class LoadedKeys:
    """What a store holds, at one moment. ``signing`` has the keys that can sign, by ``kid``;
    ``signer`` is the one that signs, if it can.

    ``jwks`` is the published set, serialised; ``etag`` its entity tag, without quotes.
    """

    ring: Ring
    signing: Mapping[str, SigningKey]
    signer: SigningKey | None
    jwks: bytes
    etag: str


@dataclass(frozen=True, slots=True)
class _Moment:
    """By both clocks: one is set by people, the other stands still while a machine sleeps."""

    wall: float
    monotonic: float

    def until(self, later: _Moment) -> float:
        """Seconds that may have passed, at most."""
        return max(later.wall - self.wall, later.monotonic - self.monotonic)


class KeyRing:
    """Keys shared by all threads; :meth:`refresh` follows the store.

    Raises :class:`KeysUnavailable` when made, where the store cannot be loaded whole. Afterwards a
    store that fails leaves the last good keys in use for ``propagation_delay`` seconds, and
    :attr:`problem` says why. A ring that is found damaged right after it was read whole leaves them
    in use until it is repaired, for nobody can change anything from there. A ring in which a key
    signs again that this process knows as revoked is not followed.
    """

    def __init__(
        self,
        store: KeyStore,
        algorithm: str,
        clock: Callable[[], float],
        *,
        propagation_delay: int,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._algorithm = algorithm
        self._clock = clock
        self._monotonic = monotonic
        self._longest = propagation_delay
        self._lock = threading.Lock()
        self._loaded = LoadedKeys(Ring(()), {}, None, b"", "")
        self._problem: KeysUnavailable | None = None
        self._revoked: set[str] = set()
        self._holds_what_was_damaged = False
        self._version: Hashable = None
        self._tried_at = self._now()
        self._waited_at = _Moment(0, 0)
        while not self._begin():
            pass

    @property
    def current(self) -> LoadedKeys:
        """All of one moment, for whoever publishes.

        Raises :class:`KeysUnavailable` where it is so old that it might lack a key which others
        are about to sign with.
        """
        if self._is_old(self._read_at):
            self._look_again()
            if self._is_old(self._read_at):
                raise self._too_old("published")
        return self._loaded

    def signing_key(self) -> SigningKey:
        """The key that signs now (:meth:`Ring.signs`).

        Raises :class:`KeysUnavailable` where no key may sign, or the store could not be read for
        so long that others may have retired it.
        """
        if self._is_old(self._usable_at):
            self._look_again()
            if self._is_old(self._usable_at):
                raise self._too_old("used to sign")
        loaded = self._loaded
        # Where the new key cannot be read, its predecessor goes on while others wait for us.
        key = loaded.signer or next(iter(loaded.signing.values()), None)
        if key is None:
            raise KeysUnavailable("no key may sign", hint="`embedjwt keys list` shows their states")
        return key

    @property
    def ring(self) -> Ring:
        """The ring as last read, however long ago."""
        return self._loaded.ring

    @property
    def age(self) -> float:
        """Seconds since the store was last read."""
        return self._read_at.until(self._now())

    @property
    def problem(self) -> str | None:
        """What is wrong with the store at present; for the operator, it names paths."""
        return None if self._problem is None else self._problem.diagnostics()

    def check(self) -> None:
        """Raises what :attr:`problem` tells of."""
        if self._problem is not None:
            raise self._problem

    def refresh(self) -> None:
        """Look at the store, and take up what changed. Cheap where nothing did; never raises."""
        if not self._lock.acquire(blocking=False):
            return  # another thread is at it; what we hold is good meanwhile
        try:
            self._problem = self._follow()
        finally:
            self._tried_at = self._now()
            self._lock.release()

    def after_fork(self) -> None:
        """Forget a lock that a thread of the parent may have held."""
        self._lock = threading.Lock()

    def _begin(self) -> bool:
        """Load all, or raise; false where the store changed meanwhile."""
        self._read_at = self._usable_at = self._now()
        self._version = self._store.version()
        try:
            self._take(self._store.ring(), self._read_at, first=True)
        except KeysUnavailable:
            if self._store.version() == self._version:
                raise
            return False
        try:
            self._check(self._loaded.ring)
        except KeysExposed:
            raise
        except KeysUnavailable as error:
            # It is not needed yet: with it alone missing, a restart must not become an outage.
            self._problem, self._version = error, None
        return True

    def _look_again(self) -> None:
        """For a request, where nobody else has looked: its thread would wait for a dead store."""
        if self._lock.locked() and self._waited_at.until(self._now()) > _JUST_NOW:
            self._waited_at = self._now()
            if self._lock.acquire(timeout=_PATIENCE):  # whoever looks now looks for this one too
                self._lock.release()
        if self._tried_at.until(self._now()) > _JUST_NOW:
            self.refresh()

    def _follow(self) -> KeysUnavailable | None:
        asked_at = self._now()  # before looking: it was not older than this
        try:
            version = self._store.version()
            if version != self._version:
                self._version = None
                self._take(self._store.ring(), asked_at)
                self._check(self._loaded.ring)
            else:
                self._read_at = self._usable_at = asked_at
        except RingDamaged as error:
            self._hold_on(asked_at)
            return error
        except KeysUnavailable as error:
            self._holds_what_was_damaged = False
            return error
        self._holds_what_was_damaged = False
        self._version = version
        return None

    def _hold_on(self, asked_at: _Moment) -> None:
        """Only who looked just before the damage can know that it holds what was damaged."""
        if self._holds_what_was_damaged or self._read_at.until(asked_at) <= _JUST_NOW:
            self._holds_what_was_damaged = True
            self._read_at = asked_at
            if self._loaded.signer is not None:
                self._usable_at = asked_at

    def _take(self, ring: Ring, asked_at: _Moment, *, first: bool = False) -> None:
        self._refuse_to_go_back(ring)
        try:
            signing = self._signing(ring)
        except KeysUnavailable:
            if first:
                raise
            published = {key.kid for key in ring.published()}
            held = {kid: key for kid, key in self._loaded.signing.items() if kid in published}
            self._loaded, self._read_at = _loaded(ring, held, self._algorithm), asked_at
            raise
        # In one piece: between two there could be a moment without a key that signs.
        self._loaded = _loaded(ring, signing, self._algorithm)
        self._read_at = self._usable_at = asked_at

    def _refuse_to_go_back(self, ring: Ring) -> None:
        """A store that was restored from a backup may lack a revocation, or a key in use."""
        again = [key.kid for key in ring.published() if key.kid in self._revoked]
        if again:
            raise _went_back(
                f"{again[0]} was revoked",
                f"embedjwt keys revoke {again[0]} --reason 'revoked before the restore'",
            )
        held = self._loaded.ring
        known = {key.kid for key in ring.records}
        if ring.revision > held.revision:  # it went on; dead keys are forgotten some day
            known |= {key.kid for key in held.records}
        lost = [key.kid for key in held.in_state("active", "retiring") if key.kid not in known]
        if lost:
            raise _went_back(
                f"{lost[0]} was there, whose tokens are alive",
                "bring the newest keys back, or restart embedjwt to accept these; give jwk_set_url "
                "a new query string then",
            )
        self._revoked |= {key.kid for key in ring.in_state("revoked")}

    def _signing(self, ring: Ring) -> dict[str, SigningKey]:
        return {key.kid: self._store.signing_key(key) for key in ring.in_state("active")}

    def _check(self, ring: Ring) -> None:
        """What is not needed yet must be found out before it is."""
        for key in ring.in_state("next"):
            try:
                self._store.signing_key(key)
            except KeysExposed:
                raise
            except KeysUnavailable as error:
                raise KeysUnavailable(
                    f"a key that waits cannot be used: {error.detail}",
                    hint=f"{error.hint}; or replace it: "
                    f"embedjwt keys revoke {key.kid} --reason lost",
                ) from error
        self._store.settle(ring)

    def _now(self) -> _Moment:
        return _Moment(self._clock(), self._monotonic())

    def _is_old(self, moment: _Moment) -> bool:
        # As ``moment.until(self._now())``, for every request comes here.
        return (
            self._clock() - moment.wall > self._longest
            or self._monotonic() - moment.monotonic > self._longest
        )

    def _too_old(self, use: str) -> KeysUnavailable:
        problem = "" if self._problem is None else f": {self._problem.diagnostics()}"
        return KeysUnavailable(
            f"the key store could not be read for so long that no key may be {use}",
            hint=f"longer than [keys] propagation_delay, {self._longest} s{problem}",
            code="keys_stale",
        )


def _went_back(to: str, hint: str) -> KeysUnavailable:
    return KeysUnavailable(
        f"the key store has gone back to before {to}", hint=hint, code="keys_went_back"
    )


def _loaded(ring: Ring, signing: Mapping[str, SigningKey], algorithm: str) -> LoadedKeys:
    jwks = jwk_set(ring)
    signs = ring.signs(algorithm)
    signer = None if signs is None else signing.get(signs.kid)
    return LoadedKeys(ring, signing, signer, jwks, entity_tag(jwks))
