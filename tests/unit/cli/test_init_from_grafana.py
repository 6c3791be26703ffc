"""``embedjwt init --from-grafana``: all files or none, nothing over another, no secret shown."""

from __future__ import annotations

import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click import unstyle
from click.testing import CliRunner, Result

from embedjwt.cli import cli
from tests_support import ROOT

Run = Callable[..., Result]

FILES = ROOT / "tests/data/grafana-ini"
READY = ("generic", "auth0", "bitbucket", "centrify", "onelogin", "github", "gitlab", "google",
         "azuread", "okta", "several")  # fmt: skip


def ini(name: str) -> str:
    return str(FILES / f"{name}.ini")


def carry_over(run: Run, name: str) -> dict[str, Any]:
    result = run("init", "new", "--from-grafana", ini(name), "--json")
    loaded: dict[str, Any] = json.loads(result.stdout)
    return loaded


def files(directory: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in directory.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", READY)
def test_check_passes_at_once(run: Run, name: str) -> None:
    answer = carry_over(run, name)
    assert [todo for todo in answer["todo"] if todo["blocks"]] == []
    assert json.loads(run("check", "--config", "new/embedjwt.toml", "--json").stdout)["ok"] is True


def test_files_are_for_their_owner_alone(run: Run, tmp_path: Path) -> None:
    carry_over(run, "auth0")
    directory = tmp_path / "new"
    assert sorted(path.name for path in directory.iterdir()) == [
        "client-secret",
        "embedjwt.toml",
        "jwks",
    ]
    for name in ("client-secret", "embedjwt.toml"):
        assert stat.S_IMODE((directory / name).stat().st_mode) == 0o600
    assert (directory / "client-secret").read_text() == "s3cret-of-auth0\n"


def test_for_machines(run: Run) -> None:
    answer = carry_over(run, "auth0")
    assert answer.keys() == {"config", "jwks", "carried", "not_carried", "todo"}
    carried = {one["from"]: one for one in answer["carried"] if one["to"] != "[[source]] issuer"}
    assert carried["[auth.generic_oauth] client_id"] == {
        "from": "[auth.generic_oauth] client_id",
        "to": "[[source]] client_id",
        "value": "7hAq2xKs9dLm4vBn",
    }
    assert carried["[auth.generic_oauth] client_secret"] == {
        "from": "[auth.generic_oauth] client_secret",
        "to": "[[source]] client_secret_file",
        "value": None,
    }
    assert {todo["key"] for todo in answer["todo"]} == {"issuer", "source.0", "web.allowed_origins"}


@pytest.mark.parametrize("extra", [(), ("--json",)])
@pytest.mark.parametrize("name", [file.stem for file in sorted(FILES.glob("*.ini"))])
def test_no_secret_is_shown(run: Run, name: str, extra: tuple[str, ...]) -> None:
    result = run("init", "new", "--from-grafana", ini(name), *extra)
    for secret in ("s3cret", "YOUR_APP_CLIENT_SECRET", "hunter2"):
        assert secret not in result.output


def test_the_screen(run: Run, tmp_path: Path) -> None:
    run("init", "there", "--from-grafana", ini("github"))
    shown = CliRunner().invoke(
        cli, ["init", "new", "--from-grafana", ini("keycloak-everything")], color=True
    )
    assert "\x1b[36m[auth.generic_oauth]\x1b[0m" in shown.stdout
    lines = unstyle(shown.stdout).splitlines()
    assert max(len(line) for line in lines if str(tmp_path) not in line) <= 80
    order = ["Carried over", "Not carried over, or not quite", "Fill in first", "Look at", "Next"]
    assert [line for line in lines if line in order] == order
    text = unstyle(shown.stdout)
    assert "role_attribute_path        → mapping" in text
    assert "client_secret              → source client_secret_file" in text
    assert "✗ grafana.0.orgs.Operations" in text
    assert "embedjwt explain --cases" in text


def test_a_terminal_is_not_steered(run: Run, tmp_path: Path) -> None:
    text = Path(ini("generic")).read_text().replace("name = OAuth", "name = a\x1b[2Jb\u202ec")
    (tmp_path / "g.ini").write_text(text)
    shown = run("init", "new", "--from-grafana", "g.ini").stdout
    assert "\x1b[2J" not in shown
    assert "\u202e" not in shown
    assert "\u202e" not in (tmp_path / "new/embedjwt.toml").read_text()


def test_check_names_what_is_to_be_filled_in(run: Run, tmp_path: Path) -> None:
    text = Path(ini("generic")).read_text().replace("scopes =", "scopes = openid email")
    (tmp_path / "g.ini").write_text(text)
    answer = json.loads(run("init", "new", "--from-grafana", "g.ini", "--json").stdout)
    assert [todo["key"] for todo in answer["todo"] if todo["blocks"]] == ["source.0.issuer"]
    assert "issuer" in run("check", "--config", "new/embedjwt.toml", status=1).stderr
    file = tmp_path / "new/embedjwt.toml"
    file.write_text(file.read_text().replace("# issuer =", "issuer ="))
    run("check", "--config", "new/embedjwt.toml")


def test_whatever_check_refuses_is_to_be_filled_in(run: Run, tmp_path: Path) -> None:
    text = Path(ini("generic")).read_text().replace("icon = signin", "role_attribute_path = a[")
    (tmp_path / "g.ini").write_text(text.replace("https://sso", "http://sso"))
    answer = json.loads(run("init", "new", "--from-grafana", "g.ini", "--json").stdout)
    blocking = {todo["key"] for todo in answer["todo"] if todo["blocks"]}
    checked = json.loads(run("check", "--config", "new/embedjwt.toml", "--json", status=1).stdout)
    keys = {problem["key"] for problem in checked["error"]["problems"]}
    assert keys == blocking
    assert {"mapping.role_attribute_path", "source.0.auth_url", "source.0.api_url"} <= keys


def test_several_files(run: Run, tmp_path: Path) -> None:
    (tmp_path / "env").write_text("GF_AUTH_GENERIC_OAUTH_CLIENT_ID=from-env\n")
    (tmp_path / "more.ini").write_text("[auth.generic_oauth]\nname = More\n")
    files = ("--from-grafana", "env", "--from-grafana", ini("auth0"), "--from-grafana", "more.ini")
    run("init", *files)
    text = (tmp_path / "embedjwt.toml").read_text()
    assert 'client_id = "from-env"' in text
    assert 'name = "More"' in text


@pytest.mark.parametrize("there", ["embedjwt.toml", "client-secret"])
def test_nothing_is_overwritten(run: Run, tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("mine")
    before = files(tmp_path)
    refused = run("init", "--from-grafana", ini("auth0"), "--json", status=1)
    assert json.loads(refused.stdout)["error"]["code"] == "already_initialised"
    assert files(tmp_path) == before


def test_a_link_to_nowhere_is_not_followed(run: Run, tmp_path: Path) -> None:
    (tmp_path / "client-secret").symlink_to(tmp_path / "elsewhere")
    run("init", "--from-grafana", ini("auth0"), status=1)
    assert not (tmp_path / "elsewhere").exists()


def test_without_hard_links(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    test_files_are_for_their_owner_alone(run, tmp_path)
    before = files(tmp_path)
    run("init", "new", "--from-grafana", ini("auth0"), status=1)
    assert files(tmp_path) == before


def test_a_directory_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("in the way")
    run("init", "--config", "new/embedjwt.toml", "--from-grafana", ini("auth0"), status=1)
    assert (tmp_path / "new").read_text() == "in the way"


def test_all_or_nothing(run: Run, tmp_path: Path) -> None:
    (tmp_path / "jwks").write_text("in the way")
    before = files(tmp_path)
    run("init", "--from-grafana", ini("several"), status=1)
    assert files(tmp_path) == before


def test_keys_that_are_there_are_kept(run: Run, tmp_path: Path) -> None:
    run("init")
    (tmp_path / "embedjwt.toml").unlink()
    before = files(tmp_path / "jwks")
    assert "kept" in run("init", "--from-grafana", ini("auth0")).stdout
    assert files(tmp_path / "jwks") == before
    run("check")


def test_the_environment_chooses_the_keys_even_of_an_unfinished_file(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EMBEDJWT_KEYS__ALGORITHM", "EdDSA")
    run("init", "--from-grafana", ini("keycloak-everything"))
    monkeypatch.setenv("EMBEDJWT_GRAFANA__0__ORGS", '{"Operations": 2, "Main Org.": 1}')
    listed = json.loads(run("keys", "list", "--json").stdout)
    assert {key["alg"] for key in listed["keys"]} == {"EdDSA"}


@pytest.mark.parametrize(
    "data",
    [b"[auth.github]\nname = \xff\xfe", b"\x00\x01\x02", b"# " + b"x" * 1024 * 1024],
    ids=["latin", "binary", "huge"],
)
def test_no_ini_at_all(run: Run, tmp_path: Path, data: bytes) -> None:
    (tmp_path / "g.ini").write_bytes(data)
    run("init", "--from-grafana", "g.ini", status=2)
    assert [path.name for path in tmp_path.iterdir()] == ["g.ini"]


def test_a_file_that_is_not_there(run: Run, tmp_path: Path) -> None:
    run("init", "--from-grafana", "nowhere.ini", status=2)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "code"),
    [("[auth.github]\nenabled = false\n", "nothing_to_import"), ("[broken\n", "invalid_ini")],
)
def test_nothing_to_carry_over(run: Run, tmp_path: Path, text: str, code: str) -> None:
    (tmp_path / "g.ini").write_text(text)
    refused = run("init", "--from-grafana", "g.ini", "--json", status=1)
    assert json.loads(refused.stdout)["error"]["code"] == code
    assert [path.name for path in tmp_path.iterdir()] == ["g.ini"]


def test_the_administrator_s_proof(run: Run, tmp_path: Path) -> None:
    carry_over(run, "okta")
    cases = [
        {
            "name": "an administrator",
            "id_token": {"sub": "1", "iat": 1, "email": "ada@example.com"},
            "userinfo": {"sub": "1", "groups": ["Everyone", "Admins"]},
            "expect": {"denied": None, "role": "Admin", "login": "ada@example.com"},
        },
        {
            "name": "a stranger",
            "id_token": {"sub": "2", "iat": 1, "email": "eve@example.com"},
            "userinfo": {"sub": "2", "groups": []},
            "expect": {"denied": "group_not_allowed"},
        },
    ]
    (tmp_path / "cases.json").write_text(json.dumps(cases))
    result = run("explain", "--config", "new/embedjwt.toml", "--cases", "cases.json", "--json")
    assert json.loads(result.stdout)["passed"] == 2
