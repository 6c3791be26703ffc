"""The configured key store, and who acts on it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from embedjwt import audit
from embedjwt.config import ConfigError, Problem, Settings
from embedjwt.config.secrets import read_secret, read_secret_lines
from embedjwt.keys.directory import DirectoryKeyStore
from embedjwt.keys.operations import Operator
from embedjwt.keys.store import Custody, KeyStore
from embedjwt.keys.timing import Timing


def key_store(settings: Settings) -> KeyStore:
    """The configured key store.

    Raises :class:`ConfigError` for unreadable secrets, :class:`KeysUnavailable` for a store that
    cannot be reached.
    """
    custody = _custody(settings)
    if settings.key_store == "directory":
        return directory_store(settings, custody)
    # Imported here, for most installations need neither.
    from embedjwt.database.configured import configured_database  # noqa: PLC0415
    from embedjwt.keys.database import DatabaseKeyStore  # noqa: PLC0415

    database = configured_database(settings)
    if database is None:  # the settings have seen to it that there is one
        raise ConfigError([Problem("database", "is missing")])
    keys = read_secret_lines(
        "keys.encryption_keys", settings.keys.encryption_keys, settings.keys.encryption_keys_file
    )
    return DatabaseKeyStore(database, keys, custody)


def directory_store(
    settings: Settings, custody: Custody | None = None, path: Path | None = None
) -> DirectoryKeyStore:
    """The key store in ``[keys] directory`` or in another one, configured or not."""
    keys = settings.keys
    passphrase = read_secret("keys.passphrase", keys.passphrase, keys.passphrase_file)
    return DirectoryKeyStore(
        path or keys.directory, passphrase.encode() if passphrase is not None else None, custody
    )


def key_timing(settings: Settings) -> Timing:
    """The spans that keys wait. Raises :class:`ConfigError` where no schedule would be safe."""
    keys = settings.keys
    timing = Timing(
        rotate_every=keys.rotate_every,
        verifier_cache_ttl=keys.verifier_cache_ttl,
        token_ttl=max(settings.ttl(target) for target in settings.grafana),
        propagation_delay=keys.propagation_delay,
    )
    unsafe = timing.unsafe()
    if unsafe is not None:
        fix = f"set it to {timing.shortest_rotation} or more, or to 0 and rotate by hand"
        raise ConfigError([Problem("keys.rotate_every", unsafe, fix)])
    return timing


def operator(
    settings: Settings, store: KeyStore, actor: str, clock: Callable[[], float] | None = None
) -> Operator:
    """Acts on a store under these settings, by the store's own clock unless another is given.

    ``actor`` names the command or service, for the audit trail.
    """
    timing, algorithm = key_timing(settings), settings.keys.algorithm
    return Operator(store, timing, algorithm, clock or store.clock, audit.actor(actor))


def _custody(settings: Settings) -> Custody | None:
    pkcs11 = settings.keys.pkcs11
    if pkcs11 is None:
        return None
    from embedjwt.keys.custody.pkcs11 import Pkcs11Custody  # noqa: PLC0415

    pin = read_secret("keys.pkcs11.pin", pkcs11.pin, pkcs11.pin_file)
    return Pkcs11Custody(pkcs11.module, pkcs11.token_label, pin)
