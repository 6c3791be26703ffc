"""The embedded key store: a directory with private keys, the ring, and the published set.

``<thumbprint>.pem`` one private key each, ``ring.json`` states and times of all keys with their
public halves, ``jwks.json`` the published set, for Grafana's ``jwk_set_file``. ``ring.json``
decides: it is written after the private keys it needs, ``jwks.json`` follows it, and private keys
that it allows no more are removed last.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from embedjwt.errors import KeysUnavailable, StoreBusy, StoreReadOnly
from embedjwt.keys import files
from embedjwt.keys.custody.pem import FILE_NAME, PemFiles
from embedjwt.keys.document import jwk_set, parse_ring, to_json
from embedjwt.keys.ring import KeyRecord, Ring
from embedjwt.keys.signer import SigningKey
from embedjwt.keys.store import Custody
from embedjwt.times import moment

_OURS = re.compile(
    rf"{FILE_NAME}|{files.TEMPORARY}|\.lock|ring\.json|jwks\.json|moved|README\.md|\.gitignore"
)


@dataclass(frozen=True, slots=True)
class _Moved:
    location: str
    until: int


class DirectoryKeyStore:
    """A ring in one directory; private halves are files beside it, or in other ``custody``."""

    def __init__(
        self, path: Path, passphrase: bytes | None, custody: Custody | None = None
    ) -> None:
        self.path = path
        self.custody: Custody = custody or PemFiles(path, passphrase)

    @property
    def location(self) -> str:
        """The directory."""
        return str(self.path)

    @property
    def ring_file(self) -> Path:
        """Where states and times are; it changes whenever anything does."""
        return self.path / "ring.json"

    @property
    def jwks_file(self) -> Path:
        """Where the published set is, for Grafana's ``jwk_set_file``."""
        return self.path / "jwks.json"

    @property
    def moved_file(self) -> Path:
        """Says where the keys have gone; while it is there, nothing here is changed."""
        return self.path / "moved"

    def clock(self) -> float:
        """This machine's clock."""
        return time.time()

    def version(self) -> tuple[int, int, int]:
        """Differs whenever the ring was replaced; costs two looks at names."""
        try:
            info = self.ring_file.stat()
        except FileNotFoundError as error:
            raise self._missing() from error
        except OSError as error:
            raise files.unreadable(self.ring_file, error) from error
        moved = self._moved()
        if moved is not None and self.clock() > moved.until:
            raise self._refusal(moved)
        return info.st_mtime_ns, info.st_ino, info.st_size + bool(moved)

    def ring(self) -> Ring:
        """States, times and public halves, without a look at any private key.

        Raises :class:`KeysUnavailable`, with code ``keys_missing`` where there is no ring.
        """
        files.check_directory(self.path)
        if not files.present(self.ring_file):
            raise self._missing()
        return parse_ring(files.read_trusted(self.ring_file), str(self.ring_file))

    def signing_key(self, record: KeyRecord) -> SigningKey:
        """The private half of a key, ready to sign."""
        return self.custody.signing_key(record)

    def settle(self, ring: Ring) -> None:
        """Rewrite ``jwks.json`` where it does not hold the published keys.

        A directory that cannot be written is fine as long as there is nothing to repair. One that
        the keys have moved away from is refused: they are on their way out here.
        """
        moved = self._moved()
        if moved is not None:
            raise self._refusal(moved)
        if self._published() == jwk_set(ring):
            return
        try:
            with files.locked(self.path, wait=False):
                current = jwk_set(self.ring())  # by now another process may have gone on
                if self._published() != current:
                    files.write(self.jwks_file, current, files.PUBLIC)
        except StoreBusy:
            pass  # whoever holds it writes it, or leaves it to the next tidy
        except KeysUnavailable as error:
            raise KeysUnavailable(
                f"{self.jwks_file} does not hold the published keys, and cannot be repaired: "
                f"{error.detail}",
                hint=error.hint,
            ) from error

    def concerns(self) -> list[str]:
        """A directory that keys have moved away from, or that nobody here may write."""
        moved = self._moved()
        if moved is not None:
            return [
                f"the keys of {self.path} have moved to {moved.location}; here they can be used "
                f"until {moment(moved.until)} UTC: set database, and restart"
            ]
        if not self._is_writable():
            return [
                f"{self.path} cannot be written here: keys rotate only if another process does it"
            ]
        return []

    def tidy(self, ring: Ring) -> None:
        """Nothing is kept beside the ring but ``jwks.json``."""
        self.settle(ring)

    @contextmanager
    def changing(self, *, wait: bool = True) -> Iterator[DirectoryChange]:
        """Hold the ring still, by a lock that dies with this process."""
        files.prepare_directory(
            self.path, may_close=lambda entry: bool(_OURS.fullmatch(entry.name))
        )
        if not self._is_writable():
            raise StoreReadOnly(
                f"{self.path} cannot be written here",
                hint="change the keys where it can be, as the user that embedjwt runs as",
            )
        with files.locked(self.path, wait=wait):
            yield DirectoryChange(self, self._held())

    def move_to(self, location: str, until: int) -> None:
        """Note where the keys are from now on. Call while the ring is held still.

        Processes may go on with this directory ``until`` then (Unix seconds).
        """
        note = json.dumps({"location": location, "until": until}).encode() + b"\n"
        files.write(self.moved_file, note, files.PRIVATE)

    def _is_writable(self) -> bool:
        return os.access(self.path, os.W_OK, effective_ids=True)

    def _held(self) -> Ring | None:
        moved = self._moved()
        if moved is not None:
            raise self._refusal(moved)
        if files.present(self.ring_file):
            return self.ring()
        if files.present(self.jwks_file):
            # It is written after the ring: there was one, and its keys may be in use.
            raise KeysUnavailable(
                f"{self.path} holds published keys, but {self.ring_file.name} is gone",
                hint="restore it from a backup; to start anew, move the directory away",
                code="keys_exist",
            )
        return None

    def _moved(self) -> _Moved | None:
        if not files.present(self.moved_file):
            return None
        try:
            note = json.loads(files.read_trusted(self.moved_file))
            return _Moved(str(note["location"]), int(note["until"]))
        except (ValueError, TypeError, LookupError, OverflowError, RecursionError):
            return _Moved("another place", 0)

    def _refusal(self, moved: _Moved) -> KeysUnavailable:
        return KeysUnavailable(
            f"the keys of {self.path} have moved to {moved.location}, and change only there",
            hint=f"set database, and restart before {moment(moved.until)} UTC; to undo the move, "
            f"remove {self.moved_file}",
            code="keys_moved",
        )

    def _published(self) -> bytes | None:
        return files.read_trusted(self.jwks_file) if files.present(self.jwks_file) else None

    def _missing(self) -> KeysUnavailable:
        hint = "`embedjwt init` in the configuration's directory makes the first keys"
        if files.present(self.jwks_file):
            hint = f"there were keys: restore {self.path} from a backup"
        return KeysUnavailable(f"{self.ring_file} does not exist", hint=hint, code="keys_missing")


