"""What people see of a login: nothing hostile gets in, and no wrong frame shows it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from html.parser import HTMLParser

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.wrappers import Response

from embedjwt.web.session import pages
from tests_support import ROOT

HOST = "https://app.example.com"
OTHER = "https://portal.example.com"
HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&amp;{{ 7*7 }}"
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"

VOID = {"meta", "link", "input", "path", "br"}

PAGES: dict[str, Callable[[], Response]] = {
    "choice": lambda: pages.choice_page(["Acme", "Entra ID"], {"next": "/x"}, ("https:",)),
    "one provider": lambda: pages.choice_page(["Acme"], {}),
    "framed": lambda: pages.framed_page("Acme", HOST, (HOST, OTHER)),
    "popup": lambda: pages.result_page("signed_in", HOST, f"{HOST}/x", "popup"),
    "popup, failed": lambda: pages.result_page("failed", HOST, "", "popup", code="access_denied"),
    "frame": lambda: pages.result_page("signed_in", HOST, "", "iframe", framed_by=(HOST,)),
    "frame, nobody": lambda: pages.result_page("login_required", HOST, "", "iframe"),
    "signed in": pages.signed_in_page,
    "signed out": pages.signed_out_page,
    "logout": lambda: pages.logout_page("/x", ("https:", "http:")),
    "error": lambda: pages.error_page(503, "upstream_unavailable", "it is down", TRACE),
}

HOSTILE_PAGES: dict[str, Callable[[], Response]] = {
    "choice": lambda: pages.choice_page([HOSTILE, "Acme"], {HOSTILE: HOSTILE}),
    "one provider": lambda: pages.choice_page([HOSTILE], {"next": HOSTILE}),
    "framed": lambda: pages.framed_page(HOSTILE, HOSTILE),
    "result": lambda: pages.result_page("failed", HOSTILE, HOSTILE, "popup", code=HOSTILE),
    "logout": lambda: pages.logout_page(HOSTILE),
    "error": lambda: pages.error_page(400, HOSTILE, HOSTILE, HOSTILE, retry_url=HOSTILE),
}


class Read(HTMLParser):
    """A page as its elements; every element that is opened must be closed."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.words = ""
        self._open: list[str] = []
        self.feed(response.get_data(as_text=True))
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def one(self, tag: str) -> dict[str, str]:
        (found,) = self.all(tag)
        return found

    def hidden(self) -> dict[str, str]:
        return {field["name"]: field["value"] for field in self.all("input")}


@pytest.fixture
def app(make_app: Callable[..., Flask]) -> Flask:
    source = {
        "type": "oidc",
        "name": "Acme",
        "issuer": "https://idp.example.com",
        "client_id": "embed",
        "client_secret": "a secret of the client",
    }
    return make_app(source=[source], web={"allowed_origins": [HOST]})


@pytest.fixture
def context(app: Flask) -> Iterator[None]:
    with app.test_request_context():
        yield


@pytest.fixture
def client(app: Flask) -> FlaskClient:
    client = app.test_client()
    client.environ_base["HTTP_ACCEPT"] = "text/html,*/*;q=0.8"
    return client


def policy(response: Response) -> dict[str, str]:
    directives = response.headers["Content-Security-Policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_brings_nothing_from_elsewhere_and_nothing_inline(name: str) -> None:
    response = PAGES[name]()
    page = Read(response)
    assert response.mimetype == "text/html"
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert [script["src"] for script in page.all("script")] == ["/static/session.js"]
    assert [link["href"] for link in page.all("link")] == ["/static/session.css"]
    assert page.all("style") == []
    for _, attributes in page.elements:
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")]


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("name", PAGES)
def test_a_page_can_be_read_by_everybody(name: str) -> None:
    page = Read(PAGES[name]())
    assert page.one("html")["lang"] == "en"
    assert len(page.all("main")) == len(page.all("h1")) == len(page.all("title")) == 1
    assert page.one("svg")["aria-hidden"] == "true"
    assert "maximum-scale" not in str(page.all("meta"))


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("name", "form_action", "frame_ancestors"),
    [
        ("choice", "'self' https:", "'none'"),
        ("one provider", "'self'", "'none'"),
        ("framed", "'none'", f"{HOST} {OTHER}"),
        ("popup", "'none'", "'none'"),
        ("frame", "'none'", HOST),
        ("frame, nobody", "'none'", "'none'"),
        ("signed in", "'none'", "'none'"),
        ("signed out", "'none'", "'none'"),
        ("logout", "'self' https: http:", "'none'"),
        ("error", "'none'", "'none'"),
    ],
)
def test_the_policy(name: str, form_action: str, frame_ancestors: str) -> None:
    assert policy(PAGES[name]()) == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "base-uri": "'none'",
        "form-action": form_action,
        "frame-ancestors": frame_ancestors,
    }


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("name", HOSTILE_PAGES)
def test_hostile_values_stay_values(name: str) -> None:
    harmless = {tag for make in PAGES.values() for tag, _ in Read(make()).elements}
    response = HOSTILE_PAGES[name]()
    page = Read(response)
    assert {tag for tag, _ in page.elements} <= harmless
    assert [script["src"] for script in page.all("script")] == ["/static/session.js"]
    assert "49" not in page.words
    assert "alert" not in str(response.headers)


