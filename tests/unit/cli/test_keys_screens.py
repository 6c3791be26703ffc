"""What ``embedjwt keys list`` and ``plan`` show, on terminals of every width and to programs."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import termios
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import time_machine
from click import unstyle
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from embedjwt.cli import cli
from embedjwt.cli.keys.names import abridged, names, printable, shortened
from embedjwt.cli.keys.timeline import bars
from embedjwt.keys import KeyRecord
from embedjwt.keys.directory import DirectoryKeyStore
from embedjwt.keys.ring import Ring
from embedjwt.keys.timing import Timing

Run = Callable[..., Result]
OnTerminal = Callable[..., list[str]]
Travel = time_machine.Traveller

START = 1_800_000_000
DAY = 86400
KNOWN_EVERYWHERE = 4080
TIMING = Timing(DAY, 3600, 300, 120)
FAR = 10**18  # seconds; beyond the years that Python knows
LONG_REASON = "the laptop of the person on call was stolen from a train to Hamburg; " * 3 + "gone"


@pytest.fixture
def run(run: Run, clock: Travel) -> Run:
    """Runs a command in a directory with a configuration and first keys."""
    run("init")
    return run


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_terminal(run: Run, monkeypatch: pytest.MonkeyPatch) -> OnTerminal:
    """The lines that a command shows on a terminal; the first one names the place of the keys."""

    def show(columns: int, *arguments: str) -> list[str]:
        screen = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stdout", screen)
            patch.setenv("COLUMNS", str(columns))
            cli.main(list(arguments), standalone_mode=False)
        return unstyle(screen.getvalue()).splitlines()

    return show


def keys(run: Run) -> list[dict[str, Any]]:
    return list(json.loads(run("keys", "list", "--json").stdout)["keys"])


def edit_ring(tmp_path: Path, index: int, **members: Any) -> None:
    file = tmp_path / "jwks" / "ring.json"
    ring = json.loads(file.read_text())
    ring["keys"][index] |= members
    file.write_text(json.dumps(ring))


def set_keys(tmp_path: Path, *lines: str) -> None:
    file = tmp_path / "embedjwt.toml"
    file.write_text(file.read_text().replace("[keys]\n", "\n".join(["[keys]", *lines, ""]), 1))


def import_foreign(run: Run, tmp_path: Path, kid: str = "minter") -> None:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    (tmp_path / "minter.pub").write_bytes(
        public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    )
    options = ("--retiring", "--signs-for", "14d")
    run("keys", "import", "minter.pub", "--kid", kid, *options)


class TestWidth:
    @pytest.mark.parametrize("columns", [72, 80, 100, 120, 160])
    @pytest.mark.parametrize("rotate_every", ["30d", "0s"])
    def test_nothing_is_wider_than_the_terminal(
        self, run: Run, on_terminal: OnTerminal, tmp_path: Path, columns: int, rotate_every: str
    ) -> None:
        set_keys(tmp_path, f'rotate_every = "{rotate_every}"')
        import_foreign(run, tmp_path, kid="https://minter.example.com/" + "k" * 200)
        for command in (("keys", "list"), ("keys", "plan")):
            lines = on_terminal(columns, *command)
            assert max(map(len, lines[1:])) <= columns, lines

    def test_80_columns_have_room_for_the_times_that_matter(self, on_terminal: OnTerminal) -> None:
        heading, header, active, *_ = on_terminal(80, "keys", "list")
        assert "(ES256)" in heading
        assert " ".join(header.split()) == "kid state may sign from signs until leaves at"
        assert "2027-02-14 08:00  2027-02-14 09:03" in active

    def test_a_wide_terminal_shows_everything(self, run: Run, on_terminal: OnTerminal) -> None:
        header, active = on_terminal(160, "keys", "list")[1:3]
        assert "alg" in header
        assert "published" in header
        assert keys(run)[0]["kid"] in active

    def test_a_real_terminal(self, run: Run, tmp_path: Path) -> None:
        ours, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, (24, 80))
        environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
        script = (
            "import sys; sys.__stdout__ = sys.stdout; from embedjwt.cli import cli; "
            "cli(['keys', 'list'])"
        )
        subprocess.run(
            [sys.executable, "-c", script],
            check=True,
            cwd=tmp_path,
            stdout=theirs,
            env=environment,
        )
        shown = unstyle(os.read(ours, 65536).decode()).splitlines()
        os.close(theirs)
        os.close(ours)
        assert max(map(len, shown[1:])) <= 80
        assert "signs until" in shown[1]

    def test_help_is_cut_nowhere(self) -> None:
        result = CliRunner().invoke(cli, ["keys", "--help"], terminal_width=80)
        commands = result.stdout.split("Commands:\n")[1].splitlines()
        assert all(line.endswith(".") and not line.endswith("...") for line in commands)
        assert len(commands) == 8, "each in one line"


class TestTextsFromTheRing:
    def test_a_reason_stands_below_the_table(
        self, run: Run, on_terminal: OnTerminal, clock: Travel
    ) -> None:
        clock.shift(KNOWN_EVERYWHERE)
        kid = str(keys(run)[0]["kid"])
        run("keys", "revoke", kid, "--reason", LONG_REASON, "--yes")
        whole = f"  {kid[:12]}  2027-01-15 09:08  revoked: {LONG_REASON}"
        assert whole in run("keys", "list").stdout.splitlines()
        shown = on_terminal(80, "keys", "list")
        assert f"{whole[:79]}…" in shown
        assert max(map(len, shown[1:])) <= 80
        assert next(line for line in shown if line.startswith(f"  {kid[:12]}  revoked  "))

    @pytest.mark.parametrize(
        ("reason", "shown"),
        [
            ("\x1b[2J", "\\x1b[2J"),
            ("a\nb", "a\\nb"),
            ("\u202eabc", "\\u202eabc"),
            ("Zug verspätet ✓", "Zug verspätet ✓"),
        ],
    )
    def test_steer_no_terminal(
        self, run: Run, monkeypatch: pytest.MonkeyPatch, reason: str, shown: str
    ) -> None:
        gone = replace(key("revoked", 0, 0, 60, 60), revoked_at=60, reason=reason, alg=reason)
        ring = Ring((gone, replace(gone, kid=reason)))
        monkeypatch.setattr(DirectoryKeyStore, "ring", lambda _: ring)
        told = run("keys", "list").stdout
        assert told.count(f"revoked: {shown}\n") == 2
        assert f"\n  {shown} " in told
        assert all(line.isprintable() for line in told.split("\n"))

    def test_names(self) -> None:
        assert names(
            replace(key("next", 0, 0, None, None), kid=kid)
            for kid in ("a" * 13 + "1", "a" * 13 + "2", "b\x1b" * 9)
        ) == {
            "a" * 13 + "1": "a" * 13 + "1",
            "a" * 13 + "2": "a" * 13 + "2",
            "b\x1b" * 9: "b\\x1b" * 7,
        }

    def test_fitting(self) -> None:
        assert shortened("reason", 6) == shortened("reason", None) == "reason"
        assert shortened("reason", 5) == "reas…"
        assert abridged("abcdefghi", 9) == "abcdefghi"
        assert abridged("abcdefghi", 6) == "ab…ghi"
        assert printable("\ud800\x7f\t") == "\\ud800\\x7f\\t"


class TestWhatIsTold:
    def test_how_a_revocation_would_be_felt(self, run: Run, clock: Travel, tmp_path: Path) -> None:
        told = run("keys", "list").stdout
        assert "No next key is known everywhere before 2027-01-15 09:08 UTC" in told
        clock.shift(KNOWN_EVERYWHERE)
        assert "after a revocation new tokens work at once" in run("keys", "list").stdout
        edit_ring(tmp_path, 1, state="removed", activates_at=None, removes_at=START + 60)
        assert "There is no next key: after a revocation panels fail for up to 1 h 8 min" in (
            run("keys", "list").stdout
        )

    def test_a_planned_handover_is_not_taken_for_the_time_from_which_a_key_may_sign(
        self, run: Run
    ) -> None:
        listed = json.loads(run("keys", "list", "--json").stdout)
        assert listed["rotate_from"] == START + KNOWN_EVERYWHERE
        assert listed["keys"][1]["activates_at"] == START + 30 * DAY
        waiting = run("keys", "list").stdout.splitlines()[3]
        assert "next    2027-01-15 08:00  2027-01-15 09:08  2027-03-16 08:00" in waiting

    @pytest.mark.parametrize("command", ["list", "plan"])
    def test_concerns_of_the_store(self, run: Run, tmp_path: Path, command: str) -> None:
        assert json.loads(run("keys", command, "--json").stdout)["warnings"] == []
        (tmp_path / "jwks" / "moved").write_text("")
        assert "have moved" in run("keys", command).stderr
        [warning] = json.loads(run("keys", command, "--json").stdout)["warnings"]
        assert "have moved" in warning

    def test_a_key_that_another_program_signs_with(self, run: Run, tmp_path: Path) -> None:
        assert "another program" not in run("keys", "list").stdout
        import_foreign(run, tmp_path)
        shown = run("keys", "list").stdout
        row, bar = (line for line in shown.splitlines() if line.startswith("  minter "))
        assert "retiring" in row
        assert row.endswith("2027-01-15 08:00  2027-01-29 08:00  2027-01-29 09:03")
        assert "▚" in bar
        assert "█" not in bar
        assert "▚ another program signs" in shown
        planned = run("keys", "plan").stdout
        assert "2027-01-29 08:00  minter        ES256  must sign no more elsewhere" in planned
        assert "2027-01-29 09:03  minter        ES256  leaves the key set" in planned

    def test_far_futures(self, run: Run, tmp_path: Path) -> None:
        set_keys(tmp_path, "rotate_every = 0")
        import_foreign(run, tmp_path)
        edit_ring(tmp_path, 2, removes_at=10**400)
        assert run("keys", "list").stdout.count("in a far future") >= 3


class TestPlan:
    def test_without_steps_there_is_no_table(self, run: Run) -> None:
        assert run("keys", "plan", "--for", "1h").stdout == (
            "  nothing will happen by itself in that time\n"
        )

    def test_a_forecast_that_ends_early_says_so(self, run: Run, tmp_path: Path) -> None:
        assert json.loads(run("keys", "plan", "--json").stdout)["truncated"] is False
        assert "only the first" not in run("keys", "plan").stdout
        set_keys(tmp_path, 'rotate_every = "2h"')
        plan = json.loads(run("keys", "plan", "--for", "5y", "--json").stdout)
        assert plan["truncated"] is True
        told = run("keys", "plan", "--for", "5y").stdout
        assert f"only the first {len(plan['steps'])} steps" in told

    @pytest.mark.parametrize("span", ["101y", "36501d", "9" * 5000 + "d"])
    def test_a_century_is_enough(self, run: Run, span: str) -> None:
        assert "--for" in run("keys", "plan", "--for", span, status=2).stderr

    def test_a_century(self, run: Run, tmp_path: Path) -> None:
        set_keys(tmp_path, 'rotate_every = "3650d"')
        plan = json.loads(run("keys", "plan", "--for", "100y", "--json").stdout)
        assert plan["truncated"] is False
        assert len([step for step in plan["steps"] if step["action"] == "activate"]) == 9


def key(
    state: Any,
    published: int,
    signs: int | None,
    until: int | None,
    leaves: int | None,
    *,
    imported: bool = False,
) -> KeyRecord:
    times = (published, signs, until, leaves)
    return KeyRecord("k", "ES256", state, *times, {}, imported=imported)


def drawn(*keys: tuple[str, KeyRecord], now: int = 0, width: int | None = None) -> list[str]:
    return [unstyle(line) for line in bars(keys, now, TIMING, width=width)]


class TestBars:
    @pytest.mark.parametrize(
        ("record", "shades"),
        [
            (key("next", 0, KNOWN_EVERYWHERE, None, None), "░▒"),
            (key("next", 0, None, None, 2 * DAY), "░▒"),
            (key("next", 0, KNOWN_EVERYWHERE, None, 2 * DAY), "░▒"),
            (key("next", 0, DAY, 2 * DAY, 3 * DAY), "░▒█─"),
            (key("active", 0, 0, None, None), "█"),
            (key("retiring", 0, 0, DAY, 2 * DAY), "█─"),
            (key("retiring", 0, 0, 0, 2 * DAY, imported=True), "▚─"),
            (key("revoked", 0, None, None, DAY), "░▒"),
        ],
    )
    def test_shades(self, record: KeyRecord, shades: str) -> None:
        bar = drawn(("k", record))[1][3:]
        assert "".join(dict.fromkeys(bar)) == shades

    def test_without_an_end_a_bar_goes_on_to_the_edge(self) -> None:
        waits = drawn(("k", key("next", 0, KNOWN_EVERYWHERE, None, None)))[1]
        assert len(waits) == 3 + 60

    def test_the_legend_explains_what_is_drawn(self) -> None:
        assert drawn(("k", key("active", 0, 0, None, None)))[-1] == "   █ signs"

    def test_the_legend_wraps(self) -> None:
        lines = drawn(("k", key("next", 0, DAY, 2 * DAY, 3 * DAY)), width=40)
        assert [line.strip() for line in lines[2:]] == [
            "░ not yet known everywhere",
            "▒ may sign   █ signs",
            "─ published for its last tokens",
        ]
        assert max(map(len, lines)) <= 40

    @pytest.mark.parametrize("end", [FAR, 10**400])
    def test_a_far_future(self, end: int) -> None:
        axis, bar, *_ = drawn(("k", key("active", 0, 0, end, end)))
        assert axis.endswith("in a far future")
        assert bar.startswith("k  ███")


def test_the_bars() -> None:
    timing = Timing(86400, 3600, 300, 120)
    day = 86400

    lines = [
        unstyle(line)
        for line in bars(
            [
                ("old", key("retiring", 0, 0, day, day + day // 2)),
                ("now", key("active", 0, day, 2 * day, 2 * day + 3780)),
                ("new", key("next", day, 2 * day, 3 * day, None)),
            ],
            int(1.2 * day),
            timing,
        )
    ]
    assert "now" in lines[0]
    bar = {line.split()[0]: line[5:] for line in lines[1:4]}
    assert bar["old"].strip("█─") == ""
    assert bar["old"].index("─") == bar["old"].count("█")
    assert bar["now"][0] == "░"
    assert bar["now"].index("█") == pytest.approx(bar["old"].index("─"), abs=1)
    assert bar["new"].startswith(" " * (bar["now"].index("█") - 1))
    assert bar["new"][-1] == "─", "without an end it goes on to the edge"
