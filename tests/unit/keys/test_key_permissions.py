"""Who may read and change the keys: nobody else, not even for a moment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from keys_support import NOW, TIMING, load, operate, start

from embedjwt.errors import KeysExposed, KeysUnavailable
from embedjwt.keys import DirectoryKeyStore
from embedjwt.keys.jwk import public_jwk
from embedjwt.keys.signer import generate

Work = Callable[[DirectoryKeyStore], None]


@pytest.fixture(params=[0o000, 0o777], ids=["takes-nothing", "takes-all"])
def hostile_umask(request: pytest.FixtureRequest) -> Iterator[None]:
    old = os.umask(request.param)
    yield
    os.umask(old)


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o7777


@pytest.mark.usefixtures("hostile_umask")
def test_modes_do_not_depend_on_the_umask(directory: Path) -> None:
    store = DirectoryKeyStore(directory, None)
    operate(store).init()
    modes = {path.name.rpartition(".")[2]: mode(path) for path in directory.glob("*.pem")}
    assert modes == {"pem": 0o600}
    assert [mode(p) for p in (directory, store.ring_file, store.jwks_file)] == [
        0o700,
        0o600,
        0o644,
    ]
    assert load(store).signing


@pytest.mark.usefixtures("hostile_umask")
def test_directories_above_are_not_for_others_to_change(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    theirs.chmod(0o775)
    operate(DirectoryKeyStore(theirs / "a" / "b" / "jwks", None)).init()
    assert [mode(path) & 0o022 for path in (theirs / "a", theirs / "a" / "b")] == [0, 0]
    assert mode(theirs / "a" / "b" / "jwks") == 0o700
    assert mode(theirs) == 0o775, "what was there stays as it is"


@pytest.mark.parametrize("name", ["ring.json", "jwks.json", "pem"])
def test_a_running_service_tells_of_what_others_can_change(
    store: DirectoryKeyStore, name: str
) -> None:
    keys = start(store)
    operate(store).prepare()
    for path in store.path.glob(f"*{name}"):
        path.chmod(0o666)
    keys.refresh()
    with pytest.raises(KeysExposed, match="changed by others"):
        keys.check()
    assert keys.signing_key(), "for a while it goes on"


def _init(store: DirectoryKeyStore) -> None:
    operate(store).init()


def _rotate(store: DirectoryKeyStore) -> None:
    operate(store, clock=lambda: NOW + TIMING.known_everywhere).rotate()


def _revoke(store: DirectoryKeyStore) -> None:
    operate(store).revoke(store.ring().records[0].kid, reason="leaked")


def _adopt(store: DirectoryKeyStore) -> None:
    key = generate("ES256")
    operate(store).adopt(key, {**public_jwk(key.public_key(), "ES256"), "kid": "theirs"})


@pytest.mark.parametrize("passphrase", [None, b"secret"], ids=["plain", "encrypted"])
@pytest.mark.parametrize(
    ("before", "work"),
    [
        pytest.param([], _init, id="init"),
        pytest.param([_init], _rotate, id="rotate"),
        pytest.param([_init], _revoke, id="revoke"),
        pytest.param([_init], _adopt, id="adopt"),
        pytest.param([], _adopt, id="adopt-first"),
    ],
)
def test_no_private_file_is_open_to_others_at_any_moment(
    directory: Path,
    monkeypatch: pytest.MonkeyPatch,
    before: list[Work],
    work: Work,
    passphrase: bytes | None,
) -> None:
    seen: set[tuple[str, int]] = set()

    def watched(real: Callable[..., object]) -> Callable[..., object]:
        def call(*args: object, **named: object) -> object:
            result = real(*args, **named)
            for path in directory.glob("*"):
                seen.add((_kind(path), mode(path)))
            return result

        return call

    store = DirectoryKeyStore(directory, passphrase)
    old = os.umask(0)
    try:
        for step in before:
            step(store)
        with monkeypatch.context() as patch:
            for name in ("open", "write", "fchmod", "fsync", "close", "replace", "unlink"):
                patch.setattr(os, name, watched(getattr(os, name)))
            work(store)
    finally:
        os.umask(old)
    assert {mode for kind, mode in seen if kind == "private"} == {0o600}
    assert {kind for kind, _ in seen} >= {"private", "half-written private", "half-written public"}
    assert {mode for kind, mode in seen if kind == "half-written private"} == {0o600}
    assert {mode for kind, mode in seen if "public" in kind} == {0o600, 0o644}
    assert mode(directory) == 0o700


def _kind(path: Path) -> str:
    kind = "public" if "jwks.json" in path.name else "private"
    return f"half-written {kind}" if path.name.endswith(".tmp") else kind


OTHERS = [0o640, 0o604, 0o620, 0o602, 0o660, 0o606, 0o666, 0o777]


@pytest.mark.parametrize("bits", OTHERS, ids=oct)
@pytest.mark.parametrize("which", ["active", "next"])
def test_a_private_key_open_to_others_is_refused(
    store: DirectoryKeyStore, which: str, bits: int
) -> None:
    kid = next(key.kid for key in store.ring().records if key.state == which)
    path = store.path / f"{kid}.pem"
    path.chmod(bits)
    with pytest.raises(KeysExposed, match="read or changed by others") as refused:
        start(store)
    assert refused.value.code == "keys_exposed"
    assert str(path) in refused.value.detail
    assert refused.value.hint == f"chmod 600 {path}"


@pytest.mark.parametrize("bits", [0o750, 0o705, 0o720, 0o702, 0o755, 0o777, 0o1777], ids=oct)
def test_a_directory_open_to_others_is_refused(store: DirectoryKeyStore, bits: int) -> None:
    store.path.chmod(bits)
    with pytest.raises(KeysExposed, match="listed or changed by others") as refused:
        start(store)
    assert refused.value.code == "keys_exposed"
    assert refused.value.hint == f"chmod 700 {store.path}"


@pytest.mark.parametrize("bits", [0o700, 0o500, 0o711], ids=oct)
def test_a_directory_that_others_at_most_pass_through_loads(
    store: DirectoryKeyStore, bits: int
) -> None:
    store.path.chmod(bits)
    assert load(store).signing


@pytest.mark.parametrize("bits", [0o620, 0o602, 0o666], ids=oct)
@pytest.mark.parametrize("name", ["ring.json", "jwks.json"])
def test_states_and_published_keys_that_others_can_change_are_refused(
    store: DirectoryKeyStore, name: str, bits: int
) -> None:
    (store.path / name).chmod(bits)
    with pytest.raises(KeysExposed, match="can be changed by others") as refused:
        start(store)
    assert refused.value.code == "keys_exposed"
    assert refused.value.hint == f"chmod go-w {store.path / name}"


@pytest.mark.parametrize("name", ["ring.json", "jwks.json", "pem"])
def test_a_link_out_of_the_directory_is_refused(
    store: DirectoryKeyStore, tmp_path: Path, name: str
) -> None:
    path = next(store.path.glob(f"*{name}"))
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(KeysExposed, match="leads out of its directory") as refused:
        start(store)
    assert refused.value.code == "keys_exposed"
    assert str(path) in refused.value.detail


@pytest.mark.parametrize("name", ["ring.json", "jwks.json", "pem"])
def test_a_link_within_the_directory_loads(store: DirectoryKeyStore, name: str) -> None:
    path = next(store.path.glob(f"*{name}"))
    path.rename(store.path / "data")
    path.symlink_to("data")
    assert load(store).signing


def test_a_link_to_itself_is_refused(store: DirectoryKeyStore) -> None:
    store.ring_file.unlink()
    store.ring_file.symlink_to("ring.json")
    with pytest.raises(KeysUnavailable, match=r"ring\.json"):
        start(store)


@pytest.mark.parametrize("name", ["", "ring.json", "jwks.json", "pem"])
def test_what_belongs_to_another_user_is_refused(
    store: DirectoryKeyStore, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = next(store.path.glob(f"*{name}")) if name else store.path
    if os.geteuid() == 0:
        os.chown(path, 12345, -1)
    else:
        path = store.path  # the first that is looked at; all are another's now
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(KeysExposed, match="belongs to another user") as refused:
        start(store)
    assert refused.value.code == "keys_exposed"
    assert str(path) in refused.value.detail
    assert "chown" in refused.value.hint


def test_a_lock_that_is_a_link_is_not_followed(directory: Path, tmp_path: Path) -> None:
    directory.mkdir(0o700)
    (directory / ".lock").symlink_to(tmp_path / "victim")
    with pytest.raises(KeysUnavailable, match=r"\.lock"):
        operate(DirectoryKeyStore(directory, None)).init()
    assert not (tmp_path / "victim").exists()
