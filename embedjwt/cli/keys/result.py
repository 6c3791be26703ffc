"""What the changing commands share: a store at hand, a question before, and the result after."""

from __future__ import annotations

import sys
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import click

from embedjwt.cli.common import (
    error_json,
    log_to_standard_error,
    print_error,
    print_json,
    tick,
    usage_error,
)
from embedjwt.cli.keys.names import names
from embedjwt.config import Settings, load_settings
from embedjwt.errors import EmbedJWTError, KeysUnavailable
from embedjwt.grafana.settings import jwk_set_url
from embedjwt.keys.build import key_store, operator
from embedjwt.keys.operations import Operator
from embedjwt.keys.ring import KeyRecord, Ring, changed_keys, successor
from embedjwt.keys.store import KeyStore
from embedjwt.keys.timing import Timing
from embedjwt.times import moment

yes_option = click.option("--yes", is_flag=True, help="Do not ask.")


@dataclass(frozen=True, slots=True)
class Desk:
    """One changing command at work. ``ring`` is the ring before it."""

    settings: Settings
    operator: Operator
    ring: Ring
    as_json: bool

    @classmethod
    def open(
        cls, config: Path | None, actor: str, *, as_json: bool, may_be_new: bool = False
    ) -> Desk:
        """Reads settings and ring. ``may_be_new``: there need be no ring yet."""
        log_to_standard_error()
        settings = load_settings(config)
        acting = operator(settings, key_store(settings), actor)
        ring = Ring(()) if may_be_new and not _has_ring(acting.store) else acting.store.ring()
        return cls(settings, acting, ring, as_json)

    @property
    def store(self) -> KeyStore:
        """The configured key store."""
        return self.operator.store

    @property
    def timing(self) -> Timing:
        """How long keys wait."""
        return self.operator.timing

    @property
    def now(self) -> int:
        """Unix seconds, by the clock that decides."""
        return int(self.operator.clock())

    def name(self, key: KeyRecord) -> str:
        """A short name that commands take."""
        return names(self.ring.records)[key.kid]

    def heir(self, without: Collection[KeyRecord] = ()) -> KeyRecord | None:
        """The next key whose turn it is, as far as the ring says."""
        algorithm = self.settings.keys.algorithm
        return successor(
            self.ring, self.now, self.timing, algorithm, lambda key: key not in without
        )

    def wait(self, key: KeyRecord) -> int:
        """Seconds until every Grafana must know it; 0 where they do."""
        return max(0, key.may_sign_from(self.timing) - self.ring.moment(self.now))

    def jwk_set_url(self, ring: Ring) -> str:
        """Where Grafana finds the keys, with a query that differs after each revocation."""
        return jwk_set_url(self.settings.issuer, ring.revocations)

    def confirm(self, consequences: Sequence[str], *, yes: bool) -> None:
        """Say what will happen, and ask, unless that was answered beforehand."""
        if not self.as_json:
            for line in consequences:
                click.echo(f"  {line}", err=True)
        if yes:
            return
        if self.as_json or not sys.stdin.isatty():
            usage_error("this asks before it acts, and nobody is there to answer: add --yes")
        click.confirm("  Go on?", abort=True, err=True)

    def tell(self, ring: Ring, remarks: Sequence[str] = ()) -> None:
        """What each key has become, then ``remarks``."""
        changed = changed_keys(self.ring, ring)
        if self.as_json:
            print_json(self.result(ring))
            return
        short = names(ring.records)
        for key, _ in changed:
            tick(True, f"{short[key.kid]}  {key.alg:<6} {key.state:<9}", self._meaning(key))
        if not changed:
            tick(None, "nothing was due, nothing was changed")
        if remarks:
            click.echo()
        for line in remarks:
            click.echo(f"  {line}")

    def result(self, ring: Ring) -> dict[str, Any]:
        """What each key has become, for machines."""
        return {
            "changed": [
                {"kid": key.kid, "alg": key.alg, "before": was, "state": key.state}
                for key, was in changed_keys(self.ring, ring)
            ],
            "revision": ring.revision,
            "jwk_set_url": self.jwk_set_url(ring),
        }

    def refused(self, error: EmbedJWTError, ring: Ring) -> NoReturn:
        """Ends the command with status 1; what was changed before is told all the same."""
        if self.as_json:
            print_json({"error": error_json(error), **self.result(ring)})
        else:
            if changed_keys(self.ring, ring):
                self.tell(ring)
            print_error(error)
        sys.exit(1)

    def _meaning(self, key: KeyRecord) -> str:
        match key.state:
            case "next":
                wait = key.may_sign_from(self.timing)
                return f"published; may sign from {moment(wait)} UTC"
            case "active":
                return "signs from now on"
            case "retiring" if key.signs_elsewhere:
                leaves = key.may_leave_from(self.timing)
                return f"published for another program; leaves {moment(leaves)} UTC"
            case "retiring":
                leaves = key.may_leave_from(self.timing)
                return f"signs no more; published until {moment(leaves)} UTC for its last tokens"
            case "removed":
                return "has left the key set"
            case "revoked" if was_elsewhere(self.ring, key):
                return "has left the key set"
        return "has left the key set, its private half is destroyed"


def was_elsewhere(ring: Ring, key: KeyRecord) -> bool:
    """Whether another program signed with a key, in the ring as it was before."""
    return any(old.kid == key.kid and old.signs_elsewhere for old in ring.records)


def _has_ring(store: KeyStore) -> bool:
    try:
        store.ring()
    except KeysUnavailable as error:
        if error.code != "keys_missing":
            raise
        return False
    return True
