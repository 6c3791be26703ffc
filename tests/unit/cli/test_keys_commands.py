"""``embedjwt keys``, as an operator uses it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from click.testing import Result
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

Run = Callable[..., Result]
Travel = time_machine.Traveller

KNOWN_EVERYWHERE = 4080  # P 120 + H 300 + V 3600 + S 60
OVERLAP = 3780  # P 120 + 1 h + S 60
START = 1_800_000_000


@pytest.fixture
def run(run: Run, clock: Travel, tmp_path: Path) -> Run:
    """Runs a command in a directory with a configuration and first keys."""
    run("init")
    (tmp_path / "claims.json").write_text('{"sub": "u", "email": "u@example.com"}')
    return run


def listed(run: Run) -> list[dict[str, Any]]:
    return list(json.loads(run("keys", "list", "--json").stdout)["keys"])


def states(run: Run) -> list[str]:
    return [key["state"] for key in listed(run)]


def kid_in(run: Run, state: str) -> str:
    return next(str(key["kid"]) for key in listed(run) if key["state"] == state)


def signer(run: Run) -> str:
    token = json.loads(run("token", "--claims", "claims.json", "--json").stdout)["token"]
    jwks = jwt.PyJWKSet.from_dict(json.loads(run("keys", "export").stdout))
    kid = str(jwt.get_unverified_header(token)["kid"])
    jwt.decode(token, jwks[kid], audience="http://localhost:3000", options={"verify_exp": False})
    return kid


def set_keys(tmp_path: Path, *lines: str) -> None:
    file = tmp_path / "embedjwt.toml"
    file.write_text(file.read_text().replace("[keys]\n", "\n".join(["[keys]", *lines, ""]), 1))


class TestLooking:
    def test_list_shows_a_table_and_a_bar_for_each_key(self, run: Run) -> None:
        shown = run("keys", "list").stdout
        for key in listed(run):
            assert shown.count(key["kid"]) == 1
            assert sum(line.startswith(f"  {key['kid'][:12]} ") for line in shown.splitlines()) == 1
        assert "2027-01-15 08:00" in shown
        assert "2027-02-14 08:00" in shown, "rotates 30 days later"
        assert "█" in shown

    def test_planned_times_are_those_of_automatic_rotation(self, run: Run) -> None:
        active, waiting = listed(run)
        day = 86400
        assert active["retires_at"] == START + 30 * day == waiting["activates_at"]
        assert active["removes_at"] == START + 30 * day + OVERLAP
        assert waiting["retires_at"] == START + 60 * day

    def test_without_automatic_rotation_nothing_is_planned(self, run: Run, tmp_path: Path) -> None:
        set_keys(tmp_path, "rotate_every = 0")
        assert [key["retires_at"] for key in listed(run)] == [None, None]
        assert "rotate_every = 0" in run("keys", "list").stdout
        assert "nothing will happen" in run("keys", "plan").stdout

    def test_plan_looks_years_ahead_and_touches_nothing(self, run: Run, tmp_path: Path) -> None:
        before = {path: path.read_bytes() for path in (tmp_path / "jwks").iterdir()}
        steps = json.loads(run("keys", "plan", "--for", "5y", "--json").stdout)["steps"]
        assert {path: path.read_bytes() for path in (tmp_path / "jwks").iterdir()} == before
        handovers = [step["at"] for step in steps if step["action"] == "activate"]
        assert len(handovers) == 60
        assert handovers == [START + 30 * 86400 * count for count in range(1, 61)]
        prepared = {step["kid"]: step["at"] for step in steps if step["action"] == "prepare"}
        for step in steps:
            if step["action"] == "activate" and step["kid"] in prepared:
                assert step["at"] - prepared[step["kid"]] >= KNOWN_EVERYWHERE
        assert "signs, its predecessor retires" in run("keys", "plan").stdout

    def test_plan_wants_a_span(self, run: Run) -> None:
        assert "2y" in run("keys", "plan", "--for", "soon", status=2).stderr

    def test_a_clock_that_is_behind_is_told(self, run: Run, clock: Travel) -> None:
        clock.shift(-7200)
        assert "2 h behind" in run("keys", "list").stdout
        assert "2 h behind" in run("check").stderr


class TestRotate:
    def test_refused_until_the_next_key_is_known(self, run: Run, clock: Travel) -> None:
        before = listed(run)
        clock.shift(KNOWN_EVERYWHERE - 1)
        refused = run("keys", "rotate", status=1)
        assert "2027-01-15 09:08" in refused.stderr
        assert listed(run) == before
        clock.shift(1)
        run("keys", "rotate")
        assert states(run) == ["retiring", "active", "next"]

    def test_the_next_key_signs_and_the_old_private_half_is_gone(
        self, run: Run, clock: Travel, tmp_path: Path
    ) -> None:
        old, new = (key["kid"] for key in listed(run))
        assert signer(run) == old
        clock.shift(KNOWN_EVERYWHERE)
        told = run("keys", "rotate").stdout
        assert f"{old[:12]}  ES256  retiring" in told
        assert signer(run) == new
        assert not (tmp_path / "jwks" / f"{old}.pem").exists()
        exported = json.loads(run("keys", "export").stdout)["keys"]
        assert old in [key["kid"] for key in exported], "for the tokens it signed"

    def test_a_retired_key_leaves_with_its_last_token(self, run: Run, clock: Travel) -> None:
        old = kid_in(run, "active")
        clock.shift(KNOWN_EVERYWHERE)
        run("keys", "rotate")
        clock.shift(OVERLAP - 1)
        run("keys", "rotate", "--if-due")
        assert old in run("keys", "export").stdout
        clock.shift(1)
        run("keys", "rotate", "--if-due")
        assert old not in run("keys", "export").stdout
        assert states(run)[0] == "removed"

    def test_if_due_follows_the_schedule(self, run: Run, clock: Travel) -> None:
        assert "nothing was due" in run("keys", "rotate", "--if-due").stdout
        clock.shift(30 * 86400 - KNOWN_EVERYWHERE - 60)
        run("keys", "rotate", "--if-due")
        assert states(run) == ["active", "next", "next"], "one more, known by the hand-over"
        clock.shift(KNOWN_EVERYWHERE + 60)
        run("keys", "rotate", "--if-due")
        assert states(run) == ["retiring", "active", "next"]

    def test_another_algorithm(self, run: Run, clock: Travel, tmp_path: Path) -> None:
        set_keys(tmp_path, 'algorithm = "RS256"', "rotate_every = 0")
        assert "RS256" in run("check").stderr
        prepared = run("keys", "rotate", status=1)
        assert "RS256" in prepared.stdout
        assert "was published" in prepared.stderr
        clock.shift(KNOWN_EVERYWHERE)
        run("keys", "rotate")
        algorithms = {key["alg"] for key in json.loads(run("keys", "export").stdout)["keys"]}
        assert algorithms == {"ES256", "RS256"}, "both are published meanwhile"
        assert signer(run) == kid_in(run, "active")
        assert run("check").stderr == ""

    def test_json(self, run: Run, clock: Travel) -> None:
        clock.shift(KNOWN_EVERYWHERE)
        told = json.loads(run("keys", "rotate", "--json").stdout)
        assert [(key["before"], key["state"]) for key in told["changed"]] == [
            ("active", "retiring"),
            ("next", "active"),
            (None, "next"),
        ]
        assert told["jwk_set_url"].endswith("/.well-known/jwks.json")


class TestPrepareAndActivate:
    def test_prepare_adds_a_key_up_to_a_limit(self, run: Run) -> None:
        for _ in range(3):
            run("keys", "prepare")
        assert states(run) == ["active", *["next"] * 4]
        assert "wait already" in run("keys", "prepare", status=1).stderr

    def test_force_says_what_fails_and_for_how_long_and_asks(self, run: Run) -> None:
        before = listed(run)
        asked = run("keys", "activate", "--force", status=2)
        assert "1 h 8 min" in asked.stderr
        assert "--yes" in asked.stderr
        assert listed(run) == before
        run("keys", "activate", "--force", "--yes")
        assert states(run) == ["retiring", "active", "next"]

    def test_without_force_it_is_refused(self, run: Run) -> None:
        refused = run("keys", "activate", status=1)
        assert "--force" in refused.stderr
        assert states(run) == ["active", "next"]

    def test_a_certain_key(self, run: Run, clock: Travel) -> None:
        run("keys", "prepare")
        wanted = listed(run)[2]["kid"]
        clock.shift(KNOWN_EVERYWHERE)
        run("keys", "activate", wanted[:8])
        assert signer(run) == wanted

    @pytest.mark.parametrize("kid", ["nosuchkid", "", "abc"])
    def test_an_unknown_key(self, run: Run, kid: str) -> None:
        assert "no key has the kid" in run("keys", "activate", kid, status=1).stderr


class TestRevoke:
    def test_with_a_ready_key_nobody_notices(self, run: Run, clock: Travel) -> None:
        stolen, ready = (key["kid"] for key in listed(run))
        clock.shift(KNOWN_EVERYWHERE)
        told = run("keys", "revoke", stolen, "--reason", "laptop", "--yes")
        assert "which every Grafana knows" in told.stderr
        assert "login page" not in told.stderr
        assert signer(run) == ready
        assert stolen not in run("keys", "export").stdout
        assert states(run) == ["revoked", "active", "next"]
        assert "revoked: laptop" in run("keys", "list").stdout

    def test_what_remains_and_the_way_to_end_it(self, run: Run, clock: Travel) -> None:
        assert "jwks.json\n" in run("grafana-config").stdout
        clock.shift(KNOWN_EVERYWHERE)
        told = run("keys", "revoke", kid_in(run, "active"), "--reason", "x", "--yes").stdout
        assert "2027-01-15 10:15" in told, "V + H + P from now"
        assert "jwk_set_url = http://localhost:8080/.well-known/jwks.json?v=1" in told
        assert "/.well-known/jwks.json?v=1\n" in run("grafana-config").stdout
        run("keys", "revoke", kid_in(run, "active"), "--reason", "x", "--yes")
        assert "/.well-known/jwks.json?v=2\n" in run("grafana-config").stdout

    def test_without_a_ready_key_it_says_for_how_long_panels_fail(self, run: Run) -> None:
        asked = run("keys", "revoke", kid_in(run, "active"), "--reason", "x", status=2)
        assert "1 h 8 min" in asked.stderr
        assert "login page" in asked.stderr
        assert states(run) == ["active", "next"]

    def test_even_the_only_key(self, run: Run) -> None:
        run("keys", "revoke", kid_in(run, "next"), "--reason", "x", "--yes")
        run("keys", "revoke", kid_in(run, "active"), "--reason", "x", "--yes")
        assert signer(run) == kid_in(run, "active")
        assert states(run).count("revoked") == 2

    def test_a_key_that_waits_is_replaced(self, run: Run) -> None:
        told = run("keys", "revoke", kid_in(run, "next"), "--reason", "x", "--yes")
        assert "nothing will fail" in told.stderr
        assert states(run) == ["active", "revoked", "next"]

    def test_stolen_keys_at_once(self, run: Run, clock: Travel) -> None:
        """Whoever copied the store has the waiting keys too; none of them may take over."""
        run("keys", "prepare")
        clock.shift(KNOWN_EVERYWHERE)
        stolen = [key["kid"] for key in listed(run)]
        told = run("keys", "revoke", *stolen, "--reason", "disk stolen", "--yes")
        assert "1 h 8 min" in told.stderr
        assert signer(run) not in stolen
        assert states(run) == ["revoked", "revoked", "revoked", "active", "next"]
        assert "?v=3" in told.stdout
        assert told.stdout.count("jwk_set_url") == 1

    def test_one_of_two_waiting_keys_takes_over(self, run: Run, clock: Travel) -> None:
        run("keys", "prepare")
        clock.shift(KNOWN_EVERYWHERE)
        active, first, second = (key["kid"] for key in listed(run))
        run("keys", "revoke", first, active, "--reason", "x", "--yes")
        assert signer(run) == second

    @pytest.mark.parametrize("reason", ["", " ", "a\nb", "\x1b]0;x\x07", "x" * 501])
    def test_a_reason_is_a_line_of_text(self, run: Run, reason: str) -> None:
        kid = kid_in(run, "next")
        refused = run("keys", "revoke", kid, "--reason", reason, "--yes", status=1)
        assert "printable" in refused.stderr
        assert states(run) == ["active", "next"]

    def test_a_key_of_another_program(self, run: Run, tmp_path: Path) -> None:
        public = TestImport.KEY.public_key().public_bytes(
            Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
        )
        (tmp_path / "minter.pub").write_bytes(public)
        told = run("keys", "import", "minter.pub", "--kid", "minter", "--retiring")
        assert "published for another program" in told.stdout
        told = run("keys", "revoke", "minter", "--reason", "minter is gone", "--yes")
        assert "another program" in told.stderr
        assert "private half" not in told.stdout
        assert "thief" not in told.stdout

    def test_twice_is_refused(self, run: Run) -> None:
        kid = kid_in(run, "next")
        run("keys", "revoke", kid, "--reason", "x", "--yes")
        assert (
            "revoked already"
            in run("keys", "revoke", kid, "--reason", "x", "--yes", status=1).stderr
        )

    def test_wants_a_reason(self, run: Run) -> None:
        assert "--reason" in run("keys", "revoke", kid_in(run, "next"), status=2).stderr


def pem(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey, passphrase: bytes = b"") -> bytes:
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


class TestImport:
    KEY = ec.generate_private_key(ec.SECP256R1())

    def test_a_minters_key_signs_under_its_old_name(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "minter.pem").write_bytes(pem(self.KEY))
        old = jwt.encode({"sub": "u"}, self.KEY, "ES256", headers={"kid": "my key/1"})
        run("keys", "import", "minter.pem", "--kid", "my key/1", "--yes")
        assert states(run) == ["retiring", "next", "active"]
        assert signer(run) == "my key/1"
        jwks = jwt.PyJWKSet.from_dict(json.loads(run("keys", "export").stdout))
        assert jwt.decode(old, jwks["my key/1"], algorithms=["ES256"]) == {"sub": "u"}

    def test_into_an_empty_store(self, run: Run, tmp_path: Path) -> None:
        for path in (tmp_path / "jwks").iterdir():
            path.unlink()
        (tmp_path / "minter.pem").write_bytes(pem(self.KEY))
        run("keys", "import", "minter.pem", "--yes")
        assert states(run) == ["active", "next"]
        assert signer(run) == kid_in(run, "active")

    def test_a_public_key_retires_while_the_minter_signs(
        self, run: Run, tmp_path: Path, clock: Travel
    ) -> None:
        public = self.KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        (tmp_path / "minter.pub").write_bytes(public)
        run("keys", "import", "minter.pub", "--kid", "m", "--retiring", "--signs-for", "14d")
        assert states(run) == ["active", "next", "retiring"]
        assert listed(run)[2]["removes_at"] == START + 14 * 86400 + OVERLAP
        clock.shift(14 * 86400 + OVERLAP - 1)
        run("keys", "rotate", "--if-due")
        assert '"m"' in run("keys", "export").stdout
        clock.shift(1)
        run("keys", "rotate", "--if-due")
        assert '"m"' not in run("keys", "export").stdout

    def test_it_asks_before_embedjwt_signs_with_it(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "minter.pem").write_bytes(pem(self.KEY))
        asked = run("keys", "import", "minter.pem", status=2)
        assert "trusts this key already" in asked.stderr
        assert states(run) == ["active", "next"]

    def test_a_passphrase(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "minter.pem").write_bytes(pem(self.KEY, b"secret words"))
        (tmp_path / "words").write_text("secret words\n")
        (tmp_path / "words").chmod(0o600)
        (tmp_path / "wrong").write_text("others\n")
        (tmp_path / "wrong").chmod(0o600)
        assert "--passphrase-file" in run("keys", "import", "minter.pem", "--yes", status=1).stderr
        wrong = ("keys", "import", "minter.pem", "--passphrase-file", "wrong", "--yes")
        assert "passphrase is wrong" in run(*wrong, status=1).stderr
        run("keys", "import", "minter.pem", "--passphrase-file", "words", "--yes")
        assert states(run)[-1] == "active"

    @pytest.mark.parametrize(
        ("content", "options", "says"),
        [
            (b"", (), "no private key"),
            (b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", (), "damaged"),
            (pem(rsa.generate_private_key(65537, 1024)), (), "1024 bits"),
            (pem(ec.generate_private_key(ec.SECP521R1())), (), "secp521r1"),
            (pem(KEY), ("--alg", "RS256"), "only ES256"),
            (pem(KEY), ("--kid", " "), "printable"),
            (pem(KEY), ("--kid", "a\x00b"), "printable"),
            (pem(KEY), ("--kid", "x" * 256), "255"),
        ],
    )
    def test_refused(
        self, run: Run, tmp_path: Path, content: bytes, options: tuple[str, ...], says: str
    ) -> None:
        (tmp_path / "minter.pem").write_bytes(content)
        before = listed(run)
        refused = run("keys", "import", "minter.pem", *options, "--yes", status=1)
        assert says in refused.stderr
        assert listed(run) == before

    def test_a_key_is_used_once(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "minter.pem").write_bytes(pem(self.KEY))
        run("keys", "import", "minter.pem", "--kid", "one", "--yes")
        run("keys", "revoke", "one", "--reason", "x", "--yes")
        again = run("keys", "import", "minter.pem", "--kid", "two", "--yes", status=1)
        assert "knows this key already" in again.stderr

    def test_an_open_file_is_told(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "minter.pem").write_bytes(pem(self.KEY))
        (tmp_path / "minter.pem").chmod(0o644)
        told = run("keys", "import", "minter.pem", "--yes")
        assert "can be read by others" in told.stderr


class TestMove:
    def with_database(self, tmp_path: Path) -> None:
        file = tmp_path / "embedjwt.toml"
        file.write_text(f'database = "sqlite:///{tmp_path}/state.db"\n' + file.read_text())
        set_keys(tmp_path, 'encryption_keys = ["MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="]')

    def test_a_ring_moves_over_whole(self, run: Run, tmp_path: Path, clock: Travel) -> None:
        clock.shift(KNOWN_EVERYWHERE)
        run("keys", "revoke", kid_in(run, "active"), "--reason", "x", "--yes")
        before, signs = listed(run), signer(run)
        self.with_database(tmp_path)
        assert "embedjwt init" in run("keys", "list", status=1).stderr
        run("keys", "import", "--from-directory", "jwks", "--yes")
        assert listed(run) == before
        assert signer(run) == signs
        assert "?v=1" in run("grafana-config").stdout
        clock.shift(KNOWN_EVERYWHERE)
        run("keys", "rotate")
        assert states(run) == ["revoked", "retiring", "active", "next"]

    def test_the_directory_is_closed_to_changes(self, run: Run, tmp_path: Path) -> None:
        configured = (tmp_path / "embedjwt.toml").read_text()
        self.with_database(tmp_path)
        run("keys", "import", "--from-directory", "jwks", "--yes")
        (tmp_path / "embedjwt.toml").write_text(configured)
        assert len(states(run)) == 2, "it can still be read"
        refused = run("keys", "prepare", status=1)
        assert "have moved to" in refused.stderr
        assert "have moved" in run("check", status=1).stderr

    def test_twice_is_the_same_as_once(self, run: Run, tmp_path: Path) -> None:
        self.with_database(tmp_path)
        run("keys", "import", "--from-directory", "jwks", "--yes")
        (tmp_path / "jwks" / "moved").unlink()  # as if it had been killed before
        run("keys", "import", "--from-directory", "jwks", "--yes")
        assert (tmp_path / "jwks" / "moved").exists()
        assert states(run) == ["active", "next"]

    def test_other_keys_are_kept(self, run: Run, tmp_path: Path) -> None:
        self.with_database(tmp_path)
        assert "import --from-directory" in run("init", status=1).stderr
        (tmp_path / "jwks").rename(tmp_path / "aside")
        run("init")
        (tmp_path / "aside").rename(tmp_path / "jwks")
        before = listed(run)
        refused = run("keys", "import", "--from-directory", "jwks", "--yes", status=1)
        assert "are kept" in refused.stderr
        assert listed(run) == before
        assert not (tmp_path / "jwks" / "moved").exists()

    def test_a_directory_into_itself(self, run: Run) -> None:
        told = run("keys", "import", "--from-directory", "jwks", "--yes", status=2)
        assert "set database" in told.stderr


class TestSchedule:
    @pytest.mark.parametrize("command", [("check",), ("keys", "list"), ("keys", "rotate")])
    def test_one_that_cannot_be_safe_is_refused_with_the_arithmetic(
        self, run: Run, tmp_path: Path, command: tuple[str, ...]
    ) -> None:
        set_keys(tmp_path, 'rotate_every = "1h"')
        refused = run(*command, status=1).stderr
        for term in ("keys.rotate_every", "3600", "300", "120", "4080", "4620"):
            assert term in refused
        (tmp_path / "embedjwt.toml").write_text(
            (tmp_path / "embedjwt.toml").read_text().replace('"1h"', "4620")
        )
        assert run("keys", "list").stdout


def test_a_damaged_ring_is_told_and_kept(run: Run, tmp_path: Path) -> None:
    ring = tmp_path / "jwks" / "ring.json"
    ring.write_text("{")
    for command in (
        ("keys", "list"),
        ("keys", "rotate"),
        ("keys", "prepare"),
        ("keys", "rotate", "--if-due"),
        ("keys", "revoke", "abcd", "--reason", "x", "--yes"),
    ):
        assert "restore it from a backup" in run(*command, status=1).stderr
    assert ring.read_text() == "{"
