"""embedjwt's own session after a login: a record in the database, and a cookie with only its id.

``record.py`` what is kept → ``sealing.py`` what the database sees of it → ``store.py`` who may
change it and when; ``cookie.py`` what the browser holds.
"""

from embedjwt.sessions.cookie import SessionCookie
from embedjwt.sessions.record import SessionRecord
from embedjwt.sessions.sealing import row_key
from embedjwt.sessions.store import SessionStore, StoredSession

__all__ = ["SessionCookie", "SessionRecord", "SessionStore", "StoredSession", "row_key"]
