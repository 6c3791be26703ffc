"""How the browser SDK reaches pages: joined into one module, at an address for each content."""

from __future__ import annotations

import base64
import gzip
import hashlib
import html
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from embedjwt import __version__
from embedjwt.web.sdk import SdkBroken, join
from tests_support import ROOT, need

PLAIN = "/static/embedjwt.js"
ABOUT = "/static/embedjwt.json"
ISSUER = "https://embed.example.com"
FOR_ALL = {"Access-Control-Allow-Origin": "*", "Cross-Origin-Resource-Policy": "cross-origin"}

MakeApp = Callable[..., Flask]
Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes modules, ``deep__x`` for ``deep/x.js``; the entry is ``entry``."""

    def files(**texts: str) -> Path:
        for name, text in texts.items():
            path = tmp_path / f"{name.replace('__', '/')}.js"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path / "entry.js"

    return files


def node(*arguments: str | Path) -> str:
    """What node prints; warnings and errors fail."""
    need("node", shutil.which("node") is not None, "apt install nodejs")
    command = ["node", *arguments]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


class TestJoining:
    def test_does_what_the_modules_do(self, write: Write, tmp_path: Path) -> None:
        entry = write(
            entry='import { both } from "./deep/both.js";\n'
            'import {\n  one,\n  $two,\n} from "./deep/one.js";\n'
            'export { one } from "./deep/one.js";\n'
            'export { both, Three } from "./deep/both.js";\n'
            "export const sum = one + $two + both();\n"
            'export const place = new URL(".", import.meta.url).pathname;\n'
            'console.log("entry");\n',
            deep__one='/** @type {import("./both.js").Three} */\n'
            'export const one = 1;\nexport let $two = 2;\nconsole.log("one");\n',
            deep__both='import { one, $two } from "./one.js";\n\n'
            "/** @param {number} [more] */\n"
            "export function both(more = 0) { return hidden() + more; }\n"
            'async function later() { return "import { x } of something"; }\n'
            "export async function* each() { yield await later(); }\n"
            "function hidden() { return 10 * (one + $two); }\n"
            'export class Three {}\nconsole.log("both");\n',
        )
        joined = tmp_path / "joined.mjs"
        joined.write_text(join(entry))
        assert not re.search("^import ", joined.read_text(), re.M)
        assert (
            node(*printing(joined))
            == f"one\nboth\nentry\nThree,both,one,place,sum\n33 {tmp_path}/\n"
        )
        # node takes .js for a module where package.json says so, as browsers do anyway
        (tmp_path / "package.json").write_text('{"type": "module"}')
        assert node(*printing(joined)) == node(*printing(entry))

    @pytest.mark.parametrize(
        ("texts", "says"),
        [
            ({"entry": 'import { a as b } from "./a.js";\n'}, "import { a as b }"),
            ({"entry": 'import * as a from "./a.js";\n'}, "import * as a"),
            ({"entry": 'import a from "./a.js";\n'}, "import a"),
            ({"entry": 'import "./a.js";\n'}, 'import "./a.js"'),
            ({"entry": "import { a } from './a.js';\n"}, "import { a }"),
            ({"entry": 'import { a } from "../a.js";\n'}, "import { a }"),
            ({"entry": 'import { a } from "https://elsewhere/a.js";\n'}, "import { a }"),
            ({"entry": '  import { a } from "./a.js";\n'}, "import { a }"),
            ({"entry": 'import { a } from "./a.js"; a();\n'}, "import { a }"),
            ({"entry": 'const a = await import("./a.js");\n'}, 'import("./a.js")'),
            (
                {
                    "entry": 'import { b } from "./b.js";\n',
                    "b": "export const b = import.meta.url;\n",
                },
                "b.js: cannot be joined: import.meta",
            ),
            ({"entry": "export default 1;\n"}, "export default"),
            ({"entry": 'export * from "./a.js";\n'}, "export *"),
            ({"entry": 'export { a as b } from "./a.js";\n'}, "export { a as b }"),
            ({"entry": "export const { a, b } = globalThis;\n"}, "export const { a"),
            ({"entry": 'import { a } from "./gone.js";\n'}, "gone.js: cannot be read"),
            ({"entry": 'import { b } from "./a.js";\n'}, "a.js does not export b"),
            ({"entry": 'import { kept } from "./a.js";\n'}, "a.js does not export kept"),
            (
                {
                    "entry": 'import { b } from "./b.js";\n',
                    "b": 'import { c } from "./c.js";\nexport const b = 1;\n',
                    "c": 'import { b } from "./b.js";\nexport const c = 1;\n',
                },
                "b.js: imports itself",
            ),
            (
                {"entry": 'import { b } from "./b.js";\n', "b": 'export { a } from "./a.js";\n'},
                "b.js: exports from a.js",
            ),
            (
                {
                    "entry": 'import { a } from "./a.js";\nimport { b } from "./b.js";\n',
                    "b": "async function kept() {}\nexport class b {}\n",
                },
                "b.js: a.js declares kept",
            ),
        ],
    )
    def test_refuses_what_it_does_not_know(
        self, write: Write, texts: dict[str, str], says: str
    ) -> None:
        entry = write(**{"a": "export const a = 1;\nfunction kept() {}\n", **texts})
        with pytest.raises(SdkBroken) as refused:
            join(entry)
        assert says in refused.value.detail

    def test_a_service_without_the_sdk_does_not_start(
        self, make_app: MakeApp, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("embedjwt.web.static_dir", lambda: tmp_path)
        with pytest.raises(SdkBroken, match=r"embedjwt\.js: cannot be read"):
            make_app()


def printing(module: Path) -> tuple[str, ...]:
    """node's arguments that print what a module exports, ``sum`` and ``place``."""
    script = (
        f'import * as all from "{module.as_uri()}"; '
        "console.log(Object.keys(all).sort().join()); console.log(all.sum, all.place)"
    )
    return ("--input-type=module", "--eval", script)


