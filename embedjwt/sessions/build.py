"""From the settings to where sessions are kept, and the keys that sign their cookies."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import structlog

from embedjwt.config import ConfigError, Settings
from embedjwt.config.problems import Problem
from embedjwt.config.secrets import read_secret_lines
from embedjwt.database import Database
from embedjwt.database.configured import configured_database
from embedjwt.errors import KeysUnavailable
from embedjwt.sessions.store import SessionStore

_log = structlog.get_logger("embedjwt.sessions")

_KEY_LENGTH = 32
_COOKIE_SECRET = "session cookie"


@dataclass(frozen=True, slots=True)
class SessionState:
    """The database, the sessions in it, and the keys of all cookies, newest last."""

    database: Database
    store: SessionStore
    cookie_keys: Sequence[bytes] = field(repr=False)

    def works(self) -> bool:
        """Whether sessions can be read now; the log says why not."""
        try:
            self.store.get("whether it answers")
        except KeysUnavailable as error:
            _log.error("state_store_problem", detail=error.detail, hint=error.hint)
            return False
        return True


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


def check_session_state(settings: Settings) -> None:
    """What :func:`build_session_state` would refuse, as far as that can be told without opening
    the database, which would make it; raises ``ConfigError``."""
    given_cookie_keys(settings)
    directory = settings.session.file.absolute().parent
    if configured_database(settings) is None and not directory.is_dir():
        raise ConfigError(
            [
                Problem(
                    "session.file",
                    f"is in {directory}, which is no directory",
                    "make it, for the user that embedjwt runs as",
                )
            ]
        )


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
