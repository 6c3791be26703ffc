"""The command line, as a person or a script uses it."""

from __future__ import annotations

import getpass
import json
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jwt
import pytest
import time_machine
from click.testing import Result

Run = Callable[..., Result]

CLAIMS = {"sub": "u1", "email": "jane@example.com", "groups": ["admins"], "name": "Jane"}


@pytest.fixture
def site(run: Run, tmp_path: Path) -> Path:
    """An initialised directory with a mapping and an admission rule."""
    run("init")
    file = tmp_path / "embedjwt.toml"
    text = file.read_text()
    text = text.replace(
        "[mapping]\n",
        '[mapping]\ngroups_attribute_path = "groups"\n'
        "role_attribute_path = \"contains(groups[*], 'admins') && 'Admin' || 'Viewer'\"\n",
    )
    file.write_text(text.replace("[admission]\n", '[admission]\nallowed_domains = "example.com"\n'))
    (tmp_path / "claims.json").write_text(json.dumps(CLAIMS))
    return tmp_path


def result_of(result: Result) -> Any:
    return json.loads(result.stdout)


class TestInit:
    def test_asks_nothing_and_check_passes(self, run: Run, tmp_path: Path) -> None:
        run("init", "there/deep")
        assert (tmp_path / "there/deep/embedjwt.toml").is_file()
        jwks = tmp_path / "there/deep/jwks"
        assert stat.S_IMODE(jwks.stat().st_mode) == 0o700
        pems = list(jwks.glob("*.pem"))
        assert len(pems) == 2
        assert {stat.S_IMODE(pem.stat().st_mode) for pem in pems} == {0o600}
        checked = run("check", "--config", "there/deep/embedjwt.toml", "--json")
        assert result_of(checked)["ok"] is True

    def test_check_tells_who_asks_the_gateway_and_what_is_open(
        self, run: Run, tmp_path: Path
    ) -> None:
        run("init")
        config = tmp_path / "embedjwt.toml"
        text = config.read_text().replace("[gateway]\n", '[gateway]\nproxy = "caddy"\n')
        text = text.replace("[[grafana]]\n", '[[grafana]]\nmode = "gateway"\n')
        text = text.replace("[web]\n", '[web]\ntrusted_proxies = ["192.0.2.7"]\n')
        config.write_text(text)
        told = result_of(run("check", "--json"))["gateway"]
        assert told["gateway default"] == "caddy at 192.0.2.7/32 asks for http://localhost:3000"
        assert "panels for Viewers" in told["gateway rules"]
        rule = '[[gateway.rule]]\nroles = ["Viewer"]\nallow = ["panel"]\ndashboards = ["cpu"]\n'
        config.write_text(text + rule)
        told = result_of(run("check", "--json"))["gateway"]
        assert told["gateway rule 0"] == "roles Viewer: panel, only cpu"
        config.write_text(text.replace("[session]\n", '[session]\nfile = "there/not/state.db"\n'))
        assert "session.file" in run("check", status=1).stderr

    def test_the_ring_says_who_made_it(self, run: Run, tmp_path: Path) -> None:
        run("init")
        maker = json.loads((tmp_path / "jwks/ring.json").read_text())["changed_by"]
        assert maker == f"init ({getpass.getuser()}@{socket.gethostname()})"

    def test_overwrites_nothing(self, run: Run, tmp_path: Path) -> None:
        run("init")
        before = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
        refused = run("init", status=1)
        assert "already set up" in refused.stderr
        assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before

    def test_adds_what_is_missing(self, run: Run, tmp_path: Path) -> None:
        run("init")
        keys = sorted((tmp_path / "jwks").glob("*.pem"))
        (tmp_path / "embedjwt.toml").unlink()
        run("init")
        assert sorted((tmp_path / "jwks").glob("*.pem")) == keys
        run("check")

    def test_json(self, run: Run) -> None:
        assert result_of(run("init", "--json")).keys() == {"config", "jwks"}


