"""What the two recorders share: the command, the Grafana, and the file that is written."""

from __future__ import annotations

import argparse
import json
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from embedjwt.demo.real_grafana import grafana_version, running_grafana
from embedjwt.demo.servers import free_port
from embedjwt.grafana.versions import Version

_DATA = Path(__file__).parents[1] / "data"
_AUTHN = "[feature_toggles]\nenable = authnService\n"
"""How all releases after 10.0 find out who somebody is."""


@dataclass(frozen=True)
class Installed:
    """A Grafana in a directory."""

    home: Path
    version: Version

    @contextmanager
    def running(self, sections: str, directory: Path) -> Iterator[str]:
        """Its URL while it runs with these settings; ``DemoFailed`` where it does not start."""
        url = f"http://localhost:{free_port()}"
        with running_grafana(
            self.home,
            version=self.version,
            url=url,
            printed=sections + _AUTHN,
            directory=directory,
            stop=threading.Event(),
        ):
            yield url


def main(
    kind: str, everything: Sequence[Any], record: Callable[[Installed, Any, int], Any], **more: Any
) -> None:
    """Records everything in ``tests/data/grafana-<version>-<kind>.json``, with ``more`` beside it.

    ``record`` gets the Grafana, one of ``everything``, and its place.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True, help="the directory of a Grafana")
    home = parser.parse_args().home
    grafana = Installed(home, grafana_version(home))
    version = ".".join(map(str, grafana.version))
    recorded = []
    for place, settings in enumerate(everything):
        click.echo(settings.name)
        recorded.append(record(grafana, settings, place))
    told = {"version": version, **more, "settings": recorded}
    file = _DATA / f"grafana-{version}-{kind}.json"
    file.write_text(json.dumps(told, indent=1) + "\n")
