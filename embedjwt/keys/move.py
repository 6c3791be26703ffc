"""Moves a whole ring from a directory into another store."""

from __future__ import annotations

from embedjwt.errors import KeysUnavailable
from embedjwt.keys.custody.pem import MAY_SIGN, PemFiles
from embedjwt.keys.directory import DirectoryKeyStore
from embedjwt.keys.operations import Operator
from embedjwt.keys.ring import Ring
from embedjwt.keys.timing import Timing

_LONGEST_GRACE = 3600


def move_ring(source: DirectoryKeyStore, target: Operator) -> Ring:
    """Copy states, times and private halves, then close the directory to changes.

    Killed half-way, it can be run again. Raises :class:`KeysUnavailable`, with code ``keys_exist``
    where the other store has another ring.
    """
    files = source.custody
    if not isinstance(files, PemFiles):
        raise KeysUnavailable(
            "private keys in an HSM cannot be read, only used",
            hint="start the other store with new keys: `embedjwt init`, then import as retiring",
        )
    with source.changing() as held:
        if held.ring is None:
            raise KeysUnavailable(f"{source.location} holds no keys", code="keys_missing")
        with target.store.changing() as change:
            if change.ring is not None and not _same_keys(change.ring, held.ring):
                raise KeysUnavailable(
                    f"{target.store.location} already holds other keys, and they are kept",
                    hint="`embedjwt keys list` shows them; if no Grafana knows them yet, empty the "
                    "tables embedjwt_key_ring and embedjwt_private_key, and run this again",
                    code="keys_exist",
                )
            moved = change.ring
            if moved is None:
                for key in held.ring.in_state(*MAY_SIGN):
                    change.custody.adopt(files.private_key(key), key.jwk)
                moved = target.commit(change, held.ring)
        source.move_to(target.store.location, int(target.clock()) + grace(target.timing))
    return moved


def grace(timing: Timing) -> int:
    """Seconds for which processes may go on with the directory after its keys have moved.

    A key that the other store makes after the move signs there after the second hand-over, and all
    that still publish without it must have ended long enough before.
    """
    if timing.rotate_every == 0:
        return _LONGEST_GRACE
    return min(_LONGEST_GRACE, timing.rotate_every)


def _same_keys(one: Ring, other: Ring) -> bool:
    return {key.kid for key in other.records} <= {key.kid for key in one.records}
