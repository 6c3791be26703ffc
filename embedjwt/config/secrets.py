"""Secrets from files: read once at start, refused when others can read them too."""

from __future__ import annotations

import stat
from collections.abc import Sequence
from pathlib import Path

from pydantic import SecretStr

from embedjwt.config.problems import ConfigError, Problem


def read_secret(key: str, value: SecretStr | None, file: Path | None) -> str | None:
    """A secret from ``key`` or from the file that ``<key>_file`` names; ``None`` where neither is.

    Raises :class:`ConfigError` where both are set, or the file is missing, empty, or readable by
    everyone. One newline at the file's end is not part of the secret.
    """
    if value is not None and file is not None:
        raise _error(key, f"{key} and {key}_file are both set", "keep the file, remove the other")
    if value is not None:
        return value.get_secret_value()
    return None if file is None else read_secret_file(f"{key}_file", file)


def read_secret_lines(key: str, values: Sequence[SecretStr], file: Path | None) -> tuple[str, ...]:
    """Secrets from ``key``, or one a line from the file that ``<key>_file`` names.

    Raises :class:`ConfigError` as :func:`read_secret` does, and for an empty secret.
    """
    if values and file is not None:
        raise _error(key, f"{key} and {key}_file are both set", "keep the file, remove the other")
    secrets = tuple(value.get_secret_value() for value in values)
    if file is not None:
        lines = read_secret_file(f"{key}_file", file).splitlines()
        secrets = tuple(line.strip() for line in lines if line.strip())
    if not all(secrets):
        raise _error(key, f"{key} has an empty entry", "remove it")
    return secrets


def read_secret_file(key: str, file: Path) -> str:
    """The text of a secret file, without one newline at its end. Raises :class:`ConfigError`."""
    try:
        mode = file.stat().st_mode
        text = file.read_text("utf-8")
    except OSError as error:
        fix = "name a file that this process can read"
        raise _error(key, f"cannot read {file}: {error.strerror}", fix) from error
    except UnicodeDecodeError as error:
        raise _error(key, f"{file} is not text", "store the secret as UTF-8 text") from error
    if stat.S_ISREG(mode) and mode & stat.S_IROTH:
        fix = f"chmod 600 {file}; in Kubernetes: defaultMode: 0400"
        raise _error(key, f"{file} can be read by everyone", fix)
    secret = text.removesuffix("\n").removesuffix("\r")
    if not secret.strip():
        raise _error(key, f"{file} is empty", "write the secret into it")
    return secret


def _error(key: str, message: str, fix: str) -> ConfigError:
    return ConfigError([Problem(key, message, fix)])
