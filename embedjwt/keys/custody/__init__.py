"""Where private halves are: PEM files, encrypted rows of a database, or an HSM.

Each is a :class:`embedjwt.keys.store.Custody`.
"""
