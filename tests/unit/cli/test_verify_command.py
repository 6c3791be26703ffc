"""``embedjwt verify``: where the token, the settings and the keys come from, and what it says."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
import trustme
from click.testing import CliRunner, Result
from cryptography.hazmat.primitives.asymmetric import ec

from embedjwt.cli import cli

Run = Callable[..., Result]
Serve = Callable[..., str]

KEY = ec.generate_private_key(ec.SECP256R1())
JWKS = json.dumps(
    {"keys": [{**json.loads(jwt.algorithms.ECAlgorithm.to_jwk(KEY.public_key())), "kid": "k1"}]}
)
CLAIMS = {"iss": "i", "aud": "a", "sub": "u1", "login": "ann", "role": "Editor"}
INI = """\
app_mode = development
[auth.jwt]
enabled = true
header_name = X-JWT-Assertion
url_login = true
{source}
expect_claims = {{"iss": "i", "aud": "a"}}
username_claim = login
role_attribute_path = role
role_attribute_strict = true
[security]
allow_embedding = true
"""


def token(**claims: Any) -> str:
    return jwt.encode(CLAIMS | claims, KEY, algorithm="ES256", headers={"kid": "k1"})


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs ``verify`` beside a ``grafana.ini`` with this source of keys; the status must fit."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NO_PROXY", "*")
    (tmp_path / "jwks.json").write_text(JWKS)

    def run(
        text: str,
        *arguments: str,
        source: str = "jwk_set_file = jwks.json",
        ini: str | None = None,
        status: int = 0,
        stdin: str | bytes | None = None,
    ) -> Result:
        (tmp_path / "grafana.ini").write_text(INI.format(source=source) if ini is None else ini)
        everything = ("verify", text, "--grafana-ini", "grafana.ini", *arguments)
        result = CliRunner().invoke(cli, everything, input=stdin)
        assert result.exit_code == status, result.output + repr(result.exception)
        assert isinstance(result.exception, SystemExit | None)
        return result

    return run


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Serves one answer to every request; gives back the URL."""
    servers = []

    def serve(
        status: int,
        body: str,
        *,
        headers: dict[str, str] | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(status)
                for name, value in (headers or {}).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        server.handle_error = lambda *_: None  # type: ignore[method-assign]
        if tls is not None:
            server.socket = tls.wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
        servers.append(server)
        return f"{'https' if tls else 'http'}://127.0.0.1:{server.server_port}/j"

    yield serve
    for server in servers:
        server.shutdown()
        server.server_close()


def verdict_of(result: Result) -> Any:
    return json.loads(result.stdout)


@pytest.mark.parametrize(
    "written",
    [
        "{}",
        "  {}\n",
        "https://g.example.com/d-solo/u/s?orgId=1&panelId=2&auth_token={}",
        "https://g.example.com/d-solo/u/s?auth_token={}&theme=light#x",
        "/d-solo/u/s?auth_token={}",
    ],
    ids=["bare", "spaces", "url", "url-middle", "path"],
)
@pytest.mark.parametrize("stdin", [False, True], ids=["argument", "stdin"])
def test_the_token_however_it_was_pasted(run: Run, written: str, stdin: bool) -> None:
    pasted = written.format(token())

    result = run("-", "--json", stdin=pasted) if stdin else run(pasted, "--json")

    assert verdict_of(result)["login"] == "ann"


@pytest.mark.parametrize(
    "text",
    ["", " ", "https://g.example.com/d-solo/u/s?panelId=2", "https://g/?auth_token="],
)
def test_no_token_needs_no_keys(run: Run, text: str) -> None:
    source = "jwk_set_url = https://127.0.0.1:1/j"

    assert verdict_of(run(text, "--json", source=source, status=1))["reason"] == "no_token"


@pytest.mark.parametrize(
    ("text", "stdin"), [("https://[/?auth_token=SECRET", None), ("-", b"\xff\xfeSECRET")]
)
def test_what_is_no_token_is_wrong_usage_and_not_repeated(
    run: Run, text: str, stdin: bytes | None
) -> None:
    assert "SECRET" not in run(text, status=2, stdin=stdin).output


@pytest.mark.parametrize(
    ("source", "claims", "status"),
    [
        ("jwk_set_file = jwks.json", {"iss": "other"}, 1),
        ("jwk_set_url = http://127.0.0.1:1/j", {}, 1),
        ("key_file = k.pem", {}, 2),
        ("jwk_set_file = nowhere.json", {}, 2),
        ("x", {}, 1),
    ],
    ids=["refused", "no-answer", "pem", "no-file", "broken-ini"],
)
@pytest.mark.parametrize("url", ["{}", "https://g.example.com/d-solo/u/s?auth_token={}"])
@pytest.mark.parametrize("arguments", [(), ("--json",)], ids=["text", "json"])
def test_no_answer_repeats_the_token(
    run: Run, source: str, claims: dict[str, str], status: int, url: str, arguments: tuple[str, ...]
) -> None:
    secret = token(**claims)

    shown = run(url.format(secret), *arguments, source=source, status=status).output

    assert not [part for part in secret.split(".") if part in shown]


def test_keys_by_url(run: Run, serve: Serve) -> None:
    source = f"jwk_set_url = {serve(200, JWKS)}"

    assert verdict_of(run(token(), "--json", source=source))["accepted"] is True


def test_keys_in_the_ini_itself(run: Run) -> None:
    source = f"jwk_set_value = {JWKS}"

    assert verdict_of(run(token(), "--json", source=source))["accepted"] is True


def test_a_file_stands_for_whatever_source(run: Run) -> None:
    for source in ("jwk_set_url = http://127.0.0.1:1/j", "jwk_set_file = /nowhere"):
        run(token(), "--jwks", "jwks.json", source=source)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("jwk_set_file = /nowhere", "jwk_set_file is not on this machine"),
        ("key_file = /nowhere", "key_file is not read here"),
    ],
)
def test_keys_that_are_not_here_are_asked_for(run: Run, source: str, words: str) -> None:
    refused = run(token(), source=source, status=2)

    assert words in refused.stderr
    assert "--jwks FILE" in refused.stderr


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        ((404, "not found"), "it answers with status 404"),
        ((302, "", {"Location": "/k"}), "it answers with status 302"),
        ((200, "<html>"), "what it holds is not JSON"),
        ((200, "[" * 100_000), "what it holds is not JSON"),
        ((200, " " * 1_100_000), "it answers with more than 1 MiB"),
        ((200, "xx", {"Content-Encoding": "gzip"}), "the answer is damaged"),
        ((200, "{}", {"Content-Length": "9"}), "the answer is damaged"),
    ],
    ids=["status", "redirect", "html", "deep", "large", "gzip", "cut"],
)
def test_a_key_set_that_does_not_come(
    run: Run, serve: Serve, answer: tuple[Any, ...], words: str
) -> None:
    status, body, headers = (*answer, None)[:3]
    url = serve(status, body, headers=headers)

    answered = verdict_of(run(token(), "--json", source=f"jwk_set_url = {url}", status=1))

    assert answered["error"] == {
        "code": "upstream_unavailable",
        "detail": f"no key set from {url}: {words}",
        "hint": "save it and pass it with --jwks FILE",
    }