class TestCheck:
    def test_every_problem_for_machines(self, run: Run, tmp_path: Path) -> None:
        (tmp_path / "embedjwt.toml").write_text('issuer = "x"\ntokn = 1\n')
        answer = result_of(run("check", "--json", status=1))
        assert answer["ok"] is False
        keys = {problem["key"] for problem in answer["error"]["problems"]}
        assert keys == {"issuer", "tokn", "source", "grafana"}

    def test_config_goes_before_the_command_too(
        self, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EMBEDJWT_CONFIG", "")  # restored after the test
        run("init", "there")
        run("--config", "there/embedjwt.toml", "check")

    def test_a_lost_ring_is_not_replaced(self, run: Run, tmp_path: Path) -> None:
        run("init")
        (tmp_path / "jwks" / "ring.json").unlink()
        assert "backup" in run("check", status=1).stderr
        assert "backup" in run("init", status=1).stderr

    def test_no_file_says_what_to_do(self, run: Run) -> None:
        assert "embedjwt init" in run("check", status=1).stderr

    def test_a_world_readable_key_is_refused(self, run: Run, site: Path) -> None:
        next((site / "jwks").glob("*.pem")).chmod(0o644)
        assert "chmod 600" in run("check", status=1).stderr

    def test_a_waiting_key_that_is_lost_is_found(self, run: Run, site: Path) -> None:
        keys = result_of(run("keys", "list", "--json"))["keys"]
        (kid,) = (key["kid"] for key in keys if key["state"] == "next")
        (site / "jwks" / f"{kid}.pem").unlink()
        shown = run("check", status=1).stderr
        assert "a key that waits cannot be used" in shown
        assert f"embedjwt keys revoke {kid}" in shown

    def test_a_missing_key_file_is_found(self, run: Run, site: Path) -> None:
        file = site / "embedjwt.toml"
        file.write_text(file.read_text().replace('# key_file = "', 'key_file = "'))
        assert "source.0.key_file" in run("check", status=1).stderr

    def test_keys_and_files_are_told_together(self, run: Run, site: Path) -> None:
        next((site / "jwks").glob("*.pem")).chmod(0o644)
        file = site / "embedjwt.toml"
        file.write_text(file.read_text().replace('# key_file = "', 'key_file = "'))
        shown = run("check", status=1).stderr
        assert "chmod 600" in shown
        assert "source.0.key_file" in shown
        answer = result_of(run("check", "--json", status=1))
        assert [error["code"] for error in answer["errors"]] == [
            "keys_exposed",
            "config_invalid",
        ]

    def test_a_key_set_elsewhere_by_environment(
        self, run: Run, site: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("EMBEDJWT_KEYS__DIRECTORY", "elsewhere")
        assert "elsewhere" in run("check", status=1).stderr


class TestConcerns:
    """What is allowed, and has no effect or a risk, is said on standard error."""

    @pytest.mark.parametrize(
        ("table", "line", "says"),
        [
            ("mapping", 'org_mapping = ["a:Nowhere:Editor"]', "'a:Nowhere:Editor'"),
            ("mapping", 'org_mapping = ["a:1:viewer"]', "'a:1:viewer'"),
            ("[grafana]", 'mode = "gateway"', "reverse proxy"),
        ],
    )
    def test_said(self, run: Run, site: Path, table: str, line: str, says: str) -> None:
        file = site / "embedjwt.toml"
        file.write_text(file.read_text().replace(f"[{table}]\n", f"[{table}]\n{line}\n"))
        told = run("check").stderr
        assert says in told

    def test_nothing_to_say(self, run: Run, site: Path) -> None:
        assert run("check").stderr == ""

    def test_a_domain_with_an_at(self, run: Run, site: Path) -> None:
        file = site / "embedjwt.toml"
        file.write_text(file.read_text().replace('"example.com"', '"@example.com"', 1))
        assert "admits nobody" in run("check").stderr

    @time_machine.travel("2100-01-01", tick=False)
    def test_an_overdue_key(self, run: Run, site: Path) -> None:
        assert "should have been replaced on" in run("check").stderr


class TestKeys:
    def test_list(self, run: Run, site: Path) -> None:
        keys = result_of(run("keys", "list", "--json"))["keys"]
        assert [key["state"] for key in keys] == ["active", "next"]
        for key in keys:
            assert key.keys() == {
                "kid",
                "alg",
                "state",
                "published_at",
                "activates_at",
                "retires_at",
                "removes_at",
            }
            assert isinstance(key["published_at"], int)
        shown = run("keys", "list").stdout
        assert keys[0]["kid"] in shown
        assert "active" in shown

    def test_export_is_the_published_set(self, run: Run, site: Path) -> None:
        exported = result_of(run("keys", "export"))
        assert exported == json.loads((site / "jwks" / "jwks.json").read_text())
        assert not any("d" in key for key in exported["keys"])


class TestToken:
    def test_verifies_against_the_export(self, run: Run, site: Path) -> None:
        answer = result_of(run("token", "--claims", "claims.json", "--json"))
        assert answer.keys() == {"token", "expires_in", "claims"}
        keys = jwt.PyJWKSet.from_dict(result_of(run("keys", "export")))
        header = jwt.get_unverified_header(answer["token"])
        claims = jwt.decode(
            answer["token"],
            keys[header["kid"]],
            algorithms=["ES256"],
            audience="http://localhost:3000",
        )
        assert claims == answer["claims"]
        assert claims["role"] == "Admin"
        assert 298 <= answer["expires_in"] <= 300

    def test_from_standard_input(self, run: Run, site: Path) -> None:
        token = run("token", "--claims", "-", stdin=json.dumps(CLAIMS)).stdout.strip()
        assert token.count(".") == 2

    def test_refused_like_any_other(self, run: Run, site: Path) -> None:
        claims = json.dumps({**CLAIMS, "email": "jane@evil.example"})
        answer = result_of(run("token", "--claims", "-", "--json", status=1, stdin=claims))
        assert answer["error"]["code"] == "domain_not_allowed"
        assert "allowed_domains" in answer["error"]["hint"]

    @pytest.mark.parametrize(
        "stdin", ["{", "[]", "5", "[" * 20_000, ""], ids=["cut", "list", "number", "deep", "empty"]
    )
    def test_bad_claims_are_wrong_usage(self, run: Run, site: Path, stdin: str) -> None:
        run("token", "--claims", "-", status=2, stdin=stdin)

    def test_an_unknown_grafana_is_wrong_usage(self, run: Run, site: Path) -> None:
        refused = run("token", "--claims", "claims.json", "--grafana", "x", status=2)
        assert "there are: default" in refused.stderr


class TestExplain:
    def test_json(self, run: Run, site: Path) -> None:
        answer = result_of(run("explain", "--id-token", "claims.json", "--json"))
        assert answer["admitted"] is True
        assert answer["denied"] is None
        assert answer["identity"] == {
            "sub": "u1",
            "login": "jane@example.com",
            "email": "jane@example.com",
            "name": "Jane",
            "role": "Admin",
            "is_grafana_admin": False,
            "groups": ["admins"],
            "orgs": [],
            "org_roles": {"1": "Admin"},
        }
        assert answer["claims"]["role"] == "Admin"
        step = answer["trace"][0]
        assert step.keys() == {"attribute", "document", "expression", "value", "error"}

    def test_refusals_show_code_and_hint(self, run: Run, site: Path) -> None:
        (site / "other.json").write_text('{"email": "jane@evil.example"}')
        shown = run("explain", "--id-token", "other.json", status=1).stdout
        assert "domain_not_allowed" in shown
        assert "allowed_domains" in shown

    def test_cases(self, run: Run, site: Path) -> None:
        good = {"name": "good", "id_token": CLAIMS, "expect": {"role": "Admin"}}
        bad = {"name": "bad", "id_token": CLAIMS, "expect": {"role": "Editor"}}
        (site / "cases.json").write_text(json.dumps([good]))
        assert "1 passed, 0 failed" in run("explain", "--cases", "cases.json").stdout
        (site / "cases.json").write_text(json.dumps([good, bad]))
        shown = run("explain", "--cases", "cases.json", status=1).stdout
        assert "role: expected Editor, got Admin" in shown
        report = result_of(run("explain", "--cases", "cases.json", "--json", status=1))
        assert (report["passed"], report["failed"]) == (1, 1)
        assert [case["ok"] for case in report["cases"]] == [True, False]
        assert report["cases"][1]["got"]["role"] == "Admin"

    @pytest.mark.parametrize(
        "arguments",
        [
            (),
            ("--cases", "claims.json"),
            ("--cases", "none.json"),
            ("--cases", "c.json", "--id-token", "claims.json"),
        ],
        ids=["nothing", "no-list", "no-case", "both"],
    )
    def test_wrong_usage(self, run: Run, site: Path, arguments: tuple[str, ...]) -> None:
        (site / "none.json").write_text("[]")
        run("explain", *arguments, status=2)

    def test_a_token_is_no_claims_file(self, run: Run, site: Path) -> None:
        token = run("token", "--claims", "claims.json").stdout.strip()
        (site / "token.jwt").write_text(token)
        assert "decoded" in run("explain", "--id-token", "token.jwt", status=2).stderr
        refused = run("explain", "--id-token", token, status=2)
        assert "name a file" in refused.stderr
        assert token not in refused.output


class TestGrafana:
    """What is printed for Grafana makes it take our tokens, and only ours."""

    @pytest.fixture
    def ini(self, run: Run, site: Path) -> str:
        (site / "grafana.ini").write_text(run("grafana-config").stdout)
        return "grafana.ini"

    def test_takes_our_token(self, run: Run, site: Path, ini: str) -> None:
        token = run("token", "--claims", "claims.json").stdout.strip()
        jwks = str(site / "jwks/jwks.json")
        verdict = result_of(run("verify", token, "--grafana-ini", ini, "--jwks", jwks, "--json"))
        assert verdict["selected"] is True
        assert verdict["accepted"] is True
        assert verdict["reason"] == "ok"
        assert verdict["login"] == "jane@example.com"
        assert verdict["role"] == "Admin"
        assert verdict["org_roles"] == {"1": "Admin"}

    def test_refuses_it_when_it_has_expired(self, run: Run, site: Path, ini: str) -> None:
        answer = result_of(run("token", "--claims", "claims.json", "--json"))
        arguments = ("--grafana-ini", ini, "--jwks", "jwks/jwks.json")
        late = str(answer["claims"]["exp"] + 61)
        verdict = result_of(
            run("verify", answer["token"], *arguments, "--now", late, "--json", status=1)
        )
        assert verdict["accepted"] is False
        assert verdict["reason"] == "expired"
        shown = run("verify", "-", *arguments, "--now", late, status=1, stdin=answer["token"])
        assert "Refused: expired" in shown.stdout

    @pytest.mark.parametrize("style", ["ini", "env", "helm"])
    def test_formats(self, run: Run, site: Path, style: str) -> None:
        answer = result_of(run("grafana-config", "--format", style, "--json"))
        assert "login" in answer["text"]
        assert answer["losses"] == []

    def test_old_versions_say_what_is_lost(self, run: Run, site: Path) -> None:
        answer = result_of(run("grafana-config", "--grafana-version", "9.1", "--json"))
        assert "role" in {loss["field"] for loss in answer["losses"]}
        assert "role_attribute_path" not in answer["text"]

    @pytest.mark.parametrize("version", ["7.5", "x", "12.x"])
    def test_no_version(self, run: Run, site: Path, version: str) -> None:
        run("grafana-config", "--grafana-version", version, status=2)


def test_help_lists_every_command(run: Run) -> None:
    shown = run("--help").stdout
    for name in ("init", "serve", "demo", "check", "keys", "explain", "verify", "token"):
        assert name in shown
        assert "Usage" in run(name, "--help").stdout


def test_tls_options_go_together(run: Run, site: Path) -> None:
    run("serve", "--tls-cert", "claims.json", status=2)


def test_init_takes_the_environment(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDJWT_KEYS__ALGORITHM", "EdDSA")
    run("init")
    assert {key["alg"] for key in result_of(run("keys", "list", "--json"))["keys"]} == {"EdDSA"}
    monkeypatch.setenv("EMBEDJWT_KEYS__ALGORITHM", "ES256")
    assert "the ring signs with EdDSA" in run("check").stderr


def test_init_takes_a_file_name(run: Run, tmp_path: Path) -> None:
    run("init", "--config", "there/mine.toml")
    assert (tmp_path / "there" / "jwks").is_dir()
    run("check", "--config", "there/mine.toml")


def test_a_token_in_a_url_counts_only_with_url_login(run: Run, site: Path) -> None:
    ini = run("grafana-config").stdout
    token = run("token", "--claims", "claims.json").stdout.strip()
    url = f"http://localhost:3000/d-solo/a/_?panelId=1&auth_token={token}"
    arguments = ("--grafana-ini", "g.ini", "--jwks", "jwks/jwks.json", "--json")
    (site / "g.ini").write_text(ini)
    assert result_of(run("verify", url, *arguments))["accepted"] is True
    (site / "g.ini").write_text(ini.replace("url_login = true", "url_login = false"))
    verdict = result_of(run("verify", url, *arguments, status=1))
    assert (verdict["selected"], verdict["reason"]) == (False, "no_token")
