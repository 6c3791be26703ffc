"""A database that several processes share: PostgreSQL, or SQLite on one machine.

``engine.py`` transactions → ``migrations.py`` the tables; ``postgresql.py``, ``sqlite.py`` what is
peculiar to each; ``failures.py`` what to tell people when it fails.
"""

from embedjwt.database.engine import Database, Exclusive
from embedjwt.database.migrations import MIGRATIONS, Migration

__all__ = ["MIGRATIONS", "Database", "Exclusive", "Migration"]
