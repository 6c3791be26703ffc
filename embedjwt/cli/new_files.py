"""Files of which there are all or none: written whole, and over nothing unless told to."""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from embedjwt.errors import EmbedJWTError
from embedjwt.keys.files import PRIVATE, make_parents, quoted, sync_directory

Write = Callable[[Path, str], None]

_NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.ENOSYS)  # as on vfat


@contextmanager
def new_files(mode: int = PRIVATE, *, replace: bool = False) -> Iterator[Write]:
    """Gives a function that writes a new file, with this mode less the umask.

    A file that is there is replaced only with ``replace``; else ``EmbedJWTError``
    (``already_initialised``). Where the block fails, what is new is gone again.
    """
    written: list[Path] = []

    def write(path: Path, text: str) -> None:
        try:
            make_parents(path)
            replaces = replace and path.is_file()
            _write(path, text, mode, replaces=replaces)
        except FileExistsError as error:
            raise already_there(path) from error
        except OSError as error:
            raise EmbedJWTError(
                f"cannot write {path}: {error.strerror}",
                hint="name a directory that you may write to, with space in it",
            ) from error
        if not replaces:
            written.append(path)

    try:
        yield write
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def already_there(path: Path, *, remedy: str = "") -> EmbedJWTError:
    """The refusal to write over a file; ``remedy`` comes before the usual ones."""
    away = f"mv {quoted(path)} {quoted(path)}.old"
    return EmbedJWTError(
        f"{path} is there already, and nothing was changed",
        hint=f"{remedy}name another directory, or move it away: {away}",
        code="already_initialised",
    )


def _write(path: Path, text: str, mode: int, *, replaces: bool) -> None:
    """The file appears under its name when all of it is on the disk."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        opener = partial(os.open, mode=mode)
        with open(part, "x", encoding="utf-8", newline="", opener=opener) as new:
            new.write(text)
            new.flush()
            os.fsync(new.fileno())
        if replaces:
            part.replace(path)
        else:
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
