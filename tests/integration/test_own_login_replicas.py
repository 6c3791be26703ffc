"""Several replicas with one PostgreSQL: a session of one is a session of all, and so is its end."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from node_provider import NodeProvider
from openid_person import Person
from own_login_kit import DASHBOARD, Embedding, embedding
from postgres import PostgresServer
from running_service import free_port, running_service


@pytest.fixture
def replicas(tmp_path: Path, postgres: PostgresServer) -> Iterator[tuple[Embedding, Embedding]]:
    """Two services with one configuration, behind what would be one address."""
    url = postgres.database()
    database = tmp_path / "database-url"
    database.write_text(url)
    database.chmod(0o600)
    with embedding(
        NodeProvider,
        tmp_path,
        top='database_file = "database-url"',
        more='[keys]\nstore = "directory"',
        backchannel=True,
        id_token_ttl=63,
        access_token_ttl=63,
    ) as first:
        port = free_port()
        with running_service(tmp_path, port) as other:
            yield first, replace(first, url=other)


@pytest.fixture
def person() -> Iterator[Person]:
    with Person() as person:
        yield person


def test_one_session(
    replicas: tuple[Embedding, Embedding], person: Person, postgres: PostgresServer
) -> None:
    first, second = replicas
    first.kit.sign_in(person, "ada")
    assert first.silent(person).url == DASHBOARD
    assert second.token(person).status_code == 200
    assert second.me(person).json()["identity"]["email"] == "ada@example.com"
    # Ended by the provider, which tells the first one, it is over at the second.
    first.kit.sign_out(person)
    assert second.token(person).json()["code"] == "login_required"
    assert first.token(person).json()["code"] == "login_required"


def test_renewed_once(replicas: tuple[Embedding, Embedding], person: Person) -> None:
    """A refresh token used twice would end the session at this provider."""
    first, _ = replicas
    first.kit.sign_in(person, "ada")
    first.silent(person)
    time.sleep(4)  # a minute before its end it is time
    asked = first.kit.asked("token_endpoint")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda site: site.token(person).status_code, replicas * 8))
    assert answers == [200] * 16
    assert first.kit.asked("token_endpoint") == asked + 1


def test_database_down(
    replicas: tuple[Embedding, Embedding], person: Person, postgres: PostgresServer
) -> None:
    """Nobody is let in on what cannot be looked up; afterwards all is as it was."""
    first, _ = replicas
    first.kit.sign_in(person, "ada")
    first.silent(person)
    postgres.stop()
    try:
        answer = first.token(person)
        assert answer.status_code == 503
        assert "127.0.0.1" not in answer.text, "where the database is concerns nobody outside"
    finally:
        postgres.start()
    assert first.token(person).status_code == 200
