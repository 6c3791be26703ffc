"""Files of which there are all or none: written privately, whole, and over nothing."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from embedjwt.errors import EmbedJWTError
from embedjwt.keys.files import PRIVATE, make_parents, quoted, sync_directory

Write = Callable[[Path, str], None]

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # as on vfat


@contextmanager
def new_files() -> Iterator[Write]:
    """Gives a function that writes a new file, for its owner only.

    A file that is there is never replaced: ``EmbedJWTError`` (``already_initialised``). Where the
    block fails, what was written is gone again.
    """
    written: list[Path] = []

    def write(path: Path, text: str) -> None:
        try:
            make_parents(path)
            _write(path, text)
        except FileExistsError as error:
            raise already_there(path) from error
        except OSError as error:
            raise EmbedJWTError(
                f"cannot write {path}: {error.strerror}",
                hint="name a directory that you may write to, with space in it",
            ) from error
        written.append(path)

    try:
        yield write
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def already_there(path: Path) -> EmbedJWTError:
    """The refusal to write over a file."""
    return EmbedJWTError(
        f"{path} is there already, and nothing was changed",
        hint=f"name another directory, or move it away: mv {quoted(path)} {quoted(path)}.old",
        code="already_initialised",
    )


def _write(path: Path, text: str) -> None:
    """The file appears under its name when all of it is on the disk."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(part, "x", encoding="utf-8", newline="", opener=_private) as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        _name(part, path)
    finally:
        part.unlink(missing_ok=True)
    sync_directory(path.parent)


def _name(part: Path, path: Path) -> None:
    """Give a file its name, unless something has it already."""
    try:
        os.link(part, path)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        path.open("x").close()
        part.replace(path)


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, PRIVATE)