@pytest.mark.usefixtures("context")
def test_the_choice_posts_exactly_what_it_was_given() -> None:
    page = Read(pages.choice_page([HOSTILE, "Acme"], {"next": HOSTILE, "display": "popup"}))
    assert page.one("form") == {"method": "post", "action": "/session/login"}
    assert page.hidden() == {"next": HOSTILE, "display": "popup"}
    assert [(b["name"], b["value"]) for b in page.all("button")] == [
        ("source", HOSTILE),
        ("source", "Acme"),
    ]


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize(
    ("source", "login"),
    [
        ("", "/session/login?display=popup"),
        ("A&B #1", "/session/login?source=A%26B+%231&display=popup"),
    ],
)
def test_a_frame_offers_a_popup_and_never_a_form(source: str, login: str) -> None:
    page = Read(pages.framed_page(source, HOST, (HOST,)))
    assert page.all("form") == []
    assert page.one("button")["data-login"] == login
    assert page.one("button")["type"] == "button"
    assert page.one("a") | {"href": login, "target": "_blank"} == page.one("a")
    assert page.one("main")["data-opener-origin"] == HOST
    assert "data-status" not in page.one("main")


@pytest.mark.usefixtures("context")
@pytest.mark.parametrize("status", ["signed_in", "signed_out", "login_required", "failed"])
@pytest.mark.parametrize("display", ["page", "popup", "iframe"])
def test_what_a_result_says_to_its_script(status: pages.Status, display: pages.Display) -> None:
    page = Read(pages.result_page(status, HOST, "", display, code="access_denied"))
    assert page.one("main").items() >= {
        ("data-status", status),
        ("data-display", display),
        ("data-opener-origin", HOST),
        ("data-code", "access_denied"),
    }
    assert len(page.all("button")) == (display == "popup")


@pytest.mark.usefixtures("context")
def test_a_popup_that_stays_shows_the_way_on() -> None:
    shown = Read(pages.result_page("signed_in", HOST, f"{HOST}/x?a=1&b=2", "popup"))
    assert shown.one("a")["href"] == f"{HOST}/x?a=1&b=2"
    framed = Read(pages.result_page("signed_in", HOST, f"{HOST}/x", "iframe"))
    assert framed.all("a") == []


@pytest.mark.usefixtures("context")
def test_an_error_says_what_and_how_to_ask_about_it() -> None:
    response = pages.error_page(503, "upstream_unavailable", "it is down", TRACE, retry_url="/x")
    page = Read(response)
    assert response.status_code == 503
    for text in ("It is down.", "503", "upstream_unavailable", TRACE):
        assert text in page.words
    assert page.one("a")["href"] == "/x"


def test_messages_go_to_one_origin_and_hold_no_more_than_the_outcome() -> None:
    """The only sender to other windows; the browser tests show that it does so."""
    script = (ROOT / "static" / "session.js").read_text("utf-8")
    sends = re.findall(r"[\w.]+\.postMessage\(.*?\)", script)
    assert sends == ["channel.postMessage(message)", "target.postMessage(message, origin)"]
    assert not re.search(r"""["'`]\*["'`]""", script)
    assert set(re.findall(r"type: TYPE, ([^}]*)", script)) == {
        "status, ...(code && { code ",
        'status: "signed_in" ',
    }
    assert not re.search(r"cookie|fetch|innerHTML|eval|location\.(?!origin)", script)


@pytest.mark.parametrize(
    ("dest", "frame_ancestors"), [("document", "'none'"), ("iframe", HOST), ("embed", HOST)]
)
def test_a_refusal_can_be_read_in_a_frame_of_the_host(
    client: FlaskClient, dest: str, frame_ancestors: str
) -> None:
    answer = client.get(
        "/session/callback?state=unknown&code=c0de", headers={"Sec-Fetch-Dest": dest}
    )
    page = Read(answer)
    assert answer.status_code == 400
    assert "login_unknown" in page.words
    assert "c0de" not in answer.text
    assert policy(answer)["frame-ancestors"] == frame_ancestors
    assert len(page.all("a")) == (dest == "document")


def test_the_sent_policy_is_the_pages_own(client: FlaskClient) -> None:
    answer = client.get("/session/logout")
    assert "You are signed out" in answer.text
    assert answer.headers.getlist("Referrer-Policy") == ["same-origin"]
    assert len(answer.headers.getlist("Content-Security-Policy")) == 1
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_a_script_gets_json_and_a_person_a_page(client: FlaskClient) -> None:
    same_origin = {"Sec-Fetch-Site": "same-origin"}
    page = client.post("/session/logout", headers=same_origin)
    script = client.post("/session/logout", headers=same_origin | {"Accept": "*/*"})
    assert "You are signed out" in page.text
    assert script.json == {"signed_out": True, "end_session_url": None}
    assert script.headers["Cache-Control"] == "no-store"


def test_nothing_secret_is_on_a_page(client: FlaskClient) -> None:
    for path in ("/session/login?source=none", "/session/callback?state=s", "/session/logout"):
        assert "a secret of the client" not in client.get(path).text


@pytest.mark.parametrize("name", ["session.js", "session.css"])
def test_the_script_and_the_style_are_served(client: FlaskClient, name: str) -> None:
    with client.get(f"/static/{name}") as answer:
        assert answer.status_code == 200
        assert answer.mimetype in ("text/javascript", "text/css")
        assert "http" not in answer.text