def test_nobody_answers(run: Run) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        source = f"jwk_set_url = http://127.0.0.1:{free.getsockname()[1]}/j"

        assert "the connection fails" in run(token(), source=source, status=1).stderr


def test_an_unknown_host(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def unknown(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "unknown")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    shown = run(token(), source="jwk_set_url = https://nowhere.example/j", status=1).stderr

    assert "host name is not known (DNS)" in shown


def test_a_certificate_of_nobody_known(run: Run, serve: Serve) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    url = serve(200, JWKS, tls=context)

    assert "TLS failed" in run(token(), source=f"jwk_set_url = {url}", status=1).stderr


def test_a_server_that_hangs(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("embedjwt.cli.verify._TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        source = f"jwk_set_url = http://127.0.0.1:{silent.getsockname()[1]}/j"

        assert "no answer within" in run(token(), source=source, status=1).stderr


@pytest.mark.parametrize("url", ["http://", "http://a..b/j", "http://ü" + "x" * 99])
def test_a_url_that_is_none(run: Run, url: str) -> None:
    shown = run(token(), source=f"jwk_set_url = {url}", status=1).stderr

    assert f"no key set from {url}: " in shown


@pytest.mark.parametrize(
    ("ini", "status", "words"),
    [
        ("[auth.jwt]\nenabled\n", 1, "grafana.ini, line 2: expected key = value"),
        ("x\nGF_AUTH_JWT_ENABLED=1\n", 1, "it looks like environment variables"),
    ],
)
def test_a_broken_ini_is_named(run: Run, ini: str, status: int, words: str) -> None:
    assert words in run(token(), ini=ini, status=status).stderr


def test_an_ini_that_cannot_be_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "latin1.ini").write_bytes(b"[auth.jwt]\n; \xfc\n")

    assert (
        "latin1.ini is not UTF-8 text"
        in run(token(), "--grafana-ini", "latin1.ini", status=2).stderr
    )
    assert (
        "cannot read no.ini: No such file"
        in run(token(), "--grafana-ini", "no.ini", status=2).stderr
    )


def test_a_file_without_the_section(run: Run) -> None:
    shown = run(token(), ini="[security]\n", status=1).stdout

    assert "Refused: disabled" in shown
    assert "grafana.ini has no [auth.jwt] section" in shown


def test_warnings_come_before_the_conclusion(run: Run) -> None:
    ini = INI.format(source="jwk_set_file = jwks.json\nexpected_claims = {}")
    result = run(token(), ini=ini)

    warned = "warning  expected_claims is ignored"
    assert warned in result.stderr
    assert result.output.index(warned) < result.output.index("Grafana accepts it")
    (warning,) = verdict_of(run(token(), "--json", ini=ini))["warnings"]
    assert warning.startswith("expected_claims is ignored")
    assert run(token()).stderr == ""