class DirectoryChange:
    """A directory's ring, held still."""

    def __init__(self, store: DirectoryKeyStore, ring: Ring | None) -> None:
        self.ring = ring
        self.custody = store.custody
        self._store = store
        if ring is None:
            self.custody.prune(Ring(()))  # of a process that died before it had a ring

    def commit(self, ring: Ring) -> Ring:
        """Write ``ring.json``, then what follows from it."""
        revision = 1 if self.ring is None else self.ring.revision + 1
        ring = replace(ring, revision=revision)
        published, document = jwk_set(ring), to_json(ring)
        if len(document) > files.MAX_BYTES:
            raise KeysUnavailable("the ring would be too large to be read", hint="see the reasons")
        try:
            files.write(self._store.ring_file, document, files.PRIVATE)
        except KeysUnavailable:
            with suppress(KeysUnavailable):  # it is there where only the last sync failed
                self.ring = self._store.ring()
            raise
        self.ring = ring
        try:
            files.write(self._store.jwks_file, published, files.PUBLIC)
            self.custody.prune(ring)
        except KeysUnavailable as error:
            raise KeysUnavailable(
                f"the keys are changed as asked, but the rest failed: {error.detail}",
                hint=f"{error.hint}; the next start or change finishes it",
                code="keys_unfinished",
            ) from error
        return ring