@pytest.fixture
def client(make_app: MakeApp) -> FlaskClient:
    return make_app().test_client()


@pytest.fixture
def pinned(client: FlaskClient) -> str:
    """The path of the immutable address."""
    url: str = client.get(ABOUT).get_json()["url"]
    return url.removeprefix(ISSUER)


class TestTheRealOne:
    def test_is_one_module_with_all_that_is_promised(
        self, client: FlaskClient, tmp_path: Path
    ) -> None:
        module = tmp_path / "embedjwt.mjs"
        module.write_bytes(client.get(PLAIN).data)
        node("--check", module)
        assert not re.search(r"^\s*import\b|^\s*export\b.* from\b", module.read_text(), re.M)
        script = f'console.log(Object.keys(await import("{module.as_uri()}")).join())'
        exported = set(node("--input-type=module", "--eval", script).strip().split(","))
        types = (ROOT / "static/embedjwt.d.ts").read_text()
        promised = set(re.findall(r"^export (?:class|const|function) (\w+)", types, re.M))
        assert "createEmbed" in promised
        assert exported == promised

    def test_its_modules_are_served_as_well(self, client: FlaskClient) -> None:
        modules = sorted((ROOT / "static/embedjwt").glob("*.js"))
        assert modules
        for module in modules:
            answer = client.get(f"/static/embedjwt/{module.name}")
            assert answer.data == module.read_bytes()
            assert answer.mimetype == "text/javascript"
            answer.close()


