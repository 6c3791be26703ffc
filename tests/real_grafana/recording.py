"""What the two recorders share: the command, and the file that it writes."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click

from embedjwt.demo.real_grafana import grafana_version

_DATA = Path(__file__).parents[1] / "data"


def main(
    kind: str, everything: Sequence[Any], record: Callable[[Path, Any, int], Any], **more: Any
) -> None:
    """Records everything in ``tests/data/grafana-<version>-<kind>.json``, with ``more`` beside it.

    ``record`` gets the directory of a Grafana, one of ``everything``, and its place.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("--home", type=Path, required=True, help="the directory of a Grafana")
    home = parser.parse_args().home
    version = ".".join(map(str, grafana_version(home)))
    recorded = []
    for place, settings in enumerate(everything):
        click.echo(settings.name)
        recorded.append(record(home, settings, place))
    told = {"version": version, **more, "settings": recorded}
    file = _DATA / f"grafana-{version}-{kind}.json"
    file.write_text(json.dumps(told, indent=1) + "\n")
