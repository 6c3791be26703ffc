"""Files that others must not read or change: opened, written and locked with that in mind."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shlex
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from embedjwt.errors import KeysExposed, KeysUnavailable, StoreBusy

PRIVATE = 0o600
PUBLIC = 0o644

TEMPORARY = r"\..+\.[0-9a-f]{16}\.tmp"
"""Names of files that a writer had begun when it died."""

_FOR_NOBODY_ELSE = 0o077
_NOT_WRITABLE = 0o022
_OPEN_DIRECTORY = 0o066
_PATIENCE = 30.0  # seconds
_LOCK_POLL = 0.02

MAX_BYTES = 1024 * 1024
"""The largest file that is read, or should be written."""


def read_private(path: Path) -> bytes:
    """A file's bytes. Raises :class:`KeysUnavailable` where anyone else may read or change it."""
    return _read(path, _FOR_NOBODY_ELSE, f"chmod 600 {quoted(path)}")


def read_trusted(path: Path) -> bytes:
    """A file's bytes. Raises :class:`KeysUnavailable` where anyone else may change it."""
    return _read(path, _NOT_WRITABLE, f"chmod go-w {quoted(path)}")


def present(path: Path) -> bool:
    """Whether anything has this name, even a link to nothing."""
    try:
        path.lstat()
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(path, error) from error
    return True


def prepare_directory(path: Path, *, may_close: Callable[[Path], bool]) -> None:
    """Make the directory, closed to others, or close one in which ``may_close`` holds for all.

    Anything else that is there already stays as it is, and is refused as by
    :func:`check_directory` where others may list or change it.
    """
    try:
        try:
            make_parents(path)
            path.mkdir(mode=0o700)
            path.chmod(0o700)
            sync_directory(path.parent)
        except FileExistsError:
            if (
                path.is_dir()
                and path.stat().st_uid == os.geteuid()
                and path.stat().st_mode & _OPEN_DIRECTORY
                and all(may_close(entry) for entry in path.iterdir())
            ):
                path.chmod(0o700)
    except OSError as error:
        raise unwritable(path, error) from error
    check_directory(path)


def check_directory(path: Path) -> None:
    """Raises :class:`KeysUnavailable` where others may list or change the directory.

    Others may pass through (``chmod 711``), so that a Grafana on this machine can be given the
    published set by its path; the private keys in it are closed by their own modes.
    """
    try:
        info = path.stat()
    except FileNotFoundError as error:
        raise KeysUnavailable(
            f"{path} does not exist",
            hint="`embedjwt init` makes the first keys; or set [keys] directory",
            code="keys_missing",
        ) from error
    except OSError as error:
        raise unreadable(path, error) from error
    if not stat.S_ISDIR(info.st_mode):
        raise KeysUnavailable(f"{path} is no directory", hint="set [keys] directory to one")
    _check_owner(path, info)
    if info.st_mode & _OPEN_DIRECTORY:
        raise KeysExposed(
            f"{path} can be listed or changed by others", hint=f"chmod 700 {quoted(path)}"
        )


def write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file at once or not at all, and on the disk when this returns.

    The temporary file is closed to others from its first moment, whatever the umask is. Raises
    :class:`KeysUnavailable` where the disk is full or read-only; the old file then stays, unless
    the disk failed only after the new one had taken its place.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        try:
            _write_new(temporary, data, mode)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        sync_directory(path.parent)
    except OSError as error:
        raise unwritable(path, error) from error


def remove_others(directory: Path, kept: Collection[Path], pattern: str) -> None:
    """Remove the files whose whole name matches, except ``kept``."""
    try:
        for entry in directory.iterdir():
            if entry not in kept and re.fullmatch(pattern, entry.name):
                entry.unlink()
    except OSError as error:
        raise unwritable(directory, error) from error


@contextmanager
def locked(directory: Path, *, wait: bool = True) -> Iterator[None]:
    """Hold the directory's lock; it dies with the process.

    While another process holds it, waits for half a minute; then, or without ``wait`` at once,
    raises :class:`StoreBusy`.
    """
    path = directory / ".lock"
    with ExitStack() as held:
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE)
            held.callback(os.close, lock)
            _lock(lock, _PATIENCE if wait else 0.0)
        except BlockingIOError as error:
            raise StoreBusy(
                f"another process holds {path}",
                hint=f"try again; where it lasts, see who does: fuser {quoted(path)}",
            ) from error
        except OSError as error:
            raise unwritable(path, error) from error
        # Not by closing alone: a child forked meanwhile has the descriptor, and the lock, too.
        held.callback(fcntl.flock, lock, fcntl.LOCK_UN)
        yield


def sync_directory(path: Path) -> None:
    """Put the names in a directory on the disk. Raises :class:`OSError`."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def unreadable(path: Path, error: OSError) -> KeysUnavailable:
    """What to say when the system refuses to read."""
    return KeysUnavailable(
        f"{path} cannot be read: {error.strerror}",
        hint="it must be there, and readable by the user that embedjwt runs as",
    )


def unwritable(path: Path, error: OSError) -> KeysUnavailable:
    """What to say when the system refuses to write."""
    return KeysUnavailable(
        f"{path} cannot be written: {error.strerror}",
        hint="free the disk, or make the directory writable for the user that embedjwt runs as",
    )


def quoted(path: Path) -> str:
    """The path as a shell takes it."""
    return shlex.quote(str(path))


def make_parents(path: Path) -> None:
    """The directories above, where they are missing; not writable by others under any umask.

    Raises :class:`OSError`.
    """
    missing = [parent for parent in path.parents if not parent.exists()]
    for parent in reversed(missing):
        parent.mkdir(exist_ok=True)
        parent.chmod(parent.stat().st_mode & ~_NOT_WRITABLE)


def _lock(descriptor: int, patience: float) -> None:
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(_LOCK_POLL)
        else:
            return


def _read(path: Path, forbidden: int, remedy: str) -> bytes:
    try:
        real = path.resolve(strict=True)
        if not real.is_relative_to(path.parent.resolve()):
            raise KeysExposed(
                f"{path} is a link that leads out of its directory",
                hint="put the file itself there",
            )
        # Without O_NONBLOCK, opening a named pipe would wait for ever.
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        descriptor = os.open(real, flags)
        try:
            _check_file(path, os.fstat(descriptor), forbidden, remedy)
            with os.fdopen(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_BYTES)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise unreadable(path, error) from error
    except RuntimeError as error:  # a circle of links, before Python 3.13
        raise KeysUnavailable(f"{path} is a link to itself", hint="remove it") from error


def _check_file(path: Path, info: os.stat_result, forbidden: int, remedy: str) -> None:
    if not stat.S_ISREG(info.st_mode):
        raise KeysUnavailable(f"{path} is not a plain file", hint="put a plain file there")
    if info.st_size > MAX_BYTES:
        raise KeysUnavailable(f"{path} is too large for what it should hold", hint="restore it")
    _check_owner(path, info)
    if info.st_mode & forbidden:
        verb = "changed" if forbidden == _NOT_WRITABLE else "read or changed"
        raise KeysExposed(f"{path} can be {verb} by others", hint=remedy)


def _check_owner(path: Path, info: os.stat_result) -> None:
    if info.st_uid not in (os.geteuid(), 0):
        raise KeysExposed(
            f"{path} belongs to another user, who can change it",
            hint=f"run embedjwt as its owner, or: chown -R $(id -u) {quoted(path)}",
        )


def _write_new(path: Path, data: bytes, mode: int) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(path, flags, PRIVATE)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fchmod(descriptor, mode)  # exactly this, whatever the umask took away
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