class TestAddresses:
    def test_the_plain_one_is_asked_again_each_time(self, client: FlaskClient) -> None:
        answer = client.get(PLAIN)
        assert_script(answer, "no-cache")

    def test_the_pinned_one_is_kept_for_ever(self, client: FlaskClient, pinned: str) -> None:
        answer = client.get(pinned)
        assert_script(answer, "public, max-age=31536000, immutable")
        assert answer.data == client.get(PLAIN).data
        first = hashlib.sha256(answer.data).hexdigest()[:12]
        assert pinned == f"/static/embedjwt-{__version__}-{first}.js"

    @pytest.mark.parametrize(
        "version", [__version__, f"{__version__}-000000000000", "0.0.1-abcdefabcdef", "x"]
    )
    def test_another_version_is_gone_and_says_what_to_do(
        self, client: FlaskClient, version: str
    ) -> None:
        answer = client.get(f"/static/embedjwt-{version}.js")
        assert answer.status_code == 404
        assert answer.mimetype == "application/problem+json"
        assert answer.headers["Cache-Control"] == "no-store"
        problem = answer.get_json()
        assert problem["code"] == "sdk_version_unknown"
        assert ABOUT in problem["detail"]

    def test_what_is_published_fits(self, client: FlaskClient, pinned: str) -> None:
        answer = client.get(ABOUT)
        assert answer.mimetype == "application/json"
        assert_for_all(answer, "no-cache")
        script = client.get(pinned).data
        packed = client.get(pinned, headers={"Accept-Encoding": "gzip"}).data
        integrity = "sha384-" + base64.b64encode(hashlib.sha384(script).digest()).decode()
        url = ISSUER + pinned
        assert answer.get_json() == {
            "version": pinned.removeprefix("/static/embedjwt-").removesuffix(".js"),
            "url": url,
            "integrity": integrity,
            "html": f'<script type="module" src="{url}" integrity="{integrity}" '
            'crossorigin="anonymous"></script>',
            "size": {"bytes": len(script), "gzip": len(packed)},
        }

    def test_below_a_path(self, make_app: MakeApp) -> None:
        issuer = "https://tools.example.com/r&d"
        about = make_app(issuer=issuer).test_client().get(ABOUT).get_json()
        assert about["url"].startswith(f"{issuer}/static/embedjwt-")
        assert f'src="{html.escape(about["url"])}"' in about["html"]

    def test_types_are_text(self, client: FlaskClient) -> None:
        answer = client.get("/static/embedjwt.d.ts")
        assert answer.content_type == "text/plain; charset=utf-8"
        assert answer.data == (ROOT / "static/embedjwt.d.ts").read_bytes()
        assert_for_all(answer, "no-cache")
        answer.close()

    @pytest.mark.parametrize("path", [PLAIN, ABOUT, "pinned"])
    def test_unchanged_is_304(self, client: FlaskClient, pinned: str, path: str) -> None:
        path = pinned if path == "pinned" else path
        first = client.get(path)
        for known in (first.headers["ETag"], f'"other", {first.headers["ETag"]}'):
            again = client.get(path, headers={"If-None-Match": known})
            assert (again.status_code, again.data) == (304, b"")
            assert_for_all(again, first.headers["Cache-Control"])
            for name in ("ETag", "Vary"):
                assert again.headers.getlist(name) == first.headers.getlist(name)
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200

    @pytest.mark.parametrize("path", [PLAIN, ABOUT, "pinned"])
    @pytest.mark.parametrize("encoding", ["gzip", "identity"])
    def test_head(self, client: FlaskClient, pinned: str, path: str, encoding: str) -> None:
        path, accepted = pinned if path == "pinned" else path, {"Accept-Encoding": encoding}
        whole, head = client.get(path, headers=accepted), client.head(path, headers=accepted)
        assert (head.status_code, head.data) == (200, b"")
        assert headers_but_date(head) == headers_but_date(whole)

    @pytest.mark.parametrize("path", [PLAIN, ABOUT, "pinned"])
    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
    def test_no_other_method(
        self, client: FlaskClient, pinned: str, path: str, method: str
    ) -> None:
        answer = client.open(pinned if path == "pinned" else path, method=method)
        assert answer.status_code == 405


class TestCompression:
    @pytest.mark.parametrize(
        "accepted",
        ["gzip", "gzip, deflate, br, zstd", "GZIP;q=0.5", "br;q=1, *;q=0.1", "identity;q=0, gzip"],
    )
    def test_where_it_is_accepted(self, client: FlaskClient, accepted: str) -> None:
        answer = client.get(PLAIN, headers={"Accept-Encoding": accepted})
        assert_script(answer, "no-cache", encoding="gzip")
        assert gzip.decompress(answer.data) == client.get(PLAIN).data
        assert int(answer.headers["Content-Length"]) == len(answer.data)

    @pytest.mark.parametrize(
        "accepted", ["", "identity", "br", "gzip;q=0", "gzip;q=0.0, *", "*;q=0", "deflate"]
    )
    def test_not_where_it_is_not(self, client: FlaskClient, accepted: str) -> None:
        answer = client.get(PLAIN, headers={"Accept-Encoding": accepted})
        assert_script(answer, "no-cache")
        assert b"export" in answer.data

    def test_no_time_is_in_it(self, client: FlaskClient) -> None:
        """All replicas send the same bytes, whenever they were started (RFC 1952, MTIME)."""
        packed = client.get(PLAIN, headers={"Accept-Encoding": "gzip"}).data
        assert packed[4:8] == bytes(4)

    def test_a_copy_is_known_in_either_encoding(self, client: FlaskClient) -> None:
        """The tag is a weak one: a strong one may not name two encodings (RFC 9110 8.8.3.3)."""
        tag = client.get(PLAIN, headers={"Accept-Encoding": "gzip"}).headers["ETag"]
        assert tag.startswith('W/"')
        assert client.get(PLAIN, headers={"If-None-Match": tag}).status_code == 304


def assert_script(answer: TestResponse, caching: str, *, encoding: str | None = None) -> None:
    assert answer.status_code == 200
    assert answer.headers.getlist("Content-Type") == ["text/javascript; charset=utf-8"]
    assert answer.headers.getlist("Vary") == ["Accept-Encoding"]
    assert answer.headers.get("Content-Encoding") == encoding
    assert_for_all(answer, caching)


def assert_for_all(answer: TestResponse, caching: str) -> None:
    """Pages of any origin may load it; each header once."""
    for name, value in {**FOR_ALL, "Cache-Control": caching}.items():
        assert answer.headers.getlist(name) == [value]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def headers_but_date(answer: TestResponse) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in answer.headers if name != "Date")
