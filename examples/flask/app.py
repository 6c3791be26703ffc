"""A customer portal in Flask: a login of its own, and Grafana panels for who is signed in."""

import os
import time
from pathlib import Path

import jwt
import requests
from flask import Flask, Response, abort, redirect, render_template, request, session
from werkzeug.wrappers import Response as AnyResponse

SERVICE = os.environ.get("SERVICE", "http://localhost:8001")
HANDED_THROUGH = ("Content-Type", "Retry-After")
SECRET = Path(os.environ.get("SECRET_FILE", "host-secret")).read_text().strip()
PEOPLE = {
    "vera": {"name": "Vera Lindqvist", "email": "vera@acme.example", "groups": ["operators"]},
    "ed": {"name": "Ed Okafor", "email": "ed@acme.example", "groups": ["editors"]},
}

app = Flask(__name__)
app.config.update(
    SECRET_KEY=os.urandom(32),
    SESSION_COOKIE_NAME="flask_example",
    SESSION_COOKIE_SAMESITE="Lax",
)


@app.before_request
def only_from_our_own_pages() -> None:
    """No other site may sign somebody in or out, or have a token made.

    Browsers send this header to https addresses and to localhost.
    """
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site") != "same-origin":
        abort(403)


@app.get("/")
def portal() -> AnyResponse | str:
    if "login" not in session:
        return redirect("/login")
    return render_template("portal.html", service=SERVICE, person=PEOPLE[session["login"]])


@app.get("/login")
def login_form() -> str:
    return render_template("login.html", people=PEOPLE)


@app.post("/login")
def login() -> AnyResponse:
    """Yours asks for a password, or is a single sign-on."""
    if request.form.get("login") not in PEOPLE:
        abort(400)
    session["login"] = request.form["login"]
    return redirect("/", 303)


@app.post("/logout")
def logout() -> AnyResponse:
    session.clear()
    return redirect("/login", 303)


@app.post("/grafana-token")
def grafana_token() -> Response:
    """Asks embedjwt for the person who is signed in here, and hands its answer through."""
    if "login" not in session:
        return Response(status=401)
    token = bearer(session["login"])
    try:
        answer = requests.post(
            f"{SERVICE}/v1/embed-token",
            json={},
            headers={"Authorization": f"Bearer {token}"},
            timeout=10,
        )
    except requests.RequestException:
        return Response(status=503)
    # 401 means that embedjwt refused our own token: signing in again would not help.
    status = 502 if answer.status_code == 401 else answer.status_code
    kept = {name: answer.headers[name] for name in HANDED_THROUGH if name in answer.headers}
    return Response(answer.content, status, kept)


def bearer(login: str) -> str:
    """Says to embedjwt who it is. The panel's token lives no longer than this one."""
    claims = {
        "iss": "https://portal.acme.example",
        "aud": "embedjwt",
        "sub": f"acme|{login}",
        "exp": int(time.time()) + 600,
        "login": login,
        **PEOPLE[login],
    }
    return jwt.encode(claims, SECRET, "HS256")


@app.after_request
def not_stored(response: Response) -> Response:
    """Pages and tokens are for one person, and now."""
    response.headers["Cache-Control"] = "no-store"
    return response


if __name__ == "__main__":
    app.run("localhost", int(os.environ.get("PORT", "8000")))
