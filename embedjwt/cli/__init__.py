"""The command line: each command in its own module, imported only when it runs."""

from __future__ import annotations

import importlib
import os
from typing import Any

import click

from embedjwt import __version__

_COMMANDS = {
    "init": "write a configuration and the first keys",
    "serve": "run the service",
    "demo": "see it work in a browser, on this machine alone",
    "check": "validate the configuration and keys without starting",
    "keys": "list, rotate, revoke, import and export signing keys",
    "explain": "what Grafana will see of a person, and why",
    "verify": "what Grafana would do with a token, step by step",
    "grafana-config": "print the sections to paste into grafana.ini",
    "gateway-config": "print the configuration of the proxy in front of Grafana",
    "token": "issue the token a person with given claims would get",
}


class _LazyGroup(click.Group):
    """Loads a command's module only when it is called, so that ``--help`` stays fast."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"embedjwt.cli.{cmd_name.replace('-', '_')}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(_COMMANDS.items()))


@click.group(
    cls=_LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="embedjwt")
@click.option("--config", type=click.Path(dir_okay=False), hidden=True, help="For every command.")
def cli(config: str | None) -> None:
    """Turns the SSO session a person already has into a short-lived JWT that Grafana accepts.

    \b
    New here?      embedjwt demo
    Setting up?    embedjwt init, then embedjwt check, then embedjwt serve
    """
    if config is not None:
        from embedjwt.config.environment import CONFIG_FILE

        os.environ[CONFIG_FILE] = config


def main(**options: Any) -> None:
    """The console script. Exit status: 0 fine, 1 refused or failed, 2 wrong usage."""
    cli(**options)
