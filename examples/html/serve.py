"""Stands for your application: it serves the page, and has Vera signed in with its cookie."""

import os
from pathlib import Path

from flask import Flask, render_template, session

SERVICE = os.environ.get("SERVICE", "http://localhost:8001")

app = Flask(__name__, template_folder=".")
app.config.update(
    SECRET_KEY=Path(os.environ.get("SECRET_FILE", "host-secret")).read_text().strip(),
    SESSION_COOKIE_NAME="html_example",
    SESSION_COOKIE_SAMESITE="Lax",
)


@app.get("/")
def page() -> str:
    session["user"] = {  # what embedjwt reads; yours comes from your own login
        "sub": "acme|1",
        "login": "vera",
        "name": "Vera Lindqvist",
        "email": "vera@acme.example",
        "groups": ["operators"],
    }
    return render_template("index.html", service=SERVICE)


if __name__ == "__main__":
    app.run("localhost", int(os.environ.get("PORT", "8000")))
