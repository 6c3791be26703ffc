"""The database that the settings name."""

from __future__ import annotations

from pathlib import Path

from embedjwt.config import Settings
from embedjwt.config.secrets import read_secret
from embedjwt.database.engine import Database


def configured_database(settings: Settings) -> Database | None:
    """The database of ``database`` or ``database_file``; ``None`` where neither is set.

    Raises :class:`ConfigError` for an unreadable file, :class:`KeysUnavailable` for a URL that
    cannot be used.
    """
    file = settings.database_file
    url = read_secret("database", settings.database, file)
    if url is None:
        return None
    return Database(_from(settings.directory if file is None else file.parent, url))


def _from(directory: Path, url: str) -> str:
    """A relative ``sqlite:///path`` counts from the file it is written in, as all paths do."""
    name = url.removeprefix("sqlite:///")
    relative = name not in (url, "") and not name.startswith((":", "/"))
    return f"sqlite:///{directory / name}" if relative else url
