"""However many ask, and whatever they ask for, the memory that it takes has an end."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from gateway_in_process import COOKIE, answered, asking, gateway_in

_KIB = 1024


@contextmanager
def growth() -> Iterator[list[int]]:
    """Bytes that are taken afterwards, and were not before."""
    taken: list[int] = []
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        yield taken
        after, _ = tracemalloc.get_traced_memory()
        taken.append(after - before)
    finally:
        tracemalloc.stop()


def test_as_many_cookies_as_there_is_room_for(tmp_path: Path) -> None:
    inside = gateway_in(tmp_path, remembered=8)
    cookies = [f"{COOKIE}={inside.open(f'p{number}')}" for number in range(20)]
    tokens: dict[str, str | None] = {}
    for cookie in cookies * 2:  # the first are forgotten when they come again
        status, _, token = answered(inside.auth, asking(cookie))
        assert status == 200
        assert tokens.setdefault(cookie, token) == token
        assert inside.gateway.quick(asking(cookie)) is not None
        assert len(inside.decisions) <= 8
    assert len(set(tokens.values())) == len(cookies)
    assert [inside.gateway.quick(asking(cookie)) is not None for cookie in cookies] == [
        *[False] * 12,
        *[True] * 8,
    ]


def test_an_ended_session_leaves_its_place(tmp_path: Path) -> None:
    inside = gateway_in(tmp_path)
    value = inside.open("jane")
    answered(inside.auth, asking(f"{COOKIE}={value}"))
    assert len(inside.decisions) == 1
    inside.state.store.end(value.split(".")[0])
    inside.clock.now += 1
    assert answered(inside.auth, asking(f"{COOKIE}={value}"))[0] == 401
    assert len(inside.decisions) == 0


@pytest.mark.parametrize(
    ("path", "allowed"), [("/d-solo/abc/{}", True), ("/admin/{}", False)], ids=["open", "closed"]
)
def test_of_all_the_paths_that_one_person_asks_for_few_stay(
    tmp_path: Path, path: str, allowed: bool
) -> None:
    inside = gateway_in(tmp_path)
    cookie = f"{COOKIE}={inside.open('jane')}"
    filler = "x" * 400
    asked = [
        asking(cookie, uri=path.format(f"{filler}{number}?panelId=3")) for number in range(12_000)
    ]
    for environ in asked[:4000]:
        inside.gateway.quick(environ)
    answered(inside.auth, asked[0])
    with growth() as taken:
        known = [inside.gateway.quick(environ) is not None for environ in asked[4000:]]
    assert known == [allowed] * 8000
    assert taken[0] < 2500 * _KIB  # all of them would take twice as much


def test_cookies_that_open_nothing_leave_nothing(tmp_path: Path) -> None:
    inside = gateway_in(tmp_path)
    environs = [asking(f"{COOKIE}={'not-ours' * 400}.{number}.x") for number in range(600)]
    for environ in environs[:100]:  # what is made by the first requests is no growth
        answered(inside.auth, environ)
    with growth() as taken:
        statuses = {answered(inside.auth, environ)[0] for environ in environs[100:]}
    assert statuses == {401}
    assert taken[0] < 600 * _KIB  # the cookies alone would take 1600
    assert len(inside.decisions) == 0
