"""``embedjwt grafana-config``: the sections to paste into Grafana's configuration."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from embedjwt.cli.common import (
    config_option,
    grafana_option,
    json_option,
    print_json,
    refusals_shown,
    settings_and_target,
    warn,
)
from embedjwt.config import Settings
from embedjwt.errors import KeysUnavailable, RequestRefused
from embedjwt.grafana.versions import LATEST, parse_version


class Version(click.ParamType[tuple[int, int]]):
    """A Grafana version such as ``12.1`` or ``12.1.3``."""

    name = "X.Y"

    def convert(
        self,
        value: str | tuple[int, int],
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> tuple[int, int]:
        if isinstance(value, tuple):
            return value
        try:
            return parse_version(value)
        except RequestRefused as error:
            self.fail(error.detail, param, ctx)


version_option = click.option(
    "--grafana-version",
    type=Version(),
    default="{}.{}".format(*LATEST),
    show_default=True,
    help="The Grafana that will read it.",
)


@click.command()
@config_option
@grafana_option
@click.option(
    "--format", "style", type=click.Choice(["ini", "env", "helm"]), default="ini", show_default=True
)
@version_option
@click.option(
    "--jwks-file", metavar="PATH", help="Let Grafana read jwks.json from this path, not the URL."
)
@json_option
@refusals_shown
def command(
    *,
    config: Path | None,
    grafana: str | None,
    style: Literal["ini", "env", "helm"],
    grafana_version: tuple[int, int],
    jwks_file: str | None,
    as_json: bool,
) -> None:
    """Print exactly the [auth.jwt], [security] and [users] settings Grafana needs."""
    from embedjwt.grafana.settings import grafana_config

    settings, target = settings_and_target(config, grafana)
    printed = grafana_config(
        settings,
        target,
        version=grafana_version,
        format=style,
        jwks_file=None if jwks_file is None else Path(jwks_file),
        revocations=_revocations(settings),
    )
    if as_json:
        losses = [{"field": field, "detail": detail} for field, detail in printed.losses]
        print_json({"text": printed.text, "losses": losses, "warnings": list(printed.warnings)})
        return
    click.echo(printed.text, nl=not printed.text.endswith("\n"))
    for _, loss in printed.losses:
        warn(loss)
    for warning in printed.warnings:
        warn(warning)


def _revocations(settings: Settings) -> int:
    """How many keys were ever revoked; a set-up without keys yet has none."""
    from embedjwt.keys.build import key_store

    try:
        return key_store(settings).ring().revocations
    except KeysUnavailable as error:
        if error.code != "keys_missing":
            warn(f"the keys cannot be read, so jwk_set_url lacks ?v=… after a revocation: {error}")
        return 0
