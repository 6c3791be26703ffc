"""From the settings to where sessions are kept, and the keys that sign their cookies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from embedjwt.config import ConfigError, Settings
from embedjwt.config.problems import Problem
from embedjwt.config.secrets import read_secret_lines
from embedjwt.database import Database
from embedjwt.database.configured import configured_database
from embedjwt.sessions.store import SessionStore

_KEY_LENGTH = 32
_COOKIE_SECRET = "session cookie"


@dataclass(frozen=True, slots=True)
class SessionState:
    """The database, the sessions in it, and the keys of all cookies, newest last."""

    database: Database
    store: SessionStore
    cookie_keys: Sequence[bytes] = field(repr=False)


def build_session_state(settings: Settings, clock: Callable[[], float] = time.time) -> SessionState:
    """Opens the configured database, or an SQLite file beside the settings.

    ``clock`` gives Unix seconds. Raises ``ConfigError`` and ``KeysUnavailable``.
    """
    database = configured_database(settings)
    if database is None:
        database = Database(f"sqlite:///{settings.session.file.absolute()}")
    given = [key.encode() for key in given_cookie_keys(settings)]
    store = SessionStore(database, clock, given)
    # A key in the store is as good for the cookie: without a session's id it opens nothing.
    return SessionState(database, store, given or [store.secret(_COOKIE_SECRET)])


def given_cookie_keys(settings: Settings) -> Sequence[str]:
    """The keys of ``[session] secret_keys``, none where the store keeps one; ``ConfigError``."""
    given = settings.session
    keys = read_secret_lines("session.secret_keys", given.secret_keys, given.secret_keys_file)
    if any(len(key) < _KEY_LENGTH for key in keys):
        raise ConfigError(
            [
                Problem(
                    "session.secret_keys",
                    f"has a key under {_KEY_LENGTH} characters, which can be guessed",
                    "make one with: openssl rand -base64 32",
                )
            ]
        )
    return keys
