"""Starting a Grafana that is installed somewhere: a program in its place shows what it was told."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from embedjwt.demo.real_grafana import (
    DemoFailed,
    grafana_version,
    running_grafana,
    server_command,
)
from embedjwt.demo.servers import free_port
from embedjwt.grafana.verifier import read_ini
from embedjwt.grafana.versions import Version

PRINTED = "[auth.jwt]\nenabled = true\nheader_name = X-JWT-Assertion\n"

ANSWERS_HEALTH = """
import configparser, http.server, os, sys
if sys.argv[-1] == "-v":
    print("grafana version 12.1.3")
    sys.exit()
home, ini = sys.argv[sys.argv.index("--homepath") + 1], sys.argv[sys.argv.index("--config") + 1]
settings = configparser.ConfigParser(interpolation=None)
settings.read_string("[DEFAULT]\\n" + open(ini).read())
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200 if self.path == "/api/health" else 404)
        self.end_headers()
        self.wfile.write(" ".join([home, os.environ["GF_SECURITY_ADMIN_PASSWORD"]]).encode())
server = settings["server"]
http.server.HTTPServer((server["http_addr"], int(server["http_port"])), Handler).serve_forever()
"""
FAILS = "import sys; print('mapping is wrong'); sys.exit(1)"


@pytest.fixture
def grafana_home(tmp_path: Path) -> Callable[[str, str], Path]:
    def make(program: str, name: str = "grafana") -> Path:
        path = tmp_path / "home" / "bin" / name
        path.parent.mkdir(parents=True)
        path.write_text(f"#!{sys.executable}\n{program}")
        path.chmod(0o755)
        return tmp_path / "home"

    return make


@pytest.mark.parametrize(
    ("name", "arguments"), [("grafana", ["server"]), ("grafana-server", [])], ids=["9.4+", "older"]
)
def test_finds_the_program(grafana_home, name: str, arguments: list[str]) -> None:
    home = grafana_home(ANSWERS_HEALTH, name)
    assert server_command(home) == [str(home / "bin" / name), *arguments]
    assert grafana_version(home) == (12, 1)


def test_says_so_where_there_is_none(tmp_path: Path) -> None:
    with pytest.raises(DemoFailed, match="holds no Grafana"):
        grafana_version(tmp_path)


@pytest.mark.parametrize("told", ["", "grafana version 7.5.1"], ids=["nothing", "too-old"])
def test_wants_to_know_a_version_with_jwt_authentication(grafana_home, told: str) -> None:
    with pytest.raises(DemoFailed, match="does not tell a version"):
        grafana_version(grafana_home(f"print({told!r})"))


@pytest.mark.parametrize(
    ("version", "test_data"), [((10, 1), "testdata"), ((10, 2), "grafana-testdata-datasource")]
)
def test_starts_it_with_generated_settings_and_stops_it(
    grafana_home, tmp_path: Path, version: Version, test_data: str
) -> None:
    url = f"http://localhost:{free_port()}"
    home, directory = grafana_home(ANSWERS_HEALTH), tmp_path / "data"
    directory.mkdir()
    stop = threading.Event()
    with running_grafana(
        home, version=version, url=url, printed=PRINTED, directory=directory, stop=stop
    ):
        answer = requests.get(f"{url}/api/health", timeout=5)
        assert answer.text.split()[0] == str(home)
        assert len(answer.text.split()[1]) >= 24
        auth = read_ini((directory / "grafana.ini").read_text())
        assert auth.app_mode == "development"
        assert auth.enabled
        dashboard = json.loads((directory / "dashboards" / "line-3.json").read_text())
        assert {panel["datasource"]["type"] for panel in dashboard["panels"]} == {test_data}
        source = (directory / "provisioning" / "datasources" / "testdata.yaml").read_text()
        assert f" {test_data}," in source
    with pytest.raises(requests.ConnectionError):
        requests.get(f"{url}/api/health", timeout=5)


def test_shows_the_end_of_the_log_where_it_does_not_come_up(grafana_home, tmp_path: Path) -> None:
    url = f"http://localhost:{free_port()}"
    running = running_grafana(
        grafana_home(FAILS),
        version=(12, 1),
        url=url,
        printed=PRINTED,
        directory=tmp_path,
        stop=threading.Event(),
    )
    with pytest.raises(DemoFailed) as caught, running:
        pass
    assert "mapping is wrong" in caught.value.hint
