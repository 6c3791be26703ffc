"""``embedjwt explain``: what Grafana will see of a person, and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import click

from embedjwt.cli.common import (
    config_option,
    grafana_option,
    heading,
    json_option,
    pairs,
    print_json,
    read_claims,
    read_json,
    refusals_shown,
    settings_and_target,
    source_option,
    source_or_first,
    tick,
    ticks,
    usage_error,
)
from embedjwt.identity import Documents, VerifiedClaims


@click.command()
@config_option
@grafana_option
@source_option
@click.option("--id-token", metavar="FILE", help="The ID token's claims, as JSON ('-': stdin).")
@click.option("--userinfo", metavar="FILE", help="The UserInfo answer, as JSON.")
@click.option("--access-token", metavar="FILE", help="The access token's claims, as JSON.")
@click.option("--emails", metavar="FILE", help="What {api_url}/emails answers, as JSON.")
@click.option("--teams", metavar="FILE", help="What teams_url, or {api_url}/teams, answers.")
@click.option("--orgs", metavar="FILE", help="What {api_url}/orgs answers.")
@click.option("--cases", metavar="FILE", help="A file of mapping tests, as JSON.")
@json_option
@refusals_shown
def command(
    *,
    config: Path | None,
    grafana: str | None,
    source_name: str | None,
    id_token: str | None,
    userinfo: str | None,
    access_token: str | None,
    emails: str | None,
    teams: str | None,
    orgs: str | None,
    cases: str | None,
    as_json: bool,
) -> None:
    """What Grafana will see of a person with these claims, and where each value came from.

    With --cases, a file of mapping tests runs instead: a list of objects with "name", "settings",
    "id_token", "userinfo", "access_token", "emails", "teams", "orgs", "source" and "expect".
    Exit status 1: refused, or a case failed.
    """
    from embedjwt.explain import explain, run_cases

    settings, target = settings_and_target(config, grafana)
    source = source_or_first(settings, source_name)
    if cases is not None:
        if id_token or userinfo or access_token:
            usage_error("--cases brings its own claims; leave the other files out")
        listed = read_json(cases)
        if not isinstance(listed, list) or not listed:
            usage_error(f"{cases} must hold a JSON list of cases, at least one")
        report = run_cases(settings, target, listed, source).as_json()
        print_json(report) if as_json else _show_cases(report, listed)
        sys.exit(1 if report["failed"] else 0)
    if not (id_token or userinfo or access_token):
        usage_error("name at least one of --id-token, --userinfo, --access-token, or --cases")
    # The person at the terminal vouches for the claims; no token of anybody's is signed here.
    documents = Documents(
        id_token=_vouched(id_token),
        userinfo=_vouched(userinfo),
        access_token=_vouched(access_token),
    )
    files = {"emails": emails, "teams": teams, "orgs": orgs}
    answers = {name: read_json(file) for name, file in files.items() if file is not None}
    try:
        answer = explain(settings, documents, target, source, answers).as_json()
    except ValueError as error:
        usage_error(f"an answer of the API cannot be read: {error}")
    print_json(answer) if as_json else _show(answer)
    sys.exit(0 if answer["admitted"] else 1)


def _vouched(file: str | None) -> VerifiedClaims | None:
    claims = read_claims(file)
    return None if claims is None else VerifiedClaims(claims)


def _show(answer: dict[str, Any]) -> None:
    if answer["admitted"]:
        tick(True, "admitted")
    else:
        tick(False, f"refused: {answer['denied']}", answer.get("hint") or "")
    heading("\nIdentity")
    pairs([(name, _text(value)) for name, value in answer["identity"].items()])
    heading("\nToken claims")
    pairs([(name, _text(value)) for name, value in answer["claims"].items()] or [("–", "")])
    heading("\nHow each value was found")
    ticks([_trace_row(step) for step in answer["trace"]])


def _trace_row(step: dict[str, Any]) -> tuple[bool | None, str, str]:
    found = step["error"] or _text(step["value"])
    place = " · ".join(part for part in (step["document"], step["expression"]) if part)
    ok = False if step["error"] else (True if step["value"] else None)
    return ok, f"{step['attribute']:<11} {found}", place


def _show_cases(report: dict[str, Any], listed: list[Any]) -> None:
    for case, told in zip(report["cases"], listed, strict=True):
        tick(case["ok"], case["name"])
        for note in case["got"].get("notes", []):
            click.echo(f"      note: {note}")
        if case["ok"]:
            continue
        got = case["got"]
        if "error" in got:
            click.echo(f"      {got['error']}")
            continue
        for field, expected in told["expect"].items():
            if got[field] != expected:
                click.echo(f"      {field}: expected {_text(expected)}, got {_text(got[field])}")
    click.echo(f"\n{report['passed']} passed, {report['failed']} failed")


def _text(value: Any) -> str:
    if value in ("", None, [], {}):
        return "–"
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
