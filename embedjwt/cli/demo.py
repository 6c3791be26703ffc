"""``embedjwt demo``: see it work in a browser, on this machine alone."""

from __future__ import annotations

from pathlib import Path

import click

from embedjwt.cli.common import json_option, print_json, refusals_shown


@click.command()
@click.option(
    "--port",
    type=click.IntRange(0, 65533),
    default=8080,
    show_default=True,
    help="The host app's; the next two are the service's and the stand-in's.",
)
@click.option("--grafana-url", metavar="URL", help="Frame this Grafana, not the stand-in.")
@click.option(
    "--grafana-home",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    help="Start the Grafana that is installed in this directory.",
)
@click.option("--config", hidden=True, help="Of no effect: the demo brings its own.")
@json_option
@refusals_shown
def command(
    *,
    port: int,
    grafana_url: str | None,
    grafana_home: Path | None,
    config: str | None,
    as_json: bool,
) -> None:
    """Start a host app, the service and a stand-in Grafana, and say where to look."""
    from embedjwt.demo import run_demo

    if grafana_url and grafana_home:
        raise click.UsageError("--grafana-url and --grafana-home exclude each other")
    run_demo(
        port=port,
        grafana_url=grafana_url,
        grafana_home=grafana_home,
        ready=(lambda urls: print_json(urls.as_json())) if as_json else None,
    )
